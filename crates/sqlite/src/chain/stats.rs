//! [`ChainStats`] on SQLite, from counters that triggers keep while events and transactions are stored
//! (`migrations/sqlite/0006_chain.sql`).

use crate::{
    columns::{self, Columns},
    db::{Db, Statement},
};
use async_trait::async_trait;
use haithe_billing::{chain::ChainCounts, ports::ChainStats};
use haithe_kernel::{StoreError, WalletAddress};

/// [`ChainStats`] on SQLite.
#[derive(Clone)]
pub struct SqliteChainStats {
    db: Db,
}

impl SqliteChainStats {
    /// The figures of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }

    async fn one(&self, statement: Statement) -> Result<u64, StoreError> {
        let row = self.db.optional(statement).await?;
        row.map_or(Ok(0), |row| Columns::of(&row).get("chain_totals.transactions"))
    }

    async fn busiest(&self, listed: &'static str) -> Result<Vec<(WalletAddress, u64)>, StoreError> {
        let rows = self.db.all(sqlx::query(BUSIEST).bind(listed)).await?;
        let read = |row| {
            let columns = Columns::of(row);
            Ok((
                columns.get("chain_counts.subject")?,
                columns.get("chain_counts.transactions")?,
            ))
        };
        rows.iter().map(read).collect()
    }
}

/// The busiest contracts of one kind, from an index that has them in this order.
const BUSIEST: &str = "
    SELECT subject, transactions FROM chain_counts WHERE listed = ? AND transactions > 0
    ORDER BY transactions DESC, subject LIMIT 100";

#[async_trait]
impl ChainStats for SqliteChainStats {
    async fn count(&self, server: WalletAddress) -> Result<ChainCounts, StoreError> {
        let mined = sqlx::query("SELECT mined AS transactions FROM chain_tx_counts WHERE signer = ?");
        let all = sqlx::query("SELECT transactions FROM chain_totals");
        Ok(ChainCounts {
            orchestrator: self.one(all).await?,
            organizations: self.busiest("organization").await?,
            products: self.busiest("product").await?,
            server: self.one(mined.bind(columns::address(server))).await?,
        })
    }
}
