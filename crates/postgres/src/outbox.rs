//! [`TxOutbox`] on PostgreSQL. Rations, nonces and states are decided by `haithe_billing::outbox`.
//!
//! A ration is counted under the lock of its purpose's row, and a nonce is assigned under the lock of its lane's row.

mod nonce;
mod rationed;
mod rows;
mod state;

use crate::db::Db;
use async_trait::async_trait;
use haithe_billing::{
    chain::Hash32,
    outbox::{NewTx, Rationed, TxAttempt, TxIntent, TxIntentId, TxPurpose, TxRation},
    ports::TxOutbox,
};
use haithe_kernel::{StoreError, Timestamp, WalletAddress};

/// [`TxOutbox`] on PostgreSQL.
#[derive(Clone)]
pub struct PgTxOutbox {
    db: Db,
}

impl PgTxOutbox {
    /// The outbox of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

fn unknown(id: TxIntentId) -> StoreError {
    StoreError::new(format!("there is no transaction intent {}", id.0))
}

/// One intent must have been changed.
fn one(id: TxIntentId, changed: u64) -> Result<(), StoreError> {
    if changed == 1 { Ok(()) } else { Err(unknown(id)) }
}

#[async_trait]
impl TxOutbox for PgTxOutbox {
    async fn enqueue(&self, tx: NewTx) -> Result<TxIntent, StoreError> {
        self.db
            .write_locking(tx, |write, tx| Box::pin(write.enqueue(tx)))
            .await
    }

    async fn enqueue_rationed(&self, tx: NewTx, ration: TxRation) -> Result<Rationed, StoreError> {
        self.db
            .write_locking((tx, ration), |write, (tx, ration)| {
                Box::pin(rationed::enqueue(write, tx, ration))
            })
            .await
    }

    async fn newest_of(
        &self,
        purpose: TxPurpose,
        on_behalf: WalletAddress,
    ) -> Result<Option<TxIntent>, StoreError> {
        let rows = self.db.all(rows::newest(purpose, on_behalf)).await?;
        Ok(rows::intents(&rows)?.pop())
    }

    async fn find(&self, key: String) -> Result<Option<TxIntent>, StoreError> {
        let rows = self.db.all(rows::by_key(key)).await?;
        Ok(rows::intents(&rows)?.pop())
    }

    async fn open(&self, signer: WalletAddress) -> Result<Vec<TxIntent>, StoreError> {
        rows::intents(&self.db.all(rows::open(signer)).await?)
    }

    async fn assign_nonce(&self, id: TxIntentId, chain_nonce: u64) -> Result<u64, StoreError> {
        self.db
            .write_locking((id, chain_nonce), |write, (id, chain_nonce)| {
                Box::pin(nonce::assign(write, *id, *chain_nonce))
            })
            .await
    }

    async fn record_attempt(&self, id: TxIntentId, attempt: TxAttempt) -> Result<(), StoreError> {
        self.db
            .write_locking((id, attempt), |write, (id, attempt)| {
                Box::pin(state::record(write, *id, attempt))
            })
            .await
    }

    async fn mark_mined(&self, id: TxIntentId, hash: Hash32, block: u64) -> Result<(), StoreError> {
        self.db
            .write_locking((id, Some((hash, block))), |write, (id, mined)| {
                Box::pin(state::mark(write, *id, *mined))
            })
            .await
    }

    async fn mark_unmined(&self, id: TxIntentId) -> Result<(), StoreError> {
        self.db
            .write_locking((id, None), |write, (id, mined)| {
                Box::pin(state::mark(write, *id, *mined))
            })
            .await
    }

    async fn close(&self, id: TxIntentId, failure: Option<String>) -> Result<(), StoreError> {
        self.db
            .write_locking((id, failure), |write, (id, failure)| {
                Box::pin(state::close(write, *id, failure.as_deref()))
            })
            .await
    }

    async fn count_since(
        &self,
        purpose: TxPurpose,
        on_behalf: Option<WalletAddress>,
        since: Timestamp,
    ) -> Result<u64, StoreError> {
        let row = self.db.optional(rows::count(purpose, on_behalf, since)).await?;
        row.map_or(Ok(0), |row| {
            crate::columns::Columns::of(&row).get_as("intents", "chain_tx.id")
        })
    }
}
