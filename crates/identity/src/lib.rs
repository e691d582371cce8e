//! haithe-identity
