//! Storing a sealed batch.

use super::gather::Gathered;
use crate::{
    columns::{self, Columns},
    db::WriteTx,
    ledger::bulk::Bulk,
};
use haithe_billing::batch::{Batch, BatchLine, CarryKey, SealPolicy};
use haithe_kernel::{StoreError, Timestamp, Usdt};
use std::collections::HashMap;

impl WriteTx<'_> {
    /// Builds the next batch of what was gathered and stores it.
    pub(super) async fn seal(
        &mut self,
        gathered: Gathered,
        policy: &SealPolicy,
        now: Timestamp,
    ) -> Result<Batch, StoreError> {
        let next = "SELECT coalesce(max(seq) + 1, 0) FROM batches";
        let row = self
            .optional(sqlx::query(next))
            .await?
            .ok_or(StoreError::inconsistent("batches.seq"))?;
        let seq: i64 = Columns::of(&row).read("batches.seq")?;
        let number = u64::try_from(seq).map_err(|_| StoreError::inconsistent("batches.seq"))?;
        let before: HashMap<CarryKey, Usdt> = gathered.input.carry.iter().copied().collect();
        let batch = Batch::build(number, gathered.input, policy, now).map_err(StoreError::new)?;

        let insert = "INSERT INTO batches (seq, root, sealed_at) VALUES (?, ?, ?)";
        let statement = sqlx::query(insert)
            .bind(seq)
            .bind(batch.root.to_vec())
            .bind(now.micros());
        self.execute(statement).await?;
        for (line, content) in (0i64..).zip(&batch.lines) {
            self.store_line(seq, line, content).await?;
        }
        self.store_items(seq, &batch, &gathered.usage).await?;
        for (key, after) in &batch.carry {
            let before = before.get(key).copied().unwrap_or_default();
            self.store_carry(seq, *key, before, *after).await?;
        }
        Ok(batch)
    }

    async fn store_line(&mut self, seq: i64, line: i64, content: &BatchLine) -> Result<(), StoreError> {
        let insert = "INSERT INTO batch_lines (seq, line, org_id, address) VALUES (?, ?, ?, ?)";
        let statement = sqlx::query(insert).bind(seq).bind(line).bind(content.org.0);
        self.execute(statement.bind(columns::address(content.address)))
            .await?;
        for (position, credit) in (0i64..).zip(&content.credits) {
            let insert = "INSERT INTO batch_credits (seq, line, position, payee, address, units, amount)
                          VALUES (?, ?, ?, ?, ?, ?, ?)";
            let statement = sqlx::query(insert)
                .bind(seq)
                .bind(line)
                .bind(position)
                .bind(columns::payee(credit.payee))
                .bind(columns::address(credit.address))
                .bind(credit.units.to_string())
                .bind(credit.amount.nano());
            self.execute(statement).await?;
        }
        Ok(())
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
        let update = "UPDATE usage_records SET batch_seq = ?1
                      WHERE id IN (SELECT usage_id FROM batch_items WHERE seq = ?1) AND batch_seq IS NULL";
        let sealed = self.execute(sqlx::query(update).bind(seq)).await?;
        if usize::try_from(sealed).ok() == Some(batch.items.len()) {
            Ok(())
        } else {
            Err(StoreError::inconsistent("usage_records.batch_seq"))
        }
    }

    async fn store_carry(
        &mut self,
        seq: i64,
        key: CarryKey,
        before: Usdt,
        after: Usdt,
    ) -> Result<(), StoreError> {
        let payee = columns::payee(key.payee);
        let change = "INSERT INTO batch_carry (seq, org_id, payee, before, after) VALUES (?, ?, ?, ?, ?)";
        let statement = sqlx::query(change).bind(seq).bind(key.org.0).bind(payee.clone());
        self.execute(statement.bind(before.nano()).bind(after.nano()))
            .await?;
        let put = "INSERT OR REPLACE INTO settlement_carry (org_id, payee, amount) VALUES (?, ?, ?)";
        self.execute(sqlx::query(put).bind(key.org.0).bind(payee).bind(after.nano()))
            .await?;
        Ok(())
    }
}
