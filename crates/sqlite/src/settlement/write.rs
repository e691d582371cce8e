//! Storing a sealed batch.

use super::{gather, read};
use crate::{columns, db::WriteTx, ledger::bulk::Bulk};
use haithe_billing::batch::{Batch, BatchLine, CarryKey};
use haithe_kernel::{StoreError, Usdt};
use std::collections::HashMap;

/// Usage records marked by one statement.
const UPDATED_AT_ONCE: usize = 1024;

/// A built batch on its way into the database.
pub(super) struct Sealing {
    pub(super) batch: Batch,
    /// The usage records behind its items, in the same order.
    pub(super) usage: Vec<i64>,
    /// The carry it was built from.
    pub(super) carry: Vec<(CarryKey, Usdt)>,
}

impl Sealing {
    /// Stores the batch, unless something it was built from has changed; says whether it did.
    pub(super) async fn store(self, write: &mut WriteTx<'_>) -> Result<bool, StoreError> {
        let orgs = self.batch.lines.iter().map(|line| line.org);
        let unchanged = read::first_open(write.connection).await?.is_none()
            && read::next(write.connection).await? == self.batch.seq
            && gather::carry(write.connection, orgs).await? == self.carry;
        if !unchanged {
            return Ok(false);
        }
        let seq = columns::number(self.batch.seq, "batches.seq")?;
        let insert = "INSERT INTO batches (seq, root, sealed_at) VALUES (?, ?, ?)";
        let statement = sqlx::query(insert).bind(seq).bind(self.batch.root.to_vec());
        write
            .execute(statement.bind(self.batch.sealed_at.micros()))
            .await?;
        for (line, content) in (0i64..).zip(&self.batch.lines) {
            write.store_line(seq, line, content).await?;
        }
        write.store_items(seq, &self.batch, &self.usage).await?;
        let before: HashMap<CarryKey, Usdt> = self.carry.into_iter().collect();
        for (key, after) in &self.batch.carry {
            let before = before.get(key).copied().unwrap_or_default();
            write.store_carry(seq, *key, before, *after).await?;
        }
        Ok(true)
    }
}

impl WriteTx<'_> {
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
        // SQLite keeps every page that a statement changes, so that it can be undone by itself, in memory:
        // one statement for all of a large batch took 28 MB.
        let update = "UPDATE usage_records SET batch_seq = ?1
                      WHERE id IN (SELECT usage_id FROM batch_items
                                   WHERE seq = ?1 AND position >= ?2 AND position < ?2 + ?3)
                        AND batch_seq IS NULL";
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
