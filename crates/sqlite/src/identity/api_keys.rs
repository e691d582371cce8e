//! [`ApiKeyStore`] on SQLite.

use crate::{
    columns::{self, Columns},
    db::{Db, WriteTx},
};
use async_trait::async_trait;
use haithe_identity::{
    api_key::{ApiKey, ApiKeyId, BudgetWindow, KeyBudget, KeyHash, KeyScope, NewApiKey},
    ports::{ApiKeyStore, CreateKeyError},
};
use haithe_kernel::{StoreError, Timestamp, Usdt, WalletAddress};
use sqlx::{error::ErrorKind, sqlite::SqliteRow};

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

fn key(row: &SqliteRow) -> Result<ApiKey, StoreError> {
    let mut columns = Columns::of(row);
    Ok(ApiKey {
        id: columns.read("api_keys.id")?,
        address: columns.read("api_keys.wallet_address")?,
        nonce: columns.read("api_keys.nonce")?,
        hash: columns.read("api_keys.hash")?,
        name: columns.read("api_keys.name")?,
        is_default: columns.read("api_keys.is_default")?,
        scope: KeyScope {
            org: columns.read("api_keys.scope_org")?,
            project: columns.read("api_keys.scope_project")?,
            models: models(columns.read("api_keys.scope_models")?)?,
        },
        expires_at: columns.read("api_keys.expires_at")?,
        budget: budget(
            columns.read("api_keys.budget_limit")?,
            columns.read("api_keys.budget_window")?,
        )?,
        requests_per_minute: columns.read("api_keys.requests_per_minute")?,
        tokens_per_minute: columns.read("api_keys.tokens_per_minute")?,
        issued_at: columns.read("api_keys.issued_at")?,
        last_used_at: columns.read("api_keys.last_used_at")?,
        revoked_at: columns.read("api_keys.revoked_at")?,
    })
}

fn models(json: Option<String>) -> Result<Option<Vec<String>>, StoreError> {
    json.map(|json| serde_json::from_str(&json))
        .transpose()
        .map_err(|_| StoreError::inconsistent("api_keys.scope_models"))
}

fn budget(limit: Option<Usdt>, window: Option<String>) -> Result<Option<KeyBudget>, StoreError> {
    let (Some(limit), Some(window)) = (limit, window) else {
        return Ok(None);
    };
    let window = match window.as_str() {
        "day" => BudgetWindow::Day,
        "month" => BudgetWindow::Month,
        "total" => BudgetWindow::Total,
        _ => return Err(StoreError::inconsistent("api_keys.budget_window")),
    };
    Ok(Some(KeyBudget { limit, window }))
}

const fn window_word(window: BudgetWindow) -> &'static str {
    match window {
        BudgetWindow::Day => "day",
        BudgetWindow::Month => "month",
        BudgetWindow::Total => "total",
    }
}

/// The columns that [`key`] reads, between two pieces of SQL.
macro_rules! with_columns {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            " id, wallet_address, nonce, hash, name, is_default, scope_org, scope_project, scope_models,
              expires_at, budget_limit, budget_window, requests_per_minute, tokens_per_minute, issued_at,
              last_used_at, revoked_at ",
            $after
        )
    };
}

const INSERT: &str = with_columns!(
    "INSERT INTO api_keys
        (wallet_address, nonce, hash, name, is_default, scope_org, scope_project, scope_models, expires_at,
         budget_limit, budget_window, requests_per_minute, tokens_per_minute, issued_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING",
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
    let models = new
        .scope
        .models
        .map(|models| serde_json::to_string(&models))
        .transpose();
    let inserted = sqlx::query(INSERT)
        .bind(&address)
        .bind(columns::uuid(new.nonce))
        .bind(new.hash.0.to_vec())
        .bind(new.name)
        .bind(new.is_default)
        .bind(new.scope.org.map(|org| org.0))
        .bind(new.scope.project.map(|project| project.0))
        .bind(models.map_err(StoreError::new)?)
        .bind(new.expires_at.map(Timestamp::micros))
        .bind(new.budget.map(|budget| budget.limit.nano()))
        .bind(new.budget.map(|budget| window_word(budget.window)))
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

    async fn list(&self, address: WalletAddress) -> Result<Vec<ApiKey>, StoreError> {
        let statement = sqlx::query(with_columns!(
            "SELECT",
            "FROM api_keys WHERE wallet_address = ? ORDER BY id DESC"
        ))
        .bind(columns::address(address));
        let rows = self.db.all(statement).await?;
        rows.iter().map(key).collect()
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

    async fn last_issued(&self, address: WalletAddress) -> Result<Option<Timestamp>, StoreError> {
        let newest = "SELECT max(issued_at) FROM api_keys WHERE wallet_address = ? AND is_default = 1";
        let statement = sqlx::query(newest).bind(columns::address(address));
        let row = self.db.optional(statement).await?;
        row.map_or(Ok(None), |row| Columns::of(&row).read("api_keys.issued_at"))
    }

    async fn touch(&self, id: ApiKeyId, at: Timestamp) -> Result<(), StoreError> {
        let later = "UPDATE api_keys SET last_used_at = max(coalesce(last_used_at, 0), ?) WHERE id = ?";
        self.db
            .execute(sqlx::query(later).bind(at.micros()).bind(id.0))
            .await
            .map(drop)
    }
}
