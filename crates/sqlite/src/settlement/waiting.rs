//! What waits for a batch, and what cannot. The rules are [`haithe_billing::batch::waiting_charges`] and
//! [`UnsealableCharge`]'s.

use crate::{
    columns::{Columns, json_list, read_each},
    db::WriteTx,
};
use haithe_billing::batch::{UnsealableCharge, WaitingGroup};
use haithe_kernel::{CallId, StoreError, Timestamp};
use sqlx::SqliteConnection;
use std::collections::BTreeSet;

/// The usage records of calls that are set aside.
pub(super) async fn aside(
    connection: &mut SqliteConnection,
    calls: &BTreeSet<CallId>,
) -> Result<BTreeSet<i64>, StoreError> {
    let mut usage = BTreeSet::new();
    for call in calls {
        let id = "SELECT id FROM usage_records WHERE call = ?";
        let row = sqlx::query(id)
            .bind(crate::columns::uuid(call.0))
            .fetch_optional(&mut *connection)
            .await
            .map_err(StoreError::new)?;
        if let Some(row) = row {
            usage.insert(Columns::of(&row).get("usage_records.id")?);
        }
    }
    Ok(usage)
}

/// Waiting charges by organization and history, without those that were set aside.
pub(super) async fn groups(
    connection: &mut SqliteConnection,
    aside: &BTreeSet<i64>,
) -> Result<Vec<WaitingGroup>, StoreError> {
    let waiting = "SELECT org_id, skipped, count(*) AS calls, sum(charged) AS amount,
                          min(finished_at) AS oldest
                   FROM usage_records
                   WHERE batch_seq IS NULL AND charged > 0
                     AND id NOT IN (SELECT value FROM json_each(?))
                   GROUP BY org_id, skipped";
    let statement = sqlx::query(waiting).bind(json_list(aside.iter().copied()));
    read_each(connection, statement, |columns| {
        Ok(WaitingGroup {
            org: columns.get("usage_records.org_id")?,
            was_skipped: columns.get("usage_records.skipped")?,
            calls: columns.get_as("calls", "usage_records.id")?,
            amount: columns.get_as("amount", "usage_records.charged")?,
            oldest: columns.get_as("oldest", "usage_records.finished_at")?,
        })
    })
    .await
}

/// The charge of a call that waits for a batch; `None` when it does not.
pub(super) async fn charge(
    connection: &mut SqliteConnection,
    call: CallId,
) -> Result<Option<UnsealableCharge>, StoreError> {
    let waiting = "SELECT org_id FROM usage_records WHERE call = ? AND batch_seq IS NULL";
    let row = sqlx::query(waiting)
        .bind(crate::columns::uuid(call.0))
        .fetch_optional(connection)
        .await
        .map_err(StoreError::new)?;
    row.map(|row| {
        let org = Columns::of(&row).get("usage_records.org_id")?;
        Ok(UnsealableCharge { call, org })
    })
    .transpose()
}

impl WriteTx<'_> {
    /// Raises one alarm for each charge that no batch can contain.
    pub(super) async fn alarm_unsealable(
        &mut self,
        charges: &[UnsealableCharge],
        reason: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for charge in charges {
            // Block 0: no reorganization takes it back.
            self.alarm_at(UnsealableCharge::ALARM, 0, now, charge.detail(reason))
                .await?;
        }
        Ok(())
    }
}
