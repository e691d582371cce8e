//! [`ApiKeyStore`] on PostgreSQL.

mod row;

use crate::{
    columns::{self, Columns},
    db::{Db, Statement},
    write::WriteTx,
};
use async_trait::async_trait;
use haithe_identity::{
    api_key::{ApiKey, ApiKeyId, KeyChange, KeyFilter, KeyHash, KeySecret, NewApiKey, Rotated},
    ports::{ApiKeyStore, CreateKeyError},
};
use haithe_kernel::{Listed, Page, StoreError, Timestamp, WalletAddress};
use row::{key, list, with_columns};

/// [`ApiKeyStore`] on PostgreSQL. One live default key per wallet is a unique index.
#[derive(Clone)]
pub struct PgApiKeyStore {
    db: Db,
}

impl PgApiKeyStore {
    /// The keys of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

/// A default key that has expired is not live: it makes way for another.
const REVOKE_EXPIRED: &str = "
    UPDATE api_keys SET revoked_at = expires_at
    WHERE wallet_address = $1 AND is_default AND revoked_at IS NULL AND expires_at <= $2";

const INSERT: &str = with_columns!(
    "INSERT INTO api_keys
        (wallet_address, nonce, hash, name, is_default, scope_org, scope_project, scope_models, scope_routes,
         expires_at, budget_limit, budget_window, requests_per_minute, tokens_per_minute, issued_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
     ON CONFLICT (wallet_address) WHERE is_default AND revoked_at IS NULL DO NOTHING RETURNING",
    ""
);

async fn insert(write: &mut WriteTx, new: &NewApiKey) -> Result<ApiKey, CreateKeyError> {
    let address = columns::address(new.address);
    if new.is_default {
        let revoke = sqlx::query(REVOKE_EXPIRED)
            .bind(address.clone())
            .bind(new.issued_at.micros());
        write.execute(revoke).await?;
    }
    let scope = &new.scope;
    let models = scope.models.as_deref().map(list).transpose()?;
    let routes = scope.routes.as_deref().map(list).transpose()?;
    let statement = sqlx::query(INSERT)
        .bind(address)
        .bind(columns::uuid(new.nonce))
        .bind(new.hash.0.to_vec())
        .bind(columns::text(new.name.as_str()))
        .bind(new.is_default)
        .bind(scope.org.map(|org| org.0))
        .bind(scope.project.map(|project| project.0))
        .bind(models.map(columns::text))
        .bind(routes)
        .bind(new.expires_at.map(Timestamp::micros))
        .bind(new.budget.map(|budget| budget.limit.nano()))
        .bind(new.budget.map(|budget| budget.window.word()))
        .bind(new.requests_per_minute.map(i64::from))
        .bind(new.tokens_per_minute.map(i64::from))
        .bind(new.issued_at.micros());
    let inserted = write.optional(statement).await?;
    let inserted = inserted.ok_or(CreateKeyError::DefaultExists)?;
    Ok(key(&inserted)?)
}

const CHANGE: &str = with_columns!(
    "UPDATE api_keys SET
        name = coalesce($1, name),
        expires_at = CASE WHEN $2 THEN $3 ELSE expires_at END,
        budget_limit = CASE WHEN $4 THEN $5 ELSE budget_limit END,
        budget_window = CASE WHEN $4 THEN $6 ELSE budget_window END,
        requests_per_minute = CASE WHEN $7 THEN $8 ELSE requests_per_minute END,
        tokens_per_minute = CASE WHEN $9 THEN $10 ELSE tokens_per_minute END
     WHERE wallet_address = $11 AND id = $12 AND revoked_at IS NULL
       AND (expires_at IS NULL OR expires_at > $13) RETURNING",
    ""
);

const LOCK_LIVE: &str = "
    SELECT hash FROM api_keys
    WHERE wallet_address = $1 AND id = $2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3)
    FOR UPDATE";

/// What is rotated: the wallet, its key, the new secret, and the time.
type Rotation = (WalletAddress, ApiKeyId, KeySecret, Timestamp);

async fn rotate(
    write: &mut WriteTx,
    (address, id, secret, now): &Rotation,
) -> Result<Option<Rotated>, StoreError> {
    let live = sqlx::query(LOCK_LIVE)
        .bind(columns::address(*address))
        .bind(id.0)
        .bind(now.micros());
    let Some(old) = write.optional(live).await? else {
        return Ok(None);
    };
    let replace = sqlx::query(with_columns!(
        "UPDATE api_keys SET nonce = $1, hash = $2, issued_at = $3 WHERE id = $4 RETURNING",
        ""
    ))
    .bind(columns::uuid(secret.nonce))
    .bind(secret.hash.0.to_vec())
    .bind(secret.issued_at.micros())
    .bind(id.0);
    let new = write.one(replace).await?;
    Ok(Some(Rotated {
        key: key(&new)?,
        old: Columns::of(&old).get("api_keys.hash")?,
    }))
}

/// The wallet's keys that pass the filter.
macro_rules! filtered {
    ($before:expr, $after:literal) => {
        concat!(
            $before,
            " FROM api_keys
              WHERE wallet_address = $1
                AND ($2 IS NULL OR $2 = (revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3)))
                AND ($4 IS NULL OR strpos(lower(name), lower($4 COLLATE \"C\")) > 0) ",
            $after
        )
    };
}

#[async_trait]
impl ApiKeyStore for PgApiKeyStore {
    async fn create(&self, key: NewApiKey) -> Result<ApiKey, CreateKeyError> {
        self.db
            .write_locking(key, |write, key| Box::pin(insert(write, key)))
            .await
    }

    async fn find(&self, hash: KeyHash) -> Result<Option<ApiKey>, StoreError> {
        let find = with_columns!("SELECT", "FROM api_keys WHERE hash = $1");
        let row = self.db.optional(sqlx::query(find).bind(hash.0.to_vec())).await?;
        row.as_ref().map(key).transpose()
    }

    async fn get(&self, address: WalletAddress, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        let get = with_columns!("SELECT", "FROM api_keys WHERE wallet_address = $1 AND id = $2");
        let statement = sqlx::query(get).bind(columns::address(address)).bind(id.0);
        let row = self.db.optional(statement).await?;
        row.as_ref().map(key).transpose()
    }

    async fn list(
        &self,
        address: WalletAddress,
        filter: KeyFilter,
        page: Page,
    ) -> Result<Listed<ApiKey>, StoreError> {
        let bound = |statement: Statement| {
            statement
                .bind(columns::address(address))
                .bind(filter.live.map(|(live, _)| live))
                .bind(filter.live.map(|(_, now)| now.micros()))
                .bind(filter.text.clone().map(columns::text))
        };
        let count = bound(sqlx::query(filtered!("SELECT count(*)", "")));
        let rows = bound(sqlx::query(filtered!(
            with_columns!("SELECT", ""),
            "ORDER BY id DESC LIMIT $5 OFFSET $6"
        )));
        self.db.listed(count, (rows, page), key).await
    }

    async fn change(
        &self,
        address: WalletAddress,
        id: ApiKeyId,
        change: KeyChange,
        now: Timestamp,
    ) -> Result<Option<ApiKey>, StoreError> {
        let changed = self.db.change(|| {
            let budget = change.budget;
            sqlx::query(CHANGE)
                .bind(change.name.clone().map(columns::text))
                .bind(change.expires_at.is_some())
                .bind(change.expires_at.flatten().map(Timestamp::micros))
                .bind(budget.is_some())
                .bind(budget.flatten().map(|budget| budget.limit.nano()))
                .bind(budget.flatten().map(|budget| budget.window.word()))
                .bind(change.requests_per_minute.is_some())
                .bind(change.requests_per_minute.flatten().map(i64::from))
                .bind(change.tokens_per_minute.is_some())
                .bind(change.tokens_per_minute.flatten().map(i64::from))
                .bind(columns::address(address))
                .bind(id.0)
                .bind(now.micros())
        });
        changed.await?.first().map(key).transpose()
    }

    async fn rotate(
        &self,
        address: WalletAddress,
        id: ApiKeyId,
        secret: KeySecret,
        now: Timestamp,
    ) -> Result<Option<Rotated>, StoreError> {
        self.db
            .write_locking((address, id, secret, now), |write, rotation| {
                Box::pin(rotate(write, rotation))
            })
            .await
    }

    async fn revoke(
        &self,
        address: WalletAddress,
        id: ApiKeyId,
        at: Timestamp,
    ) -> Result<Option<ApiKey>, StoreError> {
        let revoke = with_columns!(
            "UPDATE api_keys SET revoked_at = $1
             WHERE wallet_address = $2 AND id = $3 AND revoked_at IS NULL RETURNING",
            ""
        );
        let revoked = self.db.change(|| {
            sqlx::query(revoke)
                .bind(at.micros())
                .bind(columns::address(address))
                .bind(id.0)
        });
        revoked.await?.first().map(key).transpose()
    }

    async fn revoke_default(
        &self,
        address: WalletAddress,
        at: Timestamp,
    ) -> Result<Option<ApiKey>, StoreError> {
        let revoke = with_columns!(
            "UPDATE api_keys SET revoked_at = $1
             WHERE wallet_address = $2 AND is_default AND revoked_at IS NULL RETURNING",
            ""
        );
        let revoked = self.db.change(|| {
            sqlx::query(revoke)
                .bind(at.micros())
                .bind(columns::address(address))
        });
        revoked.await?.first().map(key).transpose()
    }

    async fn revoke_issued_before(&self, before: Timestamp, at: Timestamp) -> Result<u64, StoreError> {
        let revoke = "UPDATE api_keys SET revoked_at = $1 WHERE issued_at < $2 AND revoked_at IS NULL";
        self.db
            .execute(|| sqlx::query(revoke).bind(at.micros()).bind(before.micros()))
            .await
    }

    async fn last_issued(&self, address: WalletAddress) -> Result<Option<Timestamp>, StoreError> {
        let newest =
            "SELECT max(issued_at) AS issued_at FROM api_keys WHERE wallet_address = $1 AND is_default";
        let statement = sqlx::query(newest).bind(columns::address(address));
        let row = self.db.optional(statement).await?;
        row.map_or(Ok(None), |row| Columns::of(&row).get("api_keys.issued_at"))
    }

    async fn touch(&self, id: ApiKeyId, at: Timestamp) -> Result<(), StoreError> {
        let later = "UPDATE api_keys SET last_used_at = greatest(last_used_at, $1) WHERE id = $2";
        let touched = self
            .db
            .execute(|| sqlx::query(later).bind(at.micros()).bind(id.0));
        touched.await.map(drop)
    }
}
