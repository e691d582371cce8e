//! haithe-marketplace
