//! Storing a sealed batch. What is stored, and whether it may be, is [`Sealing::effects`]'s decision.

use super::{carry, read};
use crate::{columns, db::WriteTx, ledger::bulk::Bulk};
use haithe_billing::batch::{Batch, BatchCredit, BatchLine, SealState, Sealing};
use haithe_kernel::StoreError;

/// Usage records marked by one statement.
const UPDATED_AT_ONCE: usize = 1024;

/// Stores the batch, unless something that it was built from has changed; returns whether it did.
pub(super) async fn store(write: &mut WriteTx<'_>, sealing: &Sealing<i64>) -> Result<bool, StoreError> {
    let now = SealState {
        open: read::open(write.connection).await?.len(),
        next: read::next(write.connection).await?,
        carry: carry::of_keys(write.connection, sealing.carry_keys()).await?,
    };
    let Some(effects) = sealing.effects(&now) else {
        return Ok(false);
    };
    let batch = &sealing.batch;
    let seq = columns::number(batch.seq, "batches.seq")?;
    let insert = "INSERT INTO batches (seq, root, sealed_at) VALUES (?, ?, ?)";
    let statement = sqlx::query(insert).bind(seq).bind(batch.root.to_vec());
    write.execute(statement.bind(batch.sealed_at.micros())).await?;
    for (line, content) in (0i64..).zip(&batch.lines) {
        write.store_line(seq, line, content).await?;
    }
    for (position, payout) in (0i64..).zip(&batch.payouts) {
        write.store_payout(seq, position, payout).await?;
    }
    write.store_items(seq, batch, &sealing.places).await?;
    write.store_changes(seq, &effects.changes).await?;
    write.write_carry(&effects.carry).await?;
    Ok(true)
}

impl WriteTx<'_> {
    async fn store_line(&mut self, seq: i64, line: i64, content: &BatchLine) -> Result<(), StoreError> {
        let insert = "INSERT INTO batch_lines (seq, line, org_id, address, since) VALUES (?, ?, ?, ?, ?)";
        let statement = sqlx::query(insert).bind(seq).bind(line).bind(content.org.0);
        let statement = statement.bind(columns::address(content.address));
        self.execute(statement.bind(content.since.micros())).await?;
        for (position, credit) in (0i64..).zip(&content.credits) {
            let insert =
                "INSERT INTO batch_credits (seq, line, position, payee, address, units, amount, escrow)
                          VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
            let statement = sqlx::query(insert)
                .bind(seq)
                .bind(line)
                .bind(position)
                .bind(columns::payee(credit.payee))
                .bind(columns::address(credit.address))
                .bind(credit.units.to_string())
                .bind(credit.amount.nano())
                .bind(credit.escrow);
            self.execute(statement).await?;
        }
        Ok(())
    }

    async fn store_payout(
        &mut self,
        seq: i64,
        position: i64,
        payout: &BatchCredit,
    ) -> Result<(), StoreError> {
        let insert = "INSERT INTO batch_payouts (seq, position, payee, address, units, amount)
                      VALUES (?, ?, ?, ?, ?, ?)";
        let statement = sqlx::query(insert)
            .bind(seq)
            .bind(position)
            .bind(columns::payee(payout.payee))
            .bind(columns::address(payout.address))
            .bind(payout.units.to_string())
            .bind(payout.amount.nano());
        self.execute(statement).await.map(drop)
    }

    async fn store_items(&mut self, seq: i64, batch: &Batch, usage: &[i64]) -> Result<(), StoreError> {
        let names = ["seq", "position", "usage_id", "line", "leaf"];
        let rows: Vec<_> = (0i64..).zip(batch.items.iter().zip(usage)).collect();
        Bulk::insert("batch_items", &names)
            .run(self.connection, &rows, |bound, (position, (item, usage))| {
                bound.add(seq)?;
                bound.add(position)?;
                bound.add(*usage)?;
                bound.add(item.line)?;
                bound.add(&item.leaf[..])
            })
            .await
            .map_err(StoreError::new)?;
        // SQLite keeps every page that a statement changes, so that it can be undone by itself, in memory:
        // one statement for all of a large batch took 28 MB.
        let update = "UPDATE usage_records SET batch_seq = ?1
                      WHERE id IN (SELECT usage_id FROM batch_items
                                   WHERE seq = ?1 AND position >= ?2 AND position < ?2 + ?3)
                        AND batch_seq IS NULL";
        self.calls_placed();
        let mut sealed = 0;
        for from in (0..rows.len()).step_by(UPDATED_AT_ONCE) {
            let from = columns::number(from, "batch_items.position")?;
            let most = columns::number(UPDATED_AT_ONCE, "batch_items.position")?;
            sealed += self
                .execute(sqlx::query(update).bind(seq).bind(from).bind(most))
                .await?;
        }
        if usize::try_from(sealed).ok() == Some(batch.items.len()) {
            Ok(())
        } else {
            Err(StoreError::inconsistent("usage_records.batch_seq"))
        }
    }
}
