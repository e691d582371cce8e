//! haithe-server
