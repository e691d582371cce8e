//! What the ledger reports: an organization's money now, and the whole ledger for its identity check.

use super::{Account, Balances, InTransit};
use haithe_kernel::{OrgId, Timestamp, TokenUnits, Usdt, WalletAddress};
use std::collections::HashMap;

/// An organization's money at one moment. All in nano-USDT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balance {
    /// Ledger balance before holds; below zero after a rewound deposit.
    pub available: Usdt,
    /// Set aside for calls in flight.
    pub held: Usdt,
    /// Captured, not yet settled.
    pub unsettled: Usdt,
    /// Frozen by a withdrawal request.
    pub withdrawing: Usdt,
    /// What the contract holds at the index's head, counting deposits not yet confirmed.
    pub onchain: Usdt,
}

impl Balance {
    /// What a new call may use: available − held, never below zero.
    pub fn spendable(&self) -> Usdt {
        self.available.saturating_sub(self.held).max(Usdt::ZERO)
    }

    /// The wire's `balance`: on chain at head − unsettled.
    pub fn shown(&self) -> Usdt {
        self.onchain.saturating_sub(self.unsettled)
    }
}

/// All organizations' money in motion at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LedgerTotals {
    /// Open holds.
    pub holds: usize,
    /// Set aside by them.
    pub held: Usdt,
    /// Captured, not yet settled.
    pub unsettled: Usdt,
}

/// One organization's side of the identity
/// *on chain = available + unsettled + withdrawing + unconfirmed in − out + dust*, at a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the terms of the identity")]
pub struct OrgPosition {
    pub org: OrgId,
    pub address: WalletAddress,
    pub available: Usdt,
    pub unsettled: Usdt,
    pub withdrawing: Usdt,
    /// Deposits seen and not yet confirmed, in base units.
    pub unconfirmed_in: TokenUnits,
    /// Seen but not final: settled lines and executed withdrawals, in base units.
    pub unconfirmed_out: TokenUnits,
    /// What deposits left below a nano, in base units.
    pub dust: TokenUnits,
    /// `−chain/{org}`.
    pub mirror: Usdt,
}

impl OrgPosition {
    /// Whether the identity check covers an organization: it is on chain, or the ledger mirrors money for it.
    pub fn is_checked(org: OrgId, is_on_chain: bool, balances: &impl Balances) -> bool {
        let is_used = |account| balances.balance_of(account) != Usdt::ZERO;
        is_on_chain || is_used(Account::ChainOrg(org)) || is_used(Account::Unsettled(org))
    }

    /// The position of an organization with these balances and `dust` base units below a nano.
    pub fn new(
        org: OrgId,
        address: WalletAddress,
        balances: &impl Balances,
        dust: TokenUnits,
        in_transit: InTransit,
    ) -> Self {
        Self {
            org,
            address,
            available: balances.balance_of(Account::Available(org)),
            unsettled: balances.balance_of(Account::Unsettled(org)),
            withdrawing: balances.balance_of(Account::Withdrawing(org)),
            unconfirmed_in: TokenUnits::new(in_transit.inward.unsigned_abs()),
            unconfirmed_out: TokenUnits::new(in_transit.outward.unsigned_abs()),
            dust,
            mirror: mirror(balances, Account::ChainOrg(org)),
        }
    }
}

/// What a mirror of a balance on chain says that the balance is: the opposite of its own balance.
pub fn mirror(balances: &impl Balances, account: Account) -> Usdt {
    balances.balance_of(account).checked_neg().unwrap_or(Usdt::MAX)
}

/// What all escrow accounts hold together, capped at the end of the range.
pub fn escrow_total(balances: &HashMap<Account, Usdt>) -> Usdt {
    let escrows = balances
        .iter()
        .filter(|(account, _)| matches!(account, Account::Escrow(_)));
    escrows.map(|(_, balance)| *balance).sum()
}

/// The accounts whose stored balance is not the sum of their postings, by name. `postings` are sums in nano-USDT.
pub fn drifted(stored: &HashMap<Account, Usdt>, postings: &HashMap<Account, i128>) -> Vec<String> {
    let sum = |account| postings.get(account).copied().unwrap_or(0);
    let drifts = stored
        .iter()
        .filter(|(account, balance)| i128::from(balance.nano()) != sum(account));
    let mut names: Vec<_> = drifts.map(|(account, _)| account.to_string()).collect();
    names.sort_unstable();
    names
}

/// The whole ledger at a checkpoint, for the identity check.
#[derive(Debug, Clone)]
pub struct LedgerSnapshot {
    /// Block the index had reached when this was read.
    pub block: u64,
    /// Every organization.
    pub orgs: Vec<OrgPosition>,
    /// Sum over all postings; anything but zero is a defect.
    pub sum_of_postings: i128,
    /// Transactions whose postings do not sum to zero, by key; must be empty.
    pub unbalanced: Vec<String>,
    /// Accounts whose stored balance is not the sum of their postings, by name; must be empty.
    pub drifted: Vec<String>,
    /// `−chain/orchestrator`.
    pub orchestrator_mirror: Usdt,
    /// Sum of all `escrow/{payee}`: part of the platform's funds on chain that is not the platform's.
    pub escrow: Usdt,
    /// Seen but not final into the orchestrator minus out of it, in base units.
    pub orchestrator_unconfirmed: i128,
    /// Captured calls without a receipt, or receipts whose lines do not sum to their charge.
    pub broken_receipts: u64,
    /// When it was read.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Payee;

    const ORG: OrgId = OrgId(3);

    fn nano(nano: i64) -> Usdt {
        Usdt::from_nano(nano)
    }

    #[test]
    fn a_position_mirrors_the_contract_and_shows_what_is_in_transit() {
        let balances = HashMap::from([
            (Account::ChainOrg(ORG), nano(-10)),
            (Account::Available(ORG), nano(7)),
            (Account::Unsettled(ORG), nano(3)),
        ]);
        let in_transit = InTransit {
            inward: 5,
            outward: 2,
        };
        let address = WalletAddress::new([1; 20]);
        let position = OrgPosition::new(ORG, address, &balances, TokenUnits::new(1), in_transit);
        assert_eq!(
            (position.mirror, position.available, position.withdrawing),
            (nano(10), nano(7), nano(0))
        );
        assert_eq!(
            (position.unconfirmed_in, position.unconfirmed_out),
            (TokenUnits::new(5), TokenUnits::new(2))
        );
        assert!(OrgPosition::is_checked(ORG, false, &balances));
        assert!(!OrgPosition::is_checked(OrgId(4), false, &balances));
        assert!(OrgPosition::is_checked(OrgId(4), true, &balances));
    }

    #[test]
    fn escrow_is_summed_and_drift_is_named() {
        let (platform, other) = (
            Account::Escrow(Payee::Platform),
            Account::Escrow(Payee::Organization(ORG)),
        );
        let stored = HashMap::from([(platform, nano(4)), (other, nano(5)), (Account::Dust, nano(1))]);
        assert_eq!(escrow_total(&stored), nano(9));
        let postings = HashMap::from([(platform, 4), (other, 6)]);
        assert_eq!(drifted(&stored, &postings), ["dust", "escrow/org/3"]);
    }
}
