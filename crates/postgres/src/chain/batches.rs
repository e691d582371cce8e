//! Rows of batches, as the chain treated them.

use crate::{
    columns::{self, Columns},
    db::Statement,
    write::WriteTx,
};
use haithe_billing::{
    batch::BatchCredit,
    chain::{Blame, Hash32, LineSite, SkipReason, SkipState, StoredBatch, StoredLine},
};
use haithe_kernel::{OrgId, StoreError, Timestamp};
use std::collections::BTreeMap;

fn seq(seq: u64) -> Result<i64, StoreError> {
    columns::number(seq, "batches.seq")
}

/// A reason by its word.
fn reason(word: Option<String>) -> Result<Option<SkipReason>, StoreError> {
    word.map(|word| SkipReason::from_word(&word).ok_or(StoreError::inconsistent("batch_lines.skipped")))
        .transpose()
}

fn line(columns: &Columns<'_>) -> Result<StoredLine, StoreError> {
    Ok(StoredLine {
        line: columns.get("batch_lines.line")?,
        org: columns.get("batch_lines.org_id")?,
        address: columns.get("batch_lines.address")?,
        skipped: reason(columns.get("batch_lines.skipped")?)?,
        credits: Vec::new(),
    })
}

fn credit(columns: &Columns<'_>) -> Result<BatchCredit, StoreError> {
    Ok(BatchCredit {
        payee: columns.get("batch_credits.payee")?,
        address: columns.get("batch_credits.address")?,
        units: columns.get("batch_credits.units")?,
        amount: columns.get("batch_credits.amount")?,
        escrow: columns.get("batch_credits.escrow")?,
    })
}

impl WriteTx {
    /// What is stored about a line of a batch.
    pub(super) async fn line_site(&mut self, batch: u64, number: u32) -> Result<LineSite, StoreError> {
        let batch = seq(batch)?;
        let site = "SELECT (SELECT count(*) FROM batch_lines WHERE seq = $1) AS lines,
                           EXISTS (SELECT 1 FROM batch_payouts WHERE seq = $1) AS has_payouts";
        let row = self.optional(sqlx::query(site).bind(batch)).await?;
        let row = row.ok_or(StoreError::inconsistent("batch_lines.seq"))?;
        let columns = Columns::of(&row);
        let mut site = LineSite {
            line: None,
            lines: columns.get_as("lines", "batch_lines.line")?,
            has_payouts: columns.get_as("has_payouts", "batch_payouts.seq")?,
        };
        let find = "SELECT line, org_id, address, skipped FROM batch_lines WHERE seq = $1 AND line = $2";
        let row = self
            .optional(sqlx::query(find).bind(batch).bind(i64::from(number)))
            .await?;
        if let Some(row) = row {
            let credits = "SELECT payee, address, units, amount, escrow FROM batch_credits
                           WHERE seq = $1 AND line = $2 ORDER BY position";
            let credits = self
                .all(sqlx::query(credits).bind(batch).bind(i64::from(number)))
                .await?;
            let credits = credits.iter().map(|row| credit(&Columns::of(row)));
            site.line = Some(StoredLine {
                credits: credits.collect::<Result<_, _>>()?,
                ..line(&Columns::of(&row))?
            });
        }
        Ok(site)
    }

    /// A batch with its lines.
    pub(super) async fn stored_batch(&mut self, number: u64) -> Result<Option<StoredBatch>, StoreError> {
        let head =
            "SELECT root, settled_block, settled_at, final, payouts_skipped FROM batches WHERE seq = $1";
        let Some(row) = self.optional(sqlx::query(head).bind(seq(number)?)).await? else {
            return Ok(None);
        };
        let columns = Columns::of(&row);
        let block: Option<u64> = columns.get("batches.settled_block")?;
        let at: Option<Timestamp> = columns.get("batches.settled_at")?;
        let root = columns.get("batches.root")?;
        let is_final = columns.get("batches.final")?;
        let payouts_skipped = columns.get("batches.payouts_skipped")?;
        let payouts = "SELECT payee, address, units, amount, FALSE AS escrow FROM batch_payouts
                       WHERE seq = $1 ORDER BY position";
        let payouts = self.all(sqlx::query(payouts).bind(seq(number)?)).await?;
        let payouts = payouts.iter().map(|row| credit(&Columns::of(row)));
        Ok(Some(StoredBatch {
            seq: number,
            root,
            settled: block.zip(at),
            is_final,
            payouts_skipped,
            payouts: payouts.collect::<Result<_, _>>()?,
            lines: self.stored_lines(number).await?,
        }))
    }

