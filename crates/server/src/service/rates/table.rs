//! Meters of many subjects: bounded in number, behind independent locks that are held briefly.

use super::lock;
use haithe_kernel::MonotonicTime;
use indexmap::IndexMap;
use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hash},
    sync::Mutex,
    time::Duration,
};

/// Independent locks, so that callers do not wait for each other.
pub(super) const SHARDS: usize = 32;
/// Subjects remembered in each, at most.
pub(super) const MOST_IN_SHARD: usize = 8_192;
/// Of a full shard, this many are looked at to make room for one.
const EXAMINED: usize = 8;
/// The sweeper holds a lock for this many subjects at a time.
const SLICE: usize = 256;

/// Something that fills up and becomes whole again with time.
pub(super) trait Meter: Default {
    /// Until nothing is in use any more; zero for a meter that need not be remembered.
    fn whole_in(&self, now: MonotonicTime) -> Duration;
}

#[derive(Debug)]
struct Shard<K, M> {
    meters: IndexMap<K, M>,
    /// Where the search for somebody to forget goes on.
    hand: usize,
}

/// The meters of many subjects.
#[derive(Debug)]
pub(super) struct Table<K, M> {
    hasher: RandomState,
    shards: Vec<Mutex<Shard<K, M>>>,
}

impl<K: Copy + Eq + Hash, M: Meter> Table<K, M> {
    /// Nobody has used anything.
    pub fn new() -> Self {
        let shard = |_| {
            Mutex::new(Shard {
                meters: IndexMap::new(),
                hand: 0,
            })
        };
        Self {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(shard).collect(),
        }
    }

    fn shard(&self, key: K) -> Option<&Mutex<Shard<K, M>>> {
        let place = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).ok()?;
        self.shards.get(place)
    }

    /// Changes the meter of `key`, a fresh one if it has none. Where there is no room for another,
    /// somebody of those in use least is forgotten, which takes the same short time however full it is.
    pub fn change<T>(&self, key: K, now: MonotonicTime, change: impl FnOnce(&mut M) -> T) -> Option<T> {
        let mut shard = lock(self.shard(key)?);
        if shard.meters.len() >= MOST_IN_SHARD && !shard.meters.contains_key(&key) {
            shard.make_room(now);
        }
        Some(change(shard.meters.entry(key).or_default()))
    }

    /// Changes the meter of `key` if it is remembered.
    pub fn change_known<T>(&self, key: K, change: impl FnOnce(&mut M) -> T) -> Option<T> {
        let mut shard = lock(self.shard(key)?);
        shard.meters.get_mut(&key).map(change)
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).meters.len()).sum()
    }

    /// Forgets who is whole; gives how many are remembered.
    pub fn sweep(&self, now: MonotonicTime) -> usize {
        let mut left = 0;
        for shard in &self.shards {
            let mut next = usize::MAX;
            while next > 0 {
                next = lock(shard).sweep(next, now);
            }
            left += lock(shard).meters.len();
        }
        left
    }
}

impl<K: Copy + Eq + Hash, M: Meter> Shard<K, M> {
    fn make_room(&mut self, now: MonotonicTime) {
        let mut least: Option<(Duration, usize)> = None;
        for _ in 0..EXAMINED {
            self.hand = (self.hand + 1) % self.meters.len().max(1);
            let Some((_, meter)) = self.meters.get_index(self.hand) else {
                continue;
            };
            let whole_in = meter.whole_in(now);
            if least.is_none_or(|(other, _)| whole_in < other) {
                least = Some((whole_in, self.hand));
            }
            if whole_in.is_zero() {
                break;
            }
        }
        if let Some((_, place)) = least {
            self.meters.swap_remove_index(place);
        }
    }

    /// Sweeps a slice that ends before `before`; gives where the next one ends.
    fn sweep(&mut self, before: usize, now: MonotonicTime) -> usize {
        let end = before.min(self.meters.len());
        let begin = end.saturating_sub(SLICE);
        for place in (begin..end).rev() {
            let idle = self.meters.get_index(place);
            if idle.is_some_and(|(_, meter)| meter.whole_in(now).is_zero()) {
                // The last one takes its place; it was looked at before.
                self.meters.swap_remove_index(place);
            }
        }
        if begin == 0 && self.meters.capacity() > 4 * self.meters.len().max(SLICE) {
            let wanted = 2 * self.meters.len();
            self.meters.shrink_to(wanted);
        }
        begin
    }
}
