use super::*;
use haithe_inference::ports::{TokenAllowance, TokenClaim};
use haithe_kernel::FixedClock;
use proptest::prelude::*;
use std::time::Duration;

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
    assert_eq!(refused.retry_after, 11);
    clock.advance(Duration::from_secs(10));
    assert!(rates.take(&quota, 1).is_ok());
    assert!(rates.take(&quota, 1).is_err());
    clock.advance(Duration::from_secs(60));
    assert_eq!(rates.take(&quota, 6).unwrap().unwrap().1.left, 0);
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
fn an_address_of_version_six_stands_for_its_network() {
    let ip = |text: &str| Subject::ip(text.parse().unwrap());
    assert_eq!(ip("2001:db8::1"), ip("2001:db8::ffff:1"));
    assert_ne!(ip("2001:db8::1"), ip("2001:db8:0:1::1"));
    assert_eq!(ip("::ffff:192.0.2.1"), ip("192.0.2.1"));
    assert_ne!(ip("192.0.2.1"), ip("192.0.2.2"));
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
fn a_flood_of_subjects_is_bounded_once_they_are_idle() {
    let (rates, clock) = rates();
    let flood = i64::try_from(SHARDS * MOST_IN_SHARD).unwrap();
    for id in 0..flood {
        rates.take(&[key(id, 60_000)], 1).unwrap();
        clock.advance(Duration::from_micros(10));
    }
    assert!(rates.remembered() <= SHARDS * MOST_IN_SHARD);
    clock.advance(Duration::from_secs(1));
    assert_eq!(rates.sweep(), 0);
}

#[test]
fn places_are_counted_per_organization_and_come_back() {
    let places = Places::new(2);
    let held = [places.take(OrgId(1)).unwrap(), places.take(OrgId(1)).unwrap()];
    assert!(places.take(OrgId(1)).is_none());
    assert!(places.take(OrgId(2)).is_some());
    assert_eq!(places.under_way(), 2);
    drop(held);
    assert_eq!(places.under_way(), 0);
    assert!(places.take(OrgId(1)).is_some());
    let open = Places::new(0);
    let many: Vec<_> = (0..100).filter_map(|_| open.take(OrgId(1))).collect();
    assert_eq!(many.len(), 100);
}

#[test]
fn tokens_are_taken_by_estimate_and_corrected_by_use() {
    let (rates, clock) = rates();
    let tokens = TokenRates::new(
        Arc::new(rates),
        TokenQuotas {
            project: 0,
            org: 1_000,
        },
    );
    let claim = TokenClaim {
        api_key: Some((ApiKeyId(1), Some(100))),
        project: ProjectId(1),
        org: OrgId(1),
    };
    tokens.take(&claim, 80).unwrap();
    let spent = tokens.take(&claim, 30).unwrap_err();
    assert_eq!((spent.of, spent.per_minute), ("key_tokens", 100));
    // It used less than was thought.
    tokens.correct(&claim, 80, 20);
    tokens.take(&claim, 80).unwrap();
    // It used more: whoever comes next waits for that too.
    tokens.correct(&claim, 80, 180);
    assert!(tokens.take(&claim, 1).unwrap_err().retry_after > 60);
    clock.advance(Duration::from_secs(61));
    assert!(tokens.take(&claim, 1).is_ok());
    // More than a whole minute's worth is let through when nothing is in use.
    clock.advance(Duration::from_secs(600));
    assert!(tokens.take(&claim, 5_000).is_ok());
    let keyless = TokenClaim {
        api_key: None,
        ..claim
    };
    assert_eq!(tokens.take(&keyless, 1).unwrap_err().of, "organization_tokens");
}

proptest! {
    /// However requests are spread, no span of time sees more than what it and one burst allow.
    #[test]
    fn no_span_sees_more_than_its_share(
        per_minute in 1u32..600,
        steps in prop::collection::vec((0u64..3_000, 1u64..5), 1..200),
    ) {
        let (rates, clock) = rates();
        let (mut taken, mut passed) = (0u64, 0u64);
        for (millis, amount) in steps {
            clock.advance(Duration::from_millis(millis));
            passed += millis;
            if rates.take(&[key(1, per_minute)], amount).is_ok() {
                taken += amount;
            }
        }
        let share = u128::from(per_minute) * (60_000 + u128::from(passed)) / 60_000;
        // Amounts beyond the whole burst are admitted one at a time.
        prop_assert!(u128::from(taken) <= share + 5, "{taken} of {share}");
    }
}
