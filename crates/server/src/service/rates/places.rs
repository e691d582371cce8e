//! How many calls of an organization are under way at once.

use super::lock;
use haithe_kernel::OrgId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

/// Places for calls, per organization.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// At most this many of one organization; 0 is no limit.
    most: usize,
    taken: Arc<Mutex<HashMap<OrgId, usize>>>,
}

/// A place that is given back when this is dropped.
#[derive(Debug)]
pub struct Place {
    org: OrgId,
    taken: Arc<Mutex<HashMap<OrgId, usize>>>,
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
        let mut taken = lock(&self.taken);
        let count = taken.entry(org).or_default();
        if self.most > 0 && *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Place {
            org,
            taken: Arc::clone(&self.taken),
        })
    }

    /// Calls under way.
    pub fn under_way(&self) -> usize {
        lock(&self.taken).values().sum()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        if let Some(count) = taken.get_mut(&self.org) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.remove(&self.org);
            }
        }
    }
}
