//! Receipts, and the way from each to its batch's root.

use super::SqliteBooks;
use crate::{
    columns::{self, Columns},
    settlement::read::state,
};
use haithe_billing::{
    chain::Hash32,
    merkle::Tree,
    receipt::{Receipt, SealedReceipt, Settlement},
};
use haithe_kernel::{CallId, OrgId, StoreError};
use sqlx::sqlite::SqliteRow;
use std::sync::Arc;

/// The columns that [`SqliteBooks::receipt_of`] reads, and the tables behind them.
macro_rules! select_receipts {
    ($rest:literal) => {
        concat!(
            "SELECT usage_records.call, usage_records.org_id, organizations.address, usage_records.charged,
                    receipts.json, receipts.hash,
                    item.seq, item.line, item.leaf,
                    batches.root, batches.settled_block IS NOT NULL, batches.final, batches.settled_tx
             FROM usage_records
             JOIN receipts ON receipts.id = usage_records.id
             JOIN organizations ON organizations.id = usage_records.org_id
             LEFT JOIN batch_items AS item
                 ON item.usage_id = usage_records.id AND item.seq = usage_records.batch_seq
             LEFT JOIN batches ON batches.seq = item.seq ",
            $rest
        )
    };
}

impl SqliteBooks {
    pub(super) async fn one(&self, call: CallId) -> Result<Option<Receipt>, StoreError> {
        let one = select_receipts!("WHERE usage_records.call = ?");
        match self
            .db
            .optional(sqlx::query(one).bind(columns::uuid(call.0)))
            .await?
        {
            Some(row) => self.receipt_of(&row).await.map(Some),
            None => Ok(None),
        }
    }

    pub(super) async fn page(
        &self,
        org: OrgId,
        after: Option<CallId>,
        limit: u32,
    ) -> Result<Vec<Receipt>, StoreError> {
        let page = select_receipts!(
            "WHERE usage_records.org_id = ?1
               AND (?2 IS NULL OR usage_records.id > (SELECT id FROM usage_records WHERE call = ?2))
             ORDER BY usage_records.id LIMIT ?3"
        );
        let after = after.map(|call| columns::uuid(call.0));
        let rows = self
            .db
            .all(sqlx::query(page).bind(org.0).bind(after).bind(limit))
            .await?;
        let mut receipts = Vec::with_capacity(rows.len());
        for row in &rows {
            receipts.push(self.receipt_of(row).await?);
        }
        Ok(receipts)
    }

    async fn receipt_of(&self, row: &SqliteRow) -> Result<Receipt, StoreError> {
        let mut columns = Columns::of(row);
        let mut receipt = Receipt {
            call: columns.read("usage_records.call")?,
            org: columns.read("usage_records.org_id")?,
            org_address: columns.read("organizations.address")?,
            charged: columns.read("usage_records.charged")?,
            sealed: SealedReceipt {
                json: columns.read("receipts.json")?,
                hash: columns.read("receipts.hash")?,
            },
            settlement: None,
        };
        let Some(seq) = columns.read::<Option<i64>>("batch_items.seq")? else {
            return Ok(receipt);
        };
        let line = columns.read("batch_items.line")?;
        let leaf: Hash32 = columns.read("batch_items.leaf")?;
        let root = columns.read("batches.root")?;
        let state = state(
            columns.read("batches.settled_block")?,
            columns.read("batches.final")?,
        );
        let tx = columns.read("batches.settled_tx")?;
        let proof = self
            .tree(seq)
            .await?
            .proof(&leaf)
            .ok_or(StoreError::inconsistent("batch_items.leaf"))?;
        receipt.settlement = Some(Settlement {
            seq: seq
                .try_into()
                .map_err(|_| StoreError::inconsistent("batch_items.seq"))?,
            line,
            root,
            leaf,
            proof,
            state,
            tx,
        });
        Ok(receipt)
    }

    /// The tree over a batch's leaves.
    async fn tree(&self, seq: i64) -> Result<Arc<Tree>, StoreError> {
        if let Some(tree) = self.known_tree(seq) {
            return Ok(tree);
        }
        let leaves = "SELECT leaf FROM batch_items WHERE seq = ? ORDER BY position";
        let rows = self.db.all(sqlx::query(leaves).bind(seq)).await?;
        let leaves: Result<Vec<Hash32>, StoreError> = rows
            .iter()
            .map(|row| Columns::of(row).read("batch_items.leaf"))
            .collect();
        let tree = Arc::new(Tree::new(leaves?));
        self.keep_tree(seq, &tree);
        Ok(tree)
    }
}
