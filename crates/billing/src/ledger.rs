//! The ledger's accounts and the identity that ties them to the chain.
//!
//! Every transaction has a unique key and postings that sum to zero. Accounts are written
//! `chain/{org}`, `chain/orchestrator` (mirrors of on-chain balances, kept as **negative** numbers:
//! money came from there), `org/{id}/available`, `org/{id}/unsettled`, `org/{id}/withdrawing`,
//! `creator/{address}`, `escrow/{payee}` (payees that cannot be paid for now), `platform`, `platform/loss` and `dust`.
//!
//! | fact or decision | key | postings |
//! |--|--|--|
//! | deposit confirmed | `deposit/{tx}/{log}` | `chain/{org}` −x, `org/available` +x |
//! | deposit rewound | `rewind/deposit/{tx}/{log}/{n}` | the opposite |
//! | call captured | `call/{id}` | `org/available` −x, `org/unsettled` +x |
//! | … beyond hold and balance | same | `platform/loss` −y, `platform` +y |
//! | line of a batch final | `batch/{seq}/{line}` | `org/unsettled` −x, payees +x; `chain/{org}` +x, `chain/orchestrator` −x |
//! | … payee is an organization | same | `org/unsettled` −x, payee's `available` +x; `chain/{org}` +x, `chain/{payee}` −x |
//! | … payee cannot be paid | same | `org/unsettled` −x, `escrow/{payee}` +x; `chain/{org}` +x, `chain/orchestrator` −x |
//! | escrow paid out (final) | `batch/{seq}/escrow` | `escrow/{payee}` −x, payee +x; where it is an organization: `chain/orchestrator` +x, `chain/{payee}` −x |
//! | withdrawal requested (at first sight) | `withdrawal/{tx}/{log}` | `org/available` −x, `org/withdrawing` +x |
//! | withdrawal cancelled or void | `withdrawal/{tx}/{log}/void` | the opposite |
//! | withdrawal executed (y ≤ x) | `withdrawal/{tx}/{log}/done` | `org/withdrawing` −x, `org/available` +(x−y), `chain/{org}` +y |
//! | creator or platform withdrew | `payout/{tx}/{log}` | `creator/{a}` or `platform` −x, `chain/orchestrator` +x |

use crate::capture::Payee;
use haithe_kernel::{OrgId, Timestamp, TokenUnits, Usdt, WalletAddress};
use std::fmt;

/// A ledger account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Account {
    /// Mirror of an organization's contract, as a negative number.
    ChainOrg(OrgId),
    /// Mirror of the orchestrator's balance, as a negative number.
    ChainOrchestrator,
    /// What the organization can spend, before holds.
    Available(OrgId),
    /// Captured, not yet settled on chain.
    Unsettled(OrgId),
    /// Frozen by a withdrawal request.
    Withdrawing(OrgId),
    /// What a creator earned and can withdraw on chain.
    Creator(WalletAddress),
    /// What a payee earned that cannot be paid for now. On chain it is part of the platform's funds.
    Escrow(Payee),
    /// What the platform earned.
    Platform,
    /// What calls cost beyond what their payers could pay.
    PlatformLoss,
    /// Below the smallest unit.
    Dust,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ChainOrg(org) => write!(f, "chain/{org}"),
            Self::ChainOrchestrator => f.write_str("chain/orchestrator"),
            Self::Available(org) => write!(f, "org/{org}/available"),
            Self::Unsettled(org) => write!(f, "org/{org}/unsettled"),
            Self::Withdrawing(org) => write!(f, "org/{org}/withdrawing"),
            Self::Creator(address) => write!(f, "creator/{address}"),
            Self::Escrow(Payee::Platform) => f.write_str("escrow/platform"),
            Self::Escrow(Payee::Creator(address)) => write!(f, "escrow/creator/{address}"),
            Self::Escrow(Payee::Organization(org)) => write!(f, "escrow/org/{org}"),
            Self::Platform => f.write_str("platform"),
            Self::PlatformLoss => f.write_str("platform/loss"),
            Self::Dust => f.write_str("dust"),
        }
    }
}

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
    /// Credits in escrow of batches that are not final. The platform's funds on chain may hold them already.
    pub escrow_under_way: Usdt,
    /// Number of the batch that would be sealed next.
    pub next_batch: u64,
    /// Seen but not final into the orchestrator minus out of it, in base units.
    pub orchestrator_unconfirmed: i128,
    /// Captured calls without a receipt, or receipts whose lines do not sum to their charge.
    pub broken_receipts: u64,
    /// When it was read.
    pub at: Timestamp,
}
