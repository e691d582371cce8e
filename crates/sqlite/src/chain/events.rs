//! Raw events: stored whole, named by (transaction, log), and read back for replaying.

use crate::{
    columns::{self, Columns},
    db::WriteTx,
};
use haithe_billing::chain::{ChainEvent, EventBody};
use haithe_kernel::{StoreError, WalletAddress};
use sqlx::sqlite::SqliteRow;

/// An event with its number here.
pub(crate) struct Stored {
    pub(crate) id: i64,
    pub(crate) event: ChainEvent,
}

impl Stored {
    /// The block's number as the database counts.
    pub(crate) fn block(&self) -> Result<i64, StoreError> {
        columns::number(self.event.block, "chain_events.block")
    }

    /// `{transaction}/{log}`, the part of a ledger key that names the event.
    pub(crate) fn name(&self) -> String {
        format!("0x{}/{}", hex::encode(self.event.tx), self.event.log_index)
    }
}

/// The word for the event's kind in the database.
const fn kind(body: &EventBody) -> &'static str {
    match body {
        EventBody::OrganizationCreated { .. } => "organization_created",
        EventBody::OrganizationFunded { .. } => "organization_funded",
        EventBody::RoleChanged { .. } => "role_changed",
        EventBody::OwnershipOffered { .. } => "ownership_offered",
        EventBody::OwnershipTransferred { .. } => "ownership_transferred",
        EventBody::DailyCapChanged { .. } => "daily_cap_changed",
        EventBody::ProductEnabled { .. } => "product_enabled",
        EventBody::ProductDisabled { .. } => "product_disabled",
        EventBody::WithdrawalRequested { .. } => "withdrawal_requested",
        EventBody::WithdrawalExecuted { .. } => "withdrawal_executed",
        EventBody::WithdrawalCancelled { .. } => "withdrawal_cancelled",
        EventBody::ProductAdded { .. } => "product_added",
        EventBody::PriceChanged { .. } => "price_changed",
        EventBody::PriceScheduled { .. } => "price_scheduled",
        EventBody::UriChanged { .. } => "uri_changed",
        EventBody::ProductRetired { .. } => "product_retired",
        EventBody::CreatorRegistered { .. } => "creator_registered",
        EventBody::CreatorWithdrawn { .. } => "creator_withdrawn",
        EventBody::PayoutAddressProposed { .. } => "payout_address_proposed",
        EventBody::PayoutAddressCancelled { .. } => "payout_address_cancelled",
        EventBody::BatchSettled { .. } => "batch_settled",
        EventBody::LineSkipped { .. } => "line_skipped",
        EventBody::PlatformWithdrawn { .. } => "platform_withdrawn",
        EventBody::ServerChanged { .. } => "server_changed",
        EventBody::Paused => "paused",
        EventBody::Unpaused => "unpaused",
        EventBody::Transfer { .. } => "transfer",
    }
}

/// Whom an event is about: the organization, product or creator whose rows follow from it. A
/// transfer is about its receiver.
const fn subject(body: &EventBody) -> Option<WalletAddress> {
    match body {
        EventBody::OrganizationCreated { org, .. }
        | EventBody::OrganizationFunded { org, .. }
        | EventBody::RoleChanged { org, .. }
        | EventBody::OwnershipOffered { org, .. }
        | EventBody::OwnershipTransferred { org, .. }
        | EventBody::DailyCapChanged { org, .. }
        | EventBody::ProductEnabled { org, .. }
        | EventBody::ProductDisabled { org, .. }
        | EventBody::WithdrawalRequested { org, .. }
        | EventBody::WithdrawalExecuted { org, .. }
        | EventBody::WithdrawalCancelled { org }
        | EventBody::LineSkipped { org, .. } => Some(*org),
        EventBody::ProductAdded { product, .. }
        | EventBody::PriceChanged { product, .. }
        | EventBody::PriceScheduled { product, .. }
        | EventBody::UriChanged { product, .. }
        | EventBody::ProductRetired { product } => Some(*product),
        EventBody::CreatorRegistered { creator, .. }
        | EventBody::CreatorWithdrawn { creator, .. }
        | EventBody::PayoutAddressProposed { creator, .. }
        | EventBody::PayoutAddressCancelled { creator } => Some(*creator),
        EventBody::Transfer { to, .. } => Some(*to),
        EventBody::BatchSettled { .. }
        | EventBody::PlatformWithdrawn { .. }
        | EventBody::ServerChanged { .. }
        | EventBody::Paused
        | EventBody::Unpaused => None,
    }
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

/// Reads an event.
pub(crate) fn read(row: &SqliteRow) -> Result<Stored, StoreError> {
    let mut columns = Columns::of(row);
    let id = columns.read("chain_events.id")?;
    let tx = columns.read("chain_events.tx")?;
    let log_index = columns.read("chain_events.log_index")?;
    let block = columns.read("chain_events.block")?;
    let block_hash = columns.read("chain_events.block_hash")?;
    let block_time = columns.read("chain_events.block_time")?;
    let body: String = columns.read("chain_events.body")?;
    let body = serde_json::from_str(&body).map_err(|_| StoreError::inconsistent("chain_events.body"))?;
    let event = ChainEvent {
        block,
        block_hash,
        block_time,
        tx,
        log_index,
        body,
    };
    Ok(Stored { id, event })
}

impl WriteTx<'_> {
    /// Stores an event; `None` when it is there already.
    pub(crate) async fn store_event(&mut self, event: ChainEvent) -> Result<Option<Stored>, StoreError> {
        let insert =
            "INSERT INTO chain_events (tx, log_index, block, block_hash, block_time, kind, subject, body)
                      VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                      ON CONFLICT DO NOTHING RETURNING id";
        let body = serde_json::to_string(&event.body).map_err(StoreError::new)?;
        let statement = sqlx::query(insert)
            .bind(event.tx.to_vec())
            .bind(columns::number(event.log_index, "chain_events.log_index")?)
            .bind(columns::number(event.block, "chain_events.block")?)
            .bind(event.block_hash.to_vec())
            .bind(event.block_time.micros())
            .bind(kind(&event.body))
            .bind(subject(&event.body).map(columns::address))
            .bind(body);
        let Some(row) = self.optional(statement).await? else {
            return Ok(None);
        };
        let id = Columns::of(&row).read("chain_events.id")?;
        Ok(Some(Stored { id, event }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
