//! Whoever opens sealed content.

use super::WiringError;
use crate::config;
use haithe_enclave::{Keyring, LocalEnclave, OysterEnclave};
use haithe_marketplace::enclave::Enclave;
use std::sync::Arc;

/// The keys of the configuration, attested where an agent is named.
pub(super) fn enclave(config: &config::Enclave) -> Result<Arc<dyn Enclave>, WiringError> {
    let keys = Keyring::new(&config.key, &config.former_keys)?;
    Ok(match &config.attestation_agent {
        Some(agent) => Arc::new(OysterEnclave::new(keys, agent)?),
        None => Arc::new(LocalEnclave::new(keys)),
    })
}
