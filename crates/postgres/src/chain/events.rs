//! Raw events: stored whole, named by (transaction, log), and read back for replaying.

use crate::{
    columns::{self, Columns},
    write::WriteTx,
};
use haithe_billing::chain::{ChainEvent, EventFilter, Hash32, LogId};
use haithe_kernel::{StoreError, WalletAddress};
use sqlx::postgres::PgRow;

/// The columns that [`read`] reads, between two pieces of SQL.
macro_rules! select_events {
    ($rest:literal) => {
        concat!(
            "SELECT id, tx, log_index, block, block_hash, block_time, body FROM chain_events ",
            $rest
        )
    };
}
pub(crate) use select_events;

/// The number of the event that two values name: its transaction and its log.
macro_rules! event_id {
    () => {
        "(SELECT id FROM chain_events WHERE tx = $1 AND log_index = $2)"
    };
}
pub(super) use event_id;

/// Reads an event.
pub(crate) fn read(row: &PgRow) -> Result<ChainEvent, StoreError> {
    let columns = Columns::of(row);
    let body: String = columns.get("chain_events.body")?;
    let id = log_id(&columns)?;
    Ok(ChainEvent {
        block: columns.get("chain_events.block")?,
        block_hash: columns.get("chain_events.block_hash")?,
        block_time: columns.get("chain_events.block_time")?,
        tx: id.tx,
        log_index: id.log_index,
        body: serde_json::from_str(&body).map_err(|_| StoreError::inconsistent("chain_events.body"))?,
    })
}

/// Reads the name of an event.
pub(super) fn log_id(columns: &Columns<'_>) -> Result<LogId, StoreError> {
    Ok(LogId {
        tx: columns.get("chain_events.tx")?,
        log_index: columns.get("chain_events.log_index")?,
    })
}

/// The two values of [`event_id!`].
pub(super) fn named(id: LogId) -> Result<(Vec<u8>, i64), StoreError> {
    Ok((
        id.tx.to_vec(),
        columns::number(id.log_index, "chain_events.log_index")?,
    ))
}

/// Stores an event unless it is stored, returns a row if it was not, and counts the transaction once for its subject
/// and once for all: every part of the statement sees the events as they were before it.
const STORE: &str = "
    WITH stored AS (
        INSERT INTO chain_events (tx, log_index, block, block_hash, block_time, kind, subject, body)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (tx, log_index) DO NOTHING
        RETURNING tx, kind, subject
    ),
    counted AS (
        INSERT INTO chain_counts (subject, transactions)
        SELECT subject, 1 FROM stored
        WHERE subject IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM chain_events AS other WHERE other.tx = stored.tx AND other.subject = stored.subject
        )
        ON CONFLICT (subject) DO UPDATE SET transactions = chain_counts.transactions + 1
    ),
    totaled AS (
        UPDATE chain_totals SET transactions = chain_totals.transactions + 1
        FROM stored
        WHERE stored.kind <> 'transfer' AND NOT EXISTS (
            SELECT 1 FROM chain_events AS other WHERE other.tx = stored.tx AND other.kind <> 'transfer'
        )
    )
    SELECT kind FROM stored";

impl WriteTx {
    /// Stores an event; returns `false` when it is there already.
    pub(super) async fn store_event(&mut self, event: &ChainEvent) -> Result<bool, StoreError> {
        let body = serde_json::to_string(&event.body).map_err(StoreError::new)?;
        let (tx, log_index) = named(event.id())?;
        let statement = sqlx::query(STORE)
            .bind(tx)
            .bind(log_index)
            .bind(columns::number(event.block, "chain_events.block")?)
            .bind(event.block_hash.to_vec())
            .bind(event.block_time.micros())
            .bind(event.body.kind())
            .bind(event.body.subject().map(columns::address))
            .bind(body);
        Ok(self.optional(statement).await?.is_some())
    }

    /// Stored events, in the order of the chain.
    pub(super) async fn events(&mut self, filter: EventFilter) -> Result<Vec<ChainEvent>, StoreError> {
        let place = "chain_events.block";
        let statement = match filter {
            EventFilter::Pauses { to } => {
                let pauses = select_events!(
                    "WHERE kind IN ('paused', 'unpaused') AND block <= $1 ORDER BY block, log_index"
                );
                sqlx::query(pauses).bind(columns::number(to, place)?)
            }
            EventFilter::Inward { address } => {
                let inward = select_events!(
                    "WHERE subject = $1 AND kind IN ('transfer', 'organization_funded') ORDER BY block, log_index"
                );
                sqlx::query(inward).bind(columns::address(address))
            }
            EventFilter::Payouts { after, to } => {
                let payouts = select_events!(
                    "WHERE block > $1 AND block <= $2 AND kind IN ('creator_withdrawn', 'platform_withdrawn')
                     ORDER BY block, log_index"
                );
                sqlx::query(payouts)
                    .bind(counted(after, place)?)
                    .bind(columns::number(to, place)?)
            }
            EventFilter::About { subject } => {
                let about =
                    select_events!("WHERE subject = $1 AND kind <> 'transfer' ORDER BY block, log_index");
                sqlx::query(about).bind(columns::address(subject))
            }
            EventFilter::Above { block } => {
                let above =
                    select_events!("WHERE block > $1 AND subject IS NOT NULL ORDER BY block, log_index");
                sqlx::query(above).bind(columns::number(block, place)?)
            }
        };
        let rows = self.all(statement).await?;
        rows.iter().map(read).collect()
    }

    /// Whether the transaction has a stored `BatchSettled`.
    pub(super) async fn settles_a_batch(&mut self, tx: Hash32) -> Result<bool, StoreError> {
        let settles = "SELECT 1 FROM chain_events WHERE tx = $1 AND kind = 'batch_settled'";
        let row = self.optional(sqlx::query(settles).bind(tx.to_vec())).await?;
        Ok(row.is_some())
    }

    /// Whether an organization was created at the address after this position of the chain.
    pub(super) async fn is_created_after(
        &mut self,
        address: WalletAddress,
        (block, log_index): (u64, u64),
    ) -> Result<bool, StoreError> {
        let created = "SELECT 1 FROM chain_events WHERE kind = 'organization_created' AND subject = $1
                       AND (block, log_index) > ($2, $3)";
        let statement = sqlx::query(created)
            .bind(columns::address(address))
            .bind(columns::number(block, "chain_events.block")?)
            .bind(columns::number(log_index, "chain_events.log_index")?);
        Ok(self.optional(statement).await?.is_some())
    }
}

/// A block up to which something counts, as a column holds it: −1 before the first.
pub(super) fn counted(block: Option<u64>, place: &'static str) -> Result<i64, StoreError> {
    block.map_or(Ok(-1), |block| columns::number(block, place))
}
