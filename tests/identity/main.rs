//! Who is calling: every way of proving it, and what is refused.
//!
//! The vectors are data: each says what is sent and what must be answered. They are played on one
//! service; the suite counts them.

mod jwt;
mod nonce;
mod security_log;
mod smart_wallets;
mod vectors;
