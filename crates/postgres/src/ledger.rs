//! [`Ledger`] on PostgreSQL: every decision is made in the database, so that any number of instances share it.
//!
//! A task per process collects the holds, captures and releases of its callers and runs each [group] as one
//! transaction: it checks the [epoch](crate::instances), locks the books of the organizations that pay in ascending
//! order, [loads](load) what the commands are about (among it the holds of all instances), lets billing decide each
//! command in turn, and [stores](store) the effects. While one transaction runs, the next group gathers, so that
//! groups grow with the load. What the database aborts because of a concurrent transaction is loaded and decided
//! again. Facts from the chain are [booked](entries) by the index under the same locks.

pub(crate) mod accounts;
pub(crate) mod entries;
pub(crate) mod facts;
mod group;
mod load;
pub(crate) mod read;
mod statistics;
mod store;
mod sums;
mod worker;

use crate::{
    columns::{self, Columns},
    db::Db,
    instances::PgInstance,
};
use async_trait::async_trait;
use facts::{Transit, chain_time, org_money};
use haithe_billing::{
    capture::{Capture, Captured},
    hold::{HoldError, HoldRequest},
    ledger::{Balance, LedgerState, LedgerTotals, StoreMark, TokenScale, capped},
    ports::Ledger,
};
use haithe_kernel::{CallId, OrgId, StoreError, Usdt};
use tokio::sync::{mpsc, oneshot};
use worker::{Answer, Work};

/// What a caller asks the ledger to decide.
#[derive(Debug)]
enum Command {
    Hold(HoldRequest),
    Available(HoldRequest),
    Capture(Box<Capture>),
    Release(CallId),
}

/// [`Ledger`] on PostgreSQL. Clones share one queue.
///
/// An organization that was never seen has no money: its balance is zero and it can hold nothing. Holds belong to
/// the instance: they are released when its lease ends.
#[derive(Clone)]
pub struct PgLedger {
    db: Db,
    scale: TokenScale,
    queue: mpsc::UnboundedSender<Work>,
}

impl PgLedger {
    /// The ledger of this database, for this process as that instance. Must be called inside a Tokio runtime, on
    /// which a task then runs what callers ask for.
    pub fn start(db: &Db, instance: &PgInstance) -> Self {
        let (queue, work) = mpsc::unbounded_channel();
        let scale = TokenScale::of(db.decimals());
        tokio::spawn(worker::run(db.clone(), instance.clone(), work));
        Self {
            db: db.clone(),
            scale,
            queue,
        }
    }

    /// Waits until everything that was asked of this ledger before, releases included, is done or has failed.
    ///
    /// # Errors
    /// [`StoreError`] when the task has stopped.
    pub async fn settled(&self) -> Result<(), StoreError> {
        let (done, wait) = oneshot::channel();
        self.send(Work::Barrier(done))?;
        wait.await.map_err(|_| stopped())
    }

    fn send(&self, work: Work) -> Result<(), StoreError> {
        self.queue.send(work).map_err(|_| stopped())
    }

    async fn money(&self, command: Command) -> Result<Usdt, HoldError> {
        let (answer, wait) = oneshot::channel();
        self.send(Work::Decide(command.into(), Answer::Money(answer)))?;
        wait.await.unwrap_or_else(|_| Err(stopped().into()))
    }
}

fn stopped() -> StoreError {
    StoreError::new("the ledger's task has stopped; restart the server")
}

#[async_trait]
impl Ledger for PgLedger {
    async fn hold(&self, request: HoldRequest) -> Result<Usdt, HoldError> {
        self.money(Command::Hold(request)).await
    }

    async fn available(&self, request: HoldRequest) -> Result<Usdt, HoldError> {
        self.money(Command::Available(request)).await
    }

    fn release(&self, call: CallId) {
        // Without the task nothing renews the lease either, which then ends with all holds.
        let _ = self.send(Work::Decide(Command::Release(call).into(), Answer::None));
    }

    async fn capture(&self, capture: Capture) -> Result<Captured, StoreError> {
        let (answer, wait) = oneshot::channel();
        let command = Command::Capture(Box::new(capture));
        self.send(Work::Decide(command.into(), Answer::Captured(answer)))?;
        wait.await.unwrap_or_else(|_| Err(stopped()))
    }

    async fn balance(&self, org: OrgId) -> Result<Balance, StoreError> {
        // Releases come before the questions that follow them.
        self.settled().await?;
        let mut snapshot = self.db.snapshot().await?;
        let time = chain_time(&mut snapshot).await?;
        let mut state = LedgerState::new(StoreMark(0));
        for (org, money) in org_money(&mut snapshot, &[org], (self.scale, Transit::Read), time).await? {
            state.add_organization(org, money);
        }
        for hold in load::holds_of(&mut snapshot, org).await? {
            state.add_hold(hold);
        }
        Ok(state.balance(org, self.scale))
    }

    async fn totals(&self) -> Result<LedgerTotals, StoreError> {
        self.settled().await?;
        let mut snapshot = self.db.snapshot().await?;
        let holds = "SELECT count(*) AS holds, coalesce(sum(amount >> 32), 0)::BIGINT AS high,
                            coalesce(sum(amount & 4294967295), 0)::BIGINT AS low
                     FROM holds";
        let row = sqlx::query(holds).fetch_one(&mut *snapshot).await;
        let row = row.map_err(StoreError::new)?;
        let columns = Columns::of(&row);
        let count: u64 = columns.get_as("holds", "holds.call")?;
        let held = columns::halves(&columns, "holds.amount")?;
        let unsettled = "SELECT coalesce(sum(balance >> 32), 0)::BIGINT AS high,
                                coalesce(sum(balance & 4294967295), 0)::BIGINT AS low
                         FROM ledger_accounts WHERE name LIKE 'org/%/unsettled'";
        let row = sqlx::query(unsettled).fetch_one(&mut *snapshot).await;
        let row = row.map_err(StoreError::new)?;
        let unsettled = columns::halves(&Columns::of(&row), "ledger_accounts.balance")?;
        Ok(LedgerTotals {
            holds: usize::try_from(count).unwrap_or(usize::MAX),
            held: capped(held),
            unsettled: capped(unsettled),
        })
    }

    async fn expenditure(&self, org: OrgId) -> Result<Usdt, StoreError> {
        let spent = "SELECT spent FROM org_books WHERE org_id = $1";
        let row = self.db.optional(sqlx::query(spent).bind(org.0)).await?;
        let spent = row.map(|row| Columns::of(&row).get::<i128>("org_books.spent"));
        Ok(spent.transpose()?.map_or(Usdt::ZERO, capped))
    }
}
