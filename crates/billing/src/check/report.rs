//! What the check found, and how it is printed.

use crate::{ledger::OrgPosition, scale::Scale};
use haithe_kernel::{Decimals, Timestamp, TokenUnits, Usdt, WalletAddress};
use std::fmt;

/// One side minus the other, in the finer of a base unit and a nano-USDT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// Both sides can be compared; zero when they agree.
    By(i128),
    /// A side is beyond 128 bits.
    Unknown,
}

impl Difference {
    pub(crate) fn of(have: Option<i128>, expected: Option<i128>) -> Self {
        let difference = have
            .zip(expected)
            .and_then(|(have, expected)| have.checked_sub(expected));
        difference.map_or(Self::Unknown, Self::By)
    }

    /// Whether both sides agree.
    pub fn is_none(self) -> bool {
        self == Self::By(0)
    }
}

/// One organization's side of the identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrgCheck {
    /// What the ledger says.
    pub position: OrgPosition,
    /// What the chain says.
    pub onchain: TokenUnits,
    /// On chain minus what the ledger expects there.
    pub surplus: Difference,
    /// The ledger's mirror of the chain minus the organization's own accounts: both are the ledger's.
    pub mirror: Difference,
}

impl OrgCheck {
    /// Whether the identity holds.
    pub fn is_clean(&self) -> bool {
        self.surplus.is_none() && self.mirror.is_none()
    }
}

/// The orchestrator's side: what creators and the platform earned and have not withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrchestratorCheck {
    /// Its address.
    pub address: WalletAddress,
    /// What the chain says.
    pub onchain: TokenUnits,
    /// On chain minus what the ledger expects there.
    pub surplus: Difference,
}

impl OrchestratorCheck {
    /// Whether nothing is missing. Anybody can transfer tokens to the contract by mistake, and its
    /// owner can give them back (`recoverStray`): a surplus is shown and is no fault of the ledger.
    pub fn is_clean(&self) -> bool {
        matches!(self.surplus, Difference::By(surplus) if surplus >= 0)
    }
}

/// Everything the check found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in LedgerSnapshot")]
pub struct LedgerReport {
    pub block: u64,
    pub at: Timestamp,
    pub decimals: Decimals,
    pub orgs: Vec<OrgCheck>,
    pub orchestrator: OrchestratorCheck,
    pub escrow: Usdt,
    pub sum_of_postings: i128,
    pub unbalanced: Vec<String>,
    pub drifted: Vec<String>,
    pub broken_receipts: u64,
}

impl LedgerReport {
    /// Whether nothing was found.
    pub fn is_clean(&self) -> bool {
        self.problems() == 0
    }

    /// How many things are wrong.
    pub fn problems(&self) -> usize {
        let orgs = self.orgs.iter().filter(|org| !org.is_clean()).count();
        let single = [
            !self.orchestrator.is_clean(),
            self.sum_of_postings != 0,
            self.broken_receipts != 0,
        ];
        orgs + single.iter().filter(|wrong| **wrong).count() + self.unbalanced.len() + self.drifted.len()
    }

    fn scale(&self) -> Scale {
        Scale::of(self.decimals)
    }

    fn difference(&self, difference: Difference) -> String {
        match difference {
            Difference::By(amount) if amount > 0 => format!("{} USDT more", self.scale().show(amount)),
            Difference::By(amount) => format!("{} USDT less", self.scale().show(amount.saturating_neg())),
            Difference::Unknown => "an amount beyond comparison more or less".to_owned(),
        }
    }

    fn write_org(&self, f: &mut fmt::Formatter<'_>, org: &OrgCheck) -> fmt::Result {
        let position = &org.position;
        let verdict = if org.is_clean() { "ok" } else { "DIFFERS" };
        write!(
            f,
            "{verdict:<8}organization {} {}: on chain {} = available {} + unsettled {} + withdrawing {}",
            position.org,
            position.address,
            self.scale().show_units(org.onchain),
            position.available,
            position.unsettled,
            position.withdrawing,
        )?;
        for (sign, name, units) in [
            ('+', "unconfirmed in", position.unconfirmed_in),
            ('-', "unconfirmed out", position.unconfirmed_out),
            ('+', "dust", position.dust),
        ] {
            if units != TokenUnits::ZERO {
                write!(f, " {sign} {name} {}", self.scale().show_units(units))?;
            }
        }
        writeln!(f)?;
        if !org.surplus.is_none() {
            writeln!(f, "        the chain holds {}", self.difference(org.surplus))?;
        }
        if !org.mirror.is_none() {
            writeln!(
                f,
                "        the ledger's mirror of the chain ({}) holds {} than the organization's accounts",
                position.mirror,
                self.difference(org.mirror)
            )?;
        }
        Ok(())
    }

    fn write_orchestrator(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let orchestrator = &self.orchestrator;
        let verdict = if orchestrator.is_clean() { "ok" } else { "DIFFERS" };
        writeln!(
            f,
            "{verdict:<8}orchestrator {}: on chain {}",
            orchestrator.address,
            self.scale().show_units(orchestrator.onchain)
        )?;
        if orchestrator.surplus.is_none() {
            return Ok(());
        }
        let what = self.difference(orchestrator.surplus);
        match orchestrator.is_clean() {
            true => writeln!(
                f,
                "        {what} than was settled: a stray transfer, which its owner can return"
            ),
            false => writeln!(f, "        {what} than creators and the platform are owed"),
        }
    }
}

impl fmt::Display for LedgerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "ledger at block {}, {}", self.block, self.at)?;
        for org in &self.orgs {
            self.write_org(f, org)?;
        }
        self.write_orchestrator(f)?;
        if self.escrow != Usdt::ZERO {
            writeln!(
                f,
                "escrow  {} USDT of the platform's funds on chain belong to payees that cannot be paid for now; leave them in when you withdraw",
                self.escrow
            )?;
        }
        if self.sum_of_postings != 0 {
            writeln!(
                f,
                "WRONG   all postings sum to {} nano-USDT instead of 0",
                self.sum_of_postings
            )?;
        }
        for key in &self.unbalanced {
            writeln!(f, "WRONG   transaction {key} does not sum to 0")?;
        }
        for account in &self.drifted {
            writeln!(f, "WRONG   account {account} is not the sum of its postings")?;
        }
        if self.broken_receipts != 0 {
            writeln!(
                f,
                "WRONG   {} captured calls have no receipt, or one whose lines do not sum to its charge",
                self.broken_receipts
            )?;
        }
        match self.problems() {
            0 => write!(f, "the ledger agrees with itself and with the chain"),
            1 => write!(f, "1 problem"),
            many => write!(f, "{many} problems"),
        }
    }
}
