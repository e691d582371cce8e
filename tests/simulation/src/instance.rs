//! An instance of the server: what is in its memory and ends with it.

use crate::{contract::WITHDRAWAL_DELAY, world::VirtualClock};
use haithe_billing::{gate::SettlementGate, ledger::LedgerState};
use haithe_kernel::{CallId, Timestamp};
use std::{collections::BTreeSet, sync::Arc};

/// An instance. It keeps its number when it starts again.
pub struct Instance {
    /// How often it was started or ended: what an earlier start left behind has another number.
    pub start: u32,
    /// Whether it runs.
    pub is_up: bool,
    /// Its tasks are not polled before this time.
    pub stalled_until: Option<Timestamp>,
    /// It crashes after so many polls of its tasks, and is down for so many seconds.
    pub crash_after: Option<(u32, u64)>,
    /// Its next requests of the store fail: how many, and whether they are applied all the same.
    pub store_fails: (u32, bool),
    /// The epoch under which it writes holds and charges.
    pub epoch: u64,
    /// The epoch of the background lease, while it believes that it has it.
    pub lease: Option<u64>,
    /// The ledger in memory, where that is where it is kept.
    pub ledger: Option<LedgerState>,
    /// Nothing could be written: no new holds.
    pub is_failing: bool,
    /// Releases on their way to the store.
    pub releases: Vec<CallId>,
    /// Calls that no batch can contain.
    pub aside: BTreeSet<CallId>,
    /// The gate of this start.
    pub gate: Arc<SettlementGate>,
    clock: Arc<VirtualClock>,
}

impl Instance {
    /// An instance that is not up.
    pub fn new(clock: Arc<VirtualClock>) -> Self {
        Self {
            start: 0,
            is_up: false,
            stalled_until: None,
            crash_after: None,
            store_fails: (0, false),
            epoch: 0,
            lease: None,
            ledger: None,
            is_failing: false,
            releases: Vec::new(),
            aside: BTreeSet::new(),
            gate: Arc::new(SettlementGate::new(clock.clone(), WITHDRAWAL_DELAY)),
            clock,
        }
    }

    /// Its memory is gone.
    pub fn end(&mut self) {
        let clock = Arc::clone(&self.clock);
        let start = self.start + 1;
        *self = Self {
            start,
            ..Self::new(clock)
        };
    }
}
