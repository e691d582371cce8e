//! [`DatabaseControl`] on SQLite: health, load, alarms, and values that another key encrypted.

use crate::{
    columns::{self, Columns},
    db::Db,
    ledger::memory::stopped,
    writer::{Job, Work},
};
use async_trait::async_trait;
use haithe_billing::chain::AlarmKind;
use haithe_kernel::StoreError;
use haithe_stores::{AlarmCount, DatabaseControl, ReadCounts, SealedSample};
use tokio::sync::oneshot;

/// Kinds of encrypted values, each with its column and a statement for the beginnings of some of them.
const SEALED: [(&str, &str, &str); 4] = [
    (
        "bot tokens",
        "projects.bot_token",
        "SELECT substr(coalesce(teloxide_token, discord_token), 1, 16) AS head FROM projects
         WHERE teloxide_token IS NOT NULL OR discord_token IS NOT NULL LIMIT 16",
    ),
    (
        "webhook secrets",
        "webhooks.secret",
        "SELECT substr(secret, 1, 16) AS head FROM webhooks LIMIT 16",
    ),
    (
        "webhook messages",
        "webhook_events.content",
        "SELECT substr(content, 1, 16) AS head FROM webhook_events
         WHERE content IS NOT NULL ORDER BY id DESC LIMIT 16",
    ),
    (
        "idempotent responses",
        "idempotency_slots.answer",
        "SELECT substr(answer, 1, 16) AS head FROM idempotency_slots
         WHERE answer IS NOT NULL ORDER BY id DESC LIMIT 16",
    ),
];

impl Db {
    /// Whether the writer lives and its last write could reach the disk.
    pub fn is_writable(&self) -> bool {
        let writes = self.money().lock().is_ok_and(|memory| !memory.failing);
        writes && !self.queue().is_closed()
    }

    /// Commits a small transaction that changes nothing and needs the lock, the log and the disk; fails when that
    /// fails.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be committed.
    pub async fn probe_write(&self) -> Result<(), StoreError> {
        let (answer, wait) = oneshot::channel();
        let job: Job = Box::new(move |writer| {
            Box::pin(async move {
                let _ = answer.send(writer.probe_and_note().await.map_err(StoreError::new));
            })
        });
        self.queue().send(Work::Write(job)).await.map_err(|_| stopped())?;
        wait.await.map_err(|_| stopped())?
    }
}

#[async_trait]
impl DatabaseControl for Db {
    fn is_healthy(&self) -> bool {
        Self::is_healthy(self)
    }

    fn is_writable(&self) -> bool {
        Self::is_writable(self)
    }

    async fn probe_write(&self) -> Result<(), StoreError> {
        Self::probe_write(self).await
    }

    async fn alarms(&self, from_block: u64) -> Result<Vec<AlarmCount>, StoreError> {
        alarms(&self.for_background(), from_block).await
    }

    async fn sealed_samples(&self) -> Result<Vec<SealedSample>, StoreError> {
        sealed_samples(&self.for_background()).await
    }

    fn waiting_writes(&self) -> usize {
        Self::waiting_writes(self)
    }

    fn reads(&self) -> ReadCounts {
        Self::reads(self)
    }

    async fn close(&self) -> Result<(), StoreError> {
        Self::close(self).await
    }
}

/// Alarms from a block on, by kind.
async fn alarms(db: &Db, from_block: u64) -> Result<Vec<AlarmCount>, StoreError> {
    let counts = "SELECT kind, count(*) AS number, max(block) AS last_block FROM alarms
                  WHERE block >= ? GROUP BY kind ORDER BY kind";
    let from = columns::number(from_block, "alarms.block")?;
    let rows = db.all(sqlx::query(counts).bind(from)).await?;
    rows.iter()
        .map(|row| {
            let columns = Columns::of(row);
            let kind: String = columns.get("alarms.kind")?;
            Ok(AlarmCount {
                kind: AlarmKind::from_word(&kind).ok_or_else(|| StoreError::inconsistent("alarms.kind"))?,
                count: columns.get_as("number", "alarms.id")?,
                last_block: columns.get_as("last_block", "alarms.block")?,
            })
        })
        .collect()
}

/// The beginnings of some encrypted values of every kind.
async fn sealed_samples(db: &Db) -> Result<Vec<SealedSample>, StoreError> {
    let mut samples = Vec::with_capacity(SEALED.len());
    for (what, place, statement) in SEALED {
        let rows = db.all(sqlx::query(statement)).await?;
        let heads = rows.iter().map(|row| Columns::of(row).get_as("head", place));
        samples.push(SealedSample {
            what,
            heads: heads.collect::<Result<_, _>>()?,
        });
    }
    Ok(samples)
}
