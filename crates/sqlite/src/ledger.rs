//! The ledger: decisions in [memory], facts on disk.
//!
//! A [hold] is decided and kept in memory alone. A [capture] is decided in memory at once, so that
//! no two of them spend the same money, sealed into a receipt in its caller's task, and [stored](store)
//! by the writer together with whatever else waits. Until then its answer waits; if storing fails,
//! the decision is undone. Facts from the chain are [posted](post) by the index and reach the memory
//! after their commit. At start everything is [loaded](load) and compared with its postings.

pub(crate) mod budgets;
pub(crate) mod bulk;
pub(crate) mod capture;
pub(crate) mod facts;
pub(crate) mod hold;
pub(crate) mod load;
pub(crate) mod memory;
pub(crate) mod post;
pub(crate) mod scale;
pub(crate) mod spending;
pub(crate) mod store;

use crate::db::Db;
use async_trait::async_trait;
use haithe_billing::{
    capture::{Capture, Captured},
    hold::{HoldError, HoldRequest},
    ledger::{Balance, LedgerTotals},
    ports::Ledger,
};
use haithe_kernel::{CallId, OrgId, StoreError, Usdt};
use memory::Money;
use scale::capped;
use std::sync::Arc;

/// [`Ledger`] on SQLite.
///
/// An organization that was never seen has no money: its balance is zero and it can hold nothing.
#[derive(Clone)]
pub struct SqliteLedger {
    db: Db,
}

impl SqliteLedger {
    /// The ledger of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }

    fn money(&self) -> &Arc<Money> {
        self.db.money()
    }
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn hold(&self, request: HoldRequest) -> Result<Usdt, HoldError> {
        self.set_aside(request).await
    }

    async fn available(&self, request: HoldRequest) -> Result<Usdt, HoldError> {
        self.spendable(request).await
    }

    fn release(&self, call: CallId) {
        self.money().release(call);
    }

    async fn capture(&self, capture: Capture) -> Result<Captured, StoreError> {
        self.take(capture).await
    }

    async fn balance(&self, org: OrgId) -> Result<Balance, StoreError> {
        let state = self.money().lock()?;
        Ok(state
            .orgs
            .get(&org)
            .map_or_else(Balance::default, |money| Balance {
                available: capped(money.available),
                held: capped(money.held),
                unsettled: capped(money.unsettled),
                withdrawing: capped(money.withdrawing),
                onchain: money.facts.onchain(money.chain, self.db.scale()),
            }))
    }

    async fn totals(&self) -> Result<LedgerTotals, StoreError> {
        let state = self.money().lock()?;
        let sum = |of: fn(&memory::OrgMoney) -> i128| capped(state.orgs.values().map(of).sum());
        Ok(LedgerTotals {
            holds: state.holds.len(),
            held: sum(|money| money.held),
            unsettled: sum(|money| money.unsettled),
        })
    }

    async fn expenditure(&self, org: OrgId) -> Result<Usdt, StoreError> {
        let state = self.money().lock()?;
        Ok(state
            .orgs
            .get(&org)
            .map_or(Usdt::ZERO, |money| capped(money.spent)))
    }
}
