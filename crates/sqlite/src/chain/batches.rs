//! What the chain says about our batches.
//!
//! A batch that is settled on chain is booked once that is final: each settled line moves unsettled
//! money to its payees. A skipped line moves nothing: its calls wait for another batch, where they
//! get new leaves, and what it changed of the carry is undone. Each skipped line is blamed on its
//! organization or on a payee, as far as that is known. Three in a row that are blamed on the
//! organization suspend it; a settled line, a deposit that covers what is unsettled, or (after the daily
//! cap stopped it) a cap that does, admit it again. Three that are blamed on a payee send the payee's
//! credits to escrow.

use super::{Stored, step::Indexing};
use crate::{
    columns::{self, Columns},
    db::WriteTx,
};
use haithe_billing::{
    capture::Payee,
    chain::{EventBody, SkipReason},
    ledger::{Account, Entry, Transfer},
};
use haithe_kernel::{OrgId, StoreError, Timestamp, Usdt, WalletAddress};

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
        payee,
        ..
    } = &stored.event.body
    else {
        return Ok(());
    };
    let number = columns::number(*seq, "batches.seq")?;
    let blamed = blamed(indexing.write, (number, *line), *reason, *payee).await?;
    let update = "UPDATE batch_lines SET skipped = ?, blamed = ? WHERE seq = ? AND line = ? AND address = ?";
    let statement = sqlx::query(update)
        .bind(word(*reason))
        .bind(blamed)
        .bind(number)
        .bind(*line)
        .bind(columns::address(*org));
    let mut known = indexing.write.execute(statement).await?;
    if known == 0 {
        // The line behind all others pays escrow.
        let update = "UPDATE batches SET payouts_skipped = 1
                      WHERE seq = ?1 AND ?2 = (SELECT count(*) FROM batch_lines WHERE seq = ?1)
                        AND EXISTS (SELECT 1 FROM batch_payouts WHERE seq = ?1)
                        AND ?3 = (SELECT orchestrator FROM chain_binding)";
        let statement = sqlx::query(update).bind(number).bind(*line);
        known = indexing
            .write
            .execute(statement.bind(columns::address(*org)))
            .await?;
    }
    if known == 0 {
        let detail = format!("line {line} of batch {seq}, for {org}, was skipped and is not ours");
        indexing.write.alarm("unknown_line", stored, detail).await?;
    }
    Ok(())
}

