//! `/api/v1/me`: what belongs to the caller's wallet.

pub mod default_key;
pub mod faucet;
pub mod keys;
pub mod profile;
pub mod sessions;
