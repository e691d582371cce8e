//! Raw events: stored whole, named by (transaction, log), and read back for replaying.

use crate::{
    columns::{self, Columns},
    db::WriteTx,
};
use haithe_billing::chain::{ChainEvent, EventFilter, Hash32, LogId};
use haithe_kernel::{StoreError, WalletAddress};
use sqlx::sqlite::SqliteRow;

/// A stored event.
pub(crate) struct Stored {
    pub(crate) event: ChainEvent,
}

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
        "(SELECT id FROM chain_events WHERE tx = ? AND log_index = ?)"
    };
}
pub(super) use event_id;

/// Reads an event.
pub(crate) fn read(row: &SqliteRow) -> Result<Stored, StoreError> {
    let columns = Columns::of(row);
    let body: String = columns.get("chain_events.body")?;
    let id = log_id(&columns)?;
    let event = ChainEvent {
        block: columns.get("chain_events.block")?,
        block_hash: columns.get("chain_events.block_hash")?,
        block_time: columns.get("chain_events.block_time")?,
        tx: id.tx,
        log_index: id.log_index,
        body: serde_json::from_str(&body).map_err(|_| StoreError::inconsistent("chain_events.body"))?,
    };
    Ok(Stored { event })
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

impl WriteTx<'_> {
    /// Stores an event; returns `false` when it is there already.
    pub(super) async fn store_event(&mut self, event: &ChainEvent) -> Result<bool, StoreError> {
        let insert =
            "INSERT INTO chain_events (tx, log_index, block, block_hash, block_time, kind, subject, body)
                      VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
        let body = serde_json::to_string(&event.body).map_err(StoreError::new)?;
        let (tx, log_index) = named(event.id())?;
        let statement = sqlx::query(insert)
            .bind(tx)
            .bind(log_index)
            .bind(columns::number(event.block, "chain_events.block")?)
            .bind(event.block_hash.to_vec())
            .bind(event.block_time.micros())
            .bind(event.body.kind())
            .bind(event.body.subject().map(columns::address))
            .bind(body);
        Ok(self.execute(statement).await? > 0)
    }

    /// Stored events, in the order of the chain.
    pub(super) async fn events(&mut self, filter: EventFilter) -> Result<Vec<ChainEvent>, StoreError> {
        let place = "chain_events.block";
        let statement = match filter {
            EventFilter::Pauses { to } => {
                let pauses = select_events!(
                    "WHERE kind IN ('paused', 'unpaused') AND block <= ? ORDER BY block, log_index"
                );
                sqlx::query(pauses).bind(columns::number(to, place)?)
            }
            EventFilter::Inward { address } => {
                let inward = select_events!(
                    "WHERE subject = ? AND kind IN ('transfer', 'organization_funded') ORDER BY block, log_index"
                );
                sqlx::query(inward).bind(columns::address(address))
            }
            EventFilter::Payouts { after, to } => {
                let payouts = select_events!(
                    "WHERE block > ? AND block <= ? AND kind IN ('creator_withdrawn', 'platform_withdrawn')
                     ORDER BY block, log_index"
                );
                sqlx::query(payouts)
                    .bind(counted(after, place)?)
                    .bind(columns::number(to, place)?)
            }
            EventFilter::About { subject } => {
                let about =
                    select_events!("WHERE subject = ? AND kind <> 'transfer' ORDER BY block, log_index");
                sqlx::query(about).bind(columns::address(subject))
            }
            EventFilter::Above { block } => {
                let above =
                    select_events!("WHERE block > ? AND subject IS NOT NULL ORDER BY block, log_index");
                sqlx::query(above).bind(columns::number(block, place)?)
            }
        };
        let rows = self.all(statement).await?;
        rows.iter().map(|row| Ok(read(row)?.event)).collect()
    }

    /// Whether the transaction has a stored `BatchSettled`.
    pub(super) async fn settles_a_batch(&mut self, tx: Hash32) -> Result<bool, StoreError> {
        let settles = "SELECT 1 FROM chain_events WHERE tx = ? AND kind = 'batch_settled'";
        let row = self.optional(sqlx::query(settles).bind(tx.to_vec())).await?;
        Ok(row.is_some())
    }

    /// Whether an organization was created at the address after this position of the chain.
    pub(super) async fn is_created_after(
        &mut self,
        address: WalletAddress,
        (block, log_index): (u64, u64),
    ) -> Result<bool, StoreError> {
        let created = "SELECT 1 FROM chain_events WHERE kind = 'organization_created' AND subject = ?
                       AND (block, log_index) > (?, ?)";
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

#[cfg(test)]
mod tests {
    use haithe_billing::chain::EventBody;
    use haithe_kernel::WalletAddress;

    #[test]
    fn amounts_up_to_128_bits_and_beyond_read_back_from_their_text() {
        let to = WalletAddress::new([1; 20]);
        for amount in [Some(0), Some(u128::from(u64::MAX) + 1), Some(u128::MAX), None] {
            let body = EventBody::Transfer { from: to, to, amount };
            let text = serde_json::to_string(&body).unwrap();
            assert_eq!(serde_json::from_str::<EventBody>(&text).unwrap(), body);
        }
    }
}
