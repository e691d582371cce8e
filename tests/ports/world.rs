//! Organizations, projects and money in a database, made as the service makes them: by events of a
//! chain that the test writes block by block.

use crate::database::{Database, NOON, Setup};
use haithe_billing::{
    ExpenditureScope,
    batch::{Batch, SealPolicy},
    capture::{CallOutcome, Capture, Captured, LineItem, Payee, PriceLine, TokenUsage, UsageRecord},
    chain::{BlockRef, ChainEvent, EventBody, Hash32, IndexStep, SkipReason, StepEffects},
    hold::{HoldError, HoldRequest},
    ledger::Balance,
};
use haithe_identity::session::{Session, SessionId};
use haithe_kernel::{
    CallId, Clock, Decimals, ModelId, OrgId, OrgUid, ProjectUid, TokenUnits, Usdt, WalletAddress,
};
use haithe_orgs::{Act, Caller, NewProject, Organization, Project};
use sha2::{Digest, Sha256};
use std::time::Duration;
use uuid::Uuid;

pub const CHAIN_ID: u64 = 31_337;
pub const ORCHESTRATOR: WalletAddress = WalletAddress::new([0xaa; 20]);
/// The model that every test call uses.
pub const MODEL: ModelId = ModelId(1);

/// Wallet number `number`.
pub const fn wallet(number: u8) -> WalletAddress {
    WalletAddress::new([number; 20])
}

/// What a wallet does at noon.
pub fn act(by: WalletAddress) -> Act {
    Caller::from(by).acts(NOON)
}

/// This many nano-USDT.
pub const fn nano(amount: i64) -> Usdt {
    Usdt::from_nano(amount)
}

pub fn call_id() -> CallId {
    CallId(Uuid::now_v7())
}

/// A database and the chain it follows.
pub struct World<D> {
    pub db: D,
    /// How many blocks make a deposit spendable, and a batch final.
    pub confirmations: u64,
    pub finality: u64,
    blocks: Vec<BlockRef>,
    /// Distinguishes blocks of the same number on different branches.
    branch: u8,
    organizations: u64,
    transactions: u64,
}

impl<D: Database> World<D> {
    /// Binds the database to a chain where every block is final at once.
    pub async fn over(db: D) -> Self {
        db.index().bind(CHAIN_ID, ORCHESTRATOR, 1).await.unwrap();
        Self {
            db,
            confirmations: 1,
            finality: 1,
            blocks: Vec::new(),
            branch: 0,
            organizations: 0,
            transactions: 0,
        }
    }

    /// A database of its own for a token of so many decimals.
    pub async fn with_decimals(digits: u8) -> Self {
        Self::over(D::open(Setup::with_decimals(digits)).await).await
    }

    /// The same world after the service restarted.
    pub async fn reopened(self) -> Self {
        Self {
            db: self.db.reopened().await,
            ..self
        }
    }

    fn decimals(&self) -> Decimals {
        self.db.setup().decimals
    }

    /// An amount as the token counts it.
    pub fn units(&self, amount: Usdt) -> TokenUnits {
        amount.to_units(self.decimals()).unwrap().0
    }

    // The chain.

    /// The newest block.
    pub fn head(&self) -> Option<BlockRef> {
        self.blocks.last().copied()
    }

    /// One more block of one transaction per group of events. Gives the events as they were indexed.
    pub async fn mine(&mut self, transactions: Vec<Vec<EventBody>>) -> Vec<ChainEvent> {
        let (step, events) = self.next_block(transactions);
        self.apply(step).await;
        events
    }

    /// One more block of one transaction with one event.
    pub async fn mine_one(&mut self, body: EventBody) -> ChainEvent {
        self.mine(vec![vec![body]]).await.remove(0)
    }

    /// So many empty blocks.
    pub async fn mine_empty(&mut self, count: u64) {
        for _ in 0..count {
            self.mine(Vec::new()).await;
        }
    }

    pub async fn apply(&self, step: IndexStep) -> StepEffects {
        self.db.index().apply(step).await.unwrap()
    }

