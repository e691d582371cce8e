//! Tokens are counted only for callers that can pay, on a bounded pool.