    async fn stored_lines(&mut self, number: u64) -> Result<Vec<StoredLine>, StoreError> {
        let lines = "SELECT line, org_id, address, skipped FROM batch_lines WHERE seq = $1 ORDER BY line";
        let mut stored = BTreeMap::new();
        for row in self.all(sqlx::query(lines).bind(seq(number)?)).await? {
            let line = line(&Columns::of(&row))?;
            stored.insert(line.line, line);
        }
        let credits = "SELECT line, payee, address, units, amount, escrow FROM batch_credits
                       WHERE seq = $1 ORDER BY line, position";
        for row in self.all(sqlx::query(credits).bind(seq(number)?)).await? {
            let columns = Columns::of(&row);
            let line: u32 = columns.get("batch_credits.line")?;
            let line = stored
                .get_mut(&line)
                .ok_or(StoreError::inconsistent("batch_credits.line"))?;
            line.credits.push(credit(&columns)?);
        }
        Ok(stored.into_values().collect())
    }

    async fn numbers(&mut self, statement: Statement) -> Result<Vec<u64>, StoreError> {
        let rows = self.all(statement).await?;
        rows.iter()
            .map(|row| Columns::of(row).get("batches.seq"))
            .collect()
    }

    /// Numbers of batches that are not final and were settled in this block or before.
    pub(super) async fn batches_to_finish(&mut self, block: u64) -> Result<Vec<u64>, StoreError> {
        let ready = "SELECT seq FROM batches WHERE NOT final AND settled_block <= $1 ORDER BY seq";
        let block = columns::number(block, "batches.settled_block")?;
        self.numbers(sqlx::query(ready).bind(block)).await
    }

    /// Numbers of batches that were settled above this block.
    pub(super) async fn batches_above(&mut self, block: u64) -> Result<Vec<u64>, StoreError> {
        let above = "SELECT seq FROM batches WHERE settled_block > $1 ORDER BY settled_block DESC, seq DESC";
        let block = columns::number(block, "batches.settled_block")?;
        self.numbers(sqlx::query(above).bind(block)).await
    }

    /// Whether calls of the batch's skipped lines are in another batch now.
    pub(super) async fn moved_on(&mut self, number: u64) -> Result<bool, StoreError> {
        let moved_on = "SELECT 1 FROM batch_items AS item
                        JOIN batch_lines AS line ON line.seq = item.seq AND line.line = item.line
                        JOIN usage_records ON usage_records.id = item.usage_id
                        WHERE item.seq = $1 AND line.skipped IS NOT NULL AND usage_records.batch_seq IS NOT NULL";
        let row = self.optional(sqlx::query(moved_on).bind(seq(number)?)).await?;
        Ok(row.is_some())
    }

    /// What is known about a payer's skipped lines.
    pub(super) async fn skip_state(&mut self, org: OrgId) -> Result<SkipState, StoreError> {
        let state = "SELECT coalesce((SELECT seq + 1 FROM batches WHERE final ORDER BY seq DESC LIMIT 1), 0)
                                AS next_final,
                            (SELECT skipped FROM batch_lines JOIN batches USING (seq)
                             WHERE batch_lines.org_id = $1 AND batches.final
                             ORDER BY seq DESC LIMIT 1) AS skipped";
        let row = self.optional(sqlx::query(state).bind(org.0)).await?;
        let row = row.ok_or(StoreError::inconsistent("batch_lines.skipped"))?;
        let columns = Columns::of(&row);
        Ok(SkipState {
            newest: reason(columns.get("batch_lines.skipped")?)?,
            next_final: columns.get_as("next_final", "batches.seq")?,
        })
    }

