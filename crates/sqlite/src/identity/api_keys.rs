//! [`ApiKeyStore`] on SQLite.

mod row;

use crate::{
    columns::{self, Columns},
    db::{Db, Statement, WriteTx},
};
use async_trait::async_trait;
use haithe_identity::{
    api_key::{ApiKey, ApiKeyId, KeyChange, KeyFilter, KeyHash, KeySecret, NewApiKey, Rotated},
    ports::{ApiKeyStore, CreateKeyError},
};
use haithe_kernel::{Listed, Page, StoreError, Timestamp, WalletAddress};
use row::{key, list, with_columns};
use sqlx::error::ErrorKind;

/// [`ApiKeyStore`] on SQLite. One live default key per wallet is a unique index.
#[derive(Clone)]
pub struct SqliteApiKeyStore {
    db: Db,
}

impl SqliteApiKeyStore {
    /// The keys of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

const INSERT: &str = with_columns!(
    "INSERT INTO api_keys
        (wallet_address, nonce, hash, name, is_default, scope_org, scope_project, scope_models, scope_routes,
         expires_at, budget_limit, budget_window, requests_per_minute, tokens_per_minute, issued_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING",
    ""
);

async fn insert(write: &mut WriteTx<'_>, new: NewApiKey) -> Result<ApiKey, CreateKeyError> {
    let address = columns::address(new.address);
    if new.is_default {
        // A default key that has expired is not live: it makes way.
        let expired = "UPDATE api_keys SET revoked_at = expires_at
                       WHERE wallet_address = ? AND is_default = 1 AND revoked_at IS NULL AND expires_at <= ?";
        write
            .execute(
                sqlx::query(expired)
                    .bind(address.clone())
                    .bind(new.issued_at.micros()),
            )
            .await?;
    }
    let scope = new.scope;
    let models = scope.models.map(|models| list(&models)).transpose()?;
    let routes = scope.routes.map(|routes| list(&routes)).transpose()?;
    let inserted = sqlx::query(INSERT)
        .bind(&address)
        .bind(columns::uuid(new.nonce))
        .bind(new.hash.0.to_vec())
        .bind(new.name)
        .bind(new.is_default)
        .bind(scope.org.map(|org| org.0))
        .bind(scope.project.map(|project| project.0))
        .bind(models)
        .bind(routes)
        .bind(new.expires_at.map(Timestamp::micros))
        .bind(new.budget.map(|budget| budget.limit.nano()))
        .bind(new.budget.map(|budget| budget.window.word()))
        .bind(new.requests_per_minute)
        .bind(new.tokens_per_minute)
        .bind(new.issued_at.micros())
        .fetch_one(&mut *write.connection)
        .await;
    match inserted {
        Ok(row) => Ok(key(&row)?),
        Err(error) => Err(refused(error, new.is_default)),
    }
}

fn refused(error: sqlx::Error, is_default: bool) -> CreateKeyError {
    let database = error.as_database_error();
    let second = database.is_some_and(|error| {
        // The only unique index over this one column is that of live default keys.
        error.kind() == ErrorKind::UniqueViolation && error.message().contains("api_keys.wallet_address")
    });
    if second && is_default {
        CreateKeyError::DefaultExists
    } else {
        StoreError::new(error).into()
    }
}

const CHANGE: &str = with_columns!(
    "UPDATE api_keys SET
        name = coalesce(?1, name),
        expires_at = iif(?2, ?3, expires_at),
        budget_limit = iif(?4, ?5, budget_limit),
        budget_window = iif(?4, ?6, budget_window),
        requests_per_minute = iif(?7, ?8, requests_per_minute),
        tokens_per_minute = iif(?9, ?10, tokens_per_minute)
     WHERE wallet_address = ?11 AND id = ?12 AND revoked_at IS NULL
       AND (expires_at IS NULL OR expires_at > ?13) RETURNING",
    ""
);

async fn rotate(
    write: &mut WriteTx<'_>,
    address: WalletAddress,
    id: ApiKeyId,
    secret: KeySecret,
    now: Timestamp,
) -> Result<Option<Rotated>, StoreError> {
    let live = "SELECT hash FROM api_keys
                WHERE wallet_address = ? AND id = ? AND revoked_at IS NULL
                  AND (expires_at IS NULL OR expires_at > ?)";
    let live = sqlx::query(live)
        .bind(columns::address(address))
        .bind(id.0)
        .bind(now.micros());
    let Some(old) = write.optional(live).await? else {
        return Ok(None);
    };
    let replace = sqlx::query(with_columns!(
        "UPDATE api_keys SET nonce = ?, hash = ?, issued_at = ? WHERE id = ? RETURNING",
        ""
    ))
    .bind(columns::uuid(secret.nonce))
    .bind(secret.hash.0.to_vec())
    .bind(secret.issued_at.micros())
    .bind(id.0);
    let new = write.optional(replace).await?;
    new.map(|new| {
        Ok(Rotated {
            key: key(&new)?,
            old: Columns::of(&old).get("api_keys.hash")?,
        })
    })
    .transpose()
}

#[async_trait]
impl ApiKeyStore for SqliteApiKeyStore {
    async fn create(&self, key: NewApiKey) -> Result<ApiKey, CreateKeyError> {
        self.db.write(move |write| Box::pin(insert(write, key))).await
    }

    async fn find(&self, hash: KeyHash) -> Result<Option<ApiKey>, StoreError> {
        let statement =
            sqlx::query(with_columns!("SELECT", "FROM api_keys WHERE hash = ?")).bind(hash.0.to_vec());
        let row = self.db.optional(statement).await?;
        row.as_ref().map(key).transpose()
    }

    async fn get(&self, address: WalletAddress, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        let statement = sqlx::query(with_columns!(
            "SELECT",
            "FROM api_keys WHERE wallet_address = ? AND id = ?"
        ));
        let statement = statement.bind(columns::address(address)).bind(id.0);
        let row = self.db.optional(statement).await?;
        row.as_ref().map(key).transpose()
    }

    async fn list(
        &self,
        address: WalletAddress,
        filter: KeyFilter,
        page: Page,
    ) -> Result<Listed<ApiKey>, StoreError> {
        let filtered = |statement: Statement| {
            statement
                .bind(columns::address(address))
                .bind(filter.live.map(|(live, _)| live))
                .bind(filter.live.map(|(_, now)| now.micros()))
                .bind(filter.text.clone())
        };
        let rows = filtered(sqlx::query(with_columns!(
            "SELECT",
            "FROM api_keys
             WHERE wallet_address = ?1
               AND (?2 IS NULL OR ?2 = (revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?3)))
               AND (?4 IS NULL OR instr(lower(name), lower(?4)) > 0)
             ORDER BY id DESC LIMIT ?5 OFFSET ?6"
        )));
        let count = filtered(sqlx::query(
            "SELECT count(*) AS count FROM api_keys
             WHERE wallet_address = ?1
               AND (?2 IS NULL OR ?2 = (revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?3)))
               AND (?4 IS NULL OR instr(lower(name), lower(?4)) > 0)",
        ));
        let rows = rows.bind(page.limit()).bind(page.offset());
        self.db.listed(count, rows, key).await
    }

