//! haithe-evm
