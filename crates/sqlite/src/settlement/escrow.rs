//! Payees that cannot be paid, and what is kept for them. The rules are [`PaymentHistory`]'s and
//! [`haithe_billing::batch::due_payouts`].

use crate::columns::{self, Columns, read_each};
use haithe_billing::{
    batch::{BatchSeq, CarryKey, EscrowAccount, LineFault, PaymentHistory, SkippedLine, UNPAYABLE_AFTER},
    capture::Payee,
    chain::{Blame, SkipReason},
    ledger::Account,
};
use haithe_kernel::{OrgId, StoreError};
use sqlx::SqliteConnection;
use std::collections::BTreeSet;

/// What final batches show about payers and payees.
pub(super) async fn history(connection: &mut SqliteConnection) -> Result<PaymentHistory, StoreError> {
    let lines = "SELECT org_id, seq, skipped, blamed
                 FROM (SELECT org_id, seq, skipped, blamed,
                              row_number() OVER (PARTITION BY org_id, skipped, blamed ORDER BY seq DESC) AS place
                       FROM batch_lines
                       WHERE skipped IS NOT NULL AND blamed IS NOT 'payer'
                         AND seq NOT IN (SELECT seq FROM batches WHERE final = 0))
                 WHERE place <= ?";
    let newest = columns::number(UNPAYABLE_AFTER, "batch_lines.seq")?;
    let skipped = read_each(connection, sqlx::query(lines).bind(newest), skipped_line).await?;
    let (orgs, keys) = PaymentHistory::subjects(&skipped);
    let payees: BTreeSet<Payee> = keys.iter().map(|key| key.payee).collect();
    let mut history = PaymentHistory {
        skipped,
        ..PaymentHistory::default()
    };
    for org in orgs {
        if let Some(seq) = last_settled(connection, org).await? {
            history.settled.insert(org, seq);
        }
    }
    for key in keys {
        if let Some(seq) = last_paid(connection, key).await? {
            history.paid.insert(key, seq);
        }
    }
    for payee in payees {
        if let Some(seq) = last_paid_out(connection, payee).await? {
            history.paid_out.insert(payee, seq);
        }
    }
    Ok(history)
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

/// The batch of the payer's last settled line.
async fn last_settled(connection: &mut SqliteConnection, org: OrgId) -> Result<Option<BatchSeq>, StoreError> {
    let last = "SELECT line.seq AS seq FROM batch_lines AS line CROSS JOIN batches ON batches.seq = line.seq
                WHERE line.org_id = ? AND line.skipped IS NULL AND batches.final = 1
                ORDER BY line.seq DESC LIMIT 1";
    first_seq(connection, sqlx::query(last).bind(org.0)).await
}

/// The batch of the last settled line in which the payer paid the payee directly.
async fn last_paid(connection: &mut SqliteConnection, key: CarryKey) -> Result<Option<BatchSeq>, StoreError> {
    // "<> 'platform'" is the condition of the index.
    let last = "SELECT credit.seq AS seq
                FROM batch_credits AS credit
                CROSS JOIN batch_lines AS line ON line.seq = credit.seq AND line.line = credit.line
                CROSS JOIN batches ON batches.seq = credit.seq
                WHERE credit.payee = ? AND credit.payee <> 'platform' AND credit.escrow = 0
                  AND line.org_id = ? AND line.skipped IS NULL AND batches.final = 1
                ORDER BY credit.seq DESC LIMIT 1";
    let statement = sqlx::query(last).bind(columns::payee(key.payee)).bind(key.org.0);
    first_seq(connection, statement).await
}

/// The last batch that paid the payee out of escrow.
async fn last_paid_out(
    connection: &mut SqliteConnection,
    payee: Payee,
) -> Result<Option<BatchSeq>, StoreError> {
    let last = "SELECT payout.seq AS seq
                FROM batch_payouts AS payout CROSS JOIN batches ON batches.seq = payout.seq
                WHERE payout.payee = ? AND batches.final = 1 AND batches.payouts_skipped = 0
                ORDER BY payout.seq DESC LIMIT 1";
    first_seq(connection, sqlx::query(last).bind(columns::payee(payee))).await
}

async fn first_seq(
    connection: &mut SqliteConnection,
    statement: crate::db::Statement,
) -> Result<Option<BatchSeq>, StoreError> {
    let row = statement
        .fetch_optional(connection)
        .await
        .map_err(StoreError::new)?;
    row.map(|row| Columns::of(&row).get("batches.seq")).transpose()
}

/// All escrow with a balance.
pub(super) async fn accounts(connection: &mut SqliteConnection) -> Result<Vec<EscrowAccount>, StoreError> {
    // '0' is the character after '/'. A creator's account is `escrow/creator/0x` and its address.
    let accounts = "SELECT account.name AS name, account.balance AS balance,
                           EXISTS (SELECT 1 FROM creators
                                   WHERE wallet_address = unhex(substr(account.name, 18))) AS is_registered,
                           EXISTS (SELECT 1 FROM batch_payouts AS payout
                                   JOIN batches ON batches.seq = payout.seq
                                   WHERE payout.payee = substr(account.name, 8) AND batches.final = 0) AS is_open,
                           (SELECT max(batches.sealed_at) FROM batch_payouts AS payout
                            JOIN batches ON batches.seq = payout.seq
                            WHERE payout.payee = substr(account.name, 8)) AS last_attempt
                    FROM ledger_accounts AS account
                    WHERE account.name > 'escrow/' AND account.name < 'escrow0' AND account.balance > 0";
    read_each(connection, sqlx::query(accounts), |columns| {
        let Account::Escrow(payee) = columns.get("ledger_accounts.name")? else {
            return Err(StoreError::inconsistent("ledger_accounts.name"));
        };
        Ok(EscrowAccount {
            payee,
            balance: columns.get("ledger_accounts.balance")?,
            is_registered: columns.get_as("is_registered", "creators.wallet_address")?,
            is_open: columns.get_as("is_open", "batches.final")?,
            last_attempt: columns.get_as("last_attempt", "batches.sealed_at")?,
        })
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use haithe_kernel::WalletAddress;

    /// `unhex(substr(name, 18))` and `substr(name, 8)` above read these parts of an account's name.
    #[test]
    fn an_escrow_accounts_name_contains_its_payee() {
        let creator = Payee::Creator(WalletAddress::new([7; 20]));
        let name = Account::Escrow(creator).to_string();
        assert_eq!(name.get(7..), Some(columns::payee(creator).as_str()));
        assert_eq!(name.get(17..), Some("07".repeat(20).as_str()));
    }
}
