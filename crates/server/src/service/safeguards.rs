//! What the running service knows of safeguards that its deployment lacks.

use haithe_billing::deployment::Weakness;
use std::sync::{PoisonError, RwLock};

/// Safeguards that are missing, as last found. Shared by the task that looks and the health route.
#[derive(Debug, Default)]
pub struct Safeguards {
    missing: RwLock<Vec<Weakness>>,
}

impl Safeguards {
    /// Replaces what was found before. Each weakness that is new is logged as a warning.
    pub fn found(&self, weaknesses: Vec<Weakness>) {
        let mut missing = self.missing.write().unwrap_or_else(PoisonError::into_inner);
        for weakness in weaknesses.iter().filter(|weakness| !missing.contains(weakness)) {
            tracing::warn!(
                weakness = weakness.code(),
                reason = %weakness,
                remedy = weakness.remedy(),
                "the deployment lacks a safeguard"
            );
        }
        *missing = weaknesses;
    }

    /// How many are missing.
    pub fn count(&self) -> usize {
        self.missing.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Those that are missing, for the health route.
    pub fn missing(&self) -> Vec<Weakness> {
        self.missing
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
