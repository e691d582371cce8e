//! Filters that a client installs and polls (`eth_newFilter` and its family).

use crate::{blocks::Blocks, logs};
use alloy::{
    primitives::B256,
    rpc::types::{Filter, Log},
};
use std::collections::BTreeMap;

/// Most filters that live at once; the one that was polled longest ago makes room.
const MAX_FILTERS: usize = 256;

/// Most pending hashes a filter remembers between polls.
const MAX_PENDING: usize = 8_192;

/// What a filter watches.
#[derive(Clone, Debug)]
pub(crate) enum Watch {
    Logs(Box<Filter>),
    Blocks,
    Pending,
}

/// What happened since a filter was last polled.
#[derive(Debug)]
pub(crate) enum Changes {
    Logs(Vec<Log>),
    Hashes(Vec<B256>),
}

#[derive(Debug)]
struct Installed {
    watch: Watch,
    /// The first block it has not told of.
    next: u64,
    /// Logs it told of that a reorg took back.
    removed: Vec<Log>,
    pending: Vec<B256>,
    polled: u64,
}

/// All installed filters.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    installed: BTreeMap<u64, Installed>,
    last: u64,
    polls: u64,
}

impl Filters {
    /// Installs a filter that begins after block `head`.
    pub fn install(&mut self, watch: Watch, head: u64) -> u64 {
        if self.installed.len() >= MAX_FILTERS {
            let oldest = self
                .installed
                .iter()
                .min_by_key(|(_, f)| f.polled)
                .map(|(id, _)| *id);
            oldest.and_then(|id| self.installed.remove(&id));
        }
        self.last += 1;
        self.polls += 1;
        let filter = Installed {
            watch,
            next: head + 1,
            removed: Vec::new(),
            pending: Vec::new(),
            polled: self.polls,
        };
        self.installed.insert(self.last, filter);
        self.last
    }

    pub fn uninstall(&mut self, id: u64) -> bool {
        self.installed.remove(&id).is_some()
    }

    /// The log filter behind an id.
    pub fn log_filter(&self, id: u64) -> Option<&Filter> {
        match &self.installed.get(&id)?.watch {
            Watch::Logs(filter) => Some(filter),
            Watch::Blocks | Watch::Pending => None,
        }
    }

    /// What is new since the last poll; `None` when there is no such filter.
    pub fn poll(&mut self, id: u64, blocks: &Blocks) -> Option<Changes> {
        self.polls += 1;
        let filter = self.installed.get_mut(&id)?;
        filter.polled = self.polls;
        let range = filter.next..=blocks.head();
        filter.next = blocks.head() + 1;
        Some(match &filter.watch {
            Watch::Logs(watched) => {
                let mut changes = std::mem::take(&mut filter.removed);
                changes.extend(logs::matching(blocks, watched, range));
                Changes::Logs(changes)
            }
            Watch::Blocks => Changes::Hashes(range.filter_map(|number| blocks.hash(number)).collect()),
            Watch::Pending => Changes::Hashes(std::mem::take(&mut filter.pending)),
        })
    }

    /// A transaction entered the pool.
    pub fn saw_pending(&mut self, hash: B256) {
        for filter in self.installed.values_mut() {
            if matches!(filter.watch, Watch::Pending) && filter.pending.len() < MAX_PENDING {
                filter.pending.push(hash);
            }
        }
    }

    /// The blocks after `to` are about to go: what was told of them is taken back.
    pub fn rewound(&mut self, to: u64, blocks: &Blocks) {
        for filter in self.installed.values_mut().filter(|filter| filter.next > to + 1) {
            if let Watch::Logs(watched) = &filter.watch {
                let gone = logs::matching(blocks, watched, to + 1..=filter.next - 1);
                filter
                    .removed
                    .extend(gone.into_iter().map(|log| Log { removed: true, ..log }));
            }
            filter.next = to + 1;
        }
    }
}
