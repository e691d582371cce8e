//! A database in a folder of its own, and the chain it follows.

use haithe_billing::{
    ExpenditureScope,
    batch::{Batch, SealPolicy},
    capture::{CallOutcome, Capture, Captured, LineItem, Payee, PriceLine, TokenUsage, UsageRecord},
    chain::{BlockRef, ChainEvent, EventBody, Hash32, IndexStep, StepEffects},
    hold::{HoldError, HoldRequest},
    ledger::Balance,
    ports::{Books, ChainIndex, Ledger, SettlementStore},
};
use haithe_kernel::{
    CallId, Clock, Decimals, FixedClock, ModelId, OrgId, ProjectId, StoreError, Timestamp, Usdt,
    WalletAddress,
};
use haithe_orgs::ports::OrgStore;
use haithe_sqlite::{
    Db, DbConfig, OpenError, SqliteBooks, SqliteChainIndex, SqliteLedger, SqliteOrgStore,
    SqliteSettlementStore,
};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tempfile::TempDir;
use uuid::Uuid;

/// 15 January 2026, noon.
pub const NOON: Timestamp = Timestamp::from_seconds(1_768_478_400);
pub const ORCHESTRATOR: WalletAddress = WalletAddress::new([0xaa; 20]);
pub const OWNER: WalletAddress = WalletAddress::new([1; 20]);
pub const DAY: u64 = 86_400;

pub const fn nano(amount: i64) -> Usdt {
    Usdt::from_nano(amount)
}

pub const fn wallet(number: u8) -> WalletAddress {
    WalletAddress::new([number; 20])
}

/// The contract of organization `number`.
pub const fn contract(number: u8) -> WalletAddress {
    WalletAddress::new([0xc0 + number; 20])
}

pub fn call_id() -> CallId {
    CallId(Uuid::now_v7())
}

/// Base units of a token with 18 decimals.
pub fn units(amount: Usdt) -> u128 {
    u128::try_from(amount.nano()).unwrap() * 1_000_000_000
}

pub fn created(number: u8) -> EventBody {
    EventBody::OrganizationCreated {
        index: u64::from(number),
        org: contract(number),
        owner: OWNER,
        name: format!("Acme {number}"),
    }
}

pub fn deposit(number: u8, amount: Usdt) -> EventBody {
    transfer(wallet(0xdd), contract(number), units(amount))
}

pub fn transfer(from: WalletAddress, to: WalletAddress, amount: u128) -> EventBody {
    EventBody::Transfer {
        from,
        to,
        amount: Some(amount),
    }
}

pub fn exactly(call: CallId, org: OrgId, amount: Usdt) -> HoldRequest {
    HoldRequest {
        call,
        org,
        most: amount,
        least: amount,
        budgets: Vec::new(),
        expenditure: ExpenditureScope::Organization,
    }
}

pub fn line(payee: Payee, amount: Usdt) -> PriceLine {
    PriceLine {
        payee,
        item: LineItem::ModelTokens,
        amount,
    }
}

pub fn capture(call: CallId, org: OrgId, lines: Vec<PriceLine>) -> Capture {
    let usage = UsageRecord {
        project: ProjectId(1),
        wallet: OWNER,
        api_key: None,
        model: ModelId(1),
        model_name: "gpt-4".into(),
        provider: "openai".into(),
        tokens: TokenUsage::default(),
        estimated: false,
        streamed: false,
        outcome: CallOutcome::Complete,
        request_hash: [1; 32],
        response_hash: [2; 32],
        started_at: NOON,
        finished_at: NOON.plus(Duration::from_secs(1)),
    };
    Capture {
        call,
        org,
        lines,
        usage,
        expenditure: ExpenditureScope::Organization,
    }
}

pub fn config(path: PathBuf, clock: &Arc<FixedClock>) -> DbConfig {
    DbConfig {
        path,
        decimals: Decimals::new(18).unwrap(),
        clock: Arc::clone(clock) as Arc<dyn Clock>,
    }
}

