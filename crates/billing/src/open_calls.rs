//! Whether an organization has calls that have not ended, as `orgs` asks before it deletes one.

use crate::ports::Ledger;
use async_trait::async_trait;
use haithe_kernel::{OrgId, StoreError};
use haithe_orgs::ports::OpenCalls;
use std::sync::Arc;

/// [`OpenCalls`] over the ledger: a call is open while money is held for it.
pub struct LedgerOpenCalls {
    ledger: Arc<dyn Ledger>,
}

impl LedgerOpenCalls {
    /// The calls that this ledger holds money for.
    pub fn new(ledger: Arc<dyn Ledger>) -> Self {
        Self { ledger }
    }
}

#[async_trait]
impl OpenCalls for LedgerOpenCalls {
    async fn are_open(&self, org: OrgId) -> Result<bool, StoreError> {
        Ok(self.ledger.balance(org).await?.held.is_positive())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ledger::Balance, ports::MockLedger};
    use haithe_kernel::Usdt;

    #[tokio::test]
    async fn calls_are_open_while_money_is_held() {
        for (held, open) in [(0, false), (1, true)] {
            let mut ledger = MockLedger::new();
            ledger.expect_balance().returning(move |_| {
                Ok(Balance {
                    available: Usdt::from_nano(100),
                    held: Usdt::from_nano(held),
                    unsettled: Usdt::from_nano(5),
                    ..Balance::default()
                })
            });
            let calls = LedgerOpenCalls::new(Arc::new(ledger));
            assert_eq!(calls.are_open(OrgId(1)).await.unwrap(), open);
        }
    }
}
