//! Receipts, and the way from each to its batch's root.

use super::SqliteBooks;
use crate::columns::{self, Columns, read_each};
use haithe_billing::{
    batch::BatchState,
    chain::Hash32,
    merkle::Tree,
    receipt::{Receipt, ReceiptFilter, SealedReceipt, Settlement},
};
use haithe_kernel::{CallId, Listed, OrgId, Page, StoreError, Timestamp};
use sqlx::sqlite::SqliteRow;
use std::sync::Arc;

/// The columns that [`SqliteBooks::receipt_of`] reads, and the tables behind them.
macro_rules! select_receipts {
    ($rest:literal) => {
        concat!(
            "SELECT usage_records.call, usage_records.org_id, organizations.address, usage_records.charged,
                    receipts.json, receipts.hash,
                    item.seq, item.line, item.leaf,
                    batches.root, batches.settled_block IS NOT NULL AS settled, batches.final, batches.settled_tx
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

/// What a filter asks for; all of it stands in the index by organization.
macro_rules! fitting {
    () => {
        "WHERE org_id = ?1 AND (?2 IS NULL OR project_id = ?2) AND finished_at >= ?3 AND finished_at < ?4"
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

    pub(super) async fn walk(
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
        self.receipts_of(&rows).await
    }

    /// What is skipped is skipped in the index alone.
    pub(super) async fn listed(
        &self,
        filter: ReceiptFilter,
        after: Option<CallId>,
        page: Page,
    ) -> Result<Listed<Receipt>, StoreError> {
        let count = concat!("SELECT count(*) AS count FROM usage_records ", fitting!());
        let rows = concat!(
            select_receipts!("WHERE usage_records.id IN (SELECT id FROM usage_records "),
            fitting!(),
            " AND (?5 IS NULL OR id > (SELECT id FROM usage_records WHERE call = ?5))
              ORDER BY id LIMIT ?6 OFFSET ?7) ORDER BY usage_records.id"
        );
        let bound = |sql: &'static str| {
            sqlx::query(sql)
                .bind(filter.org.0)
                .bind(filter.project.map(|project| project.0))
                .bind(filter.from.map_or(i64::MIN, Timestamp::micros))
                .bind(filter.until.map_or(i64::MAX, Timestamp::micros))
        };
        let rows = bound(rows)
            .bind(after.map(|call| columns::uuid(call.0)))
            .bind(page.limit())
            .bind(page.offset());
        let mut moment = self.db.snapshot().await?;
        let count = bound(count).fetch_one(&mut *moment).await;
        let rows = rows.fetch_all(&mut *moment).await.map_err(StoreError::new)?;
        drop(moment);
        let count = count.map_err(StoreError::new)?;
        Ok(Listed {
            items: self.receipts_of(&rows).await?,
            total: Columns::of(&count).get_as("count", "usage_records.id")?,
        })
    }

    async fn receipts_of(&self, rows: &[SqliteRow]) -> Result<Vec<Receipt>, StoreError> {
        let mut receipts = Vec::with_capacity(rows.len());
        for row in rows {
            receipts.push(self.receipt_of(row).await?);
        }
        Ok(receipts)
    }

    async fn receipt_of(&self, row: &SqliteRow) -> Result<Receipt, StoreError> {
        let columns = Columns::of(row);
        let mut receipt = Receipt {
            call: columns.get("usage_records.call")?,
            org: columns.get("usage_records.org_id")?,
            org_address: columns.get("organizations.address")?,
            charged: columns.get("usage_records.charged")?,
            sealed: SealedReceipt {
                json: columns.get("receipts.json")?,
                hash: columns.get("receipts.hash")?,
            },
            settlement: None,
        };
        let Some(seq) = columns.get::<Option<i64>>("batch_items.seq")? else {
            return Ok(receipt);
        };
        let line = columns.get("batch_items.line")?;
        let leaf: Hash32 = columns.get("batch_items.leaf")?;
        let root = columns.get("batches.root")?;
        let state = BatchState::of(
            columns.get_as("settled", "batches.settled_block")?,
            columns.get("batches.final")?,
        );
        let tx = columns.get("batches.settled_tx")?;
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
        let mut moment = self.db.snapshot().await?;
        let leaves = read_each(&mut moment, sqlx::query(leaves).bind(seq), |columns| {
            columns.get("batch_items.leaf")
        });
        let tree = Arc::new(Tree::new(leaves.await?));
        self.keep_tree(seq, &tree);
        Ok(tree)
    }
}
