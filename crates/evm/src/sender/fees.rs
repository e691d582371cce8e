//! What to offer per gas: a pure function of the node's estimate, the last offer and the limits.

use crate::sign::Fees;

/// The first offer: the node's estimate, but never above the ceiling.
pub(super) fn first(estimate: Fees, ceiling: u128) -> Fees {
    let max = estimate.max.min(ceiling);
    Fees {
        max,
        priority: estimate.priority.min(max),
    }
}

/// The next offer for the same nonce; `None` when a higher one would break a limit.
///
/// Both fields rise by at least an eighth, because nodes take a replacement only if both rise by a
/// tenth; they rise to the estimate if that is more. The first field stays within five times the
/// estimate, so that a stalled transaction is not bid up without need, and within the ceiling.
pub(super) fn raised(last: Fees, estimate: Fees, ceiling: u128) -> Option<Fees> {
    let cap = estimate.max.saturating_mul(5).min(ceiling);
    let least = Fees {
        max: plus_an_eighth(last.max),
        priority: plus_an_eighth(last.priority),
    };
    if least.max > cap {
        return None;
    }
    let max = least.max.max(estimate.max).min(cap);
    // Not above `max`: `least.priority` is not, since `last.priority` was not above `last.max`.
    let priority = least.priority.max(estimate.priority.min(max));
    Some(Fees { max, priority })
}

fn plus_an_eighth(wei: u128) -> u128 {
    wei.saturating_add(wei.div_ceil(8)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GWEI: u128 = 1_000_000_000;

    fn fees(max: u128, priority: u128) -> Fees {
        Fees { max, priority }
    }

    #[test]
    fn a_raise_follows_an_estimate_that_ran_away() {
        let raised = raised(fees(2 * GWEI, 1), fees(200 * GWEI, 3), 500 * GWEI);
        assert_eq!(raised, Some(fees(200 * GWEI, 3)));
    }

    #[test]
    fn a_raise_is_an_eighth_when_the_estimate_stands_still() {
        let raised = raised(fees(80, 8), fees(80, 8), 1000);
        assert_eq!(raised, Some(fees(90, 9)));
    }

    #[test]
    fn raises_end_at_five_times_the_estimate_and_at_the_ceiling() {
        assert_eq!(raised(fees(460, 1), fees(100, 1), 10_000), None, "517 > 500");
        assert_eq!(raised(fees(900, 1), fees(800, 1), 1_000), None, "1012 > 1000");
        assert_eq!(raised(fees(800, 1), fees(5_000, 1), 1_000), Some(fees(1_000, 2)));
    }

    #[test]
    fn the_first_offer_stays_below_the_ceiling() {
        assert_eq!(first(fees(900, 300), 200), fees(200, 200));
        assert_eq!(first(fees(100, 3), 200), fees(100, 3));
    }

    proptest! {
        #[test]
        fn every_raise_is_accepted_by_nodes_and_within_the_limits(
            last_max in 1u128..1_000_000, last_tip in 0u128..1_000_000,
            estimate_max in 1u128..1_000_000, estimate_tip in 0u128..1_000_000, ceiling in 1u128..2_000_000,
        ) {
            let last = fees(last_max, last_tip.min(last_max));
            let estimate = fees(estimate_max, estimate_tip.min(estimate_max));
            if let Some(next) = raised(last, estimate, ceiling) {
                prop_assert!(next.max * 10 >= last.max * 11 && next.priority * 10 >= last.priority * 11);
                prop_assert!(next.max <= ceiling && next.max <= estimate.max * 5);
                prop_assert!(next.priority <= next.max);
            }
        }
    }
}
