//! Prices that rise with notice.

use crate::{Timestamp, Usdt};
use std::time::Duration;

/// A price that is announced and not in force yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnnouncedPrice {
    /// The announced price.
    pub price: Usdt,
    /// The moment from which it applies.
    pub at: Timestamp,
}

/// A price and the one announced after it.
///
/// The price in force depends on the time, so it can only be read for a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriceSchedule {
    current: Usdt,
    next: Option<AnnouncedPrice>,
}

impl PriceSchedule {
    /// A price without an announced change.
    pub const fn fixed(price: Usdt) -> Self {
        Self {
            current: price,
            next: None,
        }
    }

    /// A price and the one announced after it.
    pub const fn scheduled(current: Usdt, next: Option<AnnouncedPrice>) -> Self {
        Self { current, next }
    }

    /// The price that a call at this moment is charged.
    pub fn in_force(&self, now: Timestamp) -> Usdt {
        match self.next {
            Some(next) if next.at <= now => next.price,
            _ => self.current,
        }
    }

    /// The announced price while it is not in force.
    pub fn pending(&self, now: Timestamp) -> Option<AnnouncedPrice> {
        self.next.filter(|next| now < next.at)
    }

    /// Both prices as they are stored: the earlier one, and the announced one even when it applies already.
    pub const fn parts(&self) -> (Usdt, Option<AnnouncedPrice>) {
        (self.current, self.next)
    }

    /// The schedule after the price is set: a lower or equal price acts at once and cancels an announced
    /// rise, a higher one acts after `notice`.
    #[must_use]
    pub fn set(self, price: Usdt, now: Timestamp, notice: Duration) -> Self {
        let current = self.in_force(now);
        if price <= current || notice.is_zero() {
            return Self::fixed(price);
        }
        let next = AnnouncedPrice {
            price,
            at: now.plus(notice),
        };
        Self::scheduled(current, Some(next))
    }
}

impl Default for PriceSchedule {
    fn default() -> Self {
        Self::fixed(Usdt::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEEK: Duration = Duration::from_secs(7 * 86_400);

    fn day(number: i64) -> Timestamp {
        Timestamp::from_seconds(number * 86_400)
    }

    #[test]
    fn a_higher_price_acts_after_the_notice_and_a_lower_one_at_once() {
        let one = PriceSchedule::fixed(Usdt::whole(1));
        let raised = one.set(Usdt::whole(499), day(0), WEEK);
        assert_eq!(raised.in_force(day(6)), Usdt::whole(1));
        assert_eq!(raised.pending(day(6)).map(|next| next.at), Some(day(7)));
        assert_eq!(raised.in_force(day(7)), Usdt::whole(499));
        assert_eq!(raised.pending(day(7)), None);

        let lowered = raised.set(Usdt::ZERO, day(1), WEEK);
        assert_eq!(lowered, PriceSchedule::fixed(Usdt::ZERO));
    }

    #[test]
    fn setting_the_price_in_force_cancels_an_announced_rise() {
        let raised = PriceSchedule::fixed(Usdt::whole(1)).set(Usdt::whole(2), day(0), WEEK);
        let kept = raised.set(Usdt::whole(1), day(3), WEEK);
        assert_eq!(kept.in_force(day(100)), Usdt::whole(1));
    }

    #[test]
    fn a_second_rise_begins_its_notice_anew() {
        let raised = PriceSchedule::fixed(Usdt::whole(1)).set(Usdt::whole(2), day(0), WEEK);
        let again = raised.set(Usdt::whole(3), day(6), WEEK);
        assert_eq!(again.in_force(day(12)), Usdt::whole(1));
        assert_eq!(again.in_force(day(13)), Usdt::whole(3));
    }

    #[test]
    fn a_rise_that_is_in_force_is_the_base_of_the_next_one() {
        let raised = PriceSchedule::fixed(Usdt::whole(1)).set(Usdt::whole(2), day(0), WEEK);
        let later = raised.set(Usdt::whole(3), day(8), WEEK);
        assert_eq!(later.in_force(day(8)), Usdt::whole(2));
        assert_eq!(later.in_force(day(15)), Usdt::whole(3));
    }
}
