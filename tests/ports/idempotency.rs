//! [`IdempotencyStore`]: one effect, one answer, and no slot that stays taken.

use crate::{
    database::{Database, NOON, on_every_database},
    world::{World, nano, wallet},
};
use haithe_identity::idempotency::{
    Claim, Claimed, Ending, Fingerprint, KEPT, LARGEST, MOST_PER_WALLET, Recovered, SlotId,
};
use haithe_kernel::Timestamp;
use std::time::Duration;
use uuid::Uuid;

/// A claim of slot `slot` at noon.
fn claim(slot: u8) -> Claim {
    Claim {
        slot: SlotId([slot; 32]),
        fingerprint: Fingerprint([1; 32]),
        work: Uuid::now_v7(),
        wallet: wallet(1),
        at: NOON,
        expires_at: NOON.plus(KEPT),
        most: 10_000,
    }
}

fn at(claim: &Claim, at: Timestamp) -> Claim {
    Claim {
        at,
        work: Uuid::now_v7(),
        expires_at: at.plus(KEPT),
        ..claim.clone()
    }
}

fn answer(bytes: &[u8]) -> Ending {
    Ending::Answered(bytes.into())
}

/// What the same request finds now.
async fn again(db: &impl Database, first: &Claim) -> Claimed {
    let claim = at(first, NOON);
    db.idempotency().claim(claim).await.unwrap()
}

async fn taken(db: &impl Database, slot: u8) -> Claim {
    let claim = claim(slot);
    assert_eq!(
        db.idempotency().claim(claim.clone()).await.unwrap(),
        Claimed::Taken
    );
    claim
}

async fn settled(db: &impl Database, claim: &Claim, ending: Ending) {
    db.idempotency()
        .settle(claim.slot, claim.work, ending)
        .await
        .unwrap();
}

async fn a_slot_is_taken_once_and_then_gives_its_answer(db: impl Database) {
    let first = taken(&db, 1).await;
    assert_eq!(again(&db, &first).await, Claimed::InFlight);
    settled(&db, &first, answer(b"\0yes\xff")).await;
    for _ in 0..2 {
        assert_eq!(again(&db, &first).await, Claimed::Answered(b"\0yes\xff".to_vec()));
    }
    taken(&db, 2).await;
}

async fn of_many_claims_at_once_exactly_one_takes_the_slot(db: impl Database) {
    let claims = (0..64).map(|_| {
        let store = db.idempotency();
        tokio::spawn(async move { store.claim(claim(1)).await.unwrap() })
    });
    let claims = futures::future::join_all(claims).await;
    let claims: Vec<Claimed> = claims.into_iter().map(Result::unwrap).collect();
    assert_eq!(claims.iter().filter(|one| **one == Claimed::Taken).count(), 1);
    assert_eq!(claims.iter().filter(|one| **one == Claimed::InFlight).count(), 63);
}

async fn another_request_is_told_apart_whatever_stands_in_the_slot(db: impl Database) {
    let first = taken(&db, 1).await;
    let other = Claim {
        fingerprint: Fingerprint([2; 32]),
        ..claim(1)
    };
    assert_eq!(
        db.idempotency().claim(other.clone()).await.unwrap(),
        Claimed::Reused
    );
    settled(&db, &first, answer(b"yes")).await;
    assert_eq!(db.idempotency().claim(other).await.unwrap(), Claimed::Reused);
    assert_eq!(again(&db, &first).await, Claimed::Answered(b"yes".to_vec()));
}

async fn an_answer_that_is_not_kept_is_remembered_as_such(db: impl Database) {
    let first = taken(&db, 1).await;
    settled(&db, &first, Ending::TooLarge).await;
    assert_eq!(again(&db, &first).await, Claimed::TooLarge);
}

async fn a_released_slot_is_free(db: impl Database) {
    let first = taken(&db, 1).await;
    settled(&db, &first, Ending::Released).await;
    let other = Claim {
        fingerprint: Fingerprint([2; 32]),
        ..claim(1)
    };
    assert_eq!(db.idempotency().claim(other).await.unwrap(), Claimed::Taken);
}

