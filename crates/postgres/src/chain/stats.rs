//! [`ChainStats`] on PostgreSQL, from counters that are kept as events and transactions are stored.

use super::listing::Listing;
use crate::{
    columns,
    db::{Db, Statement},
    ledger::read::ReadRows,
    reads::{read_each, read_first},
};
use async_trait::async_trait;
use haithe_billing::{chain::ChainCounts, ports::ChainStats};
use haithe_kernel::{StoreError, WalletAddress};

/// [`ChainStats`] on PostgreSQL.
#[derive(Clone)]
pub struct PgChainStats {
    db: Db,
}

impl PgChainStats {
    /// The figures of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

const ALL: &str = "SELECT transactions FROM chain_totals";
const MINED: &str = "SELECT mined AS transactions FROM chain_tx_counts WHERE signer = $1";
/// The busiest contracts of one kind, from an index that has them in this order.
const BUSIEST: &str = "
    SELECT subject, transactions FROM chain_counts WHERE listed = $1 AND transactions > 0
    ORDER BY transactions DESC, subject LIMIT 100";

async fn one(moment: &mut impl ReadRows, statement: Statement) -> Result<u64, StoreError> {
    let count = read_first(moment, statement, |columns| {
        columns.get("chain_totals.transactions")
    });
    Ok(count.await?.unwrap_or(0))
}

async fn busiest(
    moment: &mut impl ReadRows,
    listing: Listing,
) -> Result<Vec<(WalletAddress, u64)>, StoreError> {
    read_each(moment, sqlx::query(BUSIEST).bind(listing.as_str()), |columns| {
        Ok((
            columns.get("chain_counts.subject")?,
            columns.get("chain_counts.transactions")?,
        ))
    })
    .await
}

#[async_trait]
impl ChainStats for PgChainStats {
    async fn count(&self, server: WalletAddress) -> Result<ChainCounts, StoreError> {
        let mut moment = self.db.snapshot().await?;
        let mined = sqlx::query(MINED).bind(columns::address(server));
        Ok(ChainCounts {
            orchestrator: one(&mut moment, sqlx::query(ALL)).await?,
            organizations: busiest(&mut moment, Listing::Organization).await?,
            products: busiest(&mut moment, Listing::Product).await?,
            server: one(&mut moment, mined).await?,
        })
    }
}
