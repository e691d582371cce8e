//! [`SessionStore`] on SQLite.

use crate::{
    columns::{self, Columns},
    db::{Db, WriteTx},
};
use async_trait::async_trait;
use haithe_identity::{
    ports::SessionStore,
    session::{Account, Session, SessionId},
};
use haithe_kernel::{Listed, Page, StoreError, Timestamp, WalletAddress};
use sqlx::sqlite::SqliteRow;

/// [`SessionStore`] on SQLite. A revoked session is a deleted row.
#[derive(Clone)]
pub struct SqliteSessionStore {
    db: Db,
}

impl SqliteSessionStore {
    /// The sessions of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, wallet_address, ip, user_agent, created_at, last_seen_at, expires_at FROM sessions ",
            $rest
        )
    };
}

fn session(row: &SqliteRow) -> Result<Session, StoreError> {
    let columns = Columns::of(row);
    Ok(Session {
        id: columns.get("sessions.id")?,
        address: columns.get("sessions.wallet_address")?,
        ip: columns.get("sessions.ip")?,
        user_agent: columns.get("sessions.user_agent")?,
        created_at: columns.get("sessions.created_at")?,
        last_seen_at: columns.get("sessions.last_seen_at")?,
        expires_at: columns.get("sessions.expires_at")?,
    })
}

async fn open(write: &mut WriteTx<'_>, session: Session) -> Result<(), StoreError> {
    let address = columns::address(session.address);
    let account = "INSERT OR IGNORE INTO accounts (wallet_address, created_at) VALUES (?, ?)";
    write
        .execute(
            sqlx::query(account)
                .bind(address.clone())
                .bind(session.created_at.micros()),
        )
        .await?;
    let insert = "INSERT INTO sessions
                      (id, wallet_address, ip, user_agent, created_at, last_seen_at, expires_at)
                  VALUES (?, ?, ?, ?, ?, ?, ?)";
    let statement = sqlx::query(insert)
        .bind(session.id.0.to_vec())
        .bind(address)
        .bind(session.ip.map(|ip| ip.to_string()))
        .bind(session.user_agent)
        .bind(session.created_at.micros())
        .bind(session.last_seen_at.micros())
        .bind(session.expires_at.micros());
    write.execute(statement).await.map(drop)
}

#[async_trait]
impl SessionStore for SqliteSessionStore {
    async fn open(&self, session: Session) -> Result<(), StoreError> {
        self.db.write(move |write| Box::pin(open(write, session))).await
    }

    async fn find(&self, id: SessionId, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let statement = sqlx::query(select!("WHERE id = ? AND expires_at > ?"))
            .bind(id.0.to_vec())
            .bind(now.micros());
        let row = self.db.optional(statement).await?;
        row.as_ref().map(session).transpose()
    }

    async fn list(
        &self,
        address: WalletAddress,
        now: Timestamp,
        page: Page,
    ) -> Result<Listed<Session>, StoreError> {
        let rows = sqlx::query(select!(
            "WHERE wallet_address = ? AND expires_at > ? ORDER BY created_at DESC, id LIMIT ? OFFSET ?"
        ))
        .bind(columns::address(address))
        .bind(now.micros())
        .bind(page.limit())
        .bind(page.offset());
        let count = "SELECT count(*) AS count FROM sessions WHERE wallet_address = ? AND expires_at > ?";
        let count = sqlx::query(count)
            .bind(columns::address(address))
            .bind(now.micros());
        self.db.listed(count, rows, session).await
    }

    async fn touch(&self, id: SessionId, at: Timestamp) -> Result<(), StoreError> {
        let statement = sqlx::query("UPDATE sessions SET last_seen_at = max(last_seen_at, ?) WHERE id = ?")
            .bind(at.micros())
            .bind(id.0.to_vec());
        self.db.execute(statement).await.map(drop)
    }

    async fn revoke(&self, address: WalletAddress, id: SessionId) -> Result<bool, StoreError> {
        let statement = sqlx::query("DELETE FROM sessions WHERE id = ? AND wallet_address = ?")
            .bind(id.0.to_vec())
            .bind(columns::address(address));
        Ok(self.db.execute(statement).await? > 0)
    }

    async fn revoke_all(
        &self,
        address: WalletAddress,
        kept: Option<SessionId>,
    ) -> Result<Vec<SessionId>, StoreError> {
        let statement =
            sqlx::query("DELETE FROM sessions WHERE wallet_address = ? AND id IS NOT ? RETURNING id")
                .bind(columns::address(address))
                .bind(kept.map(|kept| kept.0.to_vec()));
        let rows = self.db.change(statement).await?;
        rows.iter()
            .map(|row| Columns::of(row).get("sessions.id"))
            .collect()
    }

    async fn revoke_opened_before(&self, before: Timestamp) -> Result<u64, StoreError> {
        let statement = sqlx::query("DELETE FROM sessions WHERE created_at < ?").bind(before.micros());
        self.db.execute(statement).await
    }

    async fn account(&self, address: WalletAddress) -> Result<Option<Account>, StoreError> {
        let statement = sqlx::query("SELECT created_at FROM accounts WHERE wallet_address = ?")
            .bind(columns::address(address));
        let row = self.db.optional(statement).await?;
        row.map(|row| {
            Ok(Account {
                address,
                created_at: Columns::of(&row).get("accounts.created_at")?,
            })
        })
        .transpose()
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        let statement = sqlx::query("DELETE FROM sessions WHERE expires_at <= ?").bind(now.micros());
        self.db.execute(statement).await
    }
}
