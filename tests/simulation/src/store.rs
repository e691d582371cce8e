//! A model store: everything that survives a crash, as plain collections. It stores what the rules return and
//! decides nothing.

pub mod books;
mod effects;
mod facts;
pub mod index;
pub mod ledger;
pub mod outbox;
pub mod settlement;

use crate::{defect::Defect, plan::Setup};
use books::Books;
use haithe_billing::{
    batch::{Batch, BatchState, Carry, CarryChange, CarryKey},
    capture::{Captured, Payee},
    chain::{
        Blame, BlockRef, ChainAmount, ChainEvent, CreatedOrganization, Hash32, IndexAlarm, LogId,
        PayoutAddresses, RegisteredCreator, SeenDeposit, SkipReason, StoredRequest,
    },
    ledger::HoldRecord,
};
use haithe_identity::api_key::ApiKeyId;
use haithe_kernel::{CallId, Decimals, OrgId, ProjectId, Timestamp, Usdt, WalletAddress};
use outbox::Intent;
use std::collections::BTreeMap;

/// A stored organization.
#[derive(Debug, Clone)]
pub struct OrgRow {
    created: CreatedOrganization,
    on_chain: bool,
    cap: ChainAmount,
    dust: i64,
    skips_from: u64,
}

/// A captured call.
#[derive(Debug, Clone)]
pub struct Usage {
    /// The call.
    pub call: CallId,
    /// The payer.
    pub org: OrgId,
    /// What each payee gets.
    pub lines: Vec<(Payee, Usdt)>,
    /// The first answer.
    pub captured: Captured,
    /// When it was charged.
    pub at: Timestamp,
    /// For budgets.
    pub project: ProjectId,
    /// For budgets.
    pub api_key: Option<ApiKeyId>,
    receipt_hash: Hash32,
    /// The batch that contains it.
    pub batch: Option<u64>,
    was_skipped: bool,
}

/// A sealed batch, and what became of it.
#[derive(Debug, Clone)]
pub struct BatchRow {
    /// The batch.
    pub batch: Batch,
    places: Vec<usize>,
    changes: Vec<CarryChange>,
    settled: Option<(u64, Timestamp)>,
    is_final: bool,
    payouts_skipped: bool,
    skips: BTreeMap<u32, (SkipReason, Option<Blame>)>,
}

impl BatchRow {
    /// How far it has come.
    pub fn state(&self) -> BatchState {
        BatchState::of(self.settled.is_some(), self.is_final)
    }
}

/// Who does the background work.
#[derive(Debug, Clone, Default)]
pub struct Lease {
    /// The instance that has it.
    pub holder: Option<usize>,
    /// Rises with each holder.
    pub epoch: u64,
    /// When it was last renewed.
    pub renewed_at: Option<Timestamp>,
}

/// The store.
#[derive(Debug)]
pub struct Store {
    setup: Setup,
    defect: Option<Defect>,
    /// An invariant that the store itself keeps was broken.
    pub broken: Option<(&'static str, String)>,
    /// Entries and balances.
    pub books: Books,
    confirmed: Option<u64>,
    last_final: Option<u64>,
    blocks: BTreeMap<u64, BlockRef>,
    events: BTreeMap<LogId, ChainEvent>,
    /// Alarms of the index.
    pub alarms: Vec<IndexAlarm>,
    orgs: BTreeMap<i64, OrgRow>,
    creators: BTreeMap<WalletAddress, (RegisteredCreator, PayoutAddresses)>,
    deposits: BTreeMap<LogId, (SeenDeposit, bool)>,
    requests: Vec<StoredRequest>,
    /// Sealed batches by number.
    pub batches: BTreeMap<u64, BatchRow>,
    /// Captured calls in the order in which they were stored.
    pub usage: Vec<Usage>,
    by_call: BTreeMap<CallId, usize>,
    /// What batches carried over.
    pub carry: BTreeMap<CarryKey, Carry>,
    /// Transactions to send.
    pub intents: Vec<Intent>,
    /// Holds of all instances, with the instance, where holds are stored.
    pub holds: BTreeMap<CallId, (HoldRecord, usize)>,
    /// The epoch of each instance, and when it was last renewed.
    pub epochs: Vec<(u64, Timestamp)>,
    /// Who does the background work.
    pub lease: Lease,
}

impl Store {
    /// An empty store.
    pub fn new(setup: &Setup, defect: Option<Defect>) -> Self {
        Self {
            setup: setup.clone(),
            defect,
            broken: None,
            books: Books::default(),
            confirmed: None,
            last_final: None,
            blocks: BTreeMap::new(),
            events: BTreeMap::new(),
            alarms: Vec::new(),
            orgs: BTreeMap::new(),
            creators: BTreeMap::new(),
            deposits: BTreeMap::new(),
            requests: Vec::new(),
            batches: BTreeMap::new(),
            usage: Vec::new(),
            by_call: BTreeMap::new(),
            carry: BTreeMap::new(),
            intents: Vec::new(),
            holds: BTreeMap::new(),
            epochs: vec![(0, Timestamp::from_seconds(0)); setup.instances],
            lease: Lease::default(),
        }
    }

    /// The payment token's decimals.
    pub fn decimals(&self) -> Decimals {
        Decimals::new(self.setup.decimals).expect("decimals of a token")
    }

    /// The record of a captured call.
    pub fn usage_of(&self, call: CallId) -> Option<&Usage> {
        self.by_call.get(&call).map(|place| &self.usage[*place])
    }

    /// Everything that an organization was charged.
    pub fn charged(&self, org: OrgId) -> Usdt {
        self.usage
            .iter()
            .filter(|usage| usage.org == org)
            .map(|usage| usage.captured.charged)
            .sum()
    }

    /// The contracts of all organizations.
    pub fn contracts(&self) -> Vec<WalletAddress> {
        self.orgs.values().map(|row| row.created.address).collect()
    }

    /// The newest indexed block.
    pub fn checkpoint(&self) -> Option<BlockRef> {
        self.blocks.last_key_value().map(|(_, block)| *block)
    }

    /// Remembered blocks, newest first.
    pub fn recent(&self, limit: usize) -> Vec<BlockRef> {
        self.blocks.values().rev().take(limit).copied().collect()
    }

    /// Base units of confirmed deposits below a nano.
    pub fn dust(&self, org: OrgId) -> i64 {
        self.orgs.get(&org.0).map_or(0, |row| row.dust)
    }

    fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    fn break_invariant(&mut self, invariant: &'static str, detail: String) {
        self.broken.get_or_insert((invariant, detail));
    }
}
