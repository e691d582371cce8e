use super::*;
use crate::{
    Credential, Principal,
    api_key::{ApiKey, ApiKeyId, KeyHash, KeyScope},
    ports::MockIdempotencyStore,
    session::SessionId,
};
use haithe_kernel::{FixedClock, MockRandom, OrgId, ProjectId};
use proptest::prelude::*;
use std::{future::Future, pin::Pin, sync::Mutex};

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

/// Tasks that a test runs when it likes.
#[derive(Default)]
struct Later(Mutex<Vec<Pin<Box<dyn Future<Output = ()> + Send>>>>);

impl Tasks for Later {
    fn spawn(&self, _name: &'static str, work: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.0.lock().unwrap().push(work);
    }
}

impl Later {
    async fn run(&self) -> usize {
        let tasks = std::mem::take(&mut *self.0.lock().unwrap());
        let count = tasks.len();
        for task in tasks {
            task.await;
        }
        count
    }
}

struct Stage {
    idempotency: Idempotency,
    clock: Arc<FixedClock>,
    later: Arc<Later>,
}

fn stage(store: MockIdempotencyStore) -> Stage {
    let mut random = MockRandom::new();
    random.expect_bytes16().returning(|| [7; 16]);
    let clock = Arc::new(FixedClock::at(NOW));
    let later = Arc::new(Later::default());
    let idempotency = Idempotency::new(
        Arc::new(store),
        clock.clone(),
        Arc::new(random),
        later.clone(),
        clock.clone(),
    );
    Stage {
        idempotency,
        clock,
        later,
    }
}

fn wallet(byte: u8) -> Principal {
    Principal {
        address: WalletAddress::new([byte; 20]),
        credential: Credential::Session(SessionId([byte; 32])),
    }
}

fn api_key(byte: u8, id: i64) -> Principal {
    let key = ApiKey {
        id: ApiKeyId(id),
        address: WalletAddress::new([byte; 20]),
        nonce: Uuid::nil(),
        hash: KeyHash([0; 32]),
        name: String::new(),
        is_default: false,
        scope: KeyScope::default(),
        expires_at: None,
        budget: None,
        requests_per_minute: None,
        tokens_per_minute: None,
        issued_at: NOW,
        last_used_at: None,
        revoked_at: None,
    };
    Principal {
        address: key.address,
        credential: Credential::ApiKey(Arc::new(key)),
    }
}

fn attempt(principal: &Principal) -> Attempt<'_> {
    Attempt {
        principal,
        method: "POST",
        path: "/things",
        query: "a=1",
        context: Some((OrgId(1), ProjectId(2))),
        beside: b"",
        body: b"{}",
    }
}

fn key(text: &str) -> IdempotencyKey {
    text.parse().unwrap()
}

fn taking() -> MockIdempotencyStore {
    let mut store = MockIdempotencyStore::new();
    store.expect_claim().returning(|_| Ok(Claimed::Taken));
    store
}

async fn ticket(stage: &Stage) -> Ticket {
    match stage
        .idempotency
        .begin(&key("k"), &attempt(&wallet(1)))
        .await
        .unwrap()
    {
        Begun::First(ticket) => ticket,
        Begun::Again(_) => panic!("nothing stands there"),
    }
}

proptest! {
    #[test]
    fn a_key_is_1_to_255_printable_ascii_characters(text in ".{0,300}") {
        let good = (1..=255).contains(&text.len()) && text.chars().all(|c| (' '..='~').contains(&c));
        prop_assert_eq!(text.parse::<IdempotencyKey>().is_ok(), good);
    }

    #[test]
    fn every_printable_key_within_bounds_is_read(text in "[ -~]{1,255}") {
        prop_assert!(text.parse::<IdempotencyKey>().is_ok());
    }

    #[test]
    fn one_byte_of_another_sort_spoils_a_key(at in 0usize..20, byte in prop::sample::select(vec!['\u{1f}', '\u{7f}', 'é', '\n', '\0'])) {
        let mut text: Vec<char> = "k".repeat(20).chars().collect();
        text[at] = byte;
        prop_assert!(text.into_iter().collect::<String>().parse::<IdempotencyKey>().is_err());
    }

    /// What ends one part cannot begin the next.
    #[test]
    fn parts_do_not_flow_into_each_other(path in "/[a-z]{1,8}", query in "[a-z]{1,8}", cut in 1usize..8) {
        let principal = wallet(1);
        let whole = Attempt { path: &path, query: &query, ..attempt(&principal) };
        let cut = cut.min(query.len());
        let longer = format!("{path}{}", &query[..cut]);
        let moved = Attempt { path: &longer, query: &query[cut..], ..attempt(&principal) };
        prop_assert_ne!(whole.fingerprint(), moved.fingerprint());
        prop_assert_ne!(whole.slot(&key("k")), moved.slot(&key("k")));
    }
}

#[test]
fn a_slot_is_of_who_asks_for_what_under_which_key() {
    let one = wallet(1);
    let slot = attempt(&one).slot(&key("k"));
    let again = Principal {
        credential: Credential::Session(SessionId([9; 32])),
        ..wallet(1)
    };
    assert_eq!(
        attempt(&again).slot(&key("k")),
        slot,
        "a new session is the same wallet"
    );
    for other in [wallet(2), api_key(1, 1), api_key(1, 2)] {
        assert_ne!(attempt(&other).slot(&key("k")), slot);
    }
    assert_ne!(
        attempt(&api_key(1, 1)).slot(&key("k")),
        attempt(&api_key(1, 2)).slot(&key("k"))
    );
    assert_ne!(attempt(&one).slot(&key("K")), slot);
    let elsewhere = Attempt {
        path: "/others",
        ..attempt(&one)
    };
    assert_ne!(elsewhere.slot(&key("k")), slot);
    let otherwise = Attempt {
        query: "a=2",
        context: None,
        body: b"[]",
        ..attempt(&one)
    };
    assert_eq!(
        otherwise.slot(&key("k")),
        slot,
        "what is asked does not choose the slot"
    );
}