    async fn change(
        &self,
        address: WalletAddress,
        id: ApiKeyId,
        change: KeyChange,
        now: Timestamp,
    ) -> Result<Option<ApiKey>, StoreError> {
        let budget = change.budget;
        let statement = sqlx::query(CHANGE)
            .bind(change.name)
            .bind(change.expires_at.is_some())
            .bind(change.expires_at.flatten().map(Timestamp::micros))
            .bind(budget.is_some())
            .bind(budget.flatten().map(|budget| budget.limit.nano()))
            .bind(budget.flatten().map(|budget| budget.window.word()))
            .bind(change.requests_per_minute.is_some())
            .bind(change.requests_per_minute.flatten())
            .bind(change.tokens_per_minute.is_some())
            .bind(change.tokens_per_minute.flatten())
            .bind(columns::address(address))
            .bind(id.0)
            .bind(now.micros());
        self.db.change(statement).await?.first().map(key).transpose()
    }

    async fn rotate(
        &self,
        address: WalletAddress,
        id: ApiKeyId,
        secret: KeySecret,
        now: Timestamp,
    ) -> Result<Option<Rotated>, StoreError> {
        self.db
            .write(move |write| Box::pin(rotate(write, address, id, secret, now)))
            .await
    }

    async fn revoke(
        &self,
        address: WalletAddress,
        id: ApiKeyId,
        at: Timestamp,
    ) -> Result<Option<ApiKey>, StoreError> {
        let statement = sqlx::query(with_columns!(
            "UPDATE api_keys SET revoked_at = ?
             WHERE wallet_address = ? AND id = ? AND revoked_at IS NULL RETURNING",
            ""
        ));
        let statement = statement
            .bind(at.micros())
            .bind(columns::address(address))
            .bind(id.0);
        self.db.change(statement).await?.first().map(key).transpose()
    }

    async fn revoke_default(
        &self,
        address: WalletAddress,
        at: Timestamp,
    ) -> Result<Option<ApiKey>, StoreError> {
        let statement = sqlx::query(with_columns!(
            "UPDATE api_keys SET revoked_at = ?
             WHERE wallet_address = ? AND is_default = 1 AND revoked_at IS NULL RETURNING",
            ""
        ));
        let statement = statement.bind(at.micros()).bind(columns::address(address));
        self.db.change(statement).await?.first().map(key).transpose()
    }

    async fn revoke_issued_before(&self, before: Timestamp, at: Timestamp) -> Result<u64, StoreError> {
        let statement = "UPDATE api_keys SET revoked_at = ? WHERE issued_at < ? AND revoked_at IS NULL";
        let statement = sqlx::query(statement).bind(at.micros()).bind(before.micros());
        self.db.execute(statement).await
    }

    async fn last_issued(&self, address: WalletAddress) -> Result<Option<Timestamp>, StoreError> {
        let newest =
            "SELECT max(issued_at) AS issued_at FROM api_keys WHERE wallet_address = ? AND is_default = 1";
        let statement = sqlx::query(newest).bind(columns::address(address));
        let row = self.db.optional(statement).await?;
        row.map_or(Ok(None), |row| Columns::of(&row).get("api_keys.issued_at"))
    }

    async fn touch(&self, id: ApiKeyId, at: Timestamp) -> Result<(), StoreError> {
        let later = "UPDATE api_keys SET last_used_at = max(coalesce(last_used_at, 0), ?) WHERE id = ?";
        self.db
            .execute(sqlx::query(later).bind(at.micros()).bind(id.0))
            .await
            .map(drop)
    }
}
