//! haithe-sqlite
