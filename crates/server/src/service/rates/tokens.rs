//! Tokens per minute, as inference asks for them.

use super::{Quota, Rates, Subject};
use haithe_inference::ports::{AllowanceSpent, TokenAllowance, TokenClaim};
use std::sync::Arc;

/// What every project and organization may use, in tokens a minute; 0 is no limit.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokenQuotas {
    /// Of a project.
    pub project: u32,
    /// Of an organization.
    pub org: u32,
}

/// [`TokenAllowance`] over [`Rates`].
#[derive(Debug)]
pub struct TokenRates {
    rates: Arc<Rates>,
    quotas: TokenQuotas,
}

impl TokenRates {
    /// Counts in `rates`.
    pub const fn new(rates: Arc<Rates>, quotas: TokenQuotas) -> Self {
        Self { rates, quotas }
    }

    fn quotas(&self, claim: &TokenClaim) -> [Quota; 3] {
        let (key, limit) = claim.api_key.unzip();
        let quota = |subject, per_minute| Quota { subject, per_minute };
        let project = quota(Subject::ProjectTokens(claim.project), self.quotas.project);
        let key = key.map_or(project, |key| {
            quota(Subject::KeyTokens(key), limit.flatten().unwrap_or(0))
        });
        // A claim without a key has its project's quota once: the copy limits nothing.
        let key = if claim.api_key.is_none() {
            Quota { per_minute: 0, ..key }
        } else {
            key
        };
        [
            key,
            project,
            quota(Subject::OrgTokens(claim.org), self.quotas.org),
        ]
    }
}

impl TokenAllowance for TokenRates {
    fn take(&self, claim: &TokenClaim, tokens: u64) -> Result<(), AllowanceSpent> {
        self.rates
            .take(&self.quotas(claim), tokens)
            .map(|_| ())
            .map_err(|spent| AllowanceSpent {
                per_minute: spent.quota.per_minute,
                of: spent.quota.subject.dimension(),
                retry_after: spent.retry_after,
            })
    }

    fn correct(&self, claim: &TokenClaim, taken: u64, used: u64) {
        let quotas = self.quotas(claim);
        match used.checked_sub(taken) {
            Some(0) => {}
            Some(more) => self.rates.owe(&quotas, more),
            None => self.rates.give_back(&quotas, taken - used),
        }
    }
}
