//! What the chain says about our batches.
//!
//! A batch that is settled on chain is booked once that is final: each settled line moves unsettled
//! money to its payees. A skipped line moves nothing: its calls wait for another batch, where they
//! get new leaves, and what it changed of the carry is undone. Three such lines in a row, for
//! reasons of the organization's own, suspend it; a settled line, a deposit that covers what is
//! unsettled, or (after the daily cap stopped it) a cap that does, admit it again.

use super::{Stored, step::Indexing};
use crate::{
    columns::{self, Columns},
    db::WriteTx,
    ledger::post::Entry,
};
use haithe_billing::{
    capture::Payee,
    chain::{EventBody, SkipReason},
    ledger::Account,
};
use haithe_kernel::{OrgId, StoreError, Timestamp};

pub(super) async fn see(indexing: &mut Indexing<'_, '_>, stored: &Stored) -> Result<(), StoreError> {
    match &stored.event.body {
        EventBody::LineSkipped { .. } => skipped(indexing, stored).await,
        EventBody::BatchSettled { .. } => settled(indexing, stored).await,
        _ => Ok(()),
    }
}

const fn word(reason: SkipReason) -> &'static str {
    match reason {
        SkipReason::InsufficientFunds => "insufficient_funds",
        SkipReason::DailyCap => "daily_cap",
        SkipReason::UnknownPayee => "unknown_payee",
        SkipReason::UnknownOrganization => "unknown_organization",
        SkipReason::TransferFailed => "transfer_failed",
        SkipReason::Other(_) => "other",
    }
}

async fn skipped(indexing: &mut Indexing<'_, '_>, stored: &Stored) -> Result<(), StoreError> {
    let EventBody::LineSkipped {
        seq,
        line,
        org,
        reason,
        ..
    } = &stored.event.body
    else {
        return Ok(());
    };
    let update = "UPDATE batch_lines SET skipped = ? WHERE seq = ? AND line = ? AND address = ?";
    let statement = sqlx::query(update)
        .bind(word(*reason))
        .bind(columns::number(*seq, "batches.seq")?)
        .bind(*line)
        .bind(columns::address(*org));
    if indexing.write.execute(statement).await? == 0 {
        let detail = format!("line {line} of batch {seq}, for {org}, was skipped and is not ours");
        indexing.write.alarm("unknown_line", stored, detail).await?;
    }
    Ok(())
}

async fn settled(indexing: &mut Indexing<'_, '_>, stored: &Stored) -> Result<(), StoreError> {
    let EventBody::BatchSettled {
        seq,
        hash,
        root,
        total,
        ..
    } = &stored.event.body
    else {
        return Ok(());
    };
    let ours = "SELECT root, settled_block FROM batches WHERE seq = ?";
    let number = columns::number(*seq, "batches.seq")?;
    let Some(row) = indexing.write.optional(sqlx::query(ours).bind(number)).await? else {
        let detail = format!(
            "batch {seq} was settled on chain and was never sealed here: is the server's key used elsewhere?"
        );
        return indexing.write.alarm("unknown_batch", stored, detail).await;
    };
    let mut columns = Columns::of(&row);
    let our_root: [u8; 32] = columns.read("batches.root")?;
    let before: Option<i64> = columns.read("batches.settled_block")?;
    let moved = moved(indexing.write, number).await?;
    if our_root != *root || *total != Some(moved) || before.is_some() {
        let detail =
            format!("batch {seq} was settled on chain with other contents than it was sealed with here");
        return indexing.write.alarm("wrong_batch", stored, detail).await;
    }
    let update =
        "UPDATE batches SET settled_tx = ?, settled_block = ?, settled_at = ?, chain_hash = ? WHERE seq = ?";
    let statement = sqlx::query(update)
        .bind(stored.event.tx.to_vec())
        .bind(stored.block()?)
        .bind(stored.event.block_time.micros())
        .bind(hash.to_vec())
        .bind(number);
    indexing.write.execute(statement).await?;
    let orgs = indexing.write.batch_orgs(number).await?;
    indexing.touched.extend(orgs);
    Ok(())
}

/// Base units that the lines of a batch moved, as far as they were not skipped.
async fn moved(write: &mut WriteTx<'_>, seq: i64) -> Result<u128, StoreError> {
    let units = "SELECT units FROM batch_credits AS credit
                 JOIN batch_lines AS line ON line.seq = credit.seq AND line.line = credit.line
                 WHERE credit.seq = ? AND line.skipped IS NULL";
    let mut total = 0u128;
    for row in write.all(sqlx::query(units).bind(seq)).await? {
        let units: u128 = Columns::of(&row).read("batch_credits.units")?;
        total = total
            .checked_add(units)
            .ok_or(StoreError::inconsistent("batch_credits.units"))?;
    }
    Ok(total)
}