#[test]
fn a_fingerprint_is_of_what_is_asked_and_on_whose_account() {
    let one = wallet(1);
    let same = attempt(&one);
    let print = same.fingerprint();
    for other in [
        Attempt {
            method: "PUT",
            ..same
        },
        Attempt {
            path: "/others",
            ..same
        },
        Attempt { query: "", ..same },
        Attempt {
            context: None,
            ..same
        },
        Attempt {
            context: Some((OrgId(2), ProjectId(2))),
            ..same
        },
        Attempt {
            context: Some((OrgId(1), ProjectId(1))),
            ..same
        },
        Attempt { beside: b"7", ..same },
        Attempt { body: b"{} ", ..same },
    ] {
        assert_ne!(other.fingerprint(), print, "{other:?}");
    }
}

#[tokio::test]
async fn a_claim_says_when_its_slot_is_empty_again_and_what_its_charge_is_booked_under() {
    let mut store = MockIdempotencyStore::new();
    store
        .expect_claim()
        .withf(|claim| {
            claim.at == NOW
                && claim.expires_at == NOW.plus(Duration::from_secs(72 * 3600))
                && claim.wallet == WalletAddress::new([1; 20])
                && claim.work.get_version_num() == 7
        })
        .times(1)
        .returning(|_| Ok(Claimed::Taken));
    store.expect_settle().returning(|_, _, _| Ok(()));
    let stage = stage(store);
    let ticket = ticket(&stage).await;
    assert_eq!(ticket.work().get_version_num(), 7);
    ticket.finish(Ending::TooLarge).await;
}

#[tokio::test]
async fn what_stands_in_a_slot_is_given_or_refused() {
    let work = Uuid::from_u128(7);
    for (claimed, expected) in [
        (
            Claimed::Reused,
            (Kind::Unprocessable, "idempotency_key_reused", None),
        ),
        (
            Claimed::InFlight,
            (Kind::Conflict, "idempotency_in_flight", Some(1)),
        ),
        (
            Claimed::TooLarge,
            (Kind::Conflict, "idempotency_answer_too_large", None),
        ),
        (
            Claimed::Lost { work },
            (Kind::Conflict, "idempotency_answer_lost", None),
        ),
    ] {
        let mut store = MockIdempotencyStore::new();
        store.expect_claim().return_once(move |_| Ok(claimed));
        let refused = stage(store)
            .idempotency
            .begin(&key("k"), &attempt(&wallet(1)))
            .await;
        let refused = refused.unwrap_err();
        assert_eq!((refused.kind(), refused.code(), refused.retry_after()), expected);
        if expected.1.ends_with("lost") {
            assert!(
                refused.to_string().contains(&work.to_string()),
                "it names the receipt"
            );
        }
    }
    let mut store = MockIdempotencyStore::new();
    store
        .expect_claim()
        .return_once(|_| Ok(Claimed::Answered(vec![1, 2])));
    let begun = stage(store)
        .idempotency
        .begin(&key("k"), &attempt(&wallet(1)))
        .await;
    assert!(matches!(begun.unwrap(), Begun::Again(answer) if answer == [1, 2]));
}

#[tokio::test]
async fn an_answer_is_kept_unless_it_is_too_large() {
    for (length, expected) in [
        (LARGEST, Ending::Answered(vec![0; LARGEST].into())),
        (LARGEST + 1, Ending::TooLarge),
    ] {
        let mut store = taking();
        store
            .expect_settle()
            .withf(move |_, _, ending| *ending == expected)
            .times(1)
            .returning(|_, _, _| Ok(()));
        let stage = stage(store);
        ticket(&stage)
            .await
            .finish(Ending::Answered(vec![0; length].into()))
            .await;
        assert_eq!(stage.later.run().await, 0);
    }
}

#[tokio::test]
async fn a_ticket_that_nobody_finishes_releases_its_slot() {
    let mut store = taking();
    store
        .expect_settle()
        .withf(|_, _, ending| *ending == Ending::Released)
        .times(1)
        .returning(|_, _, _| Ok(()));
    let stage = stage(store);
    drop(ticket(&stage).await);
    assert_eq!(stage.later.run().await, 1);
}

#[tokio::test]
async fn an_ending_that_cannot_be_noted_is_tried_again_in_the_background() {
    let mut store = taking();
    let mut failures = 3;
    store
        .expect_settle()
        .withf(|_, _, ending| matches!(ending, Ending::Answered(_)))
        .times(4)
        .returning(move |_, _, _| {
            failures -= 1;
            if failures >= 0 {
                return Err(StoreError::new("the disk is full"));
            }
            Ok(())
        });
    let stage = stage(store);
    ticket(&stage)
        .await
        .finish(Ending::Answered(vec![1].into()))
        .await;
    assert_eq!(stage.clock.now(), NOW, "the answer does not wait");
    assert_eq!(stage.later.run().await, 1);
    assert!(stage.clock.now() > NOW);
}

#[tokio::test]
async fn a_sweep_goes_on_until_nothing_is_left() {
    let mut store = MockIdempotencyStore::new();
    let mut left = 1_200_u64;
    store.expect_sweep().times(3).returning(move |_, most| {
        let deleted = left.min(most.into());
        left -= deleted;
        Ok(deleted)
    });
    assert_eq!(stage(store).idempotency.sweep().await.unwrap(), 1_200);
}
