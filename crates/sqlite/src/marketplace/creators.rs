//! [`CreatorStore`] on SQLite. Only the index writes creators.

use crate::{
    columns::{self, Columns},
    db::Db,
};
use async_trait::async_trait;
use haithe_kernel::{Listed, Page, StoreError, WalletAddress};
use haithe_marketplace::{Creator, CreatorStatistics, Uses, ports::CreatorStore};
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

const STATISTICS: &str = "
    SELECT (SELECT count(*) FROM products WHERE creator = ?1 AND on_chain = 1) AS products,
           (SELECT coalesce(sum(calls), 0) FROM products
            JOIN product_totals ON product_totals.product_id = products.id
            WHERE creator = ?1 AND on_chain = 1) AS calls,
           (SELECT count(DISTINCT project_id) FROM products
            JOIN project_products ON project_products.product_id = products.id
            JOIN projects ON projects.id = project_products.project_id
            WHERE creator = ?1 AND on_chain = 1 AND projects.deleted = 0) AS projects
    FROM creators WHERE wallet_address = ?1";

fn creator(row: &SqliteRow) -> Result<Creator, StoreError> {
    let columns = Columns::of(row);
    Ok(Creator {
        address: columns.get("creators.wallet_address")?,
        uri: columns.get("creators.uri")?,
        created_at: columns.get("creators.created_at")?,
    })
}

#[async_trait]
impl CreatorStore for SqliteCreatorStore {
    async fn list(&self, page: Page) -> Result<Listed<Creator>, StoreError> {
        // Identities are numbered in the order they were made.
        let rows = "SELECT wallet_address, uri, created_at FROM creators
                    ORDER BY identity_id DESC LIMIT ? OFFSET ?";
        let rows = sqlx::query(rows).bind(page.limit()).bind(page.offset());
        let count = sqlx::query("SELECT count(*) AS count FROM creators");
        self.db.listed(count, rows, creator).await
    }

    async fn find(&self, address: WalletAddress) -> Result<Option<Creator>, StoreError> {
        let find = "SELECT wallet_address, uri, created_at FROM creators WHERE wallet_address = ?";
        let row = self
            .db
            .optional(sqlx::query(find).bind(columns::address(address)))
            .await?;
        row.as_ref().map(creator).transpose()
    }

    async fn statistics(&self, address: WalletAddress) -> Result<Option<CreatorStatistics>, StoreError> {
        let row = self
            .db
            .optional(sqlx::query(STATISTICS).bind(columns::address(address)))
            .await?;
        let statistics = |row: &SqliteRow| {
            let columns = Columns::of(row);
            Ok(CreatorStatistics {
                products: columns.get_as("products", "products.id")?,
                uses: Uses {
                    calls: columns.get("product_totals.calls")?,
                    projects: columns.get_as("projects", "project_products.project_id")?,
                },
            })
        };
        row.as_ref().map(statistics).transpose()
    }
}