/// Books every batch that is final.
pub(super) async fn finish(indexing: &mut Indexing<'_, '_>, last_final: i64) -> Result<(), StoreError> {
    let ready = "SELECT seq, settled_block, settled_at FROM batches
                 WHERE final = 0 AND settled_block <= ? ORDER BY seq";
    for row in indexing.write.all(sqlx::query(ready).bind(last_final)).await? {
        let mut columns = Columns::of(&row);
        let batch = Settled {
            seq: columns.read("batches.seq")?,
            block: columns.read("batches.settled_block")?,
            at: columns.read("batches.settled_at")?,
        };
        batch.book(indexing).await?;
    }
    Ok(())
}

/// A batch whose settlement is final.
struct Settled {
    seq: i64,
    block: i64,
    at: Timestamp,
}

impl Settled {
    async fn book(&self, indexing: &mut Indexing<'_, '_>) -> Result<(), StoreError> {
        let lines = "SELECT line, org_id, skipped FROM batch_lines WHERE seq = ? ORDER BY line";
        for row in indexing.write.all(sqlx::query(lines).bind(self.seq)).await? {
            let mut columns = Columns::of(&row);
            let line: i64 = columns.read("batch_lines.line")?;
            let org: OrgId = columns.read("batch_lines.org_id")?;
            let skipped: Option<String> = columns.read("batch_lines.skipped")?;
            if skipped.is_some() {
                indexing.write.wait_again(self.seq, line).await?;
                indexing.effects.lines_skipped += 1;
            } else {
                self.pay(indexing.write, line, org).await?;
            }
        }
        let update = "UPDATE batches SET final = 1 WHERE seq = ?";
        indexing.write.execute(sqlx::query(update).bind(self.seq)).await?;
        let orgs = indexing.write.batch_orgs(self.seq).await?;
        indexing.touched.extend(orgs);
        indexing.effects.batches_final += 1;
        Ok(())
    }

    async fn pay(&self, write: &mut WriteTx<'_>, line: i64, org: OrgId) -> Result<(), StoreError> {
        let credits = "SELECT payee, amount FROM batch_credits WHERE seq = ? AND line = ? ORDER BY position";
        let rows = write.all(sqlx::query(credits).bind(self.seq).bind(line)).await?;
        let mut transfers = Vec::with_capacity(rows.len() * 2);
        for row in rows {
            let mut columns = Columns::of(&row);
            let payee: Payee = columns.read("batch_credits.payee")?;
            let amount: i64 = columns.read("batch_credits.amount")?;
            let (account, chain) = match payee {
                Payee::Platform => (Account::Platform, Account::ChainOrchestrator),
                Payee::Creator(address) => (Account::Creator(address), Account::ChainOrchestrator),
                Payee::Organization(payee) => (Account::Available(payee), Account::ChainOrg(payee)),
            };
            transfers.push((Account::Unsettled(org), account, amount));
            transfers.push((chain, Account::ChainOrg(org), amount));
        }
        let entry = Entry {
            key: format!("batch/{}/{line}", self.seq),
            at: self.at,
            block: Some(self.block),
            transfers,
        };
        write.book(entry).await
    }
}

impl WriteTx<'_> {
    /// Payers and paid organizations of a batch.
    pub(super) async fn batch_orgs(&mut self, seq: i64) -> Result<Vec<OrgId>, StoreError> {
        let orgs = "SELECT org_id FROM batch_lines WHERE seq = ?1
                    UNION
                    SELECT CAST(substr(payee, 5) AS INTEGER) FROM batch_credits
                    WHERE seq = ?1 AND payee LIKE 'org/%'";
        let rows = self.all(sqlx::query(orgs).bind(seq)).await?;
        rows.iter()
            .map(|row| Columns::of(row).read("batch_lines.org_id"))
            .collect()
    }

    /// The calls of a skipped line wait for another batch, and what it changed of its organization's
    /// carry is undone.
    async fn wait_again(&mut self, seq: i64, line: i64) -> Result<(), StoreError> {
        let items = "UPDATE usage_records SET batch_seq = NULL, skipped = 1
                     WHERE id IN (SELECT usage_id FROM batch_items WHERE seq = ? AND line = ?)";
        self.execute(sqlx::query(items).bind(seq).bind(line)).await?;
        self.undo_carry(seq, Some(line)).await
    }

    /// Skipped lines of the organization no longer count, if the last one was skipped for this reason.
    pub(super) async fn forget_skips(&mut self, org: OrgId, reason: &'static str) -> Result<(), StoreError> {
        let forget = "UPDATE org_books SET skips_since = coalesce((SELECT max(seq) + 1 FROM batches WHERE final = 1), 0)
                      WHERE org_id = ?1
                        AND ?2 = (SELECT skipped FROM batch_lines JOIN batches USING (seq)
                                  WHERE batch_lines.org_id = ?1 AND batches.final = 1
                                  ORDER BY seq DESC LIMIT 1)";
        self.execute(sqlx::query(forget).bind(org.0).bind(reason))
            .await
            .map(drop)
    }
}
