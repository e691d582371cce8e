use super::{
    table::{MOST_IN_SHARD, SHARDS},
    *,
};
use haithe_inference::ports::{TokenAllowance, TokenClaim, TokensTaken};
use haithe_kernel::{FixedClock, Timestamp};
use proptest::prelude::*;

fn rates() -> (Rates, Arc<FixedClock>) {
    let clock = Arc::new(FixedClock::at(Timestamp::from_seconds(1_700_000_000)));
    (Rates::new(clock.clone()), clock)
}

const fn key(id: i64, per_minute: u32) -> Quota {
    Quota {
        subject: Subject::Key(ApiKeyId(id)),
        per_minute,
    }
}

#[test]
fn a_minutes_worth_may_come_at_once_and_comes_back_evenly() {
    let (rates, clock) = rates();
    let quota = [key(1, 6)];
    for left in (0..6).rev() {
        let (_, standing) = rates.take(&quota, 1).unwrap().unwrap();
        assert_eq!(standing.left, left);
    }
    let refused = rates.take(&quota, 1).unwrap_err();
    assert_eq!(refused.standing.left, 0);
    assert_eq!(refused.retry_after, 10);
    clock.advance(Duration::from_secs(10));
    assert!(rates.take(&quota, 1).is_ok());
    assert!(rates.take(&quota, 1).is_err());
    clock.advance(Duration::from_secs(60));
    assert_eq!(rates.take(&quota, 6).unwrap().unwrap().1.left, 0);
}

#[test]
fn a_step_of_the_time_of_day_changes_no_quota() {
    let (rates, clock) = rates();
    let (tokens, token_clock) = token_rates(0);
    let claim = claim(100);
    assert_eq!(rates.take(&[key(1, 2)], 1).unwrap().unwrap().1.left, 1);
    tokens.take(&claim, 40).unwrap();
    for clock in [&clock, &token_clock] {
        clock.set(clock.now().minus(Duration::from_secs(3_600)));
    }
    assert_eq!(rates.take(&[key(1, 2)], 1).unwrap().unwrap().1.left, 0);
    assert_eq!(rates.take(&[key(1, 2)], 1).unwrap_err().retry_after, 30);
    assert_eq!(tokens.take(&claim, 100).unwrap_err().retry_after, 61);
    for clock in [&clock, &token_clock] {
        clock.set(clock.now().plus(Duration::from_secs(7_200)));
    }
    assert_eq!(rates.take(&[key(1, 2)], 1).unwrap_err().retry_after, 30);
    assert_eq!(tokens.standing(&claim).unwrap().1.left, 60);
    clock.advance(Duration::from_secs(30));
    assert!(rates.take(&[key(1, 2)], 1).is_ok());
    token_clock.advance(Duration::from_secs(61));
    assert!(tokens.take(&claim, 100).is_ok());
}

#[test]
fn a_refusal_takes_nothing_from_anybody() {
    let (rates, _) = rates();
    let both = [key(1, 10), key(2, 1)];
    assert!(rates.take(&both, 1).is_ok());
    for _ in 0..20 {
        assert_eq!(rates.take(&both, 1).unwrap_err().quota, both[1]);
    }
    assert_eq!(rates.take(&both[..1], 1).unwrap().unwrap().1.left, 8);
}

#[test]
fn nobody_pays_for_another_and_nought_is_no_limit() {
    let (rates, _) = rates();
    assert!(rates.take(&[key(1, 1)], 1).is_ok());
    assert!(rates.take(&[key(1, 1)], 1).is_err());
    assert!(rates.take(&[key(2, 1)], 1).is_ok());
    for _ in 0..1000 {
        assert_eq!(rates.take(&[key(3, 0)], 1_000_000), Ok(None));
    }
}

#[test]
fn the_tightest_quota_is_the_one_that_is_told() {
    let (rates, _) = rates();
    let told = rates
        .take(&[key(1, 100), key(2, 5), key(3, 50)], 1)
        .unwrap()
        .unwrap();
    assert_eq!((told.0, told.1.left), (key(2, 5), 4));
}

