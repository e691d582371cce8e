//! [`ChallengeStore`]: what a wallet may sign, once.

use crate::{
    database::{Database, NOON, on_every_database},
    world::wallet,
};
use haithe_identity::challenge::{MessageDigest, NonceHash, StoredChallenge};
use haithe_kernel::{ClientIp, ClientNetwork};
use std::time::Duration;

const FIVE_MINUTES: Duration = Duration::from_secs(300);

fn network(ip: &str) -> ClientNetwork {
    ip.parse::<ClientIp>().unwrap().network()
}

/// Challenge number `number` for wallet 1, issued `number` seconds after noon.
fn challenge(number: u8, ip: u8) -> StoredChallenge {
    let issued_at = NOON.plus(Duration::from_secs(u64::from(number)));
    StoredChallenge {
        address: wallet(1),
        digest: MessageDigest([number; 32]),
        nonce: NonceHash([number; 32]),
        site: "https://app.example".into(),
        network: Some(network(&format!("203.0.113.{ip}"))),
        issued_at,
        expires_at: issued_at.plus(FIVE_MINUTES),
    }
}

async fn live(db: &impl Database) -> Vec<u8> {
    let later = NOON.plus(Duration::from_secs(60));
    let live = db.challenges().live(wallet(1), later).await.unwrap();
    live.iter().map(|digest| digest.0[0]).collect()
}

async fn live_challenges_are_listed_newest_first(db: impl Database) {
    for number in [1, 2, 3] {
        db.challenges().put(challenge(number, 1)).await.unwrap();
    }
    assert_eq!(live(&db).await, [3, 2, 1]);
    let others = db.challenges().live(wallet(2), NOON).await.unwrap();
    assert!(others.is_empty());
}

async fn an_expired_challenge_is_neither_live_nor_takeable(db: impl Database) {
    let it = challenge(1, 1);
    db.challenges().put(it.clone()).await.unwrap();
    let before = NOON.plus(Duration::from_secs(300));
    assert_eq!(db.challenges().live(wallet(1), before).await.unwrap().len(), 1);
    assert!(
        db.challenges()
            .live(wallet(1), it.expires_at)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        !db.challenges()
            .take(wallet(1), it.digest, it.expires_at)
            .await
            .unwrap()
    );
}

async fn a_challenge_is_found_by_its_nonce_while_it_is_live_and_for_its_own_address(db: impl Database) {
    let it = challenge(1, 1);
    db.challenges().put(it.clone()).await.unwrap();
    let find = async |address, nonce, now| {
        db.challenges()
            .find(address, NonceHash([nonce; 32]), now)
            .await
            .unwrap()
    };
    assert_eq!(find(wallet(1), 1, NOON).await, Some(it.clone()));
    assert_eq!(find(wallet(2), 1, NOON).await, None);
    assert_eq!(find(wallet(1), 2, NOON).await, None);
    assert_eq!(find(wallet(1), 1, it.expires_at).await, None);
    assert!(db.challenges().take(wallet(1), it.digest, NOON).await.unwrap());
    assert_eq!(find(wallet(1), 1, NOON).await, None);
}

async fn of_many_who_take_one_challenge_at_once_one_gets_it(db: impl Database) {
    db.challenges().put(challenge(1, 1)).await.unwrap();
    let takers = (0..64).map(|_| {
        let store = db.challenges();
        tokio::spawn(async move { store.take(wallet(1), MessageDigest([1; 32]), NOON).await.unwrap() })
    });
    let won = futures::future::join_all(takers).await;
    assert_eq!(won.into_iter().filter(|won| *won.as_ref().unwrap()).count(), 1);
    assert!(live(&db).await.is_empty());
}

async fn a_challenge_is_taken_only_for_its_own_address(db: impl Database) {
    db.challenges().put(challenge(1, 1)).await.unwrap();
    assert!(
        !db.challenges()
            .take(wallet(2), MessageDigest([1; 32]), NOON)
            .await
            .unwrap()
    );
    assert!(
        !db.challenges()
            .take(wallet(1), MessageDigest([2; 32]), NOON)
            .await
            .unwrap()
    );
    assert!(
        db.challenges()
            .take(wallet(1), MessageDigest([1; 32]), NOON)
            .await
            .unwrap()
    );
}

