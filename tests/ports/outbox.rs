//! [`TxOutbox`]: an intent is written once, keeps its nonce, and forgets no attempt.

use crate::{
    database::{Database, NOON, on_every_database},
    world::wallet,
};
use haithe_billing::outbox::{NewTx, Rationed, TxAttempt, TxPurpose, TxRation, TxState};
use std::time::Duration;

fn tx(key: &str) -> NewTx {
    NewTx {
        key: key.into(),
        purpose: TxPurpose::SettleBatch,
        signer: wallet(1),
        to: Some(wallet(2)),
        data: vec![1, 2, 3],
        on_behalf: None,
        created_at: NOON,
    }
}

fn attempt(number: u8) -> TxAttempt {
    TxAttempt {
        hash: [number; 32],
        raw: vec![number; 10],
        max_fee_per_gas: u128::from(number) << 70,
        max_priority_fee_per_gas: u128::from(number),
        gas_limit: 21_000,
        cancels: number == 9,
        sent_at: NOON.plus(Duration::from_secs(u64::from(number))),
    }
}

async fn the_same_key_is_the_same_intent(db: impl Database) {
    let outbox = db.outbox();
    let first = outbox.enqueue(tx("settle/0")).await.unwrap();
    let again = NewTx {
        data: vec![9],
        ..tx("settle/0")
    };
    assert_eq!(outbox.enqueue(again).await.unwrap(), first);
    assert_eq!(first.state, TxState::Queued);
    assert_eq!((first.nonce, first.mined, &first.failure), (None, None, &None));
    assert_eq!(outbox.find("settle/0".into()).await.unwrap(), Some(first));
    assert_eq!(outbox.find("settle/1".into()).await.unwrap(), None);
}

async fn of_many_who_enqueue_one_key_at_once_all_get_one_intent(db: impl Database) {
    let enqueuing = (0..16).map(|_| {
        let outbox = db.outbox();
        tokio::spawn(async move { outbox.enqueue(tx("settle/0")).await.unwrap().id })
    });
    let ids = futures::future::join_all(enqueuing).await;
    let ids: std::collections::BTreeSet<_> = ids.into_iter().map(|id| id.unwrap()).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(db.outbox().open(wallet(1)).await.unwrap().len(), 1);
}

async fn nonces_follow_each_other_and_the_chain_and_stay(db: impl Database) {
    let outbox = db.outbox();
    let mut ids = Vec::new();
    for key in ["a", "b", "c"] {
        ids.push(outbox.enqueue(tx(key)).await.unwrap().id);
    }
    assert_eq!(outbox.assign_nonce(ids[0], 5).await.unwrap(), 5);
    assert_eq!(outbox.assign_nonce(ids[0], 9).await.unwrap(), 5, "assigned once");
    assert_eq!(
        outbox.assign_nonce(ids[1], 5).await.unwrap(),
        6,
        "the lane is ahead of the chain"
    );
    assert_eq!(
        outbox.assign_nonce(ids[2], 20).await.unwrap(),
        20,
        "the chain is ahead of the lane"
    );
    let other = NewTx {
        signer: wallet(3),
        ..tx("d")
    };
    let other = outbox.enqueue(other).await.unwrap().id;
    assert_eq!(
        outbox.assign_nonce(other, 0).await.unwrap(),
        0,
        "another key, another lane"
    );
}

async fn concurrent_assignments_never_share_a_nonce(db: impl Database) {
    let mut assigning = Vec::new();
    for number in 0..16 {
        let id = db.outbox().enqueue(tx(&format!("k{number}"))).await.unwrap().id;
        let outbox = db.outbox();
        assigning.push(tokio::spawn(
            async move { outbox.assign_nonce(id, 3).await.unwrap() },
        ));
    }
    let nonces = futures::future::join_all(assigning).await;
    let mut nonces: Vec<u64> = nonces.into_iter().map(|nonce| nonce.unwrap()).collect();
    nonces.sort_unstable();
    assert_eq!(nonces, (3..19).collect::<Vec<u64>>());
}

async fn attempts_are_remembered_byte_for_byte_oldest_first(db: impl Database) {
    let outbox = db.outbox();
    let id = outbox.enqueue(tx("a")).await.unwrap().id;
    outbox.assign_nonce(id, 0).await.unwrap();
    for number in [1, 2, 9] {
        outbox.record_attempt(id, attempt(number)).await.unwrap();
    }
    let db = db.reopened().await;
    let found = db.outbox().find("a".into()).await.unwrap().unwrap();
    assert_eq!(found.attempts, [attempt(1), attempt(2), attempt(9)]);
    assert_eq!((found.state, found.nonce), (TxState::Sent, Some(0)));
}

