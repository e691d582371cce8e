//! What waits for a batch, and what cannot. The rules are [`haithe_billing::batch::waiting_charges`] and
//! [`UnsealableCharge`]'s.

use crate::{
    columns::{Columns, json_list, read_each},
    db::WriteTx,
};
use haithe_billing::batch::{UnsealableCharge, WaitingGroup, merge_waiting};
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

/// The waiting charges as they were last read. They are read twice a second, and there may be a hundred thousand
/// of them: only what is newer is read again, until a call gets a batch or loses it.
#[derive(Default)]
pub(super) struct KnownWaiting {
    /// [`Money::placements`](crate::ledger::memory::Money::placements) before they were read; `None` at first.
    placements: Option<u64>,
    /// The usage records that are left out.
    aside: BTreeSet<i64>,
    /// The newest usage record.
    newest: i64,
    groups: Vec<WaitingGroup>,
}

impl KnownWaiting {
    /// Reads what is newer, or all of it when calls were placed since, or others are set aside. `placements` is from
    /// before the snapshot began: when a transaction was committed in between, the next time reads all of it.
    pub(super) async fn update(
        &mut self,
        snapshot: &mut SqliteConnection,
        placements: u64,
        aside: BTreeSet<i64>,
    ) -> Result<Vec<WaitingGroup>, StoreError> {
        if self.placements != Some(placements) || self.aside != aside {
            *self = Self {
                placements: Some(placements),
                aside,
                ..Self::default()
            };
        }
        let (newer, newest) = groups_after(snapshot, self.newest, &self.aside).await?;
        self.newest = self.newest.max(newest);
        self.groups.extend(newer);
        self.groups = merge_waiting(std::mem::take(&mut self.groups));
        Ok(self.groups.clone())
    }
}

/// Waiting charges by organization and history, without those that were set aside.
pub(super) async fn groups(
    connection: &mut SqliteConnection,
    aside: &BTreeSet<i64>,
) -> Result<Vec<WaitingGroup>, StoreError> {
    let (groups, _) = groups_after(connection, 0, aside).await?;
    Ok(groups)
}

/// The same of usage records above a number, and the greatest number among them.
async fn groups_after(
    connection: &mut SqliteConnection,
    after: i64,
    aside: &BTreeSet<i64>,
) -> Result<(Vec<WaitingGroup>, i64), StoreError> {
    let waiting = "SELECT org_id, skipped, count(*) AS calls, sum(charged) AS amount,
                          min(finished_at) AS oldest, max(id) AS newest
                   FROM usage_records INDEXED BY usage_records_unsealed
                   WHERE batch_seq IS NULL AND charged > 0 AND id > ?
                     AND id NOT IN (SELECT value FROM json_each(?))
                   GROUP BY org_id, skipped";
    let statement = sqlx::query(waiting)
        .bind(after)
        .bind(json_list(aside.iter().copied()));
    let rows = read_each(connection, statement, |columns| {
        let newest: i64 = columns.get_as("newest", "usage_records.id")?;
        let group = WaitingGroup {
            org: columns.get("usage_records.org_id")?,
            was_skipped: columns.get("usage_records.skipped")?,
            calls: columns.get_as("calls", "usage_records.id")?,
            amount: columns.get_as("amount", "usage_records.charged")?,
            oldest: columns.get_as("oldest", "usage_records.finished_at")?,
        };
        Ok((group, newest))
    })
    .await?;
    let newest = rows.iter().map(|(_, newest)| *newest).max().unwrap_or(0);
    Ok((rows.into_iter().map(|(group, _)| group).collect(), newest))
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
