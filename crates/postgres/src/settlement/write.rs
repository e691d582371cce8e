//! Storing a sealed batch. What is stored, and whether it may be, is [`Sealing::effects`]'s decision.

use super::{carry, read};
use crate::{columns, lease::Duty, write::WriteTx};
use haithe_billing::batch::{Batch, BatchCredit, BatchLine, SealState, Sealing};
use haithe_kernel::StoreError;

/// Items stored by one statement.
const STORED_AT_ONCE: usize = 4096;

const BATCH: &str = "INSERT INTO batches (seq, root, sealed_at) VALUES ($1, $2, $3)";
const LINE: &str = "INSERT INTO batch_lines (seq, line, org_id, address, since) VALUES ($1, $2, $3, $4, $5)";
const CREDIT: &str = "
    INSERT INTO batch_credits (seq, line, position, payee, address, units, amount, escrow)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
const PAYOUT: &str = "
    INSERT INTO batch_payouts (seq, position, payee, address, units, amount) VALUES ($1, $2, $3, $4, $5, $6)";
const ITEMS: &str = "
    INSERT INTO batch_items (seq, position, usage_id, line, leaf)
    SELECT $1, item.position, item.usage_id, item.line, item.leaf
    FROM unnest($2::BIGINT[], $3::BIGINT[], $4::BIGINT[], $5::BYTEA[]) AS item (position, usage_id, line, leaf)";
const MARK: &str = "UPDATE usage_records SET batch_seq = $1 WHERE id = ANY($2) AND batch_seq IS NULL";

/// Stores the batch, unless something that it was built from has changed; returns whether it did.
pub(super) async fn store(write: &mut WriteTx, sealing: &Sealing<i64>) -> Result<bool, StoreError> {
    write.current_lease(Duty::Settlement).await?;
    let now = SealState {
        open: read::open(write).await?.len(),
        next: read::next(write).await?,
        carry: carry::of_keys(write, sealing.carry_keys()).await?,
    };
    let Some(effects) = sealing.effects(&now) else {
        return Ok(false);
    };
    let batch = &sealing.batch;
    let seq = columns::number(batch.seq, "batches.seq")?;
    let insert = sqlx::query(BATCH).bind(seq).bind(batch.root.to_vec());
    write.execute(insert.bind(batch.sealed_at.micros())).await?;
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

impl WriteTx {
    async fn store_line(&mut self, seq: i64, line: i64, content: &BatchLine) -> Result<(), StoreError> {
        let insert = sqlx::query(LINE).bind(seq).bind(line).bind(content.org.0);
        let insert = insert.bind(columns::address(content.address));
        self.execute(insert.bind(content.since.micros())).await?;
        for (position, credit) in (0i64..).zip(&content.credits) {
            let insert = sqlx::query(CREDIT)
                .bind(seq)
                .bind(line)
                .bind(position)
                .bind(columns::payee(credit.payee))
                .bind(columns::address(credit.address))
                .bind(credit.units.to_string())
                .bind(credit.amount.nano())
                .bind(credit.escrow);
            self.execute(insert).await?;
        }
        Ok(())
    }

    async fn store_payout(
        &mut self,
        seq: i64,
        position: i64,
        payout: &BatchCredit,
    ) -> Result<(), StoreError> {
        let insert = sqlx::query(PAYOUT)
            .bind(seq)
            .bind(position)
            .bind(columns::payee(payout.payee))
            .bind(columns::address(payout.address))
            .bind(payout.units.to_string())
            .bind(payout.amount.nano());
        self.execute(insert).await.map(drop)
    }

    async fn store_items(&mut self, seq: i64, batch: &Batch, usage: &[i64]) -> Result<(), StoreError> {
        let rows: Vec<_> = (0i64..).zip(batch.items.iter().zip(usage)).collect();
        let mut sealed = 0;
        for some in rows.chunks(STORED_AT_ONCE) {
            let positions: Vec<i64> = some.iter().map(|(position, _)| *position).collect();
            let usage: Vec<i64> = some.iter().map(|(_, (_, usage))| **usage).collect();
            let lines: Vec<i64> = some.iter().map(|(_, (item, _))| i64::from(item.line)).collect();
            let leaves: Vec<Vec<u8>> = some.iter().map(|(_, (item, _))| item.leaf.to_vec()).collect();
            let insert = sqlx::query(ITEMS)
                .bind(seq)
                .bind(positions)
                .bind(usage.clone())
                .bind(lines)
                .bind(leaves);
            self.execute(insert).await?;
            sealed += self.execute(sqlx::query(MARK).bind(seq).bind(usage)).await?;
        }
        if usize::try_from(sealed).ok() == Some(batch.items.len()) {
            Ok(())
        } else {
            Err(StoreError::inconsistent("usage_records.batch_seq"))
        }
    }
}