async fn the_fourth_of_one_address_and_network_replaces_their_oldest(db: impl Database) {
    let mut evicted = 0;
    for number in 1..=4 {
        evicted += db.challenges().put(challenge(number, 1)).await.unwrap();
    }
    assert_eq!(evicted, 1);
    assert_eq!(live(&db).await, [4, 3, 2]);
}

async fn a_flooder_evicts_only_its_own(db: impl Database) {
    db.challenges().put(challenge(1, 1)).await.unwrap();
    for (number, ip) in [(2, 2), (3, 2), (4, 2), (5, 3), (6, 3), (7, 4), (8, 4)] {
        db.challenges().put(challenge(number, ip)).await.unwrap();
    }
    assert_eq!(live(&db).await.len(), 8);
    assert_eq!(db.challenges().put(challenge(9, 5)).await.unwrap(), 1);
    assert_eq!(
        live(&db).await,
        [9, 8, 7, 6, 5, 4, 3, 1],
        "the oldest of the address that holds most"
    );
}

async fn networks_of_one_site_evict_each_other_first(db: impl Database) {
    db.challenges().put(challenge(1, 1)).await.unwrap();
    for number in 2..=9 {
        let of_site = StoredChallenge {
            network: Some(network(&format!("2001:db8:1:{number}::1"))),
            ..challenge(number, 0)
        };
        db.challenges().put(of_site).await.unwrap();
    }
    assert_eq!(live(&db).await, [9, 8, 7, 6, 5, 4, 3, 1]);
}

async fn age_is_the_order_of_issue_whatever_the_wall_clock_says(db: impl Database) {
    for number in 2..=9 {
        let later = StoredChallenge {
            network: Some(network(&format!("198.51.{number}.1"))),
            ..challenge(number, 0)
        };
        db.challenges().put(later).await.unwrap();
    }
    db.challenges().put(challenge(1, 1)).await.unwrap();
    assert_eq!(
        live(&db).await,
        [1, 9, 8, 7, 6, 5, 4, 3],
        "the newest stays although its time is the oldest"
    );
}

async fn clients_without_an_address_share_one_bound(db: impl Database) {
    for number in 1..=5 {
        let anonymous = StoredChallenge {
            network: None,
            ..challenge(number, 0)
        };
        db.challenges().put(anonymous).await.unwrap();
    }
    assert_eq!(live(&db).await, [5, 4, 3]);
}

async fn a_sweep_deletes_what_has_expired_and_nothing_else(db: impl Database) {
    for number in [1, 2, 3] {
        db.challenges().put(challenge(number, number)).await.unwrap();
    }
    let between = challenge(2, 2).expires_at;
    assert_eq!(db.challenges().sweep(between).await.unwrap(), 2);
    assert_eq!(live(&db).await, [3]);
}

async fn challenges_outlive_a_restart(db: impl Database) {
    db.challenges().put(challenge(1, 1)).await.unwrap();
    let db = db.reopened().await;
    assert!(
        db.challenges()
            .take(wallet(1), MessageDigest([1; 32]), NOON)
            .await
            .unwrap()
    );
}

on_every_database!(
    live_challenges_are_listed_newest_first,
    an_expired_challenge_is_neither_live_nor_takeable,
    a_challenge_is_found_by_its_nonce_while_it_is_live_and_for_its_own_address,
    of_many_who_take_one_challenge_at_once_one_gets_it,
    a_challenge_is_taken_only_for_its_own_address,
    the_fourth_of_one_address_and_network_replaces_their_oldest,
    a_flooder_evicts_only_its_own,
    networks_of_one_site_evict_each_other_first,
    age_is_the_order_of_issue_whatever_the_wall_clock_says,
    clients_without_an_address_share_one_bound,
    a_sweep_deletes_what_has_expired_and_nothing_else,
    challenges_outlive_a_restart,
);