async fn only_the_claim_that_holds_a_slot_ends_it(db: impl Database) {
    let first = taken(&db, 1).await;
    settled(&db, &first, Ending::Released).await;
    let second = taken(&db, 1).await;
    for ending in [answer(b"late"), Ending::TooLarge, Ending::Released] {
        settled(&db, &first, ending).await;
        assert_eq!(again(&db, &second).await, Claimed::InFlight);
    }
    settled(&db, &second, answer(b"mine")).await;
    for ending in [answer(b"twice"), Ending::TooLarge, Ending::Released] {
        settled(&db, &second, ending).await;
        assert_eq!(again(&db, &second).await, Claimed::Answered(b"mine".to_vec()));
    }
}

async fn what_is_booked_is_never_free_again(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", nano(100)).await;
    let call = world.spend(&org, &project, nano(10)).await;
    let booked = Claim {
        work: call.0,
        ..claim(1)
    };
    let store = world.db.idempotency();
    assert_eq!(store.claim(booked.clone()).await.unwrap(), Claimed::Taken);
    settled(&world.db, &booked, Ending::Released).await;
    assert_eq!(again(&world.db, &booked).await, Claimed::Lost { work: call.0 });
}

async fn a_restart_frees_what_was_under_way_and_nothing_else(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", nano(100)).await;
    let call = world.spend(&org, &project, nano(10)).await;
    let answered = taken(&world.db, 1).await;
    settled(&world.db, &answered, answer(b"yes")).await;
    let large = taken(&world.db, 2).await;
    settled(&world.db, &large, Ending::TooLarge).await;
    let under_way = taken(&world.db, 3).await;
    let booked = Claim {
        work: call.0,
        ..claim(4)
    };
    let store = world.db.idempotency();
    assert_eq!(store.claim(booked.clone()).await.unwrap(), Claimed::Taken);
    let db = world.db.reopened().await;
    let recovered = db.idempotency().recover().await.unwrap();
    assert_eq!(recovered, Recovered { freed: 1, lost: 1 });
    assert_eq!(again(&db, &answered).await, Claimed::Answered(b"yes".to_vec()));
    assert_eq!(again(&db, &large).await, Claimed::TooLarge);
    assert_eq!(again(&db, &booked).await, Claimed::Lost { work: call.0 });
    assert_eq!(again(&db, &under_way).await, Claimed::Taken);
    assert_eq!(
        db.idempotency().recover().await.unwrap(),
        Recovered { freed: 1, lost: 0 }
    );
}

async fn an_expired_slot_is_empty_before_it_is_swept(db: impl Database) {
    let first = taken(&db, 1).await;
    settled(&db, &first, answer(b"yes")).await;
    let store = db.idempotency();
    let last = first.expires_at.minus(Duration::from_micros(1));
    assert_eq!(
        store.claim(at(&first, last)).await.unwrap(),
        Claimed::Answered(b"yes".to_vec())
    );
    assert_eq!(
        store.claim(at(&first, first.expires_at)).await.unwrap(),
        Claimed::Taken
    );
}

async fn a_sweep_deletes_what_has_expired_bit_by_bit(db: impl Database) {
    let store = db.idempotency();
    for slot in 1..=5 {
        let first = at(&claim(slot), NOON.plus(Duration::from_secs(slot.into())));
        assert_eq!(store.claim(first.clone()).await.unwrap(), Claimed::Taken);
        settled(&db, &first, answer(b"yes")).await;
    }
    let after_three = NOON.plus(KEPT).plus(Duration::from_secs(3));
    assert_eq!(store.sweep(after_three, 2).await.unwrap(), 2);
    assert_eq!(store.sweep(after_three, 2).await.unwrap(), 1);
    assert_eq!(store.sweep(after_three, 2).await.unwrap(), 0);
    for (slot, expected) in [(3, Claimed::Taken), (4, Claimed::Answered(b"yes".to_vec()))] {
        assert_eq!(store.claim(claim(slot)).await.unwrap(), expected);
    }
}

