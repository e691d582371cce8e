//! How many calls of an organization are under way at once.

use super::lock;
use haithe_kernel::OrgId;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Independent locks: organizations do not wait for each other.
const SHARDS: usize = 32;

#[derive(Debug, Default)]
struct Taken {
    /// Of all organizations.
    all: AtomicUsize,
    /// Of each that has a limit.
    own: [Mutex<HashMap<OrgId, usize>>; SHARDS],
}

impl Taken {
    fn of(&self, org: OrgId) -> Option<&Mutex<HashMap<OrgId, usize>>> {
        let place = usize::try_from(org.0.rem_euclid(SHARDS as i64)).ok()?;
        self.own.get(place)
    }
}

/// Places for calls, per organization.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// At most this many of one organization; 0 is no limit, and nothing is counted per organization.
    most: usize,
    taken: Arc<Taken>,
}

/// A place that is given back when this is dropped.
#[derive(Debug)]
pub struct Place {
    /// `None` where organizations have no limit.
    org: Option<OrgId>,
    taken: Arc<Taken>,
}

impl Places {
    /// `most` for each organization; 0 is no limit.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            taken: Arc::default(),
        }
    }

    /// A place, unless the organization has all of its places taken.
    pub fn take(&self, org: OrgId) -> Option<Place> {
        let limited = (self.most > 0).then_some(org);
        if let Some(own) = limited.and_then(|org| self.taken.of(org)) {
            let mut own = lock(own);
            let count = own.entry(org).or_default();
            if *count >= self.most {
                return None;
            }
            *count += 1;
        }
        self.taken.all.fetch_add(1, Ordering::Relaxed);
        Some(Place {
            org: limited,
            taken: Arc::clone(&self.taken),
        })
    }

    /// Whether the organization has all of its places taken.
    pub fn is_full(&self, org: OrgId) -> bool {
        let own = (self.most > 0).then(|| self.taken.of(org)).flatten();
        own.is_some_and(|own| lock(own).get(&org).is_some_and(|count| *count >= self.most))
    }

    /// Calls under way.
    pub fn under_way(&self) -> usize {
        self.taken.all.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.all.fetch_sub(1, Ordering::Relaxed);
        let Some(org) = self.org else { return };
        let Some(own) = self.taken.of(org) else { return };
        let mut own = lock(own);
        if let Some(count) = own.get_mut(&org) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                own.remove(&org);
            }
        }
    }
}
