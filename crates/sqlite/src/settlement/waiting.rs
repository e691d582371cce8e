//! What waits for a batch, and what cannot.

use crate::{
    columns::{Columns, read_each},
    db::WriteTx,
};
use haithe_billing::batch::{Payers, WaitingCharges};
use haithe_kernel::{CallId, OrgId, StoreError, Timestamp};
use sqlx::SqliteConnection;
use std::collections::BTreeSet;

/// Numbers as the text of a JSON list, for `json_each`.
pub(super) fn list(numbers: impl IntoIterator<Item = i64>) -> String {
    let numbers: Vec<String> = numbers.into_iter().map(|number| number.to_string()).collect();
    format!("[{}]", numbers.join(","))
}

/// Waiting charges by organization, without those that were set aside.
pub(super) async fn by_org(
    connection: &mut SqliteConnection,
    aside: &BTreeSet<i64>,
    payers: &Payers,
) -> Result<Vec<WaitingCharges>, StoreError> {
    let waiting = "SELECT org_id,
                          count(*) FILTER (WHERE skipped = 0),
                          coalesce(sum(charged) FILTER (WHERE skipped = 0), 0),
                          min(finished_at) FILTER (WHERE skipped = 0),
                          count(*) FILTER (WHERE skipped = 1)
                   FROM usage_records
                   WHERE batch_seq IS NULL AND charged > 0
                     AND id NOT IN (SELECT value FROM json_each(?))
                   GROUP BY org_id ORDER BY org_id";
    let statement = sqlx::query(waiting).bind(list(aside.iter().copied()));
    read_each(connection, statement, |columns| {
        let org = columns.read("usage_records.org_id")?;
        Ok(WaitingCharges {
            org,
            withdrawing: payers.withdrawing.contains(&org),
            items: columns.read("usage_records.id")?,
            amount: columns.read("usage_records.charged")?,
            oldest: columns.read("usage_records.finished_at")?,
            skipped: columns.read("usage_records.skipped")?,
        })
    })
    .await
}

impl WriteTx<'_> {
    /// Raises one alarm for each charge that no batch can contain.
    pub(super) async fn alarm_unsealable(
        &mut self,
        usage: &[i64],
        reason: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for id in usage {
            let charge = "SELECT call, org_id FROM usage_records WHERE id = ?";
            let Some(row) = self.optional(sqlx::query(charge).bind(*id)).await? else {
                continue;
            };
            let mut columns = Columns::of(&row);
            let call: CallId = columns.read("usage_records.call")?;
            let org: OrgId = columns.read("usage_records.org_id")?;
            let detail = format!("call {call} of organization {org} cannot be settled: {reason}");
            // Block 0: no reorganization takes it back.
            self.alarm_at("unsealable_charge", 0, now, detail).await?;
        }
        Ok(())
    }
}
