//! What was captured of all time, by project of a payer and by API key, for callers that may not see what the
//! whole organization spent.

use super::SpendingSubject;
use crate::{ExpenditureScope, capture::UsageRecord};
use haithe_identity::api_key::ApiKeyId;
use haithe_kernel::{OrgId, ProjectId};
use std::{collections::HashMap, hash::Hash};

/// Amounts are nano-USDT.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Spending {
    projects: HashMap<(OrgId, ProjectId), i128>,
    keys: HashMap<ApiKeyId, i128>,
}

impl Spending {
    /// A charge decided (or taken back, when negative).
    pub(super) fn charge(&mut self, org: OrgId, project: ProjectId, key: Option<ApiKeyId>, amount: i128) {
        add(&mut self.projects, (org, project), amount);
        if let Some(key) = key {
            add(&mut self.keys, key, amount);
        }
    }

    /// Adds what was captured of all time for one subject.
    pub(super) fn add(&mut self, subject: SpendingSubject, amount: i128) {
        match subject {
            SpendingSubject::ApiKey(key) => add(&mut self.keys, key, amount),
            SpendingSubject::Project(org, project) => add(&mut self.projects, (org, project), amount),
        }
    }

    /// What was spent in this scope before the call; `of_org` is what the organization spent.
    pub(super) fn before(
        &self,
        scope: ExpenditureScope,
        org: OrgId,
        usage: &UsageRecord,
        of_org: i128,
    ) -> i128 {
        let of_project = || self.projects.get(&(org, usage.project)).copied().unwrap_or(0);
        match (scope, usage.api_key) {
            (ExpenditureScope::Organization, _) => of_org,
            (ExpenditureScope::ApiKey, Some(key)) => self.keys.get(&key).copied().unwrap_or(0),
            (ExpenditureScope::ApiKey | ExpenditureScope::Project, _) => of_project(),
        }
    }
}

/// Sums of zero are not kept, so that a charge that is taken back leaves nothing behind.
fn add<K: Eq + Hash>(sums: &mut HashMap<K, i128>, key: K, amount: i128) {
    let sum = sums.get(&key).copied().unwrap_or(0) + amount;
    if sum == 0 {
        sums.remove(&key);
    } else {
        sums.insert(key, sum);
    }
}
