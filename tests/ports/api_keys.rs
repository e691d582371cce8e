//! [`ApiKeyStore`]: the rows that give keys their authority.

use crate::{
    database::{Database, NOON, on_every_database},
    world::{World, wallet},
};
use haithe_identity::{
    api_key::{BudgetWindow, KeyBudget, KeyHash, KeyScope, NewApiKey},
    ports::CreateKeyError,
};
use haithe_kernel::{Timestamp, Usdt, WalletAddress};
use std::time::Duration;
use uuid::Uuid;

fn key(number: u8, address: WalletAddress) -> NewApiKey {
    NewApiKey {
        address,
        nonce: Uuid::from_u128(u128::from(number)),
        hash: KeyHash([number; 32]),
        name: format!("key {number}"),
        is_default: false,
        scope: KeyScope::default(),
        expires_at: None,
        budget: None,
        requests_per_minute: None,
        tokens_per_minute: None,
        issued_at: at(number),
    }
}

fn default_key(number: u8, address: WalletAddress) -> NewApiKey {
    NewApiKey {
        is_default: true,
        ..key(number, address)
    }
}

fn at(second: u8) -> Timestamp {
    NOON.plus(Duration::from_secs(u64::from(second)))
}

async fn with_accounts<D: Database>(db: D) -> World<D> {
    let world = World::over(db).await;
    world.log_in(wallet(1)).await;
    world.log_in(wallet(2)).await;
    world
}

async fn a_key_reads_back_by_its_hash_with_all_its_bounds(db: impl Database) {
    let mut world = with_accounts(db).await;
    let org = world.organization("acme", wallet(1)).await;
    let project = world.project(&org).await;
    let new = NewApiKey {
        scope: KeyScope {
            org: Some(org.id),
            project: Some(project.id),
            models: Some(vec!["gpt-4".into(), "deepseek-chat".into()]),
        },
        expires_at: Some(at(200)),
        budget: Some(KeyBudget {
            limit: Usdt::from_nano(1_234_567_891),
            window: BudgetWindow::Month,
        }),
        requests_per_minute: Some(60),
        tokens_per_minute: Some(100_000),
        ..key(1, wallet(1))
    };
    let made = world.db.api_keys().create(new.clone()).await.unwrap();
    let found = world.db.api_keys().find(KeyHash([1; 32])).await.unwrap().unwrap();
    assert_eq!(found.id, made.id);
    assert_eq!(found.hash, new.hash);
    assert_eq!(
        (found.address, found.nonce, &found.name),
        (new.address, new.nonce, &new.name)
    );
    assert_eq!(found.scope, new.scope);
    assert_eq!((found.budget, found.expires_at), (new.budget, new.expires_at));
    assert_eq!(
        (found.requests_per_minute, found.tokens_per_minute),
        (Some(60), Some(100_000))
    );
    assert_eq!((found.issued_at, found.is_default), (new.issued_at, false));
    assert_eq!((found.revoked_at, found.last_used_at), (None, None));
    assert!(
        world
            .db
            .api_keys()
            .find(KeyHash([2; 32]))
            .await
            .unwrap()
            .is_none()
    );
}

async fn of_many_default_keys_made_at_once_one_is_stored(db: impl Database) {
    let world = with_accounts(db).await;
    let makers = (1..=24).map(|number| {
        let store = world.db.api_keys();
        tokio::spawn(async move { store.create(default_key(number, wallet(1))).await })
    });
    let mut stored = 0;
    for made in futures::future::join_all(makers).await {
        match made.unwrap() {
            Ok(_) => stored += 1,
            Err(CreateKeyError::DefaultExists) => {}
            Err(CreateKeyError::Store(error)) => panic!("{error:?}"),
        }
    }
    assert_eq!(stored, 1);
    assert_eq!(world.db.api_keys().list(wallet(1)).await.unwrap().len(), 1);
    world
        .db
        .api_keys()
        .create(default_key(30, wallet(2)))
        .await
        .unwrap();
}

