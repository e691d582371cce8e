//! [`TreasuryStore`] on PostgreSQL: withdrawals and daily caps as the index has them. What follows from its events is
//! decided by `haithe_billing::treasury`.

use crate::{
    chain::{read_event, select_events},
    columns::Columns,
    db::{Db, Statement},
    ledger::read::ReadRows,
    reads::read_first,
};
use async_trait::async_trait;
use haithe_billing::{
    chain::{ChainEvent, EventBody},
    ports::TreasuryStore,
    treasury::{ActiveClock, CapChange, Withdrawal, WithdrawalEnd, cap_changes},
};
use haithe_kernel::{Listed, OrgId, Page, StoreError, Timestamp};
use sqlx::postgres::PgRow;

/// [`TreasuryStore`] on PostgreSQL.
#[derive(Clone)]
pub struct PgTreasuryStore {
    db: Db,
}

impl PgTreasuryStore {
    /// Withdrawals and daily caps of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

const HEAD: &str = "SELECT time FROM chain_blocks ORDER BY number DESC LIMIT 1";
const PAUSES: &str = select_events!("WHERE kind IN ('paused', 'unpaused') ORDER BY block, log_index");
const CAPS: &str = select_events!(
    "WHERE subject = (SELECT address FROM organizations WHERE id = $1)
       AND kind = 'daily_cap_changed' ORDER BY block, log_index"
);
const COUNT: &str = "SELECT count(*) AS count FROM withdrawals WHERE org_id = $1";
const OF_ORG: &str = "
    SELECT withdrawals.id, chain_events.tx, chain_events.block_time, chain_events.body, withdrawals.ready_at,
           withdrawals.ended, withdrawals.paid_units, withdrawals.booked
    FROM withdrawals JOIN chain_events ON chain_events.id = withdrawals.id
    WHERE withdrawals.org_id = $1 ORDER BY withdrawals.id DESC LIMIT $2 OFFSET $3";

async fn events(moment: &mut impl ReadRows, statement: Statement) -> Result<Vec<ChainEvent>, StoreError> {
    moment.rows(statement).await?.iter().map(read_event).collect()
}

#[async_trait]
impl TreasuryStore for PgTreasuryStore {
    async fn clock(&self) -> Result<ActiveClock, StoreError> {
        let mut moment = self.db.snapshot().await?;
        let head = read_first(&mut moment, sqlx::query(HEAD), |columns| {
            columns.get("chain_blocks.time")
        });
        let head = head.await?.unwrap_or(Timestamp::from_seconds(0));
        let pauses = events(&mut moment, sqlx::query(PAUSES)).await?;
        Ok(ActiveClock::after(head, &pauses))
    }

    async fn withdrawals(&self, org: OrgId, page: Page) -> Result<Listed<Withdrawal>, StoreError> {
        let rows = (sqlx::query(OF_ORG).bind(org.0), page);
        self.db
            .listed(sqlx::query(COUNT).bind(org.0), rows, withdrawal)
            .await
    }

    async fn cap_changes(&self, org: OrgId) -> Result<Vec<CapChange>, StoreError> {
        let mut moment = self.db.snapshot().await?;
        let said = events(&mut moment, sqlx::query(CAPS).bind(org.0)).await?;
        let pauses = events(&mut moment, sqlx::query(PAUSES)).await?;
        Ok(cap_changes(&said, &pauses))
    }
}

fn withdrawal(row: &PgRow) -> Result<Withdrawal, StoreError> {
    let broken = || StoreError::inconsistent("chain_events.body");
    let columns = Columns::of(row);
    let body: String = columns.get("chain_events.body")?;
    let EventBody::WithdrawalRequested { to, amount, .. } =
        serde_json::from_str(&body).map_err(|_| broken())?
    else {
        return Err(broken());
    };
    let ended: Option<String> = columns.get("withdrawals.ended")?;
    let seen = match ended.as_deref() {
        Some("executed") => Some(WithdrawalEnd::Executed(columns.get("withdrawals.paid_units")?)),
        Some(_) => Some(WithdrawalEnd::Cancelled),
        None => None,
    };
    let booked: Option<String> = columns.get("withdrawals.booked")?;
    Ok(Withdrawal {
        id: columns.get("withdrawals.id")?,
        tx: columns.get("chain_events.tx")?,
        requested_at: columns.get("chain_events.block_time")?,
        to,
        amount,
        ready_at: columns.get("withdrawals.ready_at")?,
        end: WithdrawalEnd::of(seen, booked.is_some()),
        settled: booked.is_some(),
    })
}