async fn a_wallet_loses_its_oldest_answers_beyond_what_it_may_keep(db: impl Database) {
    let store = db.idempotency();
    let largest = vec![7; LARGEST];
    let fit = MOST_PER_WALLET / LARGEST as u64;
    let other = Claim {
        wallet: wallet(2),
        ..claim(255)
    };
    assert_eq!(store.claim(other.clone()).await.unwrap(), Claimed::Taken);
    settled(&db, &other, answer(&largest)).await;
    let mut mine = Vec::new();
    for slot in 0..=u8::try_from(fit).unwrap() {
        let one = taken(&db, slot).await;
        settled(&db, &one, answer(&largest)).await;
        mine.push(one);
    }
    let (oldest, newest) = (&mine[0], mine.last().unwrap());
    assert_eq!(again(&db, oldest).await, Claimed::Lost { work: oldest.work });
    for kept in [newest, &other] {
        assert_eq!(again(&db, kept).await, Claimed::Answered(largest.clone()));
    }
    // What has gone makes room.
    let everything = NOON.plus(KEPT);
    assert!(store.sweep(everything, 1_000).await.unwrap() > fit);
    let fresh = taken(&db, 1).await;
    settled(&db, &fresh, answer(&largest)).await;
    assert_eq!(again(&db, &fresh).await, Claimed::Answered(largest));
}

/// Finding 19: a wallet has a bounded number of slots; the ones it has give their answers as before.
async fn a_wallet_takes_no_more_slots_than_it_may(db: impl Database) {
    let store = db.idempotency();
    let few = |slot: u8| Claim {
        most: 3,
        ..claim(slot)
    };
    for slot in 1..=3 {
        assert_eq!(store.claim(few(slot)).await.unwrap(), Claimed::Taken);
    }
    let held = store.claim(few(1)).await.unwrap();
    assert_eq!(held, Claimed::InFlight, "its own slots are found");
    assert_eq!(store.claim(few(4)).await.unwrap(), Claimed::Full);
    let foreign = Claim {
        wallet: wallet(2),
        ..few(4)
    };
    assert_eq!(
        store.claim(foreign).await.unwrap(),
        Claimed::Taken,
        "another wallet's"
    );
    assert_eq!(store.claim(few(5)).await.unwrap(), Claimed::Full);
    // What expires and what is released makes room, also after the sweep.
    let expired = NOON.plus(KEPT);
    assert_eq!(store.sweep(expired, 2).await.unwrap(), 2);
    for (slot, expected) in [(6, Claimed::Taken), (7, Claimed::Taken), (8, Claimed::Full)] {
        assert_eq!(store.claim(few(slot)).await.unwrap(), expected, "{slot}");
    }
}

async fn another_encryption_key_opens_no_answer_and_carries_nothing_out_again(db: impl Database) {
    let first = taken(&db, 1).await;
    settled(&db, &first, answer(b"yes")).await;
    let found = db.idempotency_under(9).claim(at(&first, NOON)).await.unwrap();
    assert_eq!(found, Claimed::Lost { work: first.work });
}

on_every_database!(
    a_wallet_takes_no_more_slots_than_it_may,
    a_slot_is_taken_once_and_then_gives_its_answer,
    of_many_claims_at_once_exactly_one_takes_the_slot,
    another_request_is_told_apart_whatever_stands_in_the_slot,
    an_answer_that_is_not_kept_is_remembered_as_such,
    a_released_slot_is_free,
    only_the_claim_that_holds_a_slot_ends_it,
    what_is_booked_is_never_free_again,
    a_restart_frees_what_was_under_way_and_nothing_else,
    an_expired_slot_is_empty_before_it_is_swept,
    a_sweep_deletes_what_has_expired_bit_by_bit,
    a_wallet_loses_its_oldest_answers_beyond_what_it_may_keep,
    another_encryption_key_opens_no_answer_and_carries_nothing_out_again,
);
