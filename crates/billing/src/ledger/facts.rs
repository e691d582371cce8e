//! What the chain says about an organization's money beside its balances.

use super::{TokenScale, capped};
use crate::{batch::LineFault, usage::Day};
use haithe_kernel::Usdt;

/// Skipped lines in a row, for reasons of the organization's own, after which it is suspended.
const SKIPS: usize = 3;

/// What was read about an organization's money on chain, before it is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainFigures {
    /// Base units of confirmed deposits that are below a nano.
    pub dust: i128,
    /// The tightest daily cap now or scheduled, in base units; `None` for no cap.
    pub daily_cap: Option<u128>,
    /// The day of the newest indexed block.
    pub day: Day,
    /// Nano-USDT that batches settled on that day.
    pub settled_on_day: i128,
    /// Whether its newest lines suspend it ([`suspends`]).
    pub suspended: bool,
    /// Whether a withdrawal of more than the ledger can count is requested.
    pub halted: bool,
    /// What was seen on its way and is not booked.
    pub in_transit: InTransit,
}

/// The facts that decide what an organization may spend. Replaced as a whole whenever an indexed block changes
/// any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrgFacts {
    dust: i128,
    in_transit: InTransit,
    /// Nano-USDT.
    daily_cap: Option<i128>,
    /// Nano-USDT settled on this day.
    settled: (Day, i128),
    suspended: bool,
    halted: bool,
}

impl OrgFacts {
    /// The facts in the ledger's units.
    pub fn new(figures: ChainFigures, scale: TokenScale) -> Self {
        let nano = |cap: u128| i128::try_from(cap).ok().map(|cap| scale.to_nano(cap).0);
        Self {
            dust: figures.dust,
            in_transit: figures.in_transit,
            daily_cap: figures.daily_cap.and_then(nano),
            settled: (figures.day, figures.settled_on_day),
            suspended: figures.suspended,
            halted: figures.halted,
        }
    }

    /// Whether its charges could not be settled three times in a row: it may hold nothing.
    pub const fn is_suspended(&self) -> bool {
        self.suspended
    }

    /// Whether a withdrawal of more than the ledger can count is requested: nothing can be spent.
    pub const fn is_halted(&self) -> bool {
        self.halted
    }

    /// What its contract holds at the index's head, when `chain` is the balance of its mirror in nano-USDT.
    pub fn onchain(&self, chain: i128, scale: TokenScale) -> Usdt {
        let units = scale.to_units(-chain) + self.dust + self.in_transit.inward - self.in_transit.outward;
        capped(scale.to_nano(units).0)
    }

    /// What the daily cap leaves on `day` beside these charges and holds, in nano-USDT; `None` for no cap.
    pub(super) fn cap_left(&self, day: Day, unsettled: i128, held: i128) -> Option<i128> {
        let (settled_on, amount) = self.settled;
        let settled = if settled_on >= day { amount } else { 0 };
        Some(self.daily_cap? - settled - unsettled - held)
    }
}

/// Whether an organization's lines of final batches, newest first, suspend it: since its last settled line (`None`),
/// three or more were skipped for faults of its own.
pub fn suspends(newest_first: impl IntoIterator<Item = Option<LineFault>>) -> bool {
    let skipped = newest_first.into_iter().map_while(|line| line);
    let own = skipped.filter(|fault| *fault == LineFault::Payer);
    own.take(SKIPS).count() == SKIPS
}

/// Base units that were seen on their way and are not booked: inward deposits and payments by batches, outward
/// settled lines and withdrawals. Sums stop at the ends of 128 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InTransit {
    /// Towards the organization.
    pub inward: i128,
    /// Away from it.
    pub outward: i128,
}

impl InTransit {
    /// Counts base units on their way to the organization.
    pub fn add_inward(&mut self, units: u128) {
        self.inward = self.inward.saturating_add_unsigned(units);
    }

    /// Counts base units on their way out of the organization.
    pub fn add_outward(&mut self, units: u128) {
        self.outward = self.outward.saturating_add_unsigned(units);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Payee;
    use haithe_kernel::Decimals;

    const DAY: Day = Day(20_000);

    fn figures() -> ChainFigures {
        ChainFigures {
            dust: 0,
            daily_cap: None,
            day: DAY,
            settled_on_day: 0,
            suspended: false,
            halted: false,
            in_transit: InTransit::default(),
        }
    }

    fn scale(decimals: u8) -> TokenScale {
        TokenScale::of(Decimals::new(decimals).unwrap())
    }

    #[test]
    fn the_cap_of_a_day_counts_what_is_settled_on_it_unsettled_and_held() {
        let figures = ChainFigures {
            daily_cap: Some(1_000),
            settled_on_day: 400_000,
            ..figures()
        };
        let facts = OrgFacts::new(figures, scale(6));
        assert_eq!(facts.cap_left(DAY, 100_000, 50_000), Some(450_000));
        assert_eq!(facts.cap_left(Day(DAY.0 + 1), 100_000, 50_000), Some(850_000));
        let beyond = ChainFigures {
            daily_cap: Some(u128::MAX),
            ..figures
        };
        assert_eq!(OrgFacts::new(beyond, scale(6)).cap_left(DAY, 0, 0), None);
    }

    #[test]
    fn the_balance_on_chain_counts_dust_and_what_is_on_its_way() {
        let mut in_transit = InTransit::default();
        in_transit.add_inward(1);
        in_transit.add_outward(2_000_000_000);
        let figures = ChainFigures {
            dust: 999_999_999,
            in_transit,
            ..figures()
        };
        let facts = OrgFacts::new(figures, scale(18));
        assert_eq!(facts.onchain(-10, scale(18)), Usdt::from_nano(9));
    }

    #[test]
    fn three_own_skips_since_the_last_settled_line_suspend() {
        let (own, unknown) = (Some(LineFault::Payer), Some(LineFault::Unknown));
        let payee = Some(LineFault::Payee(Payee::Platform));
        assert!(suspends([own, payee, own, unknown, own, None]));
        assert!(!suspends([own, payee, own, None, own]));
        assert!(!suspends([unknown, payee, unknown, payee]));
        assert!(!suspends([None]));
    }
}
