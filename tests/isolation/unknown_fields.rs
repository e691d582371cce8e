//! Unknown body fields and query parameters are refused.
