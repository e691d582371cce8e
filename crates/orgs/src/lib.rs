//! haithe-orgs
