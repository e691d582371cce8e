//! Storing a sealed batch.

use super::{carry, read};
use crate::{columns, db::WriteTx, ledger::bulk::Bulk};
use haithe_billing::batch::{Batch, BatchLine, Carry, CarryKey};
use haithe_kernel::StoreError;
use std::collections::{BTreeMap, BTreeSet};

/// Usage records marked by one statement.
const UPDATED_AT_ONCE: usize = 1024;

/// A built batch on its way into the database.
pub(super) struct Sealing {
    pub(super) batch: Batch,
    /// The usage records behind its items, in the same order.
    pub(super) usage: Vec<i64>,
    /// The carry it was built from.
    pub(super) carry: Vec<Carry>,
    /// How many batches may be open with it.
    pub(super) max_open: usize,
}

impl Sealing {
    /// Stores the batch, unless something it was built from has changed; says whether it did.
    pub(super) async fn store(self, write: &mut WriteTx<'_>) -> Result<bool, StoreError> {
        let before: BTreeMap<CarryKey, Carry> = self.carry.iter().map(|carry| (carry.key, *carry)).collect();
        let credited = self.batch.lines.iter().flat_map(|line| {
            let org = line.org;
            let key = move |payee| CarryKey { org, payee };
            line.credits.iter().map(move |credit| key(credit.payee))
        });
        let changed = self.batch.carry.iter().map(|(key, _)| *key);
        let keys: BTreeSet<CarryKey> = before.keys().copied().chain(credited).chain(changed).collect();
        let now = carry::of_keys(write.connection, keys).await?;
        let now: BTreeMap<CarryKey, Carry> = now.into_iter().map(|carry| (carry.key, carry)).collect();
        let unchanged = read::open(write.connection).await?.len() < self.max_open
            && read::next(write.connection).await? == self.batch.seq
            && now == before;
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
        for (position, payout) in (0i64..).zip(&self.batch.payouts) {
            let insert = "INSERT INTO batch_payouts (seq, position, payee, address, units, amount)
                          VALUES (?, ?, ?, ?, ?, ?)";
            let statement = sqlx::query(insert)
                .bind(seq)
                .bind(position)
                .bind(columns::payee(payout.payee))
                .bind(columns::address(payout.address))
                .bind(payout.units.to_string())
                .bind(payout.amount.nano());
            write.execute(statement).await?;
        }
        write.store_items(seq, &self.batch, &self.usage).await?;
        for (key, after) in &self.batch.carry {
            let before = before.get(key).copied();
            write
                .store_carry(seq, *key, before, *after, self.batch.sealed_at)
                .await?;
        }
        Ok(true)
    }
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
}
