//! [`Enclave`](haithe_marketplace::enclave::Enclave) twice: with keys in this process, and with an
//! attestation agent that vouches for it.
//!
//! The keys are software keys in both: inside a Nitro enclave the whole process is what is isolated
//! and measured. [`LocalEnclave`] claims nothing. [`OysterEnclave`] asks the agent that Marlin's
//! Oyster runs beside the process for a report about the advertised key, and passes it on only if it
//! is about that key and that nonce. It does not judge whether the report's signature can be trusted:
//! whoever wants to know verifies it on a machine of their own.
//!
//! The agent's address is configured, never a user's. The crate must know of no other adapter.

mod document;
mod keyring;
mod local;
mod oyster;

pub use keyring::{Keyring, KeyringError};
pub use local::LocalEnclave;
pub use oyster::{OysterEnclave, SetupError};