    /// The step that indexes one more block.
    pub fn next_block(&mut self, transactions: Vec<Vec<EventBody>>) -> (IndexStep, Vec<ChainEvent>) {
        let number = self.head().map_or(1, |head| head.number + 1);
        let block = BlockRef {
            number,
            hash: hash(&["block", &number.to_string(), &self.branch.to_string()]),
            parent: self.head().map_or([0; 32], |head| head.hash),
            time: NOON.plus(Duration::from_secs(number)),
        };
        let mut events = Vec::new();
        for bodies in transactions {
            self.transactions += 1;
            let tx = hash(&["tx", &self.transactions.to_string()]);
            for body in bodies {
                events.push(ChainEvent {
                    block: number,
                    block_hash: block.hash,
                    block_time: block.time,
                    tx,
                    log_index: events.len() as u64,
                    body,
                });
            }
        }
        self.blocks.push(block);
        (self.step(events.clone(), vec![block]), events)
    }

    /// A step to the newest block.
    pub fn step(&self, events: Vec<ChainEvent>, blocks: Vec<BlockRef>) -> IndexStep {
        let to = self.head().unwrap();
        IndexStep {
            events,
            blocks,
            to,
            confirmed: (to.number + 1).saturating_sub(self.confirmations),
            last_final: (to.number + 1).saturating_sub(self.finality),
        }
    }

    /// Takes the newest `depth` blocks back; what is mined next lies on another branch.
    pub async fn rewind(&mut self, depth: usize) {
        self.blocks.truncate(self.blocks.len() - depth);
        self.branch += 1;
        self.db.index().rewind(self.head().unwrap()).await.unwrap();
    }

    /// Mines an organization into being.
    pub async fn organization(&mut self, name: &str, owner: WalletAddress) -> Organization {
        let created = self.organization_created(name, owner);
        self.mine_one(created).await;
        let found = self.db.orgs().find_by_address(contract_of(name)).await.unwrap();
        found.expect("an indexed organization")
    }

    /// The event of an organization's creation.
    pub fn organization_created(&mut self, name: &str, owner: WalletAddress) -> EventBody {
        let index = self.organizations;
        self.organizations += 1;
        EventBody::OrganizationCreated {
            index,
            org: contract_of(name),
            owner,
            name: name.into(),
        }
    }

    /// A token transfer from a stranger to the organization.
    pub fn transfer_to(&self, org: &Organization, amount: Usdt) -> EventBody {
        transfer(wallet(0xdd), org.address, self.units(amount))
    }

    /// Mines a deposit.
    pub async fn deposit(&mut self, org: &Organization, amount: Usdt) {
        let transfer = self.transfer_to(org, amount);
        self.mine_one(transfer).await;
    }

    /// An organization with this much to spend, and a project.
    pub async fn funded(&mut self, name: &str, amount: Usdt) -> (Organization, Project) {
        let org = self.organization(name, wallet(1)).await;
        let project = self.project(&org).await;
        if amount > Usdt::ZERO {
            self.deposit(&org, amount).await;
        }
        (org, project)
    }

    // Rows that people make.

    pub async fn log_in(&self, address: WalletAddress) {
        let session = Session {
            id: SessionId(hash(&["session", &address.to_string()])),
            address,
            ip: None,
            user_agent: None,
            created_at: NOON,
            last_seen_at: NOON,
            expires_at: NOON.plus(Duration::from_secs(3 * 86_400)),
        };
        self.db.sessions().open(session).await.unwrap();
    }

    pub async fn project(&self, org: &Organization) -> Project {
        let mut new = new_project(org.id, "project");
        new.name = format!("project {}", new.uid);
        self.db.projects().create(new, act(wallet(1))).await.unwrap()
    }

    // Money.

    pub async fn balance(&self, org: &Organization) -> Balance {
        self.db.ledger().balance(org.id).await.unwrap()
    }

    /// Holds exactly `amount` for a fresh call.
    pub async fn hold(&self, org: &Organization, amount: Usdt) -> Result<CallId, HoldError> {
        let call = call_id();
        self.db.ledger().hold(exactly(call, org.id, amount)).await?;
        Ok(call)
    }

    /// Holds and captures a call that costs `amount`, due to the platform.
    pub async fn spend(&self, org: &Organization, project: &Project, amount: Usdt) -> CallId {
        let call = self.hold(org, amount).await.unwrap();
        let captured = self.capture(call, org, project, amount).await;
        assert_eq!(captured.charged, amount);
        call
    }

    pub async fn capture(&self, call: CallId, org: &Organization, project: &Project, cost: Usdt) -> Captured {
        let capture = capture(call, org.id, project, platform_lines(cost));
        self.db.ledger().capture(capture).await.unwrap()
    }