#[test]
fn the_idle_are_forgotten_and_the_busy_are_not() {
    let (rates, clock) = rates();
    rates.take(&[key(1, 60)], 1).unwrap();
    rates.take(&[key(2, 60)], 60).unwrap();
    assert_eq!(rates.sweep(), 2);
    clock.advance(Duration::from_secs(2));
    assert_eq!(rates.sweep(), 1);
    clock.advance(Duration::from_secs(60));
    assert_eq!(rates.sweep(), 0);
}

#[test]
fn a_flood_of_subjects_is_bounded_whether_or_not_they_are_idle() {
    let (rates, clock) = rates();
    let flood = i64::try_from(SHARDS * MOST_IN_SHARD).unwrap() + 40_000;
    for id in 0..flood {
        rates.take(&[key(id, 1)], 1).unwrap();
        assert!(id % 10_000 != 0 || rates.remembered() <= SHARDS * MOST_IN_SHARD);
    }
    assert!(rates.remembered() <= SHARDS * MOST_IN_SHARD);
    // Whoever came last is not the one who was forgotten.
    assert!(rates.take(&[key(flood - 1, 1)], 1).is_err());
    clock.advance(Duration::from_secs(61));
    assert_eq!(rates.sweep(), 0);
}

#[test]
fn waiting_is_told_in_whole_seconds_rounded_up_and_never_as_none() {
    for (wait, told) in [
        (Duration::ZERO, 1),
        (Duration::from_nanos(1), 1),
        (Duration::from_millis(999), 1),
        (Duration::from_secs(1), 1),
        (Duration::from_millis(1_001), 2),
        (Duration::from_secs(10), 10),
        (Duration::MAX, u64::MAX),
    ] {
        assert_eq!(retry_after(wait), told, "{wait:?}");
    }
}

#[test]
fn places_are_counted_per_organization_and_come_back() {
    let places = Places::new(2);
    let held = [places.take(OrgId(1)).unwrap(), places.take(OrgId(1)).unwrap()];
    assert!(places.take(OrgId(1)).is_none());
    // In the same shard as the first.
    assert!(places.take(OrgId(33)).is_some());
    assert_eq!(places.under_way(), 2);
    drop(held);
    assert_eq!(places.under_way(), 0);
    assert!(places.take(OrgId(1)).is_some());
    let open = Places::new(0);
    let many: Vec<_> = (0..100).filter_map(|_| open.take(OrgId(1))).collect();
    assert_eq!((many.len(), open.under_way()), (100, 100));
    drop(many);
    assert_eq!(open.under_way(), 0);
}

#[test]
fn places_taken_at_once_from_many_threads_never_exceed_the_limit() {
    let places = Places::new(3);
    let most = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    let held: Vec<_> = (0..2).filter_map(|_| places.take(OrgId(7))).collect();
                    most.fetch_max(places.under_way(), std::sync::atomic::Ordering::Relaxed);
                    drop(held);
                }
            });
        }
    });
    assert!((1..=3).contains(&most.into_inner()));
    assert_eq!(places.under_way(), 0);
}

fn token_rates(org: u32) -> (TokenRates, Arc<FixedClock>) {
    let clock = Arc::new(FixedClock::at(Timestamp::from_seconds(1_700_000_000)));
    let quotas = TokenQuotas { project: 0, org };
    (TokenRates::new(clock.clone(), quotas, Arc::default()), clock)
}

const fn claim(key_limit: u32) -> TokenClaim {
    TokenClaim {
        api_key: Some((ApiKeyId(1), Some(key_limit))),
        project: ProjectId(1),
        org: OrgId(1),
    }
}

