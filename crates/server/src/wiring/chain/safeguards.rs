//! Looks at the deployment for safeguards that it lacks.

use super::backed_off;
use crate::{
    Config,
    service::{safeguards::Safeguards, supervisor::describe},
};
use haithe_billing::deployment::Weakness;
use haithe_evm::{ChainClient, ConnectError};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// How often the deployment is read: its owner may have corrected it.
const LOOK_EVERY: Duration = Duration::from_secs(600);
/// First pause after the chain could not be read.
const RETRY: Duration = Duration::from_secs(1);

/// Reads the deployment and reports what it lacks.
#[derive(Debug, Clone)]
pub(super) struct SafeguardWatch {
    client: ChainClient,
    start_block: u64,
    /// What the configuration lacks, which does not change while the service runs.
    configured: Vec<Weakness>,
    safeguards: Arc<Safeguards>,
}

impl SafeguardWatch {
    pub(super) fn new(client: ChainClient, config: &Config, safeguards: Arc<Safeguards>) -> Self {
        let local = !config.chain.is_for_development() && config.auth.sites.are_local();
        let configured = if local {
            vec![Weakness::LocalSites]
        } else {
            Vec::new()
        };
        safeguards.found(configured.clone());
        Self {
            client,
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

    async fn look(&self) -> Result<(), ConnectError> {
        let mut weaknesses = self.client.governance(self.start_block).await?.weaknesses();
        weaknesses.extend(&self.configured);
        self.safeguards.found(weaknesses);
        Ok(())
    }
}