    /// A policy under which everything that waits becomes one batch.
    pub fn seal_all(&self) -> SealPolicy {
        SealPolicy {
            max_items: 1,
            max_amount: Usdt::ZERO,
            max_age: Duration::ZERO,
            ..SealPolicy::new(self.decimals())
        }
    }

    /// Seals everything that waits, however many calls that is.
    pub async fn seal(&self) -> Option<Batch> {
        let policy = SealPolicy {
            max_items: 100_000,
            ..self.seal_all()
        };
        let now = self.db.setup().clock.now();
        self.db.settlements().seal(policy, now).await.unwrap()
    }

    /// The events of the transaction that settles the batch, as the contract emits them.
    pub fn settled(&self, batch: &Batch, skipped: &[(u32, SkipReason)]) -> Vec<EventBody> {
        let mut events = Vec::new();
        let mut total = 0;
        for (number, line) in (0u32..).zip(&batch.lines) {
            let amount: u128 = line.credits.iter().map(|credit| credit.units.get()).sum();
            if let Some((_, reason)) = skipped.iter().find(|(skipped, _)| *skipped == number) {
                events.push(EventBody::LineSkipped {
                    seq: batch.seq,
                    line: number,
                    org: line.address,
                    amount: Some(amount),
                    reason: *reason,
                    payee: None,
                });
                continue;
            }
            total += amount;
            let mut kept = 0;
            for credit in &line.credits {
                match credit.payee {
                    Payee::Organization(_) => {
                        events.push(transfer(line.address, credit.address, credit.units));
                    }
                    Payee::Platform | Payee::Creator(_) => kept += credit.units.get(),
                }
            }
            if kept > 0 {
                events.push(transfer(line.address, ORCHESTRATOR, TokenUnits::new(kept)));
            }
        }
        events.push(EventBody::BatchSettled {
            seq: batch.seq,
            hash: hash(&["batch", &batch.seq.to_string()]),
            root: batch.root,
            total: Some(total),
            skipped: skipped.len() as u64,
        });
        events
    }

    /// Seals everything that waits and mines its settlement.
    pub async fn settle(&mut self) -> Batch {
        let batch = self.seal().await.expect("something to settle");
        let settled = self.settled(&batch, &[]);
        self.mine(vec![settled]).await;
        batch
    }

    /// The ledger's own promises, whatever happened: balanced, undrifted, every charge receipted.
    pub async fn assert_sound(&self) {
        let snapshot = self.db.books().snapshot().await.unwrap();
        assert_eq!(snapshot.sum_of_postings, 0);
        assert_eq!(snapshot.unbalanced, Vec::<String>::new());
        assert_eq!(snapshot.drifted, Vec::<String>::new());
        assert_eq!(snapshot.broken_receipts, 0);
    }
}

pub fn transfer(from: WalletAddress, to: WalletAddress, units: TokenUnits) -> EventBody {
    EventBody::Transfer {
        from,
        to,
        amount: Some(units.get()),
    }
}

pub fn new_project(org: OrgId, name: &str) -> NewProject {
    NewProject {
        uid: ProjectUid::new(Uuid::now_v7()),
        org,
        name: name.into(),
        default_model: MODEL,
        created_at: NOON,
    }
}

/// The contract of the organization that is created with this name.
pub fn contract_of(name: &str) -> WalletAddress {
    WalletAddress::new(hash(&["organization", name])[..20].try_into().unwrap())
}

pub fn unknown_org() -> OrgUid {
    OrgUid::new(Uuid::nil())
}

/// A hold of exactly this much.
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

pub fn platform_lines(amount: Usdt) -> Vec<PriceLine> {
    vec![line(Payee::Platform, amount)]
}

pub fn capture(call: CallId, org: OrgId, project: &Project, lines: Vec<PriceLine>) -> Capture {
    Capture {
        call,
        org,
        lines,
        expenditure: haithe_billing::ExpenditureScope::Organization,
        usage: UsageRecord {
            project: project.id,
            wallet: wallet(1),
            api_key: None,
            model: MODEL,
            model_name: "gpt-4".into(),
            provider: "openai".into(),
            tokens: TokenUsage {
                input: 10,
                cached: 2,
                output: 5,
                reasoning: 1,
            },
            estimated: false,
            streamed: true,
            outcome: CallOutcome::Complete,
            request_hash: [1; 32],
            response_hash: [2; 32],
            started_at: NOON,
            finished_at: NOON.plus(Duration::from_secs(1)),
        },
    }
}

fn hash(parts: &[&str]) -> Hash32 {
    Sha256::digest(parts.join("/")).into()
}
