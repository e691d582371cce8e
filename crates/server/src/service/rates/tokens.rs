//! Tokens per minute, as inference asks for them.

use super::{Exhausted, Quota, Standing, Subject, retry_after, table::Table, window::Window};
use crate::service::metrics::{Figures, Refused};
use haithe_inference::ports::{AllowanceSpent, TokenAllowance, TokenClaim, TokensTaken};
use haithe_kernel::Clock;
use std::{fmt, sync::Arc};

/// What every project and organization may use, in tokens a minute; 0 is no limit.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokenQuotas {
    /// Of a project.
    pub project: u32,
    /// Of an organization.
    pub org: u32,
}

/// No call comes near it; sums of it cannot overflow.
const MOST: u64 = u32::MAX as u64;

/// The tokens of everybody, within any minute.
pub struct TokenRates {
    clock: Arc<dyn Clock>,
    quotas: TokenQuotas,
    figures: Arc<Figures>,
    windows: Table<Subject, Window>,
}

impl TokenRates {
    /// Nobody has used anything. Refusals are counted in `figures`.
    pub fn new(clock: Arc<dyn Clock>, quotas: TokenQuotas, figures: Arc<Figures>) -> Self {
        Self {
            clock,
            quotas,
            figures,
            windows: Table::new(),
        }
    }

    /// The quotas that limit a claim.
    fn limits(&self, claim: &TokenClaim) -> impl Iterator<Item = Quota> + Clone {
        let quota = |subject, per_minute| Quota { subject, per_minute };
        let key = claim
            .api_key
            .map(|(key, limit)| quota(Subject::Key(key), limit.unwrap_or(0)));
        let project = quota(Subject::Project(claim.project), self.quotas.project);
        let org = quota(Subject::Org(claim.org), self.quotas.org);
        [key, Some(project), Some(org)]
            .into_iter()
            .flatten()
            .filter(|quota| quota.per_minute > 0)
    }

    fn take_all(&self, claim: &TokenClaim, taken: TokensTaken) -> Result<(), Exhausted> {
        let TokensTaken { tokens, at: now } = taken;
        for (before, quota) in self.limits(claim).enumerate() {
            let take = |window: &mut Window| window.take(quota.per_minute, tokens, now);
            if let Some(Err((standing, wait))) = self.windows.change(quota.subject, now, take) {
                for quota in self.limits(claim).take(before) {
                    self.windows
                        .change_known(quota.subject, |window| window.give_back(tokens, now, now));
                }
                return Err(Exhausted {
                    quota,
                    standing,
                    retry_after: retry_after(wait),
                });
            }
        }
        Ok(())
    }

    /// Where the tightest quota of a claim stands; `None` when none limits it.
    pub fn standing(&self, claim: &TokenClaim) -> Option<(Quota, Standing)> {
        let now = self.clock.monotonic();
        let look = |quota: Quota| {
            let look = |window: &mut Window| window.look(quota.per_minute, now);
            let known = self.windows.change_known(quota.subject, look);
            let fresh = || Window::default().look(quota.per_minute, now);
            (quota, known.unwrap_or_else(fresh))
        };
        self.limits(claim)
            .map(look)
            .min_by_key(|(_, standing)| standing.left)
    }

    /// How many subjects are remembered.
    pub fn remembered(&self) -> usize {
        self.windows.len()
    }

    /// Forgets who used nothing in the last minute; gives how many are remembered.
    pub fn sweep(&self) -> usize {
        self.windows.sweep(self.clock.monotonic())
    }
}

impl TokenAllowance for TokenRates {
    fn take(&self, claim: &TokenClaim, tokens: u64) -> Result<TokensTaken, AllowanceSpent> {
        let taken = TokensTaken {
            tokens: tokens.min(MOST),
            at: self.clock.monotonic(),
        };
        let Err(spent) = self.take_all(claim, taken) else {
            return Ok(taken);
        };
        let of = spent.quota.subject.dimension();
        self.figures.refused(Refused::Tokens, of);
        Err(AllowanceSpent {
            per_minute: spent.quota.per_minute,
            of,
            retry_after: spent.retry_after,
        })
    }

    fn correct(&self, claim: &TokenClaim, taken: TokensTaken, used: u64) {
        let used = used.min(MOST);
        let now = self.clock.monotonic();
        for quota in self.limits(claim) {
            if let Some(more) = used.checked_sub(taken.tokens).filter(|more| *more > 0) {
                self.windows
                    .change(quota.subject, now, |window| window.owe(more, now));
            } else if let Some(back) = taken.tokens.checked_sub(used).filter(|back| *back > 0) {
                self.windows
                    .change_known(quota.subject, |window| window.give_back(back, taken.at, now));
            }
        }
    }
}

impl fmt::Debug for TokenRates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRates").finish_non_exhaustive()
    }
}
