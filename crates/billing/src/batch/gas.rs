//! What a batch costs on chain: a proved upper bound, computed before the batch is sealed.
//!
//! The bound of a batch is `base + Σ lines (line + Σ credits) + the allowance of its dearest line`.
//! The contract runs each line with its own gas allowance and reverts with `NotEnoughGas` unless the gas
//! that is left covers the allowance of the *next* line. Allowances are not consumed, so only the dearest
//! one is added. `tests/contracts/gas_bound.rs` measures the figures on the real contract and asserts that
//! the bound is at least what every measured batch needs; `tests/contracts/line_gas.rs` does the same for
//! the allowances.

use super::{BatchCredit, BatchLine};
use crate::capture::Payee;

/// Gas that settlement takes, per part of a batch. Calldata is included in each part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GasModel {
    /// The transaction itself: its intrinsic gas, the sequence number, hash, root and final event.
    pub base: u64,
    /// A line without credits, its calldata and its share of the platform included.
    pub line: u64,
    /// A credit to a creator, with cold storage.
    pub creator_credit: u64,
    /// A credit to an organization, with cold storage on both sides.
    pub organization_credit: u64,
    /// `LINE_GAS` of the contract: gas limit of a line without credits.
    pub line_allowance: u64,
    /// `CREDIT_GAS` of the contract: what each credit adds to the gas limit of its line.
    pub credit_allowance: u64,
    /// `REPORT_GAS` of the contract: gas that encodes the call of a line and reports a skipped line.
    pub report: u64,
    /// `REPORT_CREDIT_GAS` of the contract: the same for each credit of the line.
    pub credit_report: u64,
}

/// Gas of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LineGas {
    /// The most that the line consumes.
    pub used: u64,
    /// What must be available before it starts.
    pub allowance: u64,
}

/// How many payees of each kind a line credits. The platform is not a credit of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CreditCounts {
    /// Creators, credited in the identity contract.
    pub creators: u64,
    /// Organizations, paid by transfer.
    pub organizations: u64,
}

impl CreditCounts {
    /// Adds one payee.
    pub fn add(&mut self, payee: Payee) {
        match payee {
            Payee::Platform => {}
            Payee::Creator(_) => self.creators += 1,
            Payee::Organization(_) => self.organizations += 1,
        }
    }

    /// The counts of these payees, each of which must occur once.
    pub fn of(payees: impl IntoIterator<Item = Payee>) -> Self {
        let mut counts = Self::default();
        for payee in payees {
            counts.add(payee);
        }
        counts
    }
}

impl GasModel {
    /// The figures of the contracts in `abi/`, measured by `tests/contracts/gas_bound.rs` with cold storage
    /// and a token whose `transfer` takes 15,000 gas more than OpenZeppelin's ERC20, and rounded up.
    pub const MEASURED: Self = Self {
        base: 180_000,
        line: 80_000,
        creator_credit: 40_000,
        organization_credit: 60_000,
        line_allowance: 150_000,
        credit_allowance: 66_000,
        report: 30_000,
        credit_report: 1_000,
    };

    /// Gas limit that the contract gives the call of a line with these credits.
    pub fn line_limit(&self, credits: CreditCounts) -> u64 {
        let credits = credits.creators.saturating_add(credits.organizations);
        self.line_allowance
            .saturating_add(self.credit_allowance.saturating_mul(credits))
    }

    /// Gas of a line with these credits.
    pub fn line(&self, credits: CreditCounts) -> LineGas {
        let count = credits.creators.saturating_add(credits.organizations);
        let used = self
            .line
            .saturating_add(self.creator_credit.saturating_mul(credits.creators))
            .saturating_add(self.organization_credit.saturating_mul(credits.organizations));
        let limit = self.line_limit(credits);
        // A call forwards at most 63/64 of the gas that is left (EIP-150).
        let allowance = limit
            .saturating_add(limit / 63)
            .saturating_add(self.report)
            .saturating_add(self.credit_report.saturating_mul(count));
        LineGas { used, allowance }
    }

    /// Upper bound of a batch with these lines.
    pub fn bound(&self, lines: impl IntoIterator<Item = LineGas>) -> u64 {
        let mut used = self.base;
        let mut allowance = 0;
        for line in lines {
            used = used.saturating_add(line.used);
            allowance = line.allowance.max(allowance);
        }
        used.saturating_add(allowance)
    }

    /// Upper bound of a sealed batch. A credit in escrow is part of the platform's share.
    pub fn bound_of(&self, lines: &[BatchLine], payouts: &[BatchCredit]) -> u64 {
        let gas = |credits: &[BatchCredit]| {
            let paid = credits.iter().filter(|credit| !credit.escrow);
            self.line(CreditCounts::of(paid.map(|credit| credit.payee)))
        };
        let payouts = (!payouts.is_empty()).then(|| gas(payouts));
        self.bound(lines.iter().map(|line| gas(&line.credits)).chain(payouts))
    }

    /// Upper bound of a batch that holds one line with these credits only.
    pub fn alone(&self, credits: CreditCounts) -> u64 {
        self.bound([self.line(credits)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_dearest_line_adds_its_allowance() {
        let gas = GasModel::MEASURED;
        let small = gas.line(CreditCounts::default());
        let large = gas.line(CreditCounts {
            creators: 10,
            organizations: 1,
        });
        assert!(large.allowance > small.allowance);
        assert_eq!(
            gas.bound([small, large, small]),
            gas.base + 2 * small.used + large.used + large.allowance
        );
        assert_eq!(gas.bound([]), gas.base);
    }

    #[test]
    fn the_platform_is_part_of_the_line_and_not_a_credit() {
        assert_eq!(CreditCounts::of([Payee::Platform]), CreditCounts::default());
    }
}
