//! Background work that one instance at a time does.

use crate::write::WriteTx;
use haithe_kernel::StoreError;

/// Work that one instance at a time does, under a lease of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duty {
    /// Following the chain.
    Index,
    /// Sealing and dissolving batches.
    Settlement,
    /// Sending transactions.
    Sender,
}

impl WriteTx {
    /// The first statement of every background write: it fails unless this instance has the duty, and keeps it to
    /// the end of the transaction.
    ///
    /// Until instances have leases, every instance has every duty: it is the operator who runs one instance. The
    /// row of the chain's index is locked, so that two of these transactions never overlap.
    pub(crate) async fn current_lease(&mut self, duty: Duty) -> Result<(), StoreError> {
        match duty {
            Duty::Index | Duty::Settlement => {
                let lock = "SELECT id FROM chain_binding FOR UPDATE";
                self.execute(sqlx::query(lock)).await.map(drop)
            }
            // The lane of nonces is locked where one is assigned.
            Duty::Sender => Ok(()),
        }
    }
}
