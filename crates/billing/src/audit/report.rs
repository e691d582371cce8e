//! What the audit found, and how it is printed.

use crate::{check::Difference, scale::Scale};
use haithe_kernel::{CallId, Decimals, OrgId, TokenUnits, Usdt, WalletAddress};
use std::fmt;

/// So many receipts over so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// How many.
    pub receipts: u64,
    /// What they charge in all, in nano-USDT.
    pub nano: i128,
}

impl Tally {
    pub(super) fn add(&mut self, charged: Usdt) {
        self.receipts += 1;
        self.nano += i128::from(charged.nano());
    }
}

/// What is wrong with a receipt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Its document cannot be read.
    #[error("{0}")]
    Document(String),
    /// Its hash is not its document's.
    #[error("its hash is not the hash of its document")]
    Hash,
    /// It is another organization's, or another call's.
    #[error("its document is of another organization or another call")]
    Foreign,
    /// Its amounts contradict each other.
    #[error("its price lines do not sum to what was charged")]
    Amount,
    /// It is not under the root that its batch left on chain.
    #[error("batch {seq} on chain does not hold it in line {line}")]
    #[expect(missing_docs, reason = "the names say it")]
    Proof { seq: u64, line: u32 },
}

/// A receipt with a flaw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditProblem {
    /// Its call.
    pub call: CallId,
    /// What is wrong.
    pub flaw: Flaw,
}

/// Everything the audit found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditReport {
    /// The organization.
    pub org: OrgId,
    /// Its contract.
    pub address: WalletAddress,
    /// The block up to which the chain was read.
    pub block: u64,
    /// The payment token's decimals.
    pub decimals: Decimals,
    /// Receipts that are proven and paid.
    pub settled: Tally,
    /// Receipts that wait for settlement; nothing was taken for them.
    pub pending: Tally,
    /// Who was paid: so many payees.
    pub payees: usize,
    /// A credit below this waits for more of its kind.
    pub min_credit: Usdt,
    /// What settlement took from the contract; `None` when it is beyond 128 bits.
    pub taken: Option<TokenUnits>,
    /// Receipts with flaws; they count nowhere else.
    pub problems: Vec<AuditProblem>,
}

impl AuditReport {
    pub(super) fn new(
        org: OrgId,
        address: WalletAddress,
        block: u64,
        decimals: Decimals,
        taken: Option<TokenUnits>,
    ) -> Self {
        Self {
            org,
            address,
            block,
            decimals,
            settled: Tally::default(),
            pending: Tally::default(),
            payees: 0,
            min_credit: Usdt::ZERO,
            taken,
            problems: Vec::new(),
        }
    }

    /// What the settled receipts charge, minus what was taken.
    pub fn carried(&self) -> Difference {
        let scale = self.scale();
        let taken = self.taken.and_then(|taken| scale.units(taken));
        Difference::of(scale.nano(self.settled.nano), taken)
    }

    /// Whether what was taken is what the receipts charge, but for less than a base unit, or than the
    /// smallest credit, per payee that is still to be taken.
    pub fn adds_up(&self) -> bool {
        let smallest = self.scale().nano(i128::from(self.min_credit.nano()));
        let smallest = smallest.unwrap_or(i128::MAX).max(self.scale().unit());
        let below_a_unit = smallest.saturating_sub(1);
        let payees = i128::try_from(self.payees).unwrap_or(i128::MAX);
        let most = below_a_unit.saturating_mul(payees);
        matches!(self.carried(), Difference::By(carried) if (0..=most).contains(&carried))
    }

    /// Whether everything adds up and every receipt is sound.
    pub fn is_clean(&self) -> bool {
        self.adds_up() && self.problems.is_empty()
    }

    fn scale(&self) -> Scale {
        Scale::of(self.decimals)
    }

    fn tally(&self, tally: Tally) -> String {
        let amount = self.scale().nano(tally.nano);
        let amount = amount.map_or_else(
            || "too much".to_owned(),
            |amount| self.scale().show(amount).to_string(),
        );
        format!("{} receipts over {amount} USDT", tally.receipts)
    }
}

impl fmt::Display for AuditReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = self.scale();
        writeln!(
            f,
            "organization {} {} at block {}",
            self.org, self.address, self.block
        )?;
        writeln!(
            f,
            "settled {}, each proven against its batch's root on chain",
            self.tally(self.settled)
        )?;
        writeln!(f, "pending {}", self.tally(self.pending))?;
        match self.taken {
            Some(taken) => writeln!(f, "taken   {} USDT by settlement", scale.show_units(taken))?,
            None => writeln!(f, "taken   more than 128 bits can say")?,
        }
        for problem in &self.problems {
            writeln!(f, "WRONG   receipt {}: {}", problem.call, problem.flaw)?;
        }
        match self.carried() {
            Difference::By(0) => {}
            Difference::By(carried) if self.adds_up() => writeln!(
                f,
                "carried {} USDT, below the smallest credit for each of {} payees",
                scale.show(carried),
                self.payees
            )?,
            Difference::By(carried) if carried > 0 => {
                writeln!(
                    f,
                    "DIFFERS the receipts say {} USDT more than was taken",
                    scale.show(carried)
                )?;
            }
            Difference::By(carried) => writeln!(
                f,
                "DIFFERS {} USDT were taken that no receipt explains",
                scale.show(carried.saturating_neg())
            )?,
            Difference::Unknown => writeln!(f, "DIFFERS by an amount beyond comparison")?,
        }
        match self.is_clean() {
            true => write!(f, "the receipts add up to what was taken"),
            false => write!(f, "the receipts do NOT add up to what was taken"),
        }
    }
}
