//! [`CreatorStore`] on PostgreSQL. Only the index writes creators.

use crate::{
    columns::{self, Columns},
    db::Db,
};
use async_trait::async_trait;
use haithe_kernel::{Listed, Page, StoreError, WalletAddress};
use haithe_marketplace::{Creator, CreatorStatistics, Uses, ports::CreatorStore};
use sqlx::postgres::PgRow;

/// [`CreatorStore`] on PostgreSQL.
#[derive(Clone)]
pub struct PgCreatorStore {
    db: Db,
}

impl PgCreatorStore {
    /// The creators of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

const STATISTICS: &str = "
    SELECT (SELECT count(*) FROM products WHERE creator = $1 AND on_chain) AS products,
           (SELECT coalesce(sum(calls), 0)::BIGINT FROM products
            JOIN product_totals ON product_totals.product_id = products.id
            WHERE creator = $1 AND on_chain) AS calls,
           (SELECT count(DISTINCT project_id) FROM products
            JOIN project_products ON project_products.product_id = products.id
            JOIN projects ON projects.id = project_products.project_id
            WHERE creator = $1 AND on_chain AND NOT projects.deleted) AS projects
    FROM creators WHERE wallet_address = $1";

fn creator(row: &PgRow) -> Result<Creator, StoreError> {
    let columns = Columns::of(row);
    Ok(Creator {
        address: columns.get("creators.wallet_address")?,
        uri: columns.get("creators.uri")?,
        created_at: columns.get("creators.created_at")?,
    })
}

fn statistics(row: &PgRow) -> Result<CreatorStatistics, StoreError> {
    let columns = Columns::of(row);
    Ok(CreatorStatistics {
        products: columns.get("products.products")?,
        uses: Uses {
            calls: columns.get("product_totals.calls")?,
            projects: columns.get("project_products.projects")?,
        },
    })
}

#[async_trait]
impl CreatorStore for PgCreatorStore {
    async fn list(&self, page: Page) -> Result<Listed<Creator>, StoreError> {
        // Identities are numbered in the order they were made.
        let rows = "SELECT wallet_address, uri, created_at FROM creators
                    ORDER BY identity_id DESC LIMIT $1 OFFSET $2";
        let count = sqlx::query("SELECT count(*) FROM creators");
        self.db.listed(count, (sqlx::query(rows), page), creator).await
    }

    async fn find(&self, address: WalletAddress) -> Result<Option<Creator>, StoreError> {
        let find = "SELECT wallet_address, uri, created_at FROM creators WHERE wallet_address = $1";
        let statement = sqlx::query(find).bind(columns::address(address));
        let row = self.db.optional(statement).await?;
        row.as_ref().map(creator).transpose()
    }

    async fn statistics(&self, address: WalletAddress) -> Result<Option<CreatorStatistics>, StoreError> {
        let statement = sqlx::query(STATISTICS).bind(columns::address(address));
        let row = self.db.optional(statement).await?;
        row.as_ref().map(statistics).transpose()
    }
}
