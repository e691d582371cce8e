//! haithe-billing
