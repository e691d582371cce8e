//! What waits for a batch, and what cannot. The rules are [`haithe_billing::batch::waiting_charges`] and
//! [`UnsealableCharge`]'s.

use crate::{
    columns::{self, Columns},
    lease::Duty,
    ledger::read::ReadRows,
    reads::{read_each, read_first},
    write::WriteTx,
};
use haithe_billing::{
    batch::{UnsealableCharge, WaitingGroup},
    chain::IndexAlarm,
};
use haithe_kernel::{CallId, StoreError, Timestamp};
use std::collections::BTreeSet;

const ASIDE: &str = "SELECT id FROM usage_records WHERE call = ANY($1)";
const GROUPS: &str = "
    SELECT org_id, skipped, count(*) AS calls, sum(charged)::BIGINT AS amount, min(finished_at) AS oldest
    FROM usage_records WHERE batch_seq IS NULL AND charged > 0 AND id <> ALL($1)
    GROUP BY org_id, skipped";
const NOW: &str = "SELECT (extract(epoch FROM now()) * 1000000)::BIGINT AS now";
const CHARGE: &str = "SELECT org_id FROM usage_records WHERE call = $1 AND batch_seq IS NULL";

/// The usage records of calls that are set aside.
pub(super) async fn aside(
    from: &mut impl ReadRows,
    calls: &BTreeSet<CallId>,
) -> Result<BTreeSet<i64>, StoreError> {
    if calls.is_empty() {
        return Ok(BTreeSet::new());
    }
    let calls: Vec<Vec<u8>> = calls.iter().map(|call| columns::uuid(call.0)).collect();
    let usage = read_each(from, sqlx::query(ASIDE).bind(calls), |columns| {
        columns.get("usage_records.id")
    });
    Ok(usage.await?.into_iter().collect())
}

/// Waiting charges by organization and history, without those that were set aside.
pub(super) async fn groups(
    from: &mut impl ReadRows,
    aside: &BTreeSet<i64>,
) -> Result<Vec<WaitingGroup>, StoreError> {
    let aside: Vec<i64> = aside.iter().copied().collect();
    read_each(from, sqlx::query(GROUPS).bind(aside), |columns| {
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
    from: &mut impl ReadRows,
    call: CallId,
) -> Result<Option<UnsealableCharge>, StoreError> {
    let waiting = sqlx::query(CHARGE).bind(columns::uuid(call.0));
    read_first(from, waiting, |columns| {
        let org = columns.get("usage_records.org_id")?;
        Ok(UnsealableCharge { call, org })
    })
    .await
}

/// Raises one alarm for each charge that no batch can contain.
pub(super) async fn alarm_unsealable(
    write: &mut WriteTx,
    charges: &[UnsealableCharge],
    reason: &str,
) -> Result<(), StoreError> {
    write.current_lease(Duty::Settlement).await?;
    let now = write.one(sqlx::query(NOW)).await?;
    let now: Timestamp = Columns::of(&now).get("alarms.now")?;
    for charge in charges {
        let alarm = IndexAlarm {
            kind: UnsealableCharge::ALARM,
            detail: charge.detail(reason),
            // No reorganization takes it back.
            block: 0,
            raised_at: now,
        };
        tracing::error!(
            kind = alarm.kind.as_str(),
            block = alarm.block,
            "{}",
            alarm.detail
        );
        write.raise(alarm).await?;
    }
    Ok(())
}
