//! [`CreatorStore`] on SQLite. Only the index writes creators.

use crate::{
    columns::{self, Columns},
    db::{Db, listed},
};
use async_trait::async_trait;
use haithe_kernel::{Listed, Page, StoreError, WalletAddress};
use haithe_marketplace::{Creator, ports::CreatorStore};
use sqlx::sqlite::SqliteRow;

/// [`CreatorStore`] on SQLite.
#[derive(Clone)]
pub struct SqliteCreatorStore {
    db: Db,
}

impl SqliteCreatorStore {
    /// The creators of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

fn creator(row: &SqliteRow) -> Result<Creator, StoreError> {
    let mut columns = Columns::of(row);
    Ok(Creator {
        address: columns.read("creators.wallet_address")?,
        uri: columns.read("creators.uri")?,
        created_at: columns.read("creators.created_at")?,
    })
}

#[async_trait]
impl CreatorStore for SqliteCreatorStore {
    async fn list(&self, page: Page) -> Result<Listed<Creator>, StoreError> {
        // Identities are numbered in the order they were made.
        let rows = "SELECT wallet_address, uri, created_at FROM creators
                    ORDER BY identity_id DESC LIMIT ? OFFSET ?";
        let rows = sqlx::query(rows).bind(page.limit()).bind(page.offset());
        listed(
            &self.db,
            rows,
            sqlx::query("SELECT count(*) FROM creators"),
            creator,
        )
        .await
    }

    async fn find(&self, address: WalletAddress) -> Result<Option<Creator>, StoreError> {
        let find = "SELECT wallet_address, uri, created_at FROM creators WHERE wallet_address = ?";
        let row = self
            .db
            .optional(sqlx::query(find).bind(columns::address(address)))
            .await?;
        row.as_ref().map(creator).transpose()
    }
}