async fn a_mined_intent_may_be_unmined_and_mined_again(db: impl Database) {
    let outbox = db.outbox();
    let id = outbox.enqueue(tx("a")).await.unwrap().id;
    outbox.assign_nonce(id, 0).await.unwrap();
    outbox.record_attempt(id, attempt(1)).await.unwrap();
    outbox.mark_mined(id, [1; 32], 77).await.unwrap();
    let found = outbox.find("a".into()).await.unwrap().unwrap();
    assert_eq!((found.state, found.mined), (TxState::Mined, Some(([1; 32], 77))));
    outbox.mark_unmined(id).await.unwrap();
    let found = outbox.find("a".into()).await.unwrap().unwrap();
    assert_eq!((found.state, found.mined), (TxState::Sent, None));
    outbox.mark_mined(id, [1; 32], 78).await.unwrap();
    outbox.close(id, None).await.unwrap();
    let found = outbox.find("a".into()).await.unwrap().unwrap();
    assert_eq!((found.state, found.failure), (TxState::Done, None));
    assert!(outbox.open(wallet(1)).await.unwrap().is_empty());
}

async fn a_failed_intent_says_why_and_is_closed(db: impl Database) {
    let outbox = db.outbox();
    let id = outbox.enqueue(tx("a")).await.unwrap().id;
    outbox
        .close(id, Some("NameTaken(\"acme\")".into()))
        .await
        .unwrap();
    let found = outbox.find("a".into()).await.unwrap().unwrap();
    assert_eq!(found.state, TxState::Failed);
    assert_eq!(found.failure.as_deref(), Some("NameTaken(\"acme\")"));
    assert!(outbox.open(wallet(1)).await.unwrap().is_empty());
}

async fn open_intents_come_in_the_order_of_their_nonces_then_of_age(db: impl Database) {
    let outbox = db.outbox();
    let mut ids = Vec::new();
    for key in ["a", "b", "c", "d"] {
        ids.push(outbox.enqueue(tx(key)).await.unwrap().id);
    }
    outbox.assign_nonce(ids[2], 0).await.unwrap();
    outbox.assign_nonce(ids[1], 0).await.unwrap();
    let foreign = NewTx {
        signer: wallet(3),
        ..tx("e")
    };
    outbox.enqueue(foreign).await.unwrap();
    let open = outbox.open(wallet(1)).await.unwrap();
    let keys: Vec<&str> = open.iter().map(|intent| intent.key.as_str()).collect();
    assert_eq!(keys, ["c", "b", "a", "d"]);
}

async fn budgets_count_a_purpose_for_one_wallet_or_for_all(db: impl Database) {
    let outbox = db.outbox();
    for (key, wallet_number, second) in [("a", 1, 0), ("b", 1, 60), ("c", 2, 60)] {
        let new = NewTx {
            purpose: TxPurpose::CreateOrganization,
            on_behalf: Some(wallet(wallet_number)),
            created_at: NOON.plus(Duration::from_secs(second)),
            ..tx(key)
        };
        outbox.enqueue(new).await.unwrap();
    }
    outbox.enqueue(tx("settle/0")).await.unwrap();
    let count = async |on_behalf, since| {
        let purpose = TxPurpose::CreateOrganization;
        outbox.count_since(purpose, on_behalf, since).await.unwrap()
    };
    assert_eq!(count(Some(wallet(1)), NOON).await, 2);
    assert_eq!(count(None, NOON).await, 3);
    assert_eq!(count(None, NOON.plus(Duration::from_secs(30))).await, 2);
    assert_eq!(count(Some(wallet(3)), NOON).await, 0);
}

const HOUR: Duration = Duration::from_secs(3_600);
const RATION: TxRation = TxRation {
    every: HOUR,
    window: Duration::from_secs(24 * 3_600),
    per_wallet: 3,
    per_network: 100,
    network: None,
    global: 5,
};

/// A grant of wallet `number` so many seconds after noon.
fn grant(number: u8, second: u64) -> NewTx {
    NewTx {
        purpose: TxPurpose::Faucet,
        on_behalf: Some(wallet(number)),
        created_at: NOON.plus(Duration::from_secs(second)),
        ..tx(&format!("faucet/{number}/{second}"))
    }
}

async fn of_many_rationed_at_once_one_is_written(db: impl Database) {
    let asking = (0..20).map(|_| {
        let outbox = db.outbox();
        tokio::spawn(async move { outbox.enqueue_rationed(grant(7, 0), RATION).await.unwrap() })
    });
    let answers = futures::future::join_all(asking).await;
    let answers: Vec<Rationed> = answers.into_iter().map(|answer| answer.unwrap()).collect();
    let count = |wanted: fn(&Rationed) -> bool| answers.iter().filter(|answer| wanted(answer)).count();
    assert_eq!(count(|answer| matches!(answer, Rationed::Written(_))), 1);
    assert_eq!(count(|answer| *answer == Rationed::TooSoon(NOON)), 19);
    assert_eq!(db.outbox().open(wallet(1)).await.unwrap().len(), 1);
}