#[test]
fn tokens_are_taken_by_estimate_and_corrected_by_use() {
    let (tokens, clock) = token_rates(1_000);
    let claim = claim(100);
    let taken = tokens.take(&claim, 80).unwrap();
    assert_eq!(tokens.standing(&claim).unwrap().1.left, 20);
    let spent = tokens.take(&claim, 30).unwrap_err();
    assert_eq!((spent.of, spent.per_minute), ("key", 100));
    // It used less than was thought.
    tokens.correct(&claim, taken, 20);
    let taken = tokens.take(&claim, 80).unwrap();
    // It used more: whoever comes next waits for that too.
    tokens.correct(&claim, taken, 180);
    assert_eq!(tokens.take(&claim, 1).unwrap_err().retry_after, 61);
    clock.advance(Duration::from_secs(61));
    let taken = tokens.take(&claim, 1).unwrap();
    tokens.correct(&claim, taken, 0);
    // More than a whole minute's worth is let through when nothing is in use.
    assert!(tokens.take(&claim, 5_000).is_ok());
    let keyless = TokenClaim {
        api_key: None,
        ..claim
    };
    assert_eq!(tokens.take(&keyless, 1).unwrap_err().of, "organization");
}

#[test]
fn a_refusal_of_tokens_takes_nothing_from_anybody() {
    let (tokens, _) = token_rates(50);
    let claim = claim(1_000);
    tokens.take(&claim, 50).unwrap();
    for _ in 0..100 {
        assert_eq!(tokens.take(&claim, 10).unwrap_err().of, "organization");
    }
    let alone = TokenClaim {
        org: OrgId(2),
        ..claim
    };
    tokens.take(&alone, 50).unwrap();
    let left = |org| tokens.standing(&TokenClaim { org, ..claim }).unwrap().1.left;
    assert_eq!((left(OrgId(1)), left(OrgId(2)), left(OrgId(3))), (0, 0, 50));
}

#[test]
fn tokens_that_time_gave_back_are_not_given_back_again() {
    let (tokens, clock) = token_rates(0);
    let claim = claim(100);
    let taken = tokens.take(&claim, 100).unwrap();
    clock.advance(Duration::from_secs(61));
    let next = tokens.take(&claim, 100).unwrap();
    // The first call ends only now, and used nothing.
    tokens.correct(&claim, taken, 0);
    assert!(tokens.take(&claim, 1).is_err());
    // The second is corrected in its own minute.
    clock.advance(Duration::from_secs(59));
    tokens.correct(&claim, next, 40);
    assert_eq!(tokens.standing(&claim).unwrap().1.left, 60);
}

#[test]
fn the_headers_show_the_tightest_quota_and_when_it_is_whole() {
    let (tokens, clock) = token_rates(1_000);
    assert_eq!(tokens.standing(&claim(100)).unwrap().1.left, 100);
    assert_eq!(tokens.remembered(), 0, "looking remembers nobody");
    tokens.take(&claim(100), 10).unwrap();
    clock.advance(Duration::from_millis(500));
    let (quota, standing) = tokens.standing(&claim(100)).unwrap();
    assert_eq!((quota.per_minute, standing.left), (100, 90));
    assert_eq!(standing.full_in, Duration::from_millis(60_500));
    let (free, _) = token_rates(0);
    assert_eq!(free.standing(&claim(0)), None);
    clock.advance(Duration::from_secs(61));
    assert_eq!(tokens.sweep(), 0);
}

/// What a call does: it takes by estimate, and is corrected later or never.
#[derive(Debug, Clone)]
struct Step {
    wait: u64,
    estimate: u64,
    used: u64,
    lasts: usize,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step =
        (0u64..20_000, 0u64..60, 0u64..90, 0usize..12).prop_map(|(wait, estimate, used, lasts)| Step {
            wait,
            estimate,
            used,
            lasts,
        });
    prop::collection::vec(step, 1..150)
}