/// Whose fault a skipped line is: `payer`, or a payee. The reason may name the receiver; else only
/// organizations are paid by transfers of their own, so that the only one in the line is at fault. With
/// several, nobody is blamed, and the payer's next lines have one each. The platform's and creators'
/// shares go to the orchestrator: when that transfer fails, the payer's money cannot be moved at all.
async fn blamed(
    write: &mut WriteTx<'_>,
    (seq, line): (i64, u32),
    reason: SkipReason,
    named: Option<WalletAddress>,
) -> Result<Option<String>, StoreError> {
    let payer = || Ok(Some("payer".to_owned()));
    match reason {
        SkipReason::InsufficientFunds | SkipReason::DailyCap | SkipReason::UnknownOrganization => {
            return payer();
        }
        SkipReason::UnknownPayee | SkipReason::TransferFailed | SkipReason::Other(_) => {}
    }
    let credits = "SELECT payee, address FROM batch_credits
                   WHERE seq = ? AND line = ? AND escrow = 0 AND payee <> 'platform' ORDER BY position";
    let statement = sqlx::query(credits).bind(seq).bind(line);
    let mut payees: Vec<(Payee, WalletAddress)> = Vec::new();
    for row in write.all(statement).await? {
        let mut columns = Columns::of(&row);
        payees.push((
            columns.read("batch_credits.payee")?,
            columns.read("batch_credits.address")?,
        ));
    }
    if let Some((payee, _)) = payees.iter().find(|(_, address)| Some(*address) == named) {
        return Ok(Some(columns::payee(*payee)));
    }
    if reason != SkipReason::UnknownPayee {
        payees.retain(|(payee, _)| matches!(payee, Payee::Organization(_)));
    }
    match (payees.as_slice(), named) {
        ([], _) => payer(),
        // A transfer to the orchestrator, which keeps what creators and the platform earn.
        (_, Some(_)) if reason != SkipReason::UnknownPayee => payer(),
        ([(payee, _)], _) => Ok(Some(columns::payee(*payee))),
        _ => Ok(None),
    }
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
                 WHERE credit.seq = ?1 AND line.skipped IS NULL
                 UNION ALL
                 SELECT units FROM batch_payouts JOIN batches USING (seq)
                 WHERE batches.seq = ?1 AND payouts_skipped = 0";
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
    block: u64,
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
        self.pay_out(indexing.write).await?;
        let update = "UPDATE batches SET final = 1 WHERE seq = ?";
        indexing.write.execute(sqlx::query(update).bind(self.seq)).await?;
        let orgs = indexing.write.batch_orgs(self.seq).await?;
        indexing.touched.extend(orgs);
        indexing.effects.batches_final += 1;
        Ok(())
    }

    async fn pay(&self, write: &mut WriteTx<'_>, line: i64, org: OrgId) -> Result<(), StoreError> {
        let credits = "SELECT payee, amount, escrow FROM batch_credits
                       WHERE seq = ? AND line = ? ORDER BY position";
        let rows = write.all(sqlx::query(credits).bind(self.seq).bind(line)).await?;
        let mut transfers = Vec::with_capacity(rows.len() * 2);
        for row in rows {
            let mut columns = Columns::of(&row);
            let payee: Payee = columns.read("batch_credits.payee")?;
            let amount: Usdt = columns.read("batch_credits.amount")?;
            let escrow: bool = columns.read("batch_credits.escrow")?;
            let (account, chain) = match payee {
                payee if escrow => (Account::Escrow(payee), Account::ChainOrchestrator),
                Payee::Platform => (Account::Platform, Account::ChainOrchestrator),
                Payee::Creator(address) => (Account::Creator(address), Account::ChainOrchestrator),
                Payee::Organization(payee) => (Account::Available(payee), Account::ChainOrg(payee)),
            };
            transfers.push(Transfer::new(Account::Unsettled(org), account, amount));
            transfers.push(Transfer::new(chain, Account::ChainOrg(org), amount));
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

impl Settled {
    /// Books what was paid out of escrow.
    async fn pay_out(&self, write: &mut WriteTx<'_>) -> Result<(), StoreError> {
        let payouts = "SELECT payee, amount FROM batch_payouts JOIN batches USING (seq)
                       WHERE seq = ? AND payouts_skipped = 0 ORDER BY position";
        let mut transfers = Vec::new();
        for row in write.all(sqlx::query(payouts).bind(self.seq)).await? {
            let mut columns = Columns::of(&row);
            let payee: Payee = columns.read("batch_payouts.payee")?;
            let amount: Usdt = columns.read("batch_payouts.amount")?;
            let account = match payee {
                Payee::Platform => Account::Platform,
                Payee::Creator(address) => Account::Creator(address),
                Payee::Organization(org) => {
                    transfers.push(Transfer::new(
                        Account::ChainOrg(org),
                        Account::ChainOrchestrator,
                        amount,
                    ));
                    Account::Available(org)
                }
            };
            transfers.push(Transfer::new(Account::Escrow(payee), account, amount));
        }
        if transfers.is_empty() {
            return Ok(());
        }
        let entry = Entry {
            key: format!("batch/{}/escrow", self.seq),
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
                    WHERE seq = ?1 AND payee LIKE 'org/%'
                    UNION
                    SELECT CAST(substr(payee, 5) AS INTEGER) FROM batch_payouts
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