/// An open database and the newest block it has indexed.
pub struct Fixture {
    pub dir: TempDir,
    pub clock: Arc<FixedClock>,
    pub db: Db,
    pub head: Option<BlockRef>,
    /// Blocks that make a deposit count, and a batch final.
    pub confirmations: u64,
    pub finality: u64,
    transactions: u64,
}

impl Fixture {
    /// Bound to a chain, every block of which is final at once.
    pub async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let clock = Arc::new(FixedClock::at(NOON));
        let db = Db::open(config(dir.path().join("haithe.db"), &clock))
            .await
            .unwrap();
        let fixture = Self {
            dir,
            clock,
            db,
            head: None,
            confirmations: 1,
            finality: 1,
            transactions: 0,
        };
        fixture.index().bind(31_337, ORCHESTRATOR, 1).await.unwrap();
        fixture
    }

    /// With organization 1, which holds `amount`.
    pub async fn funded(amount: Usdt) -> (Self, OrgId) {
        let mut fixture = Self::new().await;
        fixture.mine(vec![created(1), deposit(1, amount)]).await;
        let org = fixture.org(1).await;
        (fixture, org)
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("haithe.db")
    }

    /// Closes the database and opens it again.
    pub async fn reopened(mut self) -> Self {
        self.db.close().await.unwrap();
        self.db = self.open_again().await.unwrap();
        self
    }

    pub async fn open_again(&self) -> Result<Db, OpenError> {
        Db::open(config(self.path(), &self.clock)).await
    }

    pub fn index(&self) -> SqliteChainIndex {
        SqliteChainIndex::new(&self.db)
    }

    pub fn ledger(&self) -> SqliteLedger {
        SqliteLedger::new(&self.db)
    }

    pub fn settlements(&self) -> SqliteSettlementStore {
        SqliteSettlementStore::new(&self.db)
    }

    pub fn books(&self) -> SqliteBooks {
        SqliteBooks::new(&self.db.read_only())
    }

    pub async fn org(&self, number: u8) -> OrgId {
        let orgs = SqliteOrgStore::new(&self.db);
        orgs.find_by_address(contract(number)).await.unwrap().unwrap().id
    }

    /// Opens the database once a server that was cut off has let go of it.
    pub async fn open_after_crash(&self) -> Db {
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        loop {
            match self.open_again().await {
                Ok(db) => return db,
                Err(OpenError::InUse { .. }) if std::time::Instant::now() < deadline => {
                    tokio::task::yield_now().await;
                }
                Err(other) => panic!("{other}"),
            }
        }
    }

    /// A connection of somebody else to the same file.
    pub async fn stranger(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.path());
        SqliteConnection::connect_with(&options).await.unwrap()
    }

    // The chain.

    /// One more block, one transaction per event, a second after the last one.
    pub async fn mine(&mut self, bodies: Vec<EventBody>) -> StepEffects {
        self.mine_transactions(bodies.into_iter().map(|body| vec![body]).collect())
            .await
    }

    /// One more block of these transactions.
    pub async fn mine_transactions(&mut self, transactions: Vec<Vec<EventBody>>) -> StepEffects {
        let after = self.head.map_or(Duration::ZERO, |_| Duration::from_secs(1));
        self.mine_later(after, transactions).await
    }

    /// The same, so much after the last block.
    pub async fn mine_later(&mut self, after: Duration, transactions: Vec<Vec<EventBody>>) -> StepEffects {
        let number = self.head.map_or(1, |head| head.number + 1);
        let block = BlockRef {
            number,
            hash: hash(number, self.transactions),
            parent: self.head.map_or([0; 32], |head| head.hash),
            time: self.head.map_or(NOON, |head| head.time.plus(after)),
        };
        let mut events = Vec::new();
        for bodies in transactions {
            self.transactions += 1;
            for body in bodies {
                events.push(ChainEvent {
                    block: number,
                    block_hash: block.hash,
                    block_time: block.time,
                    tx: hash(0, self.transactions),
                    log_index: events.len() as u64,
                    body,
                });
            }
        }
        self.head = Some(block);
        let step = IndexStep {
            events,
            blocks: vec![block],
            to: block,
            confirmed: (number + 1).saturating_sub(self.confirmations),
            last_final: (number + 1).saturating_sub(self.finality),
        };
        self.index().apply(step).await.unwrap()
    }

    pub async fn rewind(&mut self, to: BlockRef) {
        self.head = Some(to);
        self.index().rewind(to).await.unwrap();
    }

    // Money.

    pub async fn hold(&self, org: OrgId, amount: Usdt) -> Result<CallId, HoldError> {
        let call = call_id();
        self.ledger().hold(exactly(call, org, amount)).await?;
        Ok(call)
    }

    pub async fn capture(&self, call: CallId, org: OrgId, cost: Usdt) -> Result<Captured, StoreError> {
        self.ledger()
            .capture(capture(call, org, vec![line(Payee::Platform, cost)]))
            .await
    }

    /// Holds and captures a call that costs so much.
    pub async fn spend(&self, org: OrgId, amount: Usdt) -> CallId {
        let call = self.hold(org, amount).await.unwrap();
        assert_eq!(self.capture(call, org, amount).await.unwrap().charged, amount);
        call
    }

    pub async fn balance(&self, org: OrgId) -> Balance {
        self.ledger().balance(org).await.unwrap()
    }

    pub async fn seal(&self) -> Option<Batch> {
        self.settlements().seal(seal_all(), NOON).await.unwrap()
    }

    /// The ledger's promises, and its memory against its postings.
    pub async fn assert_sound(&self) {
        let snapshot = self.books().snapshot().await.unwrap();
        assert_eq!(snapshot.sum_of_postings, 0);
        assert_eq!(snapshot.unbalanced, Vec::<String>::new());
        assert_eq!(snapshot.drifted, Vec::<String>::new());
        assert_eq!(snapshot.broken_receipts, 0);
        for position in snapshot.orgs {
            let balance = self.balance(position.org).await;
            assert_eq!(
                (balance.available, balance.unsettled, balance.withdrawing),
                (position.available, position.unsettled, position.withdrawing),
                "memory and postings of organization {}",
                position.org
            );
        }
    }
}

