//! Project names are unique within an organization.
