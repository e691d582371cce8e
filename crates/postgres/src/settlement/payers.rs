//! Organizations whose charges are treated differently, as the ledger's rows have them. Who is suspended is
//! [`suspends`]'s decision.

use crate::{columns::Columns, ledger::read::ReadRows, reads::read_each};
use haithe_billing::{
    batch::{LineFault, Payers},
    chain::{Blame, SkipReason},
    ledger::{Account, suspends},
};
use haithe_kernel::{OrgId, StoreError};

/// Organizations with a skipped line that counts, and from which batch on theirs count.
const SKIPPED: &str = "
    SELECT DISTINCT books.org_id, books.skips_since
    FROM batch_lines AS line JOIN org_books AS books ON books.org_id = line.org_id
    WHERE line.skipped IS NOT NULL AND line.seq >= books.skips_since";
const NEWEST_LINES: &str = "
    SELECT line.skipped, line.blamed FROM batch_lines AS line JOIN batches ON batches.seq = line.seq
    WHERE line.org_id = $1 AND line.seq >= $2 AND batches.final
      AND line.seq > coalesce((
          SELECT max(settled.seq) FROM batch_lines AS settled JOIN batches ON batches.seq = settled.seq
          WHERE settled.org_id = $1 AND settled.skipped IS NULL AND batches.final
      ), -1)
    ORDER BY line.seq DESC";
const REQUESTS: &str = "SELECT DISTINCT org_id FROM withdrawals WHERE booked IS NULL";
const WITH_BALANCE: &str = "SELECT org_id FROM ledger_accounts WHERE name = ANY($1) AND balance > 0";

/// The suspended and the withdrawing organizations.
pub(super) async fn payers(from: &mut impl ReadRows) -> Result<Payers, StoreError> {
    let mut payers = Payers::default();
    let skipped = read_each(from, sqlx::query(SKIPPED), |columns| {
        let org: OrgId = columns.get("org_books.org_id")?;
        let since: i64 = columns.get("org_books.skips_since")?;
        Ok((org, since))
    });
    for (org, since) in skipped.await? {
        let newest = sqlx::query(NEWEST_LINES).bind(org.0).bind(since);
        if suspends(read_each(from, newest, line_fault).await?) {
            payers.suspended.insert(org);
        }
    }
    let requests = read_each(from, sqlx::query(REQUESTS), |columns| {
        let org: OrgId = columns.get("withdrawals.org_id")?;
        Ok(Account::Withdrawing(org).to_string())
    });
    let accounts = sqlx::query(WITH_BALANCE).bind(requests.await?);
    let withdrawing = read_each(from, accounts, |columns| {
        columns.get::<OrgId>("ledger_accounts.org_id")
    });
    payers.withdrawing.extend(withdrawing.await?);
    Ok(payers)
}

/// Why a line was skipped; `None` when it was settled.
fn line_fault(columns: &Columns<'_>) -> Result<Option<LineFault>, StoreError> {
    let skipped: Option<String> = columns.get("batch_lines.skipped")?;
    let blamed: Option<String> = columns.get("batch_lines.blamed")?;
    let Some(reason) = skipped else {
        return Ok(None);
    };
    let reason = SkipReason::from_word(&reason).ok_or(StoreError::inconsistent("batch_lines.skipped"))?;
    let blame = match blamed.as_deref() {
        None => None,
        Some("payer") => Some(Blame::Payer),
        Some(_) => Some(Blame::Payee(columns.get("batch_lines.blamed")?)),
    };
    Ok(Some(LineFault::of(reason, blame)))
}
