//! Reads the deployment: the safeguards that it lacks, and its withdrawal delay.

use super::backed_off;
use crate::{
    Config,
    service::{safeguards::Safeguards, supervisor::describe},
};
use haithe_billing::{chain::ChainError, deployment::Weakness, gate::SettlementGate, ports::ChainIndex};
use haithe_evm::ChainClient;
use haithe_kernel::StoreError;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// How often the deployment is read: its owner may have corrected it.
const LOOK_EVERY: Duration = Duration::from_secs(600);
/// First pause after the chain could not be read.
const RETRY: Duration = Duration::from_secs(1);

/// Why the deployment could not be read.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads the deployment and reports what it lacks.
#[derive(Clone)]
pub(super) struct SafeguardWatch {
    client: ChainClient,
    gate: Arc<SettlementGate>,
    index: Arc<dyn ChainIndex>,
    start_block: u64,
    /// What the configuration lacks, which does not change while the service runs.
    configured: Vec<Weakness>,
    safeguards: Arc<Safeguards>,
}

impl SafeguardWatch {
    pub(super) fn new(
        client: ChainClient,
        gate: Arc<SettlementGate>,
        index: Arc<dyn ChainIndex>,
        config: &Config,
        safeguards: Arc<Safeguards>,
    ) -> Self {
        let local = !config.chain.is_for_development() && config.auth.sites.are_local();
        let configured = if local {
            vec![Weakness::LocalSites]
        } else {
            Vec::new()
        };
        safeguards.found(configured.clone());
        Self {
            client,
            gate,
            index,
            start_block: config.chain.start_block,
            configured,
            safeguards,
        }
    }

    /// Looks now and then every ten minutes, until the stop.
    pub(super) async fn run(self, stop: CancellationToken) -> Result<(), Infallible> {
        let mut failures = 0u32;
        loop {
            let pause = match self.look().await {
                Ok(()) => {
                    failures = 0;
                    LOOK_EVERY
                }
                Err(error) => {
                    tracing::debug!(error = describe(&error), "the deployment could not be read");
                    failures = failures.saturating_add(1);
                    backed_off(RETRY, failures)
                }
            };
            if stop
                .run_until_cancelled(tokio::time::sleep(pause))
                .await
                .is_none()
            {
                return Ok(());
            }
        }
    }

    async fn look(&self) -> Result<(), LookError> {
        let delay = self.client.withdrawal_delay().await.map_err(ChainError::from)?;
        self.gate.set_withdrawal_delay(delay);
        self.index.record_withdrawal_delay(delay).await?;
        let governance = self.client.governance(self.start_block).await;
        let mut weaknesses = governance.map_err(ChainError::from)?.weaknesses();
        weaknesses.extend(&self.configured);
        self.safeguards.found(weaknesses);
        Ok(())
    }
}
