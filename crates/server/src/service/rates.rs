//! How much of the service each address, key, project and organization may use.
//!
//! Rates are counted by GCRA (the generic cell rate algorithm, ITU-T I.371): one number per subject,
//! the time at which it will have its whole burst again. A minute's worth may come at once. All of it
//! lives in memory: one process owns the database, and a restart forgives.
//!
//! Our own forty lines instead of a library, because keys have quotas of their own and because tokens
//! are taken by estimate and given back when their number is known (docs/adr/0008).

mod cell;
mod places;
mod tokens;

pub use cell::{Refill, Standing};
pub use places::{Place, Places};
pub use tokens::{TokenQuotas, TokenRates};

use cell::Cell;
use haithe_identity::api_key::ApiKeyId;
use haithe_inference::webhooks::WebhookId;
use haithe_kernel::{Clock, OrgId, ProjectId, Timestamp};
use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Independent locks, so that callers do not wait for each other.
const SHARDS: usize = 32;
/// Subjects remembered in each; beyond that the idle are forgotten at once instead of by the sweeper.
const MOST_IN_SHARD: usize = 8_192;

/// Who is limited, in what respect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Requests of an address.
    Ip(IpAddr),
    /// Requests of an address that need no credential and cost us work: logins and the like.
    Login(IpAddr),
    /// Requests with a key.
    Key(ApiKeyId),
    /// Requests as a project.
    Project(ProjectId),
    /// Requests on an organization's account.
    Org(OrgId),
    /// Messages of a webhook.
    Webhook(WebhookId),
    /// Tokens with a key.
    KeyTokens(ApiKeyId),
    /// Tokens as a project.
    ProjectTokens(ProjectId),
    /// Tokens on an organization's account.
    OrgTokens(OrgId),
}

impl Subject {
    /// The subject of an address. The 2^64 addresses of an IPv6 network are one customer's.
    pub fn ip(ip: IpAddr) -> Self {
        Self::Ip(network(ip))
    }

    /// See [`Subject::Login`].
    pub fn login(ip: IpAddr) -> Self {
        Self::Login(network(ip))
    }

    /// The word for logs and metrics.
    pub const fn dimension(self) -> &'static str {
        match self {
            Self::Ip(_) => "ip",
            Self::Login(_) => "login",
            Self::Key(_) => "key",
            Self::Project(_) => "project",
            Self::Org(_) => "organization",
            Self::Webhook(_) => "webhook",
            Self::KeyTokens(_) => "key_tokens",
            Self::ProjectTokens(_) => "project_tokens",
            Self::OrgTokens(_) => "organization_tokens",
        }
    }
}

fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => {
            let host = (1u128 << 64) - 1;
            IpAddr::V6((u128::from(ip) & !host).into())
        }
    }
}

/// A subject and its quota per minute; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Who.
    pub subject: Subject,
    /// How much a minute.
    pub per_minute: u32,
}

/// A refusal: whose quota is spent, and when enough of it will be back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhausted {
    /// Whose.
    pub quota: Quota,
    /// Where it stands.
    pub standing: Standing,
    /// Whole seconds until the same request is admitted, at least 1.
    pub retry_after: u64,
}

/// The rates of everybody.
pub struct Rates {
    clock: Arc<dyn Clock>,
    hasher: RandomState,
    shards: Vec<Mutex<HashMap<Subject, Cell>>>,
}

impl Rates {
    /// Nobody has used anything.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Takes `amount` from every quota, or from none. Gives where the tightest of them stands then;
    /// `None` when none of them limits.
    ///
    /// # Errors
    /// [`Exhausted`]: the first quota that has not enough left. More than a whole minute's worth is
    /// admitted when nothing of it is used, so that it is not refused for ever.
    pub fn take(&self, quotas: &[Quota], amount: u64) -> Result<Option<(Quota, Standing)>, Exhausted> {
        let now = self.clock.now();
        let mut tightest: Option<(Quota, Standing)> = None;
        for (taken, quota) in quotas.iter().enumerate() {
            let Some(refill) = Refill::per_minute(quota.per_minute) else {
                continue;
            };
            match self.with(quota.subject, now, |cell| cell.take(refill, amount, now)) {
                Some(Ok(standing)) if tightest.is_none_or(|(_, other)| standing.left < other.left) => {
                    tightest = Some((*quota, standing));
                }
                Some(Ok(_)) => {}
                Some(Err((standing, wait))) => {
                    self.give_back(quotas.get(..taken).unwrap_or_default(), amount);
                    return Err(Exhausted {
                        quota: *quota,
                        standing,
                        retry_after: wait.as_secs().saturating_add(1),
                    });
                }
                None => {}
            }
        }
        Ok(tightest)
    }

    /// Gives back what was taken and not used.
    pub fn give_back(&self, quotas: &[Quota], amount: u64) {
        let now = self.clock.now();
        for quota in quotas {
            if let Some(refill) = Refill::per_minute(quota.per_minute) {
                self.with(quota.subject, now, |cell| cell.give_back(refill, amount));
            }
        }
    }

    /// Takes what was used beyond what was taken, even if it is not there: later takers wait for it.
    pub fn owe(&self, quotas: &[Quota], amount: u64) {
        let now = self.clock.now();
        for quota in quotas {
            if let Some(refill) = Refill::per_minute(quota.per_minute) {
                self.with(quota.subject, now, |cell| cell.owe(refill, amount, now));
            }
        }
    }

    /// How many subjects are remembered.
    pub fn remembered(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Forgets who has their whole burst again; gives how many are remembered.
    pub fn sweep(&self) -> usize {
        let now = self.clock.now();
        let mut left = 0;
        for shard in &self.shards {
            let mut shard = lock(shard);
            shard.retain(|_, cell| !cell.is_idle(now));
            shard.shrink_to(256);
            left += shard.len();
        }
        left
    }

    fn with<T>(&self, subject: Subject, now: Timestamp, change: impl FnOnce(&mut Cell) -> T) -> Option<T> {
        let place = usize::try_from(self.hasher.hash_one(subject) % SHARDS as u64).ok()?;
        let mut shard = lock(self.shards.get(place)?);
        if shard.len() >= MOST_IN_SHARD && !shard.contains_key(&subject) {
            shard.retain(|_, cell| !cell.is_idle(now));
        }
        Some(change(shard.entry(subject).or_default()))
    }
}

impl std::fmt::Debug for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rates").finish_non_exhaustive()
    }
}

/// A poisoned lock guards numbers that are right between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