async fn a_ration_is_one_per_span_and_a_number_per_window(db: impl Database) {
    let outbox = db.outbox();
    let ask = async |number, second| {
        outbox
            .enqueue_rationed(grant(number, second), RATION)
            .await
            .unwrap()
    };
    assert!(matches!(ask(7, 0).await, Rationed::Written(_)));
    assert_eq!(ask(7, 3_599).await, Rationed::TooSoon(NOON));
    assert!(matches!(ask(8, 10).await, Rationed::Written(_)), "another wallet");
    assert!(
        matches!(ask(7, 3_600).await, Rationed::Written(_)),
        "the span is over"
    );
    assert!(matches!(ask(7, 7_200).await, Rationed::Written(_)));
    assert_eq!(
        ask(7, 10_800).await,
        Rationed::BudgetSpent(NOON.plus(RATION.window)),
        "three a day, the first of which counts for a day"
    );
    assert!(matches!(ask(9, 10_800).await, Rationed::Written(_)));
    assert_eq!(
        ask(10, 10_801).await,
        Rationed::BudgetSpent(NOON.plus(RATION.window)),
        "five a day in all"
    );
    assert!(
        matches!(ask(7, 86_400).await, Rationed::Written(_)),
        "the first one's day is over"
    );
}

async fn a_network_has_a_ration_of_its_own(db: impl Database) {
    let outbox = db.outbox();
    let near = TxRation {
        per_network: 2,
        network: "192.0.2.1".parse().ok(),
        ..RATION
    };
    let far = TxRation {
        network: "2001:db8:1:2::/64".parse().ok(),
        ..near
    };
    for number in [1, 2] {
        let written = outbox
            .enqueue_rationed(grant(number, number.into()), near)
            .await
            .unwrap();
        assert!(matches!(written, Rationed::Written(_)), "{written:?}");
    }
    let third = outbox.enqueue_rationed(grant(3, 3), near).await.unwrap();
    let first = NOON.plus(Duration::from_secs(1));
    assert_eq!(third, Rationed::BudgetSpent(first.plus(RATION.window)));
    let elsewhere = outbox.enqueue_rationed(grant(3, 3), far).await.unwrap();
    assert!(matches!(elsewhere, Rationed::Written(_)), "{elsewhere:?}");
    let none = TxRation {
        per_network: 0,
        ..far
    };
    let refused = outbox.enqueue_rationed(grant(4, 4), none).await.unwrap();
    assert!(matches!(refused, Rationed::BudgetSpent(_)), "{refused:?}");
}

async fn what_failed_bars_nobody_and_still_counts(db: impl Database) {
    let outbox = db.outbox();
    assert_eq!(
        outbox.newest_of(TxPurpose::Faucet, wallet(7)).await.unwrap(),
        None
    );
    for second in 0..3 {
        let written = outbox.enqueue_rationed(grant(7, second), RATION).await.unwrap();
        let Rationed::Written(intent) = written else {
            panic!("{written:?}");
        };
        let newest = outbox.newest_of(TxPurpose::Faucet, wallet(7)).await.unwrap();
        assert_eq!(newest.as_ref(), Some(&intent));
        outbox.close(intent.id, Some("reverted".into())).await.unwrap();
        assert_eq!(
            outbox.newest_of(TxPurpose::Faucet, wallet(7)).await.unwrap(),
            None
        );
    }
    let fourth = outbox.enqueue_rationed(grant(7, 3), RATION).await.unwrap();
    assert!(
        matches!(fourth, Rationed::BudgetSpent(_)),
        "gas was spent on each: {fourth:?}"
    );
    let other = outbox
        .newest_of(TxPurpose::RegisterCreator, wallet(7))
        .await
        .unwrap();
    assert_eq!(other, None);
}

async fn the_newest_intent_has_its_attempts(db: impl Database) {
    let outbox = db.outbox();
    for second in [0, 3_600] {
        let written = outbox.enqueue_rationed(grant(7, second), RATION).await.unwrap();
        assert!(matches!(written, Rationed::Written(_)));
    }
    let id = outbox.find("faucet/7/3600".into()).await.unwrap().unwrap().id;
    outbox.assign_nonce(id, 0).await.unwrap();
    for number in [1, 2] {
        outbox.record_attempt(id, attempt(number)).await.unwrap();
    }
    let newest = outbox
        .newest_of(TxPurpose::Faucet, wallet(7))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((newest.id, newest.attempts), (id, vec![attempt(1), attempt(2)]));
}

on_every_database!(
    of_many_rationed_at_once_one_is_written,
    a_ration_is_one_per_span_and_a_number_per_window,
    a_network_has_a_ration_of_its_own,
    what_failed_bars_nobody_and_still_counts,
    the_newest_intent_has_its_attempts,
    the_same_key_is_the_same_intent,
    of_many_who_enqueue_one_key_at_once_all_get_one_intent,
    nonces_follow_each_other_and_the_chain_and_stay,
    concurrent_assignments_never_share_a_nonce,
    attempts_are_remembered_byte_for_byte_oldest_first,
    a_mined_intent_may_be_unmined_and_mined_again,
    a_failed_intent_says_why_and_is_closed,
    open_intents_come_in_the_order_of_their_nonces_then_of_age,
    budgets_count_a_purpose_for_one_wallet_or_for_all,
);
