//! Reading organizations' money: balances, spending, and what the chain says beside them.

use super::read::ReadRows;
use crate::columns::{self, Columns};
use haithe_billing::{
    batch::LineFault,
    capture::Payee,
    chain::{Blame, SkipReason},
    ledger::{Account, ChainFigures, InTransit, OrgFacts, OrgMoney, TokenScale, suspends},
    receipt::ReceiptContext,
    usage::Day,
};
use haithe_kernel::{OrgId, StoreError, Timestamp, Usdt};
use sqlx::postgres::PgRow;
use std::collections::HashMap;

/// One row for each organization that has books.
const BOOKS: &str = "
    SELECT books.org_id, books.dust, books.daily_cap, books.skips_since, books.spent,
           organizations.organization_uid, organizations.address,
           chain_binding.chain_id, chain_binding.orchestrator,
           EXISTS (SELECT 1 FROM batch_lines
                   WHERE batch_lines.org_id = books.org_id AND skipped IS NOT NULL
                     AND seq >= books.skips_since) AS is_skipped,
           EXISTS (SELECT 1 FROM withdrawals
                   WHERE withdrawals.org_id = books.org_id AND booked IS NULL AND clamped) AS is_halted
    FROM org_books AS books
    JOIN organizations ON organizations.id = books.org_id
    CROSS JOIN chain_binding
    WHERE books.org_id = ANY($1)";

/// What the organizations' batches settled at `$2` or later.
const SETTLED: &str = "
    SELECT line.org_id, credit.amount
    FROM batch_lines AS line
    JOIN batches ON batches.seq = line.seq
    JOIN batch_credits AS credit ON credit.seq = line.seq AND credit.line = line.line
    WHERE line.org_id = ANY($1) AND line.skipped IS NULL AND batches.settled_at >= $2
      AND line.seq >= (SELECT seq FROM batches WHERE settled_at >= $2 ORDER BY settled_at, seq LIMIT 1)";

/// Lines of final batches, newest first.
const FINAL_LINES: &str = "
    SELECT line.skipped, line.blamed
    FROM batch_lines AS line JOIN batches ON batches.seq = line.seq
    WHERE line.org_id = $1 AND line.seq >= $2 AND batches.final
    ORDER BY line.seq DESC LIMIT $3";
/// Lines that are read at first; more when none of them was settled.
const FIRST_LINES: i64 = 64;

/// Base units on their way, by the organization (`payee`) that they come to or leave.
const IN_TRANSIT: &str = "
    SELECT 'org/' || org_id AS payee, TRUE AS is_in, units
    FROM deposits WHERE org_id = ANY($1) AND NOT confirmed AND amount IS NOT NULL
    UNION ALL
    SELECT 'org/' || org_id, FALSE, paid_units
    FROM withdrawals
    WHERE org_id = ANY($1) AND booked IS NULL AND ended = 'executed' AND paid_units IS NOT NULL
    UNION ALL
    SELECT 'org/' || line.org_id, FALSE, credit.units
    FROM batches
    JOIN batch_lines AS line ON line.seq = batches.seq
    JOIN batch_credits AS credit ON credit.seq = line.seq AND credit.line = line.line
    WHERE NOT batches.final AND batches.settled_block IS NOT NULL AND line.skipped IS NULL
      AND line.org_id = ANY($1)
    UNION ALL
    SELECT credit.payee, TRUE, credit.units
    FROM batches
    JOIN batch_lines AS line ON line.seq = batches.seq
    JOIN batch_credits AS credit ON credit.seq = line.seq AND credit.line = line.line
    WHERE NOT batches.final AND batches.settled_block IS NOT NULL AND line.skipped IS NULL
      AND credit.payee = ANY($2) AND NOT credit.escrow
    UNION ALL
    SELECT payout.payee, TRUE, payout.units
    FROM batches JOIN batch_payouts AS payout ON payout.seq = batches.seq
    WHERE NOT batches.final AND batches.settled_block IS NOT NULL AND NOT batches.payouts_skipped
      AND payout.payee = ANY($2)";

/// Whether amounts in transit are read, which only reports show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transit {
    Read,
    LeaveOut,
}

/// The time of the newest indexed block; 1970 before the first.
pub(crate) async fn chain_time(read: &mut impl ReadRows) -> Result<Timestamp, StoreError> {
    let newest = "SELECT coalesce(max(time), 0) AS time FROM chain_blocks";
    let rows = read.rows(sqlx::query(newest)).await?;
    let row = rows
        .first()
        .ok_or(StoreError::inconsistent("chain_blocks.time"))?;
    Columns::of(row).get("chain_blocks.time")
}

/// The money of those organizations that have books. In a write transaction their books must be locked.
pub(crate) async fn org_money(
    read: &mut impl ReadRows,
    orgs: &[OrgId],
    (scale, transit): (TokenScale, Transit),
    chain_time: Timestamp,
) -> Result<Vec<(OrgId, OrgMoney)>, StoreError> {
    let rows = read.rows(sqlx::query(BOOKS).bind(numbers(orgs))).await?;
    let books: Vec<OrgRow> = rows.iter().map(OrgRow::of).collect::<Result<_, _>>()?;
    if books.is_empty() {
        return Ok(Vec::new());
    }
    let balances = balances(read, orgs).await?;
    let day = Day::of(chain_time);
    let capped: Vec<OrgId> = books
        .iter()
        .filter(|books| books.figures.daily_cap.is_some())
        .map(|books| books.org)
        .collect();
    let settled = settled_since(read, &capped, day.start()).await?;
    let in_transit = match transit {
        Transit::Read => in_transit(read, orgs).await?,
        Transit::LeaveOut => HashMap::new(),
    };
    let mut money = Vec::with_capacity(books.len());
    for books in books {
        let OrgRow {
            org,
            spent,
            receipt,
            skips_since,
            is_skipped,
            figures,
        } = books;
        let figures = ChainFigures {
            day,
            settled_on_day: settled.get(&org).copied().unwrap_or(0),
            suspended: is_skipped && suspends(line_faults(read, org, skips_since).await?),
            in_transit: in_transit.get(&org).copied().unwrap_or_default(),
            ..figures
        };
        let facts = OrgFacts::new(figures, scale);
        money.push((org, OrgMoney::new(org, &balances, spent, facts, receipt)));
    }
    Ok(money)
}

