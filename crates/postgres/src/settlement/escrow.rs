//! Payees that cannot be paid, and what is kept for them. The rules are [`PaymentHistory`]'s and
//! [`haithe_billing::batch::due_payouts`].

use crate::{
    columns::{self, Columns},
    db::Statement,
    ledger::read::ReadRows,
    reads::{read_each, read_first},
};
use haithe_billing::{
    batch::{BatchSeq, CarryKey, EscrowAccount, LineFault, PaymentHistory, SkippedLine},
    capture::Payee,
    chain::{Blame, SkipReason},
    ledger::Account,
};
use haithe_kernel::{StoreError, Timestamp, Usdt, WalletAddress};
use std::collections::{BTreeMap, BTreeSet, HashSet};

const SKIPPED: &str = "
    SELECT line.org_id, line.seq, line.skipped, line.blamed
    FROM batch_lines AS line JOIN batches ON batches.seq = line.seq
    WHERE line.skipped IS NOT NULL AND line.blamed IS DISTINCT FROM 'payer' AND batches.final";
/// The batch of the payer's last settled line.
const LAST_SETTLED: &str = "
    SELECT line.seq FROM batch_lines AS line JOIN batches ON batches.seq = line.seq
    WHERE line.org_id = $1 AND line.skipped IS NULL AND batches.final ORDER BY line.seq DESC LIMIT 1";
/// The batch of the last settled line in which the payer paid the payee directly. "<> 'platform'" is the condition of
/// the index.
const LAST_PAID: &str = "
    SELECT credit.seq
    FROM batch_credits AS credit
    JOIN batch_lines AS line ON line.seq = credit.seq AND line.line = credit.line
    JOIN batches ON batches.seq = credit.seq
    WHERE credit.payee = $1 AND credit.payee <> 'platform' AND NOT credit.escrow
      AND line.org_id = $2 AND line.skipped IS NULL AND batches.final
    ORDER BY credit.seq DESC LIMIT 1";
/// The last batch that paid the payee out of escrow.
const LAST_PAID_OUT: &str = "
    SELECT payout.seq FROM batch_payouts AS payout JOIN batches ON batches.seq = payout.seq
    WHERE payout.payee = $1 AND batches.final AND NOT batches.payouts_skipped
    ORDER BY payout.seq DESC LIMIT 1";
/// '0' is the character after '/'.
const ACCOUNTS: &str = "
    SELECT name, balance FROM ledger_accounts WHERE name > 'escrow/' AND name < 'escrow0' AND balance > 0
    ORDER BY name";
const REGISTERED: &str = "SELECT wallet_address FROM creators WHERE wallet_address = ANY($1)";
const PAYOUTS: &str = "
    SELECT payout.payee, bool_or(NOT batches.final) AS is_open, max(batches.sealed_at) AS last_attempt
    FROM batch_payouts AS payout JOIN batches ON batches.seq = payout.seq
    WHERE payout.payee = ANY($1) GROUP BY payout.payee";

/// What final batches show about payers and payees.
pub(super) async fn history(from: &mut impl ReadRows) -> Result<PaymentHistory, StoreError> {
    let skipped = read_each(from, sqlx::query(SKIPPED), skipped_line).await?;
    let (orgs, keys) = PaymentHistory::subjects(&skipped);
    let payees: BTreeSet<Payee> = keys.iter().map(|key| key.payee).collect();
    let mut history = PaymentHistory {
        skipped,
        ..PaymentHistory::default()
    };
    for org in orgs {
        if let Some(seq) = seq(from, sqlx::query(LAST_SETTLED).bind(org.0)).await? {
            history.settled.insert(org, seq);
        }
    }
    for key in keys {
        if let Some(seq) = seq(from, last_paid(key)).await? {
            history.paid.insert(key, seq);
        }
    }
    for payee in payees {
        let last = sqlx::query(LAST_PAID_OUT).bind(columns::payee(payee));
        if let Some(seq) = seq(from, last).await? {
            history.paid_out.insert(payee, seq);
        }
    }
    Ok(history)
}

fn last_paid(key: CarryKey) -> Statement {
    sqlx::query(LAST_PAID)
        .bind(columns::payee(key.payee))
        .bind(key.org.0)
}

async fn seq(from: &mut impl ReadRows, statement: Statement) -> Result<Option<BatchSeq>, StoreError> {
    read_first(from, statement, |columns| columns.get("batches.seq")).await
}

fn skipped_line(columns: &Columns<'_>) -> Result<SkippedLine, StoreError> {
    let reason: String = columns.get("batch_lines.skipped")?;
    let reason = SkipReason::from_word(&reason).ok_or(StoreError::inconsistent("batch_lines.skipped"))?;
    // Lines that are blamed on the payer are not selected.
    let blamed: Option<Payee> = columns.get("batch_lines.blamed")?;
    Ok(SkippedLine {
        org: columns.get("batch_lines.org_id")?,
        seq: columns.get("batch_lines.seq")?,
        fault: LineFault::of(reason, blamed.map(Blame::Payee)),
    })
}

/// All escrow with a balance.
pub(super) async fn accounts(from: &mut impl ReadRows) -> Result<Vec<EscrowAccount>, StoreError> {
    let balances = read_each(from, sqlx::query(ACCOUNTS), balance).await?;
    let payees = balances.iter().map(|(payee, _)| columns::payee(*payee)).collect();
    let registered = registered(from, balances.iter().map(|(payee, _)| *payee)).await?;
    let payouts = payouts(from, payees).await?;
    let accounts = balances.into_iter().map(|(payee, balance)| {
        let payout = payouts.get(&payee);
        EscrowAccount {
            payee,
            balance,
            is_registered: matches!(payee, Payee::Creator(creator) if registered.contains(&creator)),
            is_open: payout.is_some_and(|(is_open, _)| *is_open),
            last_attempt: payout.map(|(_, last_attempt)| *last_attempt),
        }
    });
    Ok(accounts.collect())
}

fn balance(columns: &Columns<'_>) -> Result<(Payee, Usdt), StoreError> {
    let Account::Escrow(payee) = columns.get("ledger_accounts.name")? else {
        return Err(StoreError::inconsistent("ledger_accounts.name"));
    };
    Ok((payee, columns.get("ledger_accounts.balance")?))
}

/// The creators among the payees that are registered.
async fn registered(
    from: &mut impl ReadRows,
    payees: impl Iterator<Item = Payee> + Send,
) -> Result<HashSet<WalletAddress>, StoreError> {
    let creators: Vec<Vec<u8>> = payees
        .filter_map(|payee| match payee {
            Payee::Creator(creator) => Some(columns::address(creator)),
            Payee::Platform | Payee::Organization(_) => None,
        })
        .collect();
    let registered = read_each(from, sqlx::query(REGISTERED).bind(creators), |columns| {
        columns.get("creators.wallet_address")
    });
    Ok(registered.await?.into_iter().collect())
}

/// Whether a batch that is not final pays a payee out of escrow, and when the newest one that does was sealed.
async fn payouts(
    from: &mut impl ReadRows,
    payees: Vec<String>,
) -> Result<BTreeMap<Payee, (bool, Timestamp)>, StoreError> {
    let payouts = read_each(from, sqlx::query(PAYOUTS).bind(payees), |columns| {
        let payee: Payee = columns.get("batch_payouts.payee")?;
        let is_open: bool = columns.get_as("is_open", "batches.final")?;
        let last_attempt: Timestamp = columns.get_as("last_attempt", "batches.sealed_at")?;
        Ok((payee, (is_open, last_attempt)))
    });
    Ok(payouts.await?.into_iter().collect())
}
