//! Following the chain: the indexer's task, and how others ask it to look now.

use super::backed_off;
use crate::service::supervisor::describe;
use async_trait::async_trait;
use haithe_billing::{
    chain::ChainError,
    indexer::{IndexError, Indexer},
};
use haithe_evm::ChainClient;
use haithe_kernel::WalletAddress;
use haithe_orgs::ports::ChainSync;
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long a balance read waits for the index.
const CATCH_UP: Duration = Duration::from_secs(1);

/// Asks the indexer for a look at the head, and tells when it has had one.
#[derive(Debug)]
pub(super) struct CatchUp {
    asked: watch::Sender<u64>,
    reached: watch::Sender<u64>,
}

impl Default for CatchUp {
    fn default() -> Self {
        Self {
            asked: watch::Sender::new(0),
            reached: watch::Sender::new(0),
        }
    }
}

#[async_trait]
impl ChainSync for CatchUp {
    async fn catch_up(&self) -> bool {
        let mut mine = 0;
        self.asked.send_modify(|count| {
            *count += 1;
            mine = *count;
        });
        let mut reached = self.reached.subscribe();
        let reached = reached.wait_for(|count| *count >= mine);
        matches!(tokio::time::timeout(CATCH_UP, reached).await, Ok(Ok(_)))
    }
}

#[derive(Clone)]
pub(super) struct IndexLoop {
    pub client: ChainClient,
    pub token: Arc<OnceLock<WalletAddress>>,
    pub indexer: Arc<Indexer>,
    pub sync: Arc<CatchUp>,
    pub poll: Duration,
}

impl IndexLoop {
    /// Follows the chain until the stop. An outage is waited for; a chain that does not fit, or was
    /// reorganized too deep, ends the task with an error.
    pub async fn run(self, stop: CancellationToken) -> Result<(), IndexError> {
        let mut asked = self.sync.asked.subscribe();
        let mut failures = 0u32;
        loop {
            let round = *asked.borrow_and_update();
            let pause = match self.follow(&stop).await {
                Ok(()) => {
                    failures = 0;
                    self.sync.reached.send_replace(round);
                    self.poll
                }
                Err(error @ IndexError::TooDeep { .. }) => return Err(error),
                Err(error) => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(
                        error = describe(&error),
                        failures,
                        "the chain could not be indexed"
                    );
                    backed_off(self.poll, failures)
                }
            };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
                _ = asked.changed() => {}
            }
        }
    }

    async fn follow(&self, stop: &CancellationToken) -> Result<(), IndexError> {
        if self.token.get().is_none() {
            let token = self.client.check().await.map_err(ChainError::from)?;
            let _ = self.token.set(token);
        }
        while !stop.is_cancelled() {
            let progress = self.indexer.step().await?;
            if let Some(blocks) = progress.rewound {
                tracing::warn!(blocks, "the chain was reorganized; the index was rewound");
            }
            if progress.is_caught_up() {
                break;
            }
        }
        Ok(())
    }
}