pub fn seal_all() -> SealPolicy {
    SealPolicy {
        max_items: 100_000,
        max_amount: Usdt::ZERO,
        max_age: Duration::ZERO,
        max_lines: 100,
        max_credits_per_line: 50,
        ..SealPolicy::new(Decimals::new(18).unwrap())
    }
}

/// The events of the transaction that settles a batch; `skipped` lines with their reasons.
pub fn settling(batch: &Batch, skipped: &[(u32, haithe_billing::chain::SkipReason)]) -> Vec<EventBody> {
    let mut events = Vec::new();
    let mut total = 0;
    for (number, line) in (0u32..).zip(&batch.lines) {
        let amount: u128 = line.credits.iter().map(|credit| credit.units.get()).sum();
        match skipped.iter().find(|(skipped, _)| *skipped == number) {
            Some((_, reason)) => events.push(EventBody::LineSkipped {
                seq: batch.seq,
                line: number,
                org: line.address,
                amount: Some(amount),
                reason: *reason,
                payee: None,
            }),
            None => {
                total += amount;
                events.push(transfer(line.address, ORCHESTRATOR, amount));
            }
        }
    }
    total += batch
        .payouts
        .iter()
        .map(|payout| payout.units.get())
        .sum::<u128>();
    events.push(EventBody::BatchSettled {
        seq: batch.seq,
        hash: [7; 32],
        root: batch.root,
        total: Some(total),
        skipped: skipped.len() as u64,
    });
    events
}

pub fn hash(a: u64, b: u64) -> Hash32 {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&a.to_be_bytes());
    hash[8..16].copy_from_slice(&b.to_be_bytes());
    hash
}
