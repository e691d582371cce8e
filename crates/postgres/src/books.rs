//! [`Books`] on PostgreSQL: receipts with their proofs, and the whole ledger for its identity check.

mod receipts;
mod snapshot;

use crate::db::Db;
use async_trait::async_trait;
use haithe_billing::{
    ledger::LedgerSnapshot,
    merkle::Tree,
    ports::Books,
    receipt::{Receipt, ReceiptFilter},
};
use haithe_kernel::{CallId, Listed, OrgId, Page, StoreError};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

/// Trees of batches kept for the next receipts.
const TREES: usize = 4;

/// [`Books`] on PostgreSQL. Reads only.
#[derive(Clone)]
pub struct PgBooks {
    db: Db,
    trees: Arc<Mutex<Trees>>,
}

/// Trees over the leaves of the batches asked for last, by number and root. A batch that was dissolved may be sealed
/// again, under its number and with another root.
type Trees = VecDeque<((i64, [u8; 32]), Arc<Tree>)>;

impl PgBooks {
    /// The books of this database.
    pub fn new(db: &Db) -> Self {
        Self {
            db: db.clone(),
            trees: Arc::default(),
        }
    }

    fn known_tree(&self, batch: (i64, [u8; 32])) -> Option<Arc<Tree>> {
        let trees = self.trees.lock().ok()?;
        trees
            .iter()
            .find(|(known, _)| *known == batch)
            .map(|(_, tree)| Arc::clone(tree))
    }

    fn keep_tree(&self, batch: (i64, [u8; 32]), tree: &Arc<Tree>) {
        if let Ok(mut trees) = self.trees.lock() {
            trees.truncate(TREES - 1);
            trees.push_front((batch, Arc::clone(tree)));
        }
    }
}

#[async_trait]
impl Books for PgBooks {
    async fn receipt(&self, call: CallId) -> Result<Option<Receipt>, StoreError> {
        self.one(call).await
    }

    async fn receipts(
        &self,
        org: OrgId,
        after: Option<CallId>,
        limit: u32,
    ) -> Result<Vec<Receipt>, StoreError> {
        self.walk(org, after, limit).await
    }

    async fn listed_receipts(
        &self,
        filter: ReceiptFilter,
        after: Option<CallId>,
        page: Page,
    ) -> Result<Listed<Receipt>, StoreError> {
        self.listed(filter, after, page).await
    }

    async fn snapshot(&self) -> Result<LedgerSnapshot, StoreError> {
        snapshot::read(&self.db).await
    }
}
