//! Reads the deployment: the safeguards that it lacks, who may settle, and its withdrawal delay.

use super::backed_off;
use crate::{
    Config,
    service::{
        conditions::{Condition, Conditions},
        safeguards::Safeguards,
        supervisor::describe,
    },
};
use haithe_billing::{chain::ChainError, deployment::Weakness, gate::SettlementGate, ports::ChainIndex};
use haithe_evm::ChainClient;
use haithe_kernel::{StoreError, WalletAddress};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// How often the deployment is read: its owner may have corrected it.
const LOOK_EVERY: Duration = Duration::from_secs(600);
/// How often it is read while the settling key is not the orchestrator's server.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
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

/// The key that settles, and where it is reported that it may not.
#[derive(Clone)]
pub(super) struct SettlingKey {
    /// The key's address.
    pub signer: WalletAddress,
    /// Where a mismatch is reported.
    pub conditions: Arc<Conditions>,
}

impl SettlingKey {
    /// Compares the key with the orchestrator's server; whether it is that.
    fn compare(&self, server: WalletAddress) -> bool {
        let signer = self.signer;
        let mismatch = (server != signer).then(|| {
            format!("the settling key {signer} is not the orchestrator's server, which is {server}")
        });
        let fits = mismatch.is_none();
        self.conditions.set(Condition::SettlingKeyMismatch, "", mismatch);
        fits
    }
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
    key: SettlingKey,
}

impl SafeguardWatch {
    pub(super) fn new(
        client: ChainClient,
        gate: Arc<SettlementGate>,
        index: Arc<dyn ChainIndex>,
        config: &Config,
        safeguards: Arc<Safeguards>,
        key: SettlingKey,
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
            key,
        }
    }

    /// Looks now and then every ten minutes, until the stop; every ten seconds while the settling key is wrong.
    pub(super) async fn run(self, stop: CancellationToken) -> Result<(), Infallible> {
        let mut failures = 0u32;
        loop {
            let pause = match self.look().await {
                Ok(fits) => {
                    failures = 0;
                    if fits { LOOK_EVERY } else { LOOK_AGAIN }
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

    /// Whether the settling key is the orchestrator's server.
    async fn look(&self) -> Result<bool, LookError> {
        let server = self.client.server().await.map_err(ChainError::from)?;
        let fits = self.key.compare(server);
        let delay = self.client.withdrawal_delay().await.map_err(ChainError::from)?;
        self.gate.set_withdrawal_delay(delay);
        self.index.record_withdrawal_delay(delay).await?;
        let governance = self.client.governance(self.start_block).await;
        let mut weaknesses = governance.map_err(ChainError::from)?.weaknesses();
        weaknesses.extend(&self.configured);
        self.safeguards.found(weaknesses);
        Ok(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haithe_kernel::{FixedClock, Timestamp};

    #[test]
    fn a_settling_key_that_is_not_the_server_is_reported_until_it_is() {
        let clock = Arc::new(FixedClock::at(Timestamp::from_seconds(1_000)));
        let conditions = Arc::new(Conditions::new(clock));
        let (own, other) = (WalletAddress::new([1; 20]), WalletAddress::new([2; 20]));
        let key = SettlingKey {
            signer: own,
            conditions: conditions.clone(),
        };
        assert!(!key.compare(other));
        let [mismatch] = conditions.active().try_into().unwrap();
        assert_eq!(mismatch.condition, Condition::SettlingKeyMismatch);
        for address in [own, other] {
            assert!(mismatch.message.contains(&address.to_string()));
        }
        assert!(key.compare(own));
        assert!(conditions.active().is_empty());
    }
}
