//! Organization and product addresses survive a reorganization.
