//! [`ChainStats`] on SQLite, from the index and the outbox.

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
        row.map_or(Ok(0), |row| Columns::of(&row).read("count"))
    }

    async fn busiest(&self, statement: &'static str) -> Result<Vec<(WalletAddress, u64)>, StoreError> {
        let rows = self.db.all(sqlx::query(statement)).await?;
        let read = |row| {
            let mut columns = Columns::of(row);
            Ok((columns.read("chain_events.subject")?, columns.read("count")?))
        };
        rows.iter().map(read).collect()
    }
}

#[async_trait]
impl ChainStats for SqliteChainStats {
    async fn count(&self, server: WalletAddress) -> Result<ChainCounts, StoreError> {
        let mined = "SELECT count(*) FROM chain_tx WHERE signer = ? AND mined_hash IS NOT NULL";
        let mined = sqlx::query(mined).bind(columns::address(server));
        let all = "SELECT count(DISTINCT tx) FROM chain_events WHERE kind <> 'transfer'";
        Ok(ChainCounts {
            orchestrator: self.one(sqlx::query(all)).await?,
            organizations: self
                .busiest(
                    "SELECT subject, count(DISTINCT tx) AS transactions FROM chain_events
                     JOIN organizations ON organizations.address = subject AND on_chain = 1
                     GROUP BY subject ORDER BY transactions DESC, subject LIMIT 100",
                )
                .await?,
            products: self
                .busiest(
                    "SELECT subject, count(DISTINCT tx) AS transactions FROM chain_events
                     JOIN products ON products.address = subject AND on_chain = 1
                     GROUP BY subject ORDER BY transactions DESC, subject LIMIT 100",
                )
                .await?,
            server: self.one(mined).await?,
        })
    }
}
