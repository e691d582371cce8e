//! [`SessionStore`] on PostgreSQL.

use crate::{
    columns::{self, Columns},
    db::Db,
    write::WriteTx,
};
use async_trait::async_trait;
use haithe_identity::{
    ports::SessionStore,
    session::{Account, Session, SessionId},
};
use haithe_kernel::{Listed, Page, StoreError, Timestamp, WalletAddress};
use sqlx::postgres::PgRow;

/// [`SessionStore`] on PostgreSQL. A revoked session is a deleted row.
#[derive(Clone)]
pub struct PgSessionStore {
    db: Db,
}

impl PgSessionStore {
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

fn session(row: &PgRow) -> Result<Session, StoreError> {
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

async fn open(write: &mut WriteTx, session: &Session) -> Result<(), StoreError> {
    let address = columns::address(session.address);
    let account = "INSERT INTO accounts (wallet_address, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    let account = sqlx::query(account)
        .bind(address.clone())
        .bind(session.created_at.micros());
    write.execute(account).await?;
    let insert = "INSERT INTO sessions
                      (id, wallet_address, ip, user_agent, created_at, last_seen_at, expires_at)
                  VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let statement = sqlx::query(insert)
        .bind(session.id.0.to_vec())
        .bind(address)
        .bind(session.ip.map(|ip| ip.to_string()))
        .bind(session.user_agent.clone().map(columns::text))
        .bind(session.created_at.micros())
        .bind(session.last_seen_at.micros())
        .bind(session.expires_at.micros());
    write.execute(statement).await.map(drop)
}

#[async_trait]
impl SessionStore for PgSessionStore {
    async fn open(&self, session: Session) -> Result<(), StoreError> {
        self.db
            .write_locking(session, |write, session| Box::pin(open(write, session)))
            .await
    }

    async fn find(&self, id: SessionId, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let statement = sqlx::query(select!("WHERE id = $1 AND expires_at > $2"))
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
        let of_wallet = |sql| {
            sqlx::query(sql)
                .bind(columns::address(address))
                .bind(now.micros())
        };
        let count = of_wallet("SELECT count(*) FROM sessions WHERE wallet_address = $1 AND expires_at > $2");
        let rows = of_wallet(select!(
            "WHERE wallet_address = $1 AND expires_at > $2 ORDER BY created_at DESC, id LIMIT $3 OFFSET $4"
        ));
        self.db.listed(count, (rows, page), session).await
    }

    async fn touch(&self, id: SessionId, at: Timestamp) -> Result<(), StoreError> {
        let later = "UPDATE sessions SET last_seen_at = $1 WHERE id = $2 AND last_seen_at < $1";
        let touched = self
            .db
            .execute(|| sqlx::query(later).bind(at.micros()).bind(id.0.to_vec()));
        touched.await.map(drop)
    }

    async fn revoke(&self, address: WalletAddress, id: SessionId) -> Result<bool, StoreError> {
        let delete = "DELETE FROM sessions WHERE id = $1 AND wallet_address = $2";
        let deleted = self.db.execute(|| {
            sqlx::query(delete)
                .bind(id.0.to_vec())
                .bind(columns::address(address))
        });
        Ok(deleted.await? > 0)
    }

    async fn revoke_all(
        &self,
        address: WalletAddress,
        kept: Option<SessionId>,
    ) -> Result<Vec<SessionId>, StoreError> {
        let delete = "DELETE FROM sessions WHERE wallet_address = $1 AND id IS DISTINCT FROM $2 RETURNING id";
        let deleted = self.db.change(|| {
            sqlx::query(delete)
                .bind(columns::address(address))
                .bind(kept.map(|kept| kept.0.to_vec()))
        });
        let rows = deleted.await?;
        rows.iter()
            .map(|row| Columns::of(row).get("sessions.id"))
            .collect()
    }

    async fn revoke_opened_before(&self, before: Timestamp) -> Result<u64, StoreError> {
        let delete = "DELETE FROM sessions WHERE created_at < $1";
        self.db
            .execute(|| sqlx::query(delete).bind(before.micros()))
            .await
    }

    async fn account(&self, address: WalletAddress) -> Result<Option<Account>, StoreError> {
        let statement = sqlx::query("SELECT created_at FROM accounts WHERE wallet_address = $1")
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
        let delete = "DELETE FROM sessions WHERE expires_at <= $1";
        self.db.execute(|| sqlx::query(delete).bind(now.micros())).await
    }
}
