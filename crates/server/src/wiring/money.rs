//! What reads the ledger and the index for those whose money it is.

use super::{Base, chain::Chain, directory::DirectoryParts};
use haithe_billing::{
    earnings::CreatorEarnings,
    treasury::{Treasury, TreasuryPorts},
    usage::Usage,
};
use std::sync::Arc;

/// The use cases over money that was spent, earned or deposited.
pub(super) struct MoneyParts {
    pub treasury: Arc<Treasury>,
    pub usage: Arc<Usage>,
    pub earnings: Arc<CreatorEarnings>,
}

/// Sets the use cases up.
pub(super) fn money(base: &Base<'_>, chain: &Chain, directory: &DirectoryParts) -> MoneyParts {
    let (stores, decimals) = (base.stores, base.config.chain.decimals);
    let ports = TreasuryPorts {
        store: stores.treasury.clone(),
        ledger: stores.ledger.clone(),
        transactions: directory.transactions.clone(),
        chain: chain.sync.clone(),
        clock: base.clock.clone(),
    };
    MoneyParts {
        treasury: Arc::new(Treasury::new(directory.organizations.clone(), ports, decimals)),
        usage: Arc::new(Usage::new(
            directory.organizations.clone(),
            directory.projects.clone(),
            stores.usage.clone(),
        )),
        earnings: Arc::new(CreatorEarnings::new(
            stores.earnings.clone(),
            chain.payouts.clone(),
            chain.sync.clone(),
            decimals,
        )),
    }
}
