//! haithe-tests
