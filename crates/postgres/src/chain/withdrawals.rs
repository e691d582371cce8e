//! Rows of withdrawals.

use super::events::{event_id, log_id, named};
use crate::{
    columns::{self, Columns},
    db::Statement,
    write::WriteTx,
};
use haithe_billing::chain::{BookedEnd, ChainAmount, FrozenRequest, LogId, SeenEnd, StoredRequest};
use haithe_kernel::{OrgId, StoreError};
use sqlx::postgres::PgRow;

/// The columns that [`read`] reads, before a condition on `withdrawals`.
macro_rules! select_requests {
    ($rest:literal) => {
        concat!(
            "SELECT event.tx, event.log_index, event.block, event.block_time, withdrawals.org_id,
                    withdrawals.frozen, withdrawals.ready_at, withdrawals.ended, withdrawals.ended_block,
                    withdrawals.paid_units, withdrawals.booked, withdrawals.booked_block, withdrawals.dust_change
             FROM withdrawals JOIN chain_events AS event ON event.id = withdrawals.id ",
            $rest
        )
    };
}

fn read(row: &PgRow) -> Result<StoredRequest, StoreError> {
    let columns = Columns::of(row);
    let ended: Option<String> = columns.get("withdrawals.ended")?;
    let paid: ChainAmount = columns.get("withdrawals.paid_units")?;
    let end = match ended.as_deref() {
        None => None,
        Some("executed") => Some(SeenEnd::Executed(paid)),
        Some("cancelled") => Some(SeenEnd::Cancelled),
        Some(_) => return Err(StoreError::inconsistent("withdrawals.ended")),
    };
    let ended_block: Option<u64> = columns.get("withdrawals.ended_block")?;
    let booked: Option<String> = columns.get("withdrawals.booked")?;
    let booked = booked
        .map(|word| BookedEnd::from_word(&word).ok_or(StoreError::inconsistent("withdrawals.booked")))
        .transpose()?;
    let booked_block: Option<u64> = columns.get("withdrawals.booked_block")?;
    Ok(StoredRequest {
        event: log_id(&columns)?,
        org: columns.get("withdrawals.org_id")?,
        block: columns.get("chain_events.block")?,
        requested_at: columns.get("chain_events.block_time")?,
        frozen: columns.get("withdrawals.frozen")?,
        ready_at: columns.get("withdrawals.ready_at")?,
        end: end.zip(ended_block),
        booked: booked.zip(booked_block),
        dust_change: columns.get("withdrawals.dust_change")?,
    })
}

impl WriteTx {
    async fn requests(&mut self, statement: Statement) -> Result<Vec<StoredRequest>, StoreError> {
        self.all(statement).await?.iter().map(read).collect()
    }

    /// The organization's newest request in this block or before.
    pub(super) async fn newest_request(
        &mut self,
        org: OrgId,
        block: u64,
    ) -> Result<Option<StoredRequest>, StoreError> {
        let newest = select_requests!(
            "WHERE withdrawals.org_id = $1 AND withdrawals.block <= $2 ORDER BY withdrawals.id DESC LIMIT 1"
        );
        let statement = sqlx::query(newest)
            .bind(org.0)
            .bind(columns::number(block, "withdrawals.block")?);
        Ok(self.requests(statement).await?.pop())
    }

    /// The requests whose end is not booked.
    pub(super) async fn open_requests(&mut self) -> Result<Vec<StoredRequest>, StoreError> {
        let open = select_requests!("WHERE withdrawals.booked IS NULL ORDER BY withdrawals.id");
        self.requests(sqlx::query(open)).await
    }

    /// The requests of which anything happened above this block.
    pub(super) async fn requests_above(&mut self, block: u64) -> Result<Vec<StoredRequest>, StoreError> {
        let above = select_requests!(
            "WHERE withdrawals.id IN (SELECT id FROM withdrawals WHERE block > $1
                                      UNION SELECT id FROM withdrawals WHERE ended_block > $1
                                      UNION SELECT id FROM withdrawals WHERE booked_block > $1)
             ORDER BY withdrawals.id"
        );
        let statement = sqlx::query(above).bind(columns::number(block, "withdrawals.block")?);
        self.requests(statement).await
    }

    pub(super) async fn freeze(&mut self, request: FrozenRequest) -> Result<(), StoreError> {
        let insert = concat!(
            "INSERT INTO withdrawals (id, org_id, block, units, frozen, clamped, ready_at) VALUES (",
            event_id!(),
            ", $3, $4, $5, $6, $7, $8)"
        );
        let (tx, log_index) = named(request.event)?;
        let statement = sqlx::query(insert)
            .bind(tx)
            .bind(log_index)
            .bind(request.org.0)
            .bind(columns::number(request.block, "withdrawals.block")?)
            .bind(request.units.map(|units| units.to_string()))
            .bind(request.frozen.nano())
            .bind(request.clamped)
            .bind(request.ready_at.micros());
        self.execute(statement).await.map(drop)
    }

    pub(super) async fn end_request(
        &mut self,
        event: LogId,
        end: SeenEnd,
        block: u64,
    ) -> Result<(), StoreError> {
        let paid = match end {
            SeenEnd::Executed(units) => units.map(|units| units.to_string()),
            SeenEnd::Cancelled => None,
        };
        let update = concat!(
            "UPDATE withdrawals SET ended = $3, ended_block = $4, paid_units = $5 WHERE id = ",
            event_id!()
        );
        let (tx, log_index) = named(event)?;
        let statement = sqlx::query(update)
            .bind(tx)
            .bind(log_index)
            .bind(end.as_str())
            .bind(columns::number(block, "withdrawals.ended_block")?)
            .bind(paid);
        self.execute(statement).await.map(drop)
    }

    pub(super) async fn close_request(
        &mut self,
        event: LogId,
        end: BookedEnd,
        block: u64,
        dust: i64,
    ) -> Result<(), StoreError> {
        let update = concat!(
            "UPDATE withdrawals SET booked = $3, booked_block = $4, dust_change = $5 WHERE id = ",
            event_id!()
        );
        let (tx, log_index) = named(event)?;
        let statement = sqlx::query(update)
            .bind(tx)
            .bind(log_index)
            .bind(end.as_str())
            .bind(columns::number(block, "withdrawals.booked_block")?)
            .bind(dust);
        self.execute(statement).await.map(drop)
    }

    pub(super) async fn reopen_request(&mut self, event: LogId) -> Result<(), StoreError> {
        let reopen = concat!(
            "UPDATE withdrawals SET booked = NULL, booked_block = NULL, dust_change = 0 WHERE id = ",
            event_id!()
        );
        let (tx, log_index) = named(event)?;
        self.execute(sqlx::query(reopen).bind(tx).bind(log_index))
            .await
            .map(drop)
    }

    pub(super) async fn resume_request(&mut self, event: LogId) -> Result<(), StoreError> {
        let resume = concat!(
            "UPDATE withdrawals SET ended = NULL, ended_block = NULL, paid_units = NULL WHERE id = ",
            event_id!()
        );
        let (tx, log_index) = named(event)?;
        self.execute(sqlx::query(resume).bind(tx).bind(log_index))
            .await
            .map(drop)
    }

    pub(super) async fn drop_request(&mut self, event: LogId) -> Result<(), StoreError> {
        let forget = concat!("DELETE FROM withdrawals WHERE id = ", event_id!());
        let (tx, log_index) = named(event)?;
        self.execute(sqlx::query(forget).bind(tx).bind(log_index))
            .await
            .map(drop)
    }
}
