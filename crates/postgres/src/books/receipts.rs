//! Receipts, and the way from each to its batch's root.

use super::PgBooks;
use crate::{
    columns::{self, Columns},
    ledger::read::ReadRows,
};
use haithe_billing::{
    batch::BatchState,
    chain::Hash32,
    merkle::Tree,
    receipt::{Receipt, ReceiptFilter, SealedReceipt, Settlement},
};
use haithe_kernel::{CallId, Listed, OrgId, Page, StoreError, Timestamp};
use sqlx::postgres::PgRow;
use std::sync::Arc;

/// The columns that [`PgBooks::receipt_of`] reads, and the tables behind them.
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

/// What a filter asks for.
macro_rules! fitting {
    () => {
        "WHERE org_id = $1 AND ($2::BIGINT IS NULL OR project_id = $2) AND finished_at >= $3 AND finished_at < $4"
    };
}

impl PgBooks {
    pub(super) async fn one(&self, call: CallId) -> Result<Option<Receipt>, StoreError> {
        let one = select_receipts!("WHERE usage_records.call = $1");
        let mut snapshot = self.db.snapshot().await?;
        let rows = snapshot
            .rows(sqlx::query(one).bind(columns::uuid(call.0)))
            .await?;
        let receipts = self.receipts_of(&mut snapshot, &rows).await?;
        Ok(receipts.into_iter().next())
    }

    pub(super) async fn walk(
        &self,
        org: OrgId,
        after: Option<CallId>,
        limit: u32,
    ) -> Result<Vec<Receipt>, StoreError> {
        let page = select_receipts!(
            "WHERE usage_records.org_id = $1
               AND ($2::BYTEA IS NULL OR usage_records.id > (SELECT id FROM usage_records WHERE call = $2))
             ORDER BY usage_records.id LIMIT $3"
        );
        let after = after.map(|call| columns::uuid(call.0));
        let mut snapshot = self.db.snapshot().await?;
        let statement = sqlx::query(page).bind(org.0).bind(after).bind(i64::from(limit));
        let rows = snapshot.rows(statement).await?;
        self.receipts_of(&mut snapshot, &rows).await
    }

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
            " AND ($5::BYTEA IS NULL OR id > (SELECT id FROM usage_records WHERE call = $5))
              ORDER BY id LIMIT $6 OFFSET $7) ORDER BY usage_records.id"
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
            .bind(i64::from(page.limit()))
            .bind(i64::from(page.offset()));
        let mut snapshot = self.db.snapshot().await?;
        let count = snapshot.rows(bound(count)).await?;
        let count = count
            .first()
            .ok_or(StoreError::inconsistent("usage_records.id"))?;
        let rows = snapshot.rows(rows).await?;
        Ok(Listed {
            items: self.receipts_of(&mut snapshot, &rows).await?,
            total: Columns::of(count).get_as("count", "usage_records.id")?,
        })
    }

    async fn receipts_of(
        &self,
        read: &mut impl ReadRows,
        rows: &[PgRow],
    ) -> Result<Vec<Receipt>, StoreError> {
        let mut receipts = Vec::with_capacity(rows.len());
        for row in rows {
            receipts.push(self.receipt_of(read, row).await?);
        }
        Ok(receipts)
    }

    async fn receipt_of(&self, read: &mut impl ReadRows, row: &PgRow) -> Result<Receipt, StoreError> {
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
        let root: Hash32 = columns.get("batches.root")?;
        let state = BatchState::of(
            columns.get_as("settled", "batches.settled_block")?,
            columns.get("batches.final")?,
        );
        let tx = columns.get("batches.settled_tx")?;
        let proof = self
            .tree(read, (seq, root))
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
    async fn tree(&self, read: &mut impl ReadRows, batch: (i64, Hash32)) -> Result<Arc<Tree>, StoreError> {
        if let Some(tree) = self.known_tree(batch) {
            return Ok(tree);
        }
        let leaves = "SELECT leaf FROM batch_items WHERE seq = $1 ORDER BY position";
        let rows = read.rows(sqlx::query(leaves).bind(batch.0)).await?;
        let leaves = rows.iter().map(|row| Columns::of(row).get("batch_items.leaf"));
        let tree = Arc::new(Tree::new(leaves.collect::<Result<_, _>>()?));
        self.keep_tree(batch, &tree);
        Ok(tree)
    }
}