    pub(super) async fn count_skips_from(&mut self, org: OrgId, number: u64) -> Result<(), StoreError> {
        let update = "UPDATE org_books SET skips_since = $1 WHERE org_id = $2";
        self.execute(sqlx::query(update).bind(seq(number)?).bind(org.0))
            .await
            .map(drop)
    }

    pub(super) async fn skip_line(
        &mut self,
        batch: u64,
        line: u32,
        reason: SkipReason,
        blamed: Option<Blame>,
    ) -> Result<(), StoreError> {
        let blamed = blamed.map(|blamed| match blamed {
            Blame::Payer => "payer".to_owned(),
            Blame::Payee(payee) => columns::payee(payee),
        });
        let update = "UPDATE batch_lines SET skipped = $1, blamed = $2 WHERE seq = $3 AND line = $4";
        let statement = sqlx::query(update)
            .bind(reason.as_str())
            .bind(blamed)
            .bind(seq(batch)?)
            .bind(i64::from(line));
        self.execute(statement).await.map(drop)
    }

    pub(super) async fn skip_payouts(&mut self, batch: u64) -> Result<(), StoreError> {
        let update = "UPDATE batches SET payouts_skipped = TRUE WHERE seq = $1";
        self.execute(sqlx::query(update).bind(seq(batch)?))
            .await
            .map(drop)
    }

    pub(super) async fn settle_batch(
        &mut self,
        batch: u64,
        tx: Hash32,
        (block, at): (u64, Timestamp),
        hash: Hash32,
    ) -> Result<(), StoreError> {
        let update =
            "UPDATE batches SET settled_tx = $1, settled_block = $2, settled_at = $3, chain_hash = $4
                      WHERE seq = $5";
        let statement = sqlx::query(update)
            .bind(tx.to_vec())
            .bind(columns::number(block, "batches.settled_block")?)
            .bind(at.micros())
            .bind(hash.to_vec())
            .bind(seq(batch)?);
        self.execute(statement).await.map(drop)
    }

    pub(super) async fn finish_batch(&mut self, batch: u64) -> Result<(), StoreError> {
        let update = "UPDATE batches SET final = TRUE WHERE seq = $1";
        self.execute(sqlx::query(update).bind(seq(batch)?))
            .await
            .map(drop)
    }

    pub(super) async fn unsettle_batch(&mut self, batch: u64) -> Result<(), StoreError> {
        for undo in [
            "UPDATE batches SET settled_tx = NULL, settled_block = NULL, settled_at = NULL, chain_hash = NULL,
                                final = FALSE, payouts_skipped = FALSE WHERE seq = $1",
            "UPDATE batch_lines SET skipped = NULL, blamed = NULL WHERE seq = $1",
        ] {
            self.execute(sqlx::query(undo).bind(seq(batch)?)).await?;
        }
        Ok(())
    }

    /// The calls of a skipped line wait for another batch, and what it changed of the carry is undone.
    pub(super) async fn requeue_line(&mut self, batch: u64, line: u32) -> Result<(), StoreError> {
        let items = "UPDATE usage_records SET batch_seq = NULL, skipped = TRUE
                     WHERE id IN (SELECT usage_id FROM batch_items WHERE seq = $1 AND line = $2)";
        let batch = seq(batch)?;
        self.execute(sqlx::query(items).bind(batch).bind(i64::from(line)))
            .await?;
        self.undo_carry(batch, line.into()).await
    }

    /// The calls of a skipped line belong to their batch again, with what it changed of the carry.
    pub(super) async fn reclaim_line(&mut self, batch: u64, line: u32) -> Result<(), StoreError> {
        let items = "UPDATE usage_records SET
                         batch_seq = $1,
                         skipped = EXISTS (SELECT 1 FROM batch_items AS earlier
                                           WHERE earlier.usage_id = usage_records.id AND earlier.seq < $1)
                     WHERE id IN (SELECT usage_id FROM batch_items WHERE seq = $1 AND line = $2)";
        let batch = seq(batch)?;
        self.execute(sqlx::query(items).bind(batch).bind(i64::from(line)))
            .await?;
        self.redo_carry(batch, line.into()).await
    }
}
