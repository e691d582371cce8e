//! What the ledger reports: an organization's money now, and the whole ledger for its identity check.

use haithe_kernel::{OrgId, Timestamp, TokenUnits, Usdt, WalletAddress};

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
