//! [`Books`] on SQLite: receipts with their proofs, and the whole ledger for its identity check.

mod receipts;
mod snapshot;

use crate::db::ReadOnlyDb;
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

/// [`Books`] on SQLite. Reads only, so that it also works beside a running server.
#[derive(Clone)]
pub struct SqliteBooks {
    db: ReadOnlyDb,
    trees: Arc<Mutex<Trees>>,
}

/// Trees over the leaves of the batches asked for last. A sealed batch never changes.
type Trees = VecDeque<(i64, Arc<Tree>)>;

impl SqliteBooks {
    /// The books of this database.
    pub fn new(db: &ReadOnlyDb) -> Self {
        Self {
            db: db.clone(),
            trees: Arc::default(),
        }
    }

    fn known_tree(&self, seq: i64) -> Option<Arc<Tree>> {
        let trees = self.trees.lock().ok()?;
        trees
            .iter()
            .find(|(number, _)| *number == seq)
            .map(|(_, tree)| Arc::clone(tree))
    }

    fn keep_tree(&self, seq: i64, tree: &Arc<Tree>) {
        if let Ok(mut trees) = self.trees.lock() {
            trees.truncate(TREES - 1);
            trees.push_front((seq, Arc::clone(tree)));
        }
    }
}

#[async_trait]
impl Books for SqliteBooks {
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
