//! [`TreasuryStore`] on SQLite: withdrawals and daily caps as the index has them.

use crate::{
    chain::{Paused, read_event, select_events},
    columns::Columns,
    db::{Db, Statement},
};
use async_trait::async_trait;
use haithe_billing::{
    chain::{ChainEvent, EventBody},
    ports::TreasuryStore,
    treasury::{ActiveClock, CapChange, Withdrawal, WithdrawalEnd},
};
use haithe_kernel::{Listed, OrgId, Page, StoreError, Timestamp, TokenUnits};
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
            Some(row) => Columns::of(&row).read("chain_blocks.time")?,
            None => Timestamp::from_seconds(0),
        };
        let mut paused = Paused::default();
        for event in self.pauses().await? {
            paused.see(&event);
        }
        Ok(ActiveClock {
            head,
            paused_for: paused.until(head),
            paused_until: paused.ends_at(head),
        })
    }

    async fn withdrawals(&self, org: OrgId, page: Page) -> Result<Listed<Withdrawal>, StoreError> {
        let count = sqlx::query("SELECT count(*) AS count FROM withdrawals WHERE org_id = ?").bind(org.0);
        let rows = "SELECT withdrawals.id, chain_events.tx, chain_events.block_time, chain_events.body,
                           withdrawals.ready_at, withdrawals.ended, withdrawals.paid_units, withdrawals.booked
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
        let pauses = self.pauses().await?;
        let (mut paused, mut pauses) = (Paused::default(), pauses.iter().peekable());
        let mut changes = Vec::with_capacity(said.len());
        for event in said {
            let place = |event: &ChainEvent| (event.block, event.log_index);
            while let Some(pause) = pauses.next_if(|pause| place(pause) < place(&event)) {
                paused.see(pause);
            }
            let EventBody::DailyCapChanged {
                cap, effective_at, ..
            } = event.body
            else {
                continue;
            };
            changes.push(CapChange {
                said_at: event.block_time.minus(paused.until(event.block_time)),
                effective_at,
                cap: cap.filter(|cap| *cap < u128::MAX).map(TokenUnits::new),
            });
        }
        Ok(changes)
    }
}

fn withdrawal(row: &SqliteRow) -> Result<Withdrawal, StoreError> {
    let broken = || StoreError::inconsistent("chain_events.body");
    let mut columns = Columns::of(row);
    let id = columns.read("withdrawals.id")?;
    let tx = columns.read("chain_events.tx")?;
    let requested_at = columns.read("chain_events.block_time")?;
    let body: String = columns.read("chain_events.body")?;
    let ready_at = columns.read("withdrawals.ready_at")?;
    let ended: Option<String> = columns.read("withdrawals.ended")?;
    let paid: Option<u128> = columns.read("withdrawals.paid_units")?;
    let booked: Option<String> = columns.read("withdrawals.booked")?;
    let EventBody::WithdrawalRequested { to, amount, .. } =
        serde_json::from_str(&body).map_err(|_| broken())?
    else {
        return Err(broken());
    };
    let end = match (ended.as_deref(), booked.as_deref()) {
        (Some("executed"), _) => Some(WithdrawalEnd::Executed(paid)),
        (Some(_), _) => Some(WithdrawalEnd::Cancelled),
        (None, Some(_)) => Some(WithdrawalEnd::Void),
        (None, None) => None,
    };
    Ok(Withdrawal {
        id,
        tx,
        requested_at,
        to,
        amount,
        ready_at,
        end,
        settled: booked.is_some(),
    })
}