struct OrgRow {
    org: OrgId,
    spent: i128,
    receipt: ReceiptContext,
    skips_since: i64,
    is_skipped: bool,
    figures: ChainFigures,
}

impl OrgRow {
    fn of(row: &PgRow) -> Result<Self, StoreError> {
        let columns = Columns::of(row);
        let dust: i64 = columns.get("org_books.dust")?;
        Ok(Self {
            org: columns.get("org_books.org_id")?,
            spent: columns.get("org_books.spent")?,
            receipt: ReceiptContext {
                chain_id: columns.get("chain_binding.chain_id")?,
                orchestrator: columns.get("chain_binding.orchestrator")?,
                org_uid: columns.get("organizations.organization_uid")?,
                org_address: columns.get("organizations.address")?,
            },
            skips_since: columns.get("org_books.skips_since")?,
            is_skipped: columns.get_as("is_skipped", "batch_lines.skipped")?,
            figures: ChainFigures {
                dust: i128::from(dust),
                daily_cap: columns.get("org_books.daily_cap")?,
                day: Day::of(Timestamp::from_micros(0)),
                settled_on_day: 0,
                suspended: false,
                halted: columns.get_as("is_halted", "withdrawals.clamped")?,
                in_transit: InTransit::default(),
            },
        })
    }
}

fn numbers(orgs: &[OrgId]) -> Vec<i64> {
    orgs.iter().map(|org| org.0).collect()
}

async fn balances(read: &mut impl ReadRows, orgs: &[OrgId]) -> Result<HashMap<Account, Usdt>, StoreError> {
    let accounts = "SELECT name, balance FROM ledger_accounts WHERE org_id = ANY($1)";
    let rows = read.rows(sqlx::query(accounts).bind(numbers(orgs))).await?;
    let read = rows.iter().map(|row| {
        let columns = Columns::of(row);
        Ok((
            columns.get("ledger_accounts.name")?,
            columns.get("ledger_accounts.balance")?,
        ))
    });
    read.collect()
}

async fn settled_since(
    read: &mut impl ReadRows,
    orgs: &[OrgId],
    since: Timestamp,
) -> Result<HashMap<OrgId, i128>, StoreError> {
    let mut settled = HashMap::new();
    if orgs.is_empty() {
        return Ok(settled);
    }
    let statement = sqlx::query(SETTLED).bind(numbers(orgs)).bind(since.micros());
    for row in read.rows(statement).await? {
        let columns = Columns::of(&row);
        let amount: Usdt = columns.get("batch_credits.amount")?;
        *settled.entry(columns.get("batch_lines.org_id")?).or_default() += i128::from(amount.nano());
    }
    Ok(settled)
}

/// The faults of the organization's skipped lines in final batches from `since` on, newest first, up to the last
/// settled line.
async fn line_faults(
    read: &mut impl ReadRows,
    org: OrgId,
    since: i64,
) -> Result<Vec<Option<LineFault>>, StoreError> {
    let mut most = FIRST_LINES;
    loop {
        let statement = sqlx::query(FINAL_LINES).bind(org.0).bind(since).bind(most);
        let rows = read.rows(statement).await?;
        let mut faults = Vec::with_capacity(rows.len());
        for row in &rows {
            let fault = line_fault(row)?;
            faults.push(fault);
            if fault.is_none() {
                return Ok(faults);
            }
        }
        if columns::number(rows.len(), "batch_lines.seq")? < most {
            return Ok(faults);
        }
        most = i64::MAX;
    }
}

/// Why the line was skipped; `None` when it was settled.
fn line_fault(row: &PgRow) -> Result<Option<LineFault>, StoreError> {
    let columns = Columns::of(row);
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

/// Base units seen on their way in and out, and not booked.
pub(crate) async fn in_transit(
    read: &mut impl ReadRows,
    orgs: &[OrgId],
) -> Result<HashMap<OrgId, InTransit>, StoreError> {
    let payees: Vec<String> = orgs
        .iter()
        .map(|org| columns::payee(Payee::Organization(*org)))
        .collect();
    let statement = sqlx::query(IN_TRANSIT).bind(numbers(orgs)).bind(payees);
    let mut in_transit = HashMap::<OrgId, InTransit>::new();
    for row in read.rows(statement).await? {
        let columns = Columns::of(&row);
        let Payee::Organization(org) = columns.get("batch_credits.payee")? else {
            return Err(StoreError::inconsistent("batch_credits.payee"));
        };
        let units: u128 = columns.get("deposits.units")?;
        let of_org = in_transit.entry(org).or_default();
        if columns.get_as("is_in", "deposits.units")? {
            of_org.add_inward(units);
        } else {
            of_org.add_outward(units);
        }
    }
    Ok(in_transit)
}
