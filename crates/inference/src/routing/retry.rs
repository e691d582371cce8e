//! Whether the same provider is asked once more, and after which pause.

use crate::ports::UpstreamError;
use std::time::Duration;

/// How patient a call is with one provider, before the first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries after the first.
    pub retries: u32,
    /// The pause before the second try, doubled before each further one.
    pub delay: Duration,
    /// Nothing is tried again once this much time has passed since the call began, pauses included.
    /// It also bounds how long a provider's `Retry-After` is obeyed.
    pub within: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retries: 2,
            delay: Duration::from_millis(100),
            within: Duration::from_secs(10),
        }
    }
}

/// How a call stands when a try has failed.
#[derive(Debug, Clone, Copy)]
pub struct Tried {
    /// How often this provider was asked, 1 or more.
    pub tries: u32,
    /// Time since the call began.
    pub spent: Duration,
    /// Whether somebody else could answer at once.
    pub others: bool,
}

impl RetryPolicy {
    /// The pause before the next try; `None` when this provider is not asked again.
    ///
    /// `chance` is any number; it spreads the tries of many calls that failed together. Faults that
    /// cost no time are tried again even if there are others, because the caller asked for this
    /// model. A slow or busy provider is not waited for while somebody else could answer.
    pub fn pause(&self, error: &UpstreamError, tried: Tried, chance: u32) -> Option<Duration> {
        let asked_for = match error {
            UpstreamError::Refused { .. }
            | UpstreamError::Credentials
            | UpstreamError::Resting { .. }
            | UpstreamError::TooLarge { .. } => return None,
            UpstreamError::RateLimited { .. } | UpstreamError::Busy { .. } | UpstreamError::TimedOut
                if tried.others =>
            {
                return None;
            }
            UpstreamError::RateLimited { retry_after } => retry_after.unwrap_or(0),
            UpstreamError::Busy { retry_after } => *retry_after,
            UpstreamError::TimedOut | UpstreamError::Failed(_) => 0,
        };
        if tried.tries > self.retries {
            return None;
        }
        let doublings = tried.tries.saturating_sub(1).min(16);
        let longest = self.delay.saturating_mul(1 << doublings);
        let pause = Duration::from_secs(asked_for).saturating_add(jittered(longest, chance));
        (tried.spent.saturating_add(pause) < self.within).then_some(pause)
    }
}

/// Between half of `longest` and all of it.
fn jittered(longest: Duration, chance: u32) -> Duration {
    let half = longest / 2;
    let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
    let share = u128::from(nanos) * u128::from(chance) / u128::from(u32::MAX);
    half + Duration::from_nanos(u64::try_from(share).unwrap_or(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FIRST: Tried = Tried {
        tries: 1,
        spent: Duration::ZERO,
        others: false,
    };

    fn failed() -> UpstreamError {
        UpstreamError::Failed("status 500".into())
    }

    fn busy(seconds: u64) -> UpstreamError {
        UpstreamError::RateLimited {
            retry_after: Some(seconds),
        }
    }

    #[test]
    fn what_the_caller_or_our_account_did_wrong_is_never_tried_again() {
        let refused = UpstreamError::Refused {
            status: 400,
            message: "no".into(),
            code: None,
            kind: None,
            param: None,
        };
        for error in [
            refused,
            UpstreamError::Credentials,
            UpstreamError::Resting { retry_after: 1 },
        ] {
            assert_eq!(RetryPolicy::default().pause(&error, FIRST, 7), None, "{error:?}");
        }
    }

    #[test]
    fn a_pause_that_the_provider_asks_for_is_kept_as_long_as_the_call_has_time() {
        let policy = RetryPolicy::default();
        let pause = policy.pause(&busy(3), FIRST, 0).unwrap();
        assert_eq!(pause, Duration::from_millis(3_050));
        assert_eq!(policy.pause(&busy(60), FIRST, 0), None);
        let late = Tried {
            spent: Duration::from_secs(8),
            ..FIRST
        };
        assert_eq!(policy.pause(&busy(3), late, 0), None);
    }

    #[test]
    fn nobody_waits_for_a_slow_or_busy_provider_while_another_could_answer() {
        let policy = RetryPolicy::default();
        let others = Tried {
            others: true,
            ..FIRST
        };
        for error in [
            busy(1),
            UpstreamError::Busy { retry_after: 1 },
            UpstreamError::TimedOut,
        ] {
            assert_eq!(policy.pause(&error, others, 0), None, "{error:?}");
            assert!(policy.pause(&error, FIRST, 0).is_some(), "{error:?}");
        }
        assert!(policy.pause(&failed(), others, 0).is_some());
    }

    proptest! {
        #[test]
        fn tries_and_their_time_are_bounded_whatever_chance_says(
            retries in 0u32..10,
            delay in 0u64..5_000,
            within in 0u64..60_000,
            asked_for in prop::option::of(0u64..100),
            chances in prop::collection::vec(any::<u32>(), 20),
        ) {
            let policy = RetryPolicy {
                retries,
                delay: Duration::from_millis(delay),
                within: Duration::from_millis(within),
            };
            let error = asked_for.map_or_else(failed, busy);
            let (mut spent, mut tries) = (Duration::ZERO, 1);
            for chance in chances {
                let tried = Tried { tries, spent, others: false };
                let Some(pause) = policy.pause(&error, tried, chance) else { break };
                prop_assert!(pause >= Duration::from_secs(asked_for.unwrap_or(0)));
                spent += pause;
                tries += 1;
            }
            prop_assert!(tries <= retries + 1);
            prop_assert!(spent <= policy.within);
        }

        #[test]
        fn a_pause_lies_between_half_and_all_of_its_doubled_delay(tries in 1u32..=5, chance: u32) {
            let policy = RetryPolicy { retries: 9, ..RetryPolicy::default() };
            let pause = policy.pause(&failed(), Tried { tries, ..FIRST }, chance).unwrap();
            let longest = policy.delay * 2u32.pow(tries - 1);
            prop_assert!(longest / 2 <= pause && pause <= longest);
        }
    }
}
