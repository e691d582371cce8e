//! Many at once.

use crate::fixture::{Fixture, NOON, OWNER, call_id, capture, exactly, line, nano};
use haithe_billing::{capture::Payee, ports::Ledger};
use haithe_identity::{
    api_key::{KeyHash, KeyScope, NewApiKey},
    challenge::{MessageDigest, NonceHash, StoredChallenge},
    ports::{ApiKeyStore, ChallengeStore, CreateKeyError},
};
use haithe_kernel::Timestamp;
use haithe_sqlite::{SqliteApiKeyStore, SqliteChallengeStore};
use std::time::Duration;
use uuid::Uuid;

async fn all<T: Send + 'static>(tasks: impl IntoIterator<Item = tokio::task::JoinHandle<T>>) -> Vec<T> {
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_holds_on_funds_for_ten_exactly_ten_pass() {
    let (fixture, org) = Fixture::funded(nano(1_009)).await;
    let holding = (0..64).map(|_| {
        let ledger = fixture.ledger();
        tokio::spawn(async move { ledger.hold(exactly(call_id(), org, nano(100))).await.is_ok() })
    });
    let passed = all(holding).await.into_iter().filter(|passed| *passed).count();
    assert_eq!(passed, 10);
    assert_eq!(fixture.balance(org).await.spendable(), nano(9));
}

#[tokio::test(flavor = "multi_thread")]
async fn captures_beyond_their_holds_never_take_more_than_there_is() {
    let (fixture, org) = Fixture::funded(nano(1_000)).await;
    let mut calls = Vec::new();
    for _ in 0..64 {
        calls.push(fixture.hold(org, nano(10)).await.unwrap());
    }
    let capturing = calls.into_iter().map(|call| {
        let ledger = fixture.ledger();
        tokio::spawn(async move {
            let capture = capture(call, org, vec![line(Payee::Platform, nano(40))]);
            ledger.capture(capture).await.unwrap()
        })
    });
    let captured = all(capturing).await;
    let charged: i64 = captured.iter().map(|captured| captured.charged.nano()).sum();
    let lost: i64 = captured.iter().map(|captured| captured.lost.nano()).sum();
    assert_eq!((charged, lost), (1_000, 64 * 40 - 1_000));
    assert!(
        captured.iter().all(|captured| captured.charged >= nano(10)),
        "a hold is always honoured"
    );
    let balance = fixture.balance(org).await;
    assert_eq!(
        (balance.available, balance.held, balance.unsettled),
        (nano(0), nano(0), nano(1_000))
    );
    fixture.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_spent_before_is_told_without_gaps() {
    let (fixture, org) = Fixture::funded(nano(10_000)).await;
    let capturing = (0..200).map(|_| {
        let ledger = fixture.ledger();
        tokio::spawn(async move {
            let capture = capture(call_id(), org, vec![line(Payee::Platform, nano(7))]);
            ledger.capture(capture).await.unwrap().spent_before.nano()
        })
    });
    let mut before = all(capturing).await;
    before.sort_unstable();
    let expected: Vec<i64> = (0..200).map(|number| number * 7).collect();
    assert_eq!(before, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_eight_default_keys_at_once_one_is_stored() {
    let fixture = Fixture::new().await;
    let creating = (0..8u8).map(|number| {
        let keys = SqliteApiKeyStore::new(&fixture.db);
        tokio::spawn(async move { keys.create(default_key(number, NOON, None)).await })
    });
    let created = all(creating).await;
    assert_eq!(created.iter().filter(|created| created.is_ok()).count(), 1);
    let refused = created
        .iter()
        .filter(|created| matches!(created, Err(CreateKeyError::DefaultExists)));
    assert_eq!(refused.count(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_default_key_makes_way_for_the_next() {
    let fixture = Fixture::new().await;
    let keys = SqliteApiKeyStore::new(&fixture.db);
    let expiry = NOON.plus(Duration::from_secs(60));
    keys.create(default_key(1, NOON, Some(expiry))).await.unwrap();
    let refused = keys
        .create(default_key(2, NOON.plus(Duration::from_secs(59)), None))
        .await;
    assert!(matches!(refused, Err(CreateKeyError::DefaultExists)));
    keys.create(default_key(3, expiry, None)).await.unwrap();
    let first = keys.find(KeyHash([1; 32])).await.unwrap().unwrap();
    assert_eq!(first.revoked_at, Some(expiry));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_twice_is_no_second_default_but_a_defect() {
    let fixture = Fixture::new().await;
    let keys = SqliteApiKeyStore::new(&fixture.db);
    let key = |is_default| NewApiKey {
        is_default,
        ..default_key(1, NOON, None)
    };
    keys.create(key(false)).await.unwrap();
    assert!(matches!(
        keys.create(key(true)).await,
        Err(CreateKeyError::Store(_))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_who_take_a_challenge_at_once_one_has_it() {
    let fixture = Fixture::new().await;
    let digest = MessageDigest([5; 32]);
    let challenge = StoredChallenge {
        address: OWNER,
        digest,
        nonce: NonceHash([5; 32]),
        site: "https://app.example".into(),
        network: None,
        issued_at: NOON,
        expires_at: NOON.plus(Duration::from_secs(300)),
    };
    SqliteChallengeStore::new(&fixture.db)
        .put(challenge)
        .await
        .unwrap();
    let taking = (0..64).map(|_| {
        let challenges = SqliteChallengeStore::new(&fixture.db);
        tokio::spawn(async move { challenges.take(OWNER, digest, NOON).await.unwrap() })
    });
    let taken = all(taking).await;
    assert_eq!(taken.into_iter().filter(|taken| *taken).count(), 1);
}

fn default_key(number: u8, issued_at: Timestamp, expires_at: Option<Timestamp>) -> NewApiKey {
    NewApiKey {
        address: OWNER,
        nonce: Uuid::now_v7(),
        hash: KeyHash([number; 32]),
        name: "default".into(),
        is_default: true,
        scope: KeyScope::default(),
        expires_at,
        budget: None,
        requests_per_minute: None,
        tokens_per_minute: None,
        issued_at,
    }
}
