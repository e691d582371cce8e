//! How much of the service each address, key, project and organization may use.
//!
//! Requests are counted by GCRA (the generic cell rate algorithm, ITU-T I.371): one number per
//! subject, the time at which it will have its whole burst again. A minute's worth may come at once.
//! Time is monotonic ([`MonotonicTime`]): a step of the time of day neither refuses an active client nor
//! admits one too early. Tokens are counted in a sliding minute, because they are taken by estimate and given back when
//! their number is known. All of it lives in memory: one process owns the database, and a restart
//! forgives. Why it is our own: docs/adr/0008.

mod cell;
mod places;
mod table;
mod tokens;
mod window;

pub use cell::Standing;
pub use places::{Place, Places};
pub use tokens::{TokenQuotas, TokenRates};

use cell::{Cell, Refill};
use haithe_identity::api_key::ApiKeyId;
use haithe_inference::webhooks::WebhookId;
use haithe_kernel::{ClientNetwork, Clock, MonotonicTime, OrgId, ProjectId};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use table::Table;

/// Who is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A client, in all its requests.
    Network(ClientNetwork),
    /// A client, in what it has stored without a credential: login challenges, and the waiting list.
    Challenge(ClientNetwork),
    /// A client, in its login attempts.
    Login(ClientNetwork),
    /// A key.
    Key(ApiKeyId),
    /// A project that is called.
    Project(ProjectId),
    /// An organization that pays.
    Org(OrgId),
    /// A webhook.
    Webhook(WebhookId),
}

impl Subject {
    /// The word for logs and metrics.
    pub const fn dimension(self) -> &'static str {
        match self {
            Self::Network(_) => "ip",
            Self::Challenge(_) => "challenge",
            Self::Login(_) => "login",
            Self::Key(_) => "key",
            Self::Project(_) => "project",
            Self::Org(_) => "organization",
            Self::Webhook(_) => "webhook",
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

/// Whole seconds of waiting, rounded up and never 0: a client that comes back then is admitted.
fn retry_after(wait: Duration) -> u64 {
    let begun = u64::from(wait.subsec_nanos() > 0);
    wait.as_secs().saturating_add(begun).max(1)
}

/// The requests of everybody.
pub struct Rates {
    clock: Arc<dyn Clock>,
    cells: Table<Subject, Cell>,
}

impl Rates {
    /// Nobody has used anything.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            cells: Table::new(),
        }
    }

    /// Takes `amount` from every quota, or from none. Gives where the tightest of them stands then;
    /// `None` when none of them limits.
    ///
    /// # Errors
    /// [`Exhausted`]: the first quota that has not enough left. More than a whole minute's worth is
    /// admitted when nothing of it is used, so that it is not refused for ever.
    pub fn take(&self, quotas: &[Quota], amount: u64) -> Result<Option<(Quota, Standing)>, Exhausted> {
        let now = self.clock.monotonic();
        let mut tightest: Option<(Quota, Standing)> = None;
        for (taken, quota) in quotas.iter().enumerate() {
            let Some(refill) = Refill::per_minute(quota.per_minute) else {
                continue;
            };
            let take = |cell: &mut Cell| cell.take(refill, amount, now);
            match self.cells.change(quota.subject, now, take) {
                Some(Ok(standing)) if tightest.is_none_or(|(_, other)| standing.left < other.left) => {
                    tightest = Some((*quota, standing));
                }
                Some(Err((standing, wait))) => {
                    self.undo(quotas.get(..taken).unwrap_or_default(), amount, now);
                    return Err(Exhausted {
                        quota: *quota,
                        standing,
                        retry_after: retry_after(wait),
                    });
                }
                Some(Ok(_)) | None => {}
            }
        }
        Ok(tightest)
    }

    fn undo(&self, quotas: &[Quota], amount: u64, now: MonotonicTime) {
        for quota in quotas {
            if let Some(refill) = Refill::per_minute(quota.per_minute) {
                self.cells
                    .change_known(quota.subject, |cell| cell.undo(refill, amount, now));
            }
        }
    }

    /// How many subjects are remembered.
    pub fn remembered(&self) -> usize {
        self.cells.len()
    }

    /// Forgets who has their whole burst again; gives how many are remembered.
    pub fn sweep(&self) -> usize {
        self.cells.sweep(self.clock.monotonic())
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
