//! Alarms: what must not be, and is not repaired here.

use crate::{
    columns::{self, Columns},
    db::{Db, WriteTx},
};
use haithe_billing::chain::{AlarmKind, IndexAlarm};
use haithe_kernel::{StoreError, Timestamp};

/// Something that must not be. It stays until its block is rewound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// A stable word, such as `unknown_batch`.
    pub kind: String,
    /// What was seen, for the operator.
    pub detail: String,
    /// The block in which it was seen.
    pub block: u64,
    /// That block's time.
    pub raised_at: Timestamp,
}

/// All of them, newest first.
pub(super) async fn all(db: &Db) -> Result<Vec<Alarm>, StoreError> {
    let all = "SELECT kind, detail, block, raised_at FROM alarms ORDER BY id DESC";
    let rows = db.all(sqlx::query(all)).await?;
    rows.iter()
        .map(|row| {
            let columns = Columns::of(row);
            Ok(Alarm {
                kind: columns.get("alarms.kind")?,
                detail: columns.get("alarms.detail")?,
                block: columns.get("alarms.block")?,
                raised_at: columns.get("alarms.raised_at")?,
            })
        })
        .collect()
}

impl WriteTx<'_> {
    /// Stores an alarm that the rules raised; the same alarm again changes nothing.
    pub(super) async fn raise(&mut self, alarm: IndexAlarm) -> Result<(), StoreError> {
        let block = columns::number(alarm.block, "alarms.block")?;
        self.alarm_at(alarm.kind, block, alarm.raised_at, alarm.detail)
            .await
    }

    /// Raises an alarm about a block.
    pub(crate) async fn alarm_at(
        &mut self,
        kind: AlarmKind,
        block: i64,
        at: Timestamp,
        detail: String,
    ) -> Result<(), StoreError> {
        let kind = kind.as_str();
        tracing::error!(kind, block, "{detail}");
        self.store_alarm(kind, block, at, detail).await
    }

    async fn store_alarm(
        &mut self,
        kind: &'static str,
        block: i64,
        at: Timestamp,
        detail: String,
    ) -> Result<(), StoreError> {
        let insert =
            "INSERT INTO alarms (kind, detail, block, raised_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING";
        let statement = sqlx::query(insert)
            .bind(kind)
            .bind(detail)
            .bind(block)
            .bind(at.micros());
        self.execute(statement).await.map(drop)
    }
}