async fn a_revoked_default_key_makes_room_for_the_next_and_stays_found(db: impl Database) {
    let world = with_accounts(db).await;
    let keys = world.db.api_keys();
    keys.create(default_key(1, wallet(1))).await.unwrap();
    assert!(keys.revoke_default(wallet(2), at(2)).await.unwrap().is_none());
    let revoked = keys.revoke_default(wallet(1), at(2)).await.unwrap().unwrap();
    assert_eq!(revoked.hash, KeyHash([1; 32]));
    assert!(keys.revoke_default(wallet(1), at(3)).await.unwrap().is_none());
    keys.create(default_key(4, wallet(1))).await.unwrap();
    let old = keys.find(KeyHash([1; 32])).await.unwrap().unwrap();
    assert_eq!(old.revoked_at, Some(at(2)));
    assert_eq!(
        keys.find(KeyHash([4; 32])).await.unwrap().unwrap().revoked_at,
        None
    );
}

async fn the_last_issue_counts_revoked_default_keys_and_no_others(db: impl Database) {
    let world = with_accounts(db).await;
    let keys = world.db.api_keys();
    assert_eq!(keys.last_issued(wallet(1)).await.unwrap(), None);
    keys.create(default_key(5, wallet(1))).await.unwrap();
    keys.revoke_default(wallet(1), at(6)).await.unwrap();
    keys.create(key(9, wallet(1))).await.unwrap();
    assert_eq!(keys.last_issued(wallet(1)).await.unwrap(), Some(at(5)));
    assert_eq!(keys.last_issued(wallet(2)).await.unwrap(), None);
}

async fn keys_are_listed_newest_first_for_their_wallet_only(db: impl Database) {
    let world = with_accounts(db).await;
    let keys = world.db.api_keys();
    for (number, owner) in [(1, 1), (2, 1), (3, 2)] {
        keys.create(key(number, wallet(owner))).await.unwrap();
    }
    let listed = keys.list(wallet(1)).await.unwrap();
    assert_eq!(listed.iter().map(|key| key.hash.0[0]).collect::<Vec<_>>(), [2, 1]);
}

async fn a_key_is_revoked_once_by_its_own_wallet(db: impl Database) {
    let world = with_accounts(db).await;
    let keys = world.db.api_keys();
    let id = keys.create(key(1, wallet(1))).await.unwrap().id;
    assert!(keys.revoke(wallet(2), id, at(2)).await.unwrap().is_none());
    assert_eq!(
        keys.revoke(wallet(1), id, at(2)).await.unwrap().unwrap().hash,
        KeyHash([1; 32])
    );
    assert!(keys.revoke(wallet(1), id, at(3)).await.unwrap().is_none());
    let found = keys.find(KeyHash([1; 32])).await.unwrap().unwrap();
    assert_eq!(found.revoked_at, Some(at(2)));
}

async fn a_keys_use_is_noted(db: impl Database) {
    let world = with_accounts(db).await;
    let keys = world.db.api_keys();
    let id = keys.create(key(1, wallet(1))).await.unwrap().id;
    keys.touch(id, at(60)).await.unwrap();
    assert_eq!(
        keys.find(KeyHash([1; 32])).await.unwrap().unwrap().last_used_at,
        Some(at(60))
    );
}

async fn keys_and_revocations_outlive_a_restart(db: impl Database) {
    let world = with_accounts(db).await;
    let kept = world.db.api_keys().create(key(1, wallet(1))).await.unwrap();
    let gone = world.db.api_keys().create(key(2, wallet(1))).await.unwrap();
    world
        .db
        .api_keys()
        .revoke(wallet(1), gone.id, at(3))
        .await
        .unwrap();
    let db = world.db.reopened().await;
    let keys = db.api_keys();
    assert_eq!(keys.find(kept.hash).await.unwrap().unwrap().revoked_at, None);
    assert_eq!(
        keys.find(gone.hash).await.unwrap().unwrap().revoked_at,
        Some(at(3))
    );
}

on_every_database!(
    a_key_reads_back_by_its_hash_with_all_its_bounds,
    of_many_default_keys_made_at_once_one_is_stored,
    a_revoked_default_key_makes_room_for_the_next_and_stays_found,
    the_last_issue_counts_revoked_default_keys_and_no_others,
    keys_are_listed_newest_first_for_their_wallet_only,
    a_key_is_revoked_once_by_its_own_wallet,
    a_keys_use_is_noted,
    keys_and_revocations_outlive_a_restart,
);
