//! [`Ledger`] on SQLite: billing's [`LedgerState`](haithe_billing::ledger::LedgerState) in memory, its effects on
//! disk.
//!
//! A hold is decided and kept in [memory] alone. A [capture] is decided in memory at once, so that no two of them
//! spend the same money, sealed into a receipt in its caller's task, and [stored](store) by the writer together
//! with whatever else waits. Until then its answer waits; if storing fails, the decision is taken back. Facts from
//! the chain are [booked](entries) by the index and reach the memory after their commit. At start everything is
//! [loaded](load) and compared with its postings.

pub(crate) mod accounts;
pub(crate) mod bulk;
pub(crate) mod capture;
pub(crate) mod entries;
pub(crate) mod facts;
pub(crate) mod load;
pub(crate) mod memory;
pub(crate) mod store;

/// The domain's scale, under the name that this crate's modules use.
pub(crate) mod scale {
    pub(crate) use haithe_billing::ledger::TokenScale as Scale;
}

use crate::{columns::Columns, db::Db};
use async_trait::async_trait;
use haithe_billing::{
    capture::{Capture, Captured},
    hold::{BudgetSubject, HoldError, HoldRequest},
    ledger::{Balance, HoldDecision, LedgerTotals, UnreadBudget},
    ports::Ledger,
};
use haithe_kernel::{CallId, OrgId, StoreError, Usdt};
use memory::Money;
use std::sync::Arc;

/// Times a budget's window may be evicted again while it is being read, before that is an error.
const ATTEMPTS: usize = 8;

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

    /// Decides again after each budget that had to be read first.
    async fn decided(
        &self,
        decide: impl Fn(&Money) -> Result<HoldDecision<Usdt>, HoldError> + Send,
    ) -> Result<Usdt, HoldError> {
        for _ in 0..ATTEMPTS {
            match decide(self.money())? {
                HoldDecision::Granted(granted) => return Ok(granted),
                HoldDecision::Unread(unread) => {
                    let captured = self.captured_in(unread).await?;
                    self.money().lock()?.ledger.budget_read(unread, captured);
                }
            }
        }
        Err(StoreError::new("the budgets change faster than they can be read").into())
    }

    /// Reads a budget's window. Marks are the numbers of usage records.
    async fn captured_in(&self, unread: UnreadBudget) -> Result<i128, StoreError> {
        // Sums of halves: a sum in 64 bits could overflow.
        let (sql, id) = match unread.subject {
            BudgetSubject::ApiKey(key) => (
                "SELECT coalesce(sum(charged >> 32), 0) AS high, coalesce(sum(charged & 4294967295), 0) AS low
                 FROM usage_records WHERE api_key_id = ? AND finished_at >= ? AND id <= ?",
                key.0,
            ),
            BudgetSubject::Project(project) => (
                "SELECT coalesce(sum(charged >> 32), 0) AS high, coalesce(sum(charged & 4294967295), 0) AS low
                 FROM usage_records WHERE project_id = ? AND finished_at >= ? AND id <= ?",
                project.0,
            ),
        };
        let statement = sqlx::query(sql)
            .bind(id)
            .bind(unread.since.micros())
            .bind(unread.stored.0);
        let row = self.db.optional(statement).await?;
        row.map_or(Ok(0), |row| halves(&Columns::of(&row), "usage_records.charged"))
    }
}

/// The sum of a column that was summed up in two halves, `high` and `low`.
pub(crate) fn halves(columns: &Columns<'_>, place: &'static str) -> Result<i128, StoreError> {
    let high: i64 = columns.get_as("high", place)?;
    let low: i64 = columns.get_as("low", place)?;
    Ok((i128::from(high) << 32) + i128::from(low))
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn hold(&self, request: HoldRequest) -> Result<Usdt, HoldError> {
        self.decided(|money| money.hold(&request)).await
    }

    async fn available(&self, request: HoldRequest) -> Result<Usdt, HoldError> {
        self.decided(|money| money.available(&request)).await
    }

    fn release(&self, call: CallId) {
        self.money().lock_anyway().ledger.release(call);
    }

    async fn capture(&self, capture: Capture) -> Result<Captured, StoreError> {
        self.take(capture).await
    }

    async fn balance(&self, org: OrgId) -> Result<Balance, StoreError> {
        Ok(self.money().lock()?.ledger.balance(org, self.db.scale()))
    }

    async fn totals(&self) -> Result<LedgerTotals, StoreError> {
        Ok(self.money().lock()?.ledger.totals())
    }

    async fn expenditure(&self, org: OrgId) -> Result<Usdt, StoreError> {
        Ok(self.money().lock()?.ledger.expenditure(org))
    }
}
