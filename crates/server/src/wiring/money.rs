//! What reads the ledger and the index for those whose money it is.

use haithe_billing::{
    earnings::CreatorEarnings,
    ports::{CreatorTransactions, Ledger},
    treasury::{Treasury, TreasuryPorts},
    usage::Usage,
};
use haithe_evm::EvmOwnerTransactions;
use haithe_kernel::{Clock, Decimals};
use haithe_orgs::{Organizations, Projects, ports::ChainSync};
use haithe_sqlite::{Db, SqliteEarningsStore, SqliteTreasuryStore, SqliteUsageStore};
use std::sync::Arc;

/// Withdrawals and the daily cap.
pub(super) fn treasury(
    organizations: &Arc<Organizations>,
    ledger: &Arc<dyn Ledger>,
    transactions: &Arc<EvmOwnerTransactions>,
    chain: &Arc<dyn ChainSync>,
    (db, clock, decimals): (&Db, &Arc<dyn Clock>, Decimals),
) -> Arc<Treasury> {
    let ports = TreasuryPorts {
        store: Arc::new(SqliteTreasuryStore::new(db)),
        ledger: ledger.clone(),
        transactions: transactions.clone(),
        chain: chain.clone(),
        clock: clock.clone(),
    };
    Arc::new(Treasury::new(organizations.clone(), ports, decimals))
}

/// What was used and what it did cost.
pub(super) fn usage(organizations: &Arc<Organizations>, projects: &Arc<Projects>, db: &Db) -> Arc<Usage> {
    let store = Arc::new(SqliteUsageStore::new(db));
    Arc::new(Usage::new(organizations.clone(), projects.clone(), store))
}

/// What creators earned.
pub(super) fn earnings(
    db: &Db,
    payouts: Arc<dyn CreatorTransactions>,
    chain: &Arc<dyn ChainSync>,
    decimals: Decimals,
) -> Arc<CreatorEarnings> {
    let store = Arc::new(SqliteEarningsStore::new(db));
    Arc::new(CreatorEarnings::new(store, payouts, chain.clone(), decimals))
}
