//! [`TreasuryStore`] on SQLite: withdrawals and daily caps as the index has them. What follows from its events is
//! decided by `haithe_billing::treasury`.

use crate::{
    chain::{read_event, select_events},
    columns::Columns,
    db::{Db, Statement},
};
use async_trait::async_trait;
use haithe_billing::{
    chain::{ChainEvent, EventBody},
    ports::TreasuryStore,
    treasury::{ActiveClock, CapChange, Withdrawal, WithdrawalEnd, cap_changes},
};
use haithe_kernel::{Listed, OrgId, Page, StoreError, Timestamp};
use sqlx::sqlite::SqliteRow;

/// [`TreasuryStore`] on SQLite.
#[derive(Clone)]
pub struct SqliteTreasuryStore {
    db: Db,
}

impl SqliteTreasuryStore {
    /// Withdrawals and daily caps of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }

    async fn events(&self, statement: Statement) -> Result<Vec<ChainEvent>, StoreError> {
        let rows = self.db.all(statement).await?;
        rows.iter().map(|row| Ok(read_event(row)?.event)).collect()
    }

    async fn pauses(&self) -> Result<Vec<ChainEvent>, StoreError> {
        let all = select_events!("WHERE kind IN ('paused', 'unpaused') ORDER BY block, log_index");
        self.events(sqlx::query(all)).await
    }
}

#[async_trait]
impl TreasuryStore for SqliteTreasuryStore {
    async fn clock(&self) -> Result<ActiveClock, StoreError> {
        let head = "SELECT time FROM chain_blocks ORDER BY number DESC LIMIT 1";
        let head = match self.db.optional(sqlx::query(head)).await? {
            Some(row) => Columns::of(&row).get("chain_blocks.time")?,
            None => Timestamp::from_seconds(0),
        };
        Ok(ActiveClock::after(head, &self.pauses().await?))
    }

    async fn withdrawals(&self, org: OrgId, page: Page) -> Result<Listed<Withdrawal>, StoreError> {
        let count = sqlx::query("SELECT count(*) AS count FROM withdrawals WHERE org_id = ?").bind(org.0);
        let rows =
            "SELECT withdrawals.id AS id, chain_events.tx AS tx, chain_events.block_time AS block_time,
                           chain_events.body AS body, withdrawals.ready_at AS ready_at,
                           withdrawals.ended AS ended, withdrawals.paid_units AS paid_units,
                           withdrawals.booked AS booked
                    FROM withdrawals JOIN chain_events ON chain_events.id = withdrawals.id
                    WHERE withdrawals.org_id = ? ORDER BY withdrawals.id DESC LIMIT ? OFFSET ?";
        let rows = sqlx::query(rows)
            .bind(org.0)
            .bind(page.limit())
            .bind(page.offset());
        self.db.listed(count, rows, withdrawal).await
    }

    async fn cap_changes(&self, org: OrgId) -> Result<Vec<CapChange>, StoreError> {
        let said = select_events!(
            "WHERE subject = (SELECT address FROM organizations WHERE id = ?)
               AND kind = 'daily_cap_changed' ORDER BY block, log_index"
        );
        let said = self.events(sqlx::query(said).bind(org.0)).await?;
        Ok(cap_changes(&said, &self.pauses().await?))
    }
}

fn withdrawal(row: &SqliteRow) -> Result<Withdrawal, StoreError> {
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
