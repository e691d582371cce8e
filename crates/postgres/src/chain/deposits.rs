//! Rows of deposits.

use super::events::{event_id, log_id, named};
use crate::{
    columns::{self, Columns},
    write::WriteTx,
};
use haithe_billing::chain::{DroppedDeposit, LogId, PendingDeposit, SeenDeposit};
use haithe_kernel::{OrgId, StoreError};

impl WriteTx {
    /// Deposits with an amount that are not booked and count from this block or before.
    pub(super) async fn deposits_to_confirm(
        &mut self,
        block: u64,
    ) -> Result<Vec<PendingDeposit>, StoreError> {
        let ready = "SELECT event.tx, event.log_index, event.block AS seen_block, event.block_time,
                            deposits.org_id, deposits.block, deposits.amount, deposits.dust
                     FROM deposits JOIN chain_events AS event ON event.id = deposits.id
                     WHERE NOT confirmed AND amount IS NOT NULL AND deposits.block <= $1
                     ORDER BY deposits.block, deposits.id";
        let statement = sqlx::query(ready).bind(columns::number(block, "deposits.block")?);
        let rows = self.all(statement).await?;
        rows.iter()
            .map(|row| {
                let columns = Columns::of(row);
                Ok(PendingDeposit {
                    event: log_id(&columns)?,
                    seen_block: columns.get_as("seen_block", "chain_events.block")?,
                    seen_at: columns.get("chain_events.block_time")?,
                    org: columns.get("deposits.org_id")?,
                    block: columns.get("deposits.block")?,
                    amount: columns.get("deposits.amount")?,
                    dust: columns.get("deposits.dust")?,
                })
            })
            .collect()
    }

    /// Deposits that count from a block above this one.
    pub(super) async fn deposits_above(&mut self, block: u64) -> Result<Vec<DroppedDeposit>, StoreError> {
        let above = "SELECT event.tx, event.log_index, deposits.org_id, deposits.dust, deposits.confirmed
                     FROM deposits JOIN chain_events AS event ON event.id = deposits.id
                     WHERE deposits.block > $1";
        let statement = sqlx::query(above).bind(columns::number(block, "deposits.block")?);
        let rows = self.all(statement).await?;
        rows.iter()
            .map(|row| {
                let columns = Columns::of(row);
                Ok(DroppedDeposit {
                    event: log_id(&columns)?,
                    org: columns.get("deposits.org_id")?,
                    dust: columns.get("deposits.dust")?,
                    confirmed: columns.get("deposits.confirmed")?,
                })
            })
            .collect()
    }

    pub(super) async fn note_deposit(&mut self, deposit: SeenDeposit) -> Result<(), StoreError> {
        let insert = concat!(
            "INSERT INTO deposits (id, org_id, block, units, amount, dust) VALUES (",
            event_id!(),
            ", $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING"
        );
        let (tx, log_index) = named(deposit.event)?;
        let statement = sqlx::query(insert)
            .bind(tx)
            .bind(log_index)
            .bind(deposit.org.0)
            .bind(columns::number(deposit.block, "deposits.block")?)
            .bind(deposit.units.map(|units| units.to_string()))
            .bind(deposit.amount.map(|amount| amount.nano()))
            .bind(deposit.dust);
        self.execute(statement).await.map(drop)
    }

    pub(super) async fn confirm_deposit(&mut self, event: LogId) -> Result<(), StoreError> {
        let confirm = concat!("UPDATE deposits SET confirmed = TRUE WHERE id = ", event_id!());
        let (tx, log_index) = named(event)?;
        self.execute(sqlx::query(confirm).bind(tx).bind(log_index))
            .await
            .map(drop)
    }

    pub(super) async fn refuse_deposit(&mut self, event: LogId) -> Result<(), StoreError> {
        let refuse = concat!("UPDATE deposits SET amount = NULL WHERE id = ", event_id!());
        let (tx, log_index) = named(event)?;
        self.execute(sqlx::query(refuse).bind(tx).bind(log_index))
            .await
            .map(drop)
    }

    pub(super) async fn drop_deposit(&mut self, event: LogId) -> Result<(), StoreError> {
        let forget = concat!("DELETE FROM deposits WHERE id = ", event_id!());
        let (tx, log_index) = named(event)?;
        self.execute(sqlx::query(forget).bind(tx).bind(log_index))
            .await
            .map(drop)
    }

    /// The base units below a nano that are kept for an organization.
    pub(super) async fn set_dust(&mut self, org: OrgId, units: i64) -> Result<(), StoreError> {
        let update = "UPDATE org_books SET dust = $1 WHERE org_id = $2";
        self.execute(sqlx::query(update).bind(units).bind(org.0))
            .await
            .map(drop)
    }
}
