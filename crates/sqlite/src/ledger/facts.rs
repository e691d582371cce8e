//! What the chain says about an organization's money beside its balances.

use super::scale::{Scale, capped};
use crate::columns::{self, Columns};
use haithe_billing::capture::Payee;
use haithe_kernel::{OrgId, StoreError, Usdt};
use sqlx::SqliteConnection;

/// Skipped lines in a row, for reasons of the organization's own, after which it is suspended.
const SKIPS: i64 = 3;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// Replaced as a whole whenever an indexed block changes any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct OrgFacts {
    /// Base units of confirmed deposits that are below a nano.
    pub(crate) dust: i128,
    /// Base units seen on their way in and not booked: deposits, and payments by batches.
    pub(crate) unconfirmed_in: i128,
    /// Base units seen on their way out and not booked: settled lines and withdrawals.
    pub(crate) unconfirmed_out: i128,
    /// The tightest daily cap now or scheduled, in nano-USDT; `None` for no cap.
    pub(crate) daily_cap: Option<i128>,
    /// The day of the newest block, and what was settled on it, in nano-USDT.
    pub(crate) settled: (i64, i128),
    /// Its charges could not be settled three times in a row.
    pub(crate) suspended: bool,
    /// A withdrawal of more than the ledger can count is requested: nothing can be spent.
    pub(crate) halted: bool,
}

impl OrgFacts {
    /// What its contract holds at the index's head, when `chain` is the balance of its mirror.
    pub(crate) fn onchain(&self, chain: i128, scale: Scale) -> Usdt {
        let units = scale.to_units(-chain) + self.dust + self.unconfirmed_in - self.unconfirmed_out;
        capped(scale.to_nano(units).0)
    }

    /// What the daily cap leaves on `day` beside these charges and holds; `None` for no cap.
    pub(crate) fn cap_left(&self, day: i64, unsettled: i128, held: i128) -> Option<i128> {
        let (settled_day, amount) = self.settled;
        let settled_today = if settled_day >= day { amount } else { 0 };
        Some(self.daily_cap? - settled_today - unsettled - held)
    }

    /// Reads them.
    pub(crate) async fn read(
        connection: &mut SqliteConnection,
        org: OrgId,
        scale: Scale,
    ) -> Result<Self, StoreError> {
        let mut facts = Self::read_state(connection, org, scale).await?;
        (facts.unconfirmed_in, facts.unconfirmed_out) = unconfirmed(connection, org).await?;
        Ok(facts)
    }

    async fn read_state(
        connection: &mut SqliteConnection,
        org: OrgId,
        scale: Scale,
    ) -> Result<Self, StoreError> {
        let row = sqlx::query(
            "SELECT dust, daily_cap,
                coalesce((SELECT max(time) FROM chain_blocks), 0) / ?2 AS today,
                coalesce((
                    SELECT sum(credit.amount)
                    FROM batch_lines AS line
                    CROSS JOIN batches ON batches.seq = line.seq
                    CROSS JOIN batch_credits AS credit ON credit.seq = line.seq AND credit.line = line.line
                    WHERE line.org_id = ?1 AND line.skipped IS NULL
                      AND line.seq >= (SELECT seq FROM batches
                                       WHERE settled_at >= (SELECT max(time) FROM chain_blocks) / ?2 * ?2
                                       ORDER BY settled_at, seq LIMIT 1)
                      AND batches.settled_at >= (SELECT max(time) FROM chain_blocks) / ?2 * ?2
                ), 0),
                (
                    SELECT count(*) FROM batch_lines AS line CROSS JOIN batches ON batches.seq = line.seq
                    WHERE line.org_id = ?1 AND batches.final = 1 AND line.seq >= org_books.skips_since
                      AND (line.skipped IN ('insufficient_funds', 'daily_cap') OR line.blamed = 'payer')
                      AND line.seq > coalesce((
                          SELECT settled.seq FROM batch_lines AS settled
                          CROSS JOIN batches ON batches.seq = settled.seq
                          WHERE settled.org_id = ?1 AND settled.skipped IS NULL AND batches.final = 1
                          ORDER BY settled.seq DESC LIMIT 1
                      ), -1)
                ),
                EXISTS (SELECT 1 FROM withdrawals WHERE org_id = ?1 AND booked IS NULL AND clamped = 1)
             FROM org_books WHERE org_id = ?1",
        )
        .bind(org.0)
        .bind(DAY)
        .fetch_one(connection)
        .await
        .map_err(StoreError::new)?;
        let mut columns = Columns::of(&row);
        let dust: i64 = columns.read("org_books.dust")?;
        let daily_cap: Option<u128> = columns.read("org_books.daily_cap")?;
        let today: i64 = columns.read("chain_blocks.time")?;
        let settled: i64 = columns.read("batch_credits.amount")?;
        let skips: i64 = columns.read("batch_lines.skipped")?;
        Ok(Self {
            dust: i128::from(dust),
            daily_cap: daily_cap
                .and_then(|cap| i128::try_from(cap).ok())
                .map(|cap| scale.to_nano(cap).0),
            settled: (today, i128::from(settled)),
            suspended: skips >= SKIPS,
            halted: columns.read("withdrawals.clamped")?,
            ..Self::default()
        })
    }
}

/// Base units seen on their way in and out, and not booked.
pub(crate) async fn unconfirmed(
    connection: &mut SqliteConnection,
    org: OrgId,
) -> Result<(i128, i128), StoreError> {
    let rows = sqlx::query(
        "SELECT 1, units FROM deposits WHERE org_id = ?1 AND confirmed = 0 AND amount IS NOT NULL
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
    let (mut inward, mut outward) = (0i128, 0i128);
    for row in rows {
        let mut columns = Columns::of(&row);
        let is_in: bool = columns.read("deposits.units")?;
        let units: u128 = columns.read("deposits.units")?;
        let units = i128::try_from(units).map_err(|_| StoreError::inconsistent("deposits.units"))?;
        let side = if is_in { &mut inward } else { &mut outward };
        *side = side.saturating_add(units);
    }
    Ok((inward, outward))
}
