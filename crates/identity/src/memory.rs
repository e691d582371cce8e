//! Verified credentials kept in memory, of which none outlives a change.

use quick_cache::{UnitWeighter, sync::Cache};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// How often a credential's last use is written, and its row read again: a change that nobody waited
/// for (its request was dropped on the way) takes effect by then.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Counters of changes. A change makes what shares its counter be read again, nothing worse.
const STRIPES: usize = 256;

/// Values for which there is room without asking the allocator again.
const ROOM_AT_FIRST: usize = 64;

/// Values by the hash that names them.
///
/// A value carries the count of changes that was read *before* its row was. A change counts up after
/// it is stored. So a value that was read too early is stale by its stamp, whenever it is put here.
pub(crate) struct Memory<V> {
    values: Cache<[u8; 32], (u64, V)>,
    changes: Vec<AtomicU64>,
}

impl<V: Clone + Send + Sync + 'static> Memory<V> {
    /// Room for this many.
    pub(crate) fn of(capacity: u64) -> Self {
        Self {
            values: Cache::with_weighter(ROOM_AT_FIRST, capacity, UnitWeighter),
            changes: (0..STRIPES).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn changes(&self, hash: [u8; 32]) -> Option<&AtomicU64> {
        let [first, ..] = hash;
        self.changes.get(usize::from(first))
    }

    /// What to read before the row is.
    pub(crate) fn stamp(&self, hash: [u8; 32]) -> u64 {
        self.changes(hash).map_or(0, |count| count.load(Ordering::SeqCst))
    }

    /// The value, if nothing has changed since its row was read.
    pub(crate) fn get(&self, hash: [u8; 32]) -> Option<V> {
        let (stamp, value) = self.values.get(&hash)?;
        (stamp == self.stamp(hash)).then_some(value)
    }

    /// Keeps a value whose row was read after `stamp` was.
    pub(crate) fn put(&self, hash: [u8; 32], stamp: u64, value: V) {
        self.values.insert(hash, (stamp, value));
    }

    /// To be called once a change of the row is stored.
    pub(crate) fn forget(&self, hash: [u8; 32]) {
        if let Some(count) = self.changes(hash) {
            count.fetch_add(1, Ordering::SeqCst);
        }
        self.values.remove(&hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_was_read_before_a_change_is_never_given_again() {
        let memory = Memory::of(10);
        let early = memory.stamp([1; 32]);
        memory.put([1; 32], early, "old");
        assert_eq!(memory.get([1; 32]), Some("old"));
        memory.forget([1; 32]);
        memory.put([1; 32], early, "old, put late");
        assert_eq!(memory.get([1; 32]), None);
        memory.put([1; 32], memory.stamp([1; 32]), "new");
        assert_eq!(memory.get([1; 32]), Some("new"));
    }

    #[test]
    fn a_change_of_one_leaves_the_others() {
        let memory = Memory::of(10);
        for name in [1, 2] {
            memory.put([name; 32], memory.stamp([name; 32]), name);
        }
        memory.forget([1; 32]);
        assert_eq!((memory.get([1; 32]), memory.get([2; 32])), (None, Some(2)));
    }
}