proptest! {
    /// However requests are spread, no span of time sees more than one burst and what comes back in it.
    #[test]
    fn no_span_sees_more_requests_than_its_share(
        per_minute in 1u32..600,
        steps in prop::collection::vec((0u64..3_000, 1u64..5), 1..200),
    ) {
        let (rates, clock) = rates();
        let mut taken = Vec::new();
        let mut passed = 0u64;
        for (millis, amount) in steps {
            clock.advance(Duration::from_millis(millis));
            passed += millis;
            match rates.take(&[key(1, per_minute)], amount) {
                Ok(_) => taken.push((passed, amount)),
                Err(spent) => {
                    prop_assert!(spent.retry_after >= 1);
                    // Whoever waits that long is admitted, and not a second later than needed.
                    let at = clock.monotonic();
                    let wait = Duration::from_secs(spent.retry_after);
                    let probe = |wait| {
                        let (copy, later) = rates_like(&taken, per_minute);
                        later.advance(at.plus(wait).since(later.monotonic()));
                        copy.take(&[key(1, per_minute)], amount).is_ok()
                    };
                    prop_assert!(probe(wait));
                    prop_assert!(spent.retry_after == 1 || !probe(wait - Duration::from_secs(1)));
                }
            }
        }
        for (first, (from, _)) in taken.iter().enumerate() {
            let mut sum = 0;
            for (until, amount) in &taken[first..] {
                sum += u128::from((*amount).min(per_minute.into()));
                let back = u128::from(per_minute) * u128::from(until - from) / 60_000;
                prop_assert!(sum <= u128::from(per_minute) + back, "{sum} from {from} to {until}");
            }
        }
    }

    /// Whatever calls estimate, use, and however late they say so: counted at their taking, no minute
    /// sees more tokens admitted than the quota, and corrections only bring back what was taken.
    #[test]
    fn no_minute_sees_more_tokens_than_the_quota(quota in 60u32..400, steps in steps()) {
        let (tokens, clock) = token_rates(0);
        let claim = claim(quota);
        // (when, what stands of it), as an omniscient keeper of books would have it.
        let mut book: Vec<(MonotonicTime, u64)> = Vec::new();
        // Calls under way: (ends before this turn, line of the book, what it will have used, what it took).
        let mut open: Vec<(usize, usize, u64, TokensTaken)> = Vec::new();
        for (turn, step) in steps.into_iter().enumerate() {
            clock.advance(Duration::from_millis(step.wait));
            open.retain(|(end, line, used, taken)| {
                if *end > turn {
                    return true;
                }
                tokens.correct(&claim, *taken, *used);
                match used.checked_sub(taken.tokens) {
                    Some(more) => book.push((clock.monotonic(), more)),
                    None => book[*line].1 = *used,
                }
                false
            });
            let now = clock.monotonic();
            let within = |span: u64| -> u64 {
                let recent = book.iter().filter(|(at, _)| now.since(*at) < Duration::from_secs(span));
                recent.map(|(_, amount)| amount).sum()
            };
            match tokens.take(&claim, step.estimate) {
                Ok(taken) => {
                    prop_assert!(within(60) + step.estimate <= u64::from(quota), "too much was admitted");
                    book.push((now, step.estimate));
                    open.push((turn + 1 + step.lasts, book.len() - 1, step.used, taken));
                }
                // Never stricter than by the second that a take is dated to.
                Err(spent) => {
                    prop_assert!(within(61) + step.estimate > u64::from(quota), "too little was admitted");
                    prop_assert!((1..=61).contains(&spent.retry_after));
                }
            }
        }
    }
}

/// Rates in which exactly this was taken, (milliseconds since the start, amount).
fn rates_like(taken: &[(u64, u64)], per_minute: u32) -> (Rates, Arc<FixedClock>) {
    let (rates, clock) = rates();
    let start = clock.monotonic();
    for (millis, amount) in taken {
        let at = start.plus(Duration::from_millis(*millis));
        clock.advance(at.since(clock.monotonic()));
        assert!(rates.take(&[key(1, per_minute)], *amount).is_ok());
    }
    (rates, clock)
}
