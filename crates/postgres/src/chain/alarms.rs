//! Alarms: what must not be, and is not repaired here.

use crate::{
    columns::{self, Columns},
    db::Db,
    write::WriteTx,
};
use haithe_billing::chain::IndexAlarm;
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

const RAISE: &str = "
    INSERT INTO alarms (kind, detail, block, raised_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";

impl WriteTx {
    /// Stores an alarm that the rules raised; the same alarm again changes nothing.
    pub(crate) async fn raise(&mut self, alarm: IndexAlarm) -> Result<(), StoreError> {
        let block = columns::number(alarm.block, "alarms.block")?;
        let raise = sqlx::query(RAISE)
            .bind(alarm.kind.as_str())
            .bind(columns::text(alarm.detail))
            .bind(block)
            .bind(alarm.raised_at.micros());
        self.execute(raise).await.map(drop)
    }
}
