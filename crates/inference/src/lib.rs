//! haithe-inference
