//! Reading what the chain says about an organization's money beside its balances.

use super::scale::Scale;
use crate::columns::{self, Columns};
use futures::TryStreamExt;
use haithe_billing::{
    batch::LineFault,
    capture::Payee,
    chain::{Blame, SkipReason},
    ledger::{ChainFigures, InTransit, OrgFacts, suspends},
    usage::Day,
};
use haithe_kernel::{OrgId, StoreError, Timestamp, Usdt};
use sqlx::{SqliteConnection, sqlite::SqliteRow};

/// Reads the facts of organizations at the newest indexed block.
pub(crate) struct FactsReader {
    scale: Scale,
    day: Day,
}

impl FactsReader {
    pub(crate) async fn new(connection: &mut SqliteConnection, scale: Scale) -> Result<Self, StoreError> {
        let newest = "SELECT coalesce(max(time), 0) AS time FROM chain_blocks";
        let row = sqlx::query(newest)
            .fetch_one(connection)
            .await
            .map_err(StoreError::new)?;
        let time: Timestamp = Columns::of(&row).get("chain_blocks.time")?;
        let day = Day::of(time);
        Ok(Self { scale, day })
    }

    pub(crate) async fn read(
        &self,
        connection: &mut SqliteConnection,
        org: OrgId,
    ) -> Result<OrgFacts, StoreError> {
        let row = sqlx::query(
            "SELECT dust, daily_cap, skips_since,
                coalesce((
                    SELECT sum(credit.amount)
                    FROM batch_lines AS line
                    CROSS JOIN batches ON batches.seq = line.seq
                    CROSS JOIN batch_credits AS credit ON credit.seq = line.seq AND credit.line = line.line
                    WHERE line.org_id = ?1 AND line.skipped IS NULL
                      AND line.seq >= (SELECT seq FROM batches WHERE settled_at >= ?2
                                       ORDER BY settled_at, seq LIMIT 1)
                      AND batches.settled_at >= ?2
                ), 0) AS settled,
                EXISTS (SELECT 1 FROM batch_lines
                        WHERE org_id = ?1 AND skipped IS NOT NULL AND seq >= org_books.skips_since) AS is_skipped,
                EXISTS (SELECT 1 FROM withdrawals
                        WHERE org_id = ?1 AND booked IS NULL AND clamped = 1) AS is_halted
             FROM org_books WHERE org_id = ?1",
        )
        .bind(org.0)
        .bind(self.day.start().micros())
        .fetch_one(&mut *connection)
        .await
        .map_err(StoreError::new)?;
        let columns = Columns::of(&row);
        let dust: i64 = columns.get("org_books.dust")?;
        let settled: Usdt = columns.get_as("settled", "batch_credits.amount")?;
        let skips_since: i64 = columns.get("org_books.skips_since")?;
        let suspended = columns.get_as("is_skipped", "batch_lines.skipped")?
            && suspends(line_faults(connection, org, skips_since).await?);
        let figures = ChainFigures {
            dust: i128::from(dust),
            daily_cap: columns.get("org_books.daily_cap")?,
            day: self.day,
            settled_on_day: i128::from(settled.nano()),
            suspended,
            halted: columns.get_as("is_halted", "withdrawals.clamped")?,
            in_transit: in_transit(connection, org).await?,
        };
        Ok(OrgFacts::new(figures, self.scale))
    }
}

/// The faults of the organization's skipped lines in final batches from `since` on, newest first, up to the last
/// settled line.
async fn line_faults(
    connection: &mut SqliteConnection,
    org: OrgId,
    since: i64,
) -> Result<Vec<Option<LineFault>>, StoreError> {
    let lines = "SELECT line.skipped AS skipped, line.blamed AS blamed
                 FROM batch_lines AS line CROSS JOIN batches ON batches.seq = line.seq
                 WHERE line.org_id = ? AND line.seq >= ? AND batches.final = 1
                 ORDER BY line.seq DESC";
    let mut rows = sqlx::query(lines).bind(org.0).bind(since).fetch(connection);
    let mut faults = Vec::new();
    while let Some(row) = rows.try_next().await.map_err(StoreError::new)? {
        let fault = line_fault(&row)?;
        faults.push(fault);
        if fault.is_none() {
            break;
        }
    }
    Ok(faults)
}

/// Why the line was skipped; `None` when it was settled.
fn line_fault(row: &SqliteRow) -> Result<Option<LineFault>, StoreError> {
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
    connection: &mut SqliteConnection,
    org: OrgId,
) -> Result<InTransit, StoreError> {
    let rows = sqlx::query(
        "SELECT 1 AS is_in, units FROM deposits WHERE org_id = ?1 AND confirmed = 0 AND amount IS NOT NULL
         UNION ALL
         SELECT 0, paid_units FROM withdrawals
         WHERE org_id = ?1 AND booked IS NULL AND ended = 'executed' AND paid_units IS NOT NULL
         UNION ALL
         SELECT credit.payee = ?2 AND credit.escrow = 0, credit.units
         FROM batches
         CROSS JOIN batch_lines AS line ON line.seq = batches.seq
         CROSS JOIN batch_credits AS credit ON credit.seq = line.seq AND credit.line = line.line
         WHERE batches.final = 0 AND +batches.settled_block IS NOT NULL AND line.skipped IS NULL
           AND (line.org_id = ?1 OR (credit.payee = ?2 AND credit.escrow = 0))
         UNION ALL
         SELECT 1, payout.units
         FROM batches CROSS JOIN batch_payouts AS payout ON payout.seq = batches.seq
         WHERE batches.final = 0 AND +batches.settled_block IS NOT NULL AND batches.payouts_skipped = 0
           AND payout.payee = ?2",
    )
    .bind(org.0)
    .bind(columns::payee(Payee::Organization(org)))
    .fetch_all(connection)
    .await
    .map_err(StoreError::new)?;
    let mut in_transit = InTransit::default();
    for row in rows {
        let columns = Columns::of(&row);
        let units: u128 = columns.get("deposits.units")?;
        if columns.get_as("is_in", "deposits.units")? {
            in_transit.add_inward(units);
        } else {
            in_transit.add_outward(units);
        }
    }
    Ok(in_transit)
}
