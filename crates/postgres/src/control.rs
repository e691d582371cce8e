//! [`DatabaseControl`] on PostgreSQL: health, load, alarms, and values that another key encrypted.

use crate::{Db, PgInstance, PgLedger, columns::Columns};
use async_trait::async_trait;
use haithe_billing::chain::AlarmKind;
use haithe_kernel::StoreError;
use haithe_stores::{AlarmCount, DatabaseControl, ReadCounts, SealedSample};

/// Changes nothing, but needs a server that accepts and stores writes.
const PROBE: &str = "UPDATE changes SET version = version WHERE topic = 'directory'";
const ALARMS: &str = "
    SELECT kind, count(*) AS number, max(block) AS last_block FROM alarms
    WHERE block >= $1 GROUP BY kind ORDER BY kind";

/// Kinds of encrypted values, each with its column and a statement for the beginnings of some of them.
const SEALED: [(&str, &str, &str); 4] = [
    (
        "bot tokens",
        "projects.head",
        "SELECT substring(coalesce(teloxide_token, discord_token) FROM 1 FOR 16) AS head FROM projects
         WHERE teloxide_token IS NOT NULL OR discord_token IS NOT NULL LIMIT 16",
    ),
    (
        "webhook secrets",
        "webhooks.head",
        "SELECT substring(secret FROM 1 FOR 16) AS head FROM webhooks LIMIT 16",
    ),
    (
        "webhook messages",
        "webhook_events.head",
        "SELECT substring(content FROM 1 FOR 16) AS head FROM webhook_events
         WHERE content IS NOT NULL ORDER BY id DESC LIMIT 16",
    ),
    (
        "idempotent responses",
        "idempotency_slots.head",
        "SELECT substring(answer FROM 1 FOR 16) AS head FROM idempotency_slots
         WHERE answer IS NOT NULL ORDER BY id DESC LIMIT 16",
    ),
];

/// The database as operators see it, from this process.
pub(crate) struct OpenDatabase {
    pub(crate) db: Db,
    pub(crate) instance: PgInstance,
    pub(crate) ledger: PgLedger,
}

#[async_trait]
impl DatabaseControl for OpenDatabase {
    fn is_healthy(&self) -> bool {
        !self.db.is_closed()
    }

    fn is_writable(&self) -> bool {
        self.is_healthy() && self.db.is_writable()
    }

    async fn probe_write(&self) -> Result<(), StoreError> {
        let probed = sqlx::query(PROBE).execute(self.db.pool()).await;
        self.db.note_write(probed.is_ok());
        probed.map(drop).map_err(StoreError::new)
    }

    async fn alarms(&self, from_block: u64) -> Result<Vec<AlarmCount>, StoreError> {
        let from = i64::try_from(from_block).unwrap_or(i64::MAX);
        let rows = self
            .db
            .for_background()
            .all(sqlx::query(ALARMS).bind(from))
            .await?;
        rows.iter()
            .map(|row| {
                let columns = Columns::of(row);
                let kind: String = columns.get("alarms.kind")?;
                let kind = AlarmKind::from_word(&kind);
                Ok(AlarmCount {
                    kind: kind.ok_or_else(|| StoreError::inconsistent("alarms.kind"))?,
                    count: columns.get("alarms.number")?,
                    last_block: columns.get("alarms.last_block")?,
                })
            })
            .collect()
    }

    async fn sealed_samples(&self) -> Result<Vec<SealedSample>, StoreError> {
        let db = self.db.for_background();
        let mut samples = Vec::with_capacity(SEALED.len());
        for (what, column, statement) in SEALED {
            let rows = db.all(sqlx::query(statement)).await?;
            let heads = rows.iter().map(|row| Columns::of(row).get(column));
            samples.push(SealedSample {
                what,
                heads: heads.collect::<Result<_, _>>()?,
            });
        }
        Ok(samples)
    }

    fn waiting_writes(&self) -> usize {
        self.db.running_writes()
    }

    fn reads(&self) -> ReadCounts {
        self.db.reads()
    }

    async fn close(&self) -> Result<(), StoreError> {
        let settled = self.ledger.settled().await;
        let resigned = self.instance.resign().await;
        self.db.close().await;
        settled.and(resigned)
    }
}
