//! [`ApiKeyStore`]: the rows that give keys their authority.

use crate::{
    database::{Database, NOON, on_every_database},
    world::{World, wallet},
};
use haithe_identity::{
    api_key::{
        ApiKey, ApiKeyId, BudgetWindow, KeyBudget, KeyChange, KeyFilter, KeyHash, KeyScope, KeySecret,
        NewApiKey, RouteFamily,
    },
    ports::CreateKeyError,
};
use haithe_kernel::{Listed, Page, Timestamp, Usdt, WalletAddress};
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

async fn all<D: Database>(world: &World<D>, address: WalletAddress) -> Listed<ApiKey> {
    let keys = world.db.api_keys();
    keys.list(address, KeyFilter::default(), Page::FIRST)
        .await
        .unwrap()
}

fn numbers(listed: &Listed<ApiKey>) -> Vec<u8> {
    listed.items.iter().map(|key| key.hash.0[0]).collect()
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
            routes: Some(vec![RouteFamily::Models, RouteFamily::ChatCompletions]),
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
    assert_eq!(all(&world, wallet(1)).await.total, 1);
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
    let listed = all(&world, wallet(1)).await;
    assert_eq!((numbers(&listed), listed.total), (vec![2, 1], 2));
    let second = Page::new(1, 1).unwrap();
    let listed = keys.list(wallet(1), KeyFilter::default(), second).await.unwrap();
    assert_eq!((numbers(&listed), listed.total), (vec![1], 2));
}

async fn keys_are_listed_by_whether_they_are_live_and_by_their_name(db: impl Database) {
    let world = with_accounts(db).await;
    let keys = world.db.api_keys();
    let expiring = NewApiKey {
        expires_at: Some(at(50)),
        name: "100% Ärger".into(),
        ..key(2, wallet(1))
    };
    for new in [key(1, wallet(1)), expiring, key(3, wallet(1))] {
        keys.create(new).await.unwrap();
    }
    let revoked = keys
        .get(wallet(1), id_of(&world, 3).await)
        .await
        .unwrap()
        .unwrap();
    keys.revoke(wallet(1), revoked.id, at(4)).await.unwrap();
    let by = async |live, text: Option<&str>| {
        let text = text.map(str::to_owned);
        let listed = keys.list(wallet(1), KeyFilter { live, text }, Page::FIRST);
        let listed = listed.await.unwrap();
        assert_eq!(listed.items.len() as u64, listed.total);
        numbers(&listed)
    };
    assert_eq!(by(Some((true, at(49))), None).await, [2, 1]);
    assert_eq!(by(Some((true, at(50))), None).await, [1]);
    assert_eq!(by(Some((false, at(50))), None).await, [3, 2]);
    assert_eq!(by(None, Some("KEY")).await, [3, 1]);
    assert_eq!(by(None, Some("0% Ä")).await, [2]);
    assert_eq!(by(None, Some("%")).await, [2], "no character is special");
    assert_eq!(by(Some((true, at(4))), Some("3")).await, [0u8; 0]);
}

async fn id_of<D: Database>(world: &World<D>, number: u8) -> ApiKeyId {
    let found = world.db.api_keys().find(KeyHash([number; 32])).await.unwrap();
    found.unwrap().id
}

async fn a_key_is_got_by_its_number_for_its_wallet_only(db: impl Database) {
    let world = with_accounts(db).await;
    let keys = world.db.api_keys();
    let made = keys.create(key(1, wallet(1))).await.unwrap();
    assert_eq!(keys.get(wallet(1), made.id).await.unwrap(), Some(made.clone()));
    assert_eq!(keys.get(wallet(2), made.id).await.unwrap(), None);
    assert_eq!(keys.get(wallet(1), ApiKeyId(made.id.0 + 1)).await.unwrap(), None);
    keys.revoke(wallet(1), made.id, at(2)).await.unwrap();
    let revoked = keys.get(wallet(1), made.id).await.unwrap().unwrap();
    assert_eq!(revoked.revoked_at, Some(at(2)));
}

async fn a_change_sets_clears_and_leaves_alone_and_only_a_live_key_is_changed(db: impl Database) {
    let world = with_accounts(db).await;
    let keys = world.db.api_keys();
    let budget = |nano| KeyBudget {
        limit: Usdt::from_nano(nano),
        window: BudgetWindow::Day,
    };
    let new = NewApiKey {
        budget: Some(budget(5)),
        requests_per_minute: Some(60),
        expires_at: Some(at(90)),
        ..key(1, wallet(1))
    };
    let made = keys.create(new).await.unwrap();
    let change = KeyChange {
        name: Some("renamed".into()),
        budget: Some(Some(budget(7))),
        requests_per_minute: Some(None),
        tokens_per_minute: Some(Some(9)),
        expires_at: None,
    };
    assert_eq!(
        keys.change(wallet(2), made.id, change.clone(), at(2))
            .await
            .unwrap(),
        None
    );
    let changed = keys
        .change(wallet(1), made.id, change.clone(), at(2))
        .await
        .unwrap()
        .unwrap();
    let expected = ApiKey {
        name: "renamed".into(),
        budget: Some(budget(7)),
        requests_per_minute: None,
        tokens_per_minute: Some(9),
        ..made.clone()
    };
    assert_eq!(changed, expected);
    assert_eq!(
        keys.get(wallet(1), made.id).await.unwrap(),
        Some(expected.clone())
    );
    let late = keys.change(wallet(1), made.id, change.clone(), at(90)).await;
    assert_eq!(late.unwrap(), None, "expired");
    let forever = KeyChange {
        budget: Some(None),
        expires_at: Some(None),
        ..KeyChange::default()
    };
    let changed = keys.change(wallet(1), made.id, forever, at(89)).await.unwrap();
    let expected = ApiKey {
        budget: None,
        expires_at: None,
        ..expected
    };
    assert_eq!(changed, Some(expected));
    keys.revoke(wallet(1), made.id, at(91)).await.unwrap();
    let revoked = keys.change(wallet(1), made.id, change, at(92)).await;
    assert_eq!(revoked.unwrap(), None, "revoked");
}

fn secret(number: u8) -> KeySecret {
    KeySecret {
        nonce: Uuid::from_u128(u128::from(number)),
        hash: KeyHash([number; 32]),
        issued_at: at(number),
    }
}

async fn a_rotated_key_keeps_its_number_and_authority_and_its_old_hash_finds_nothing(db: impl Database) {
    let world = with_accounts(db).await;
    let keys = world.db.api_keys();
    let new = NewApiKey {
        expires_at: Some(at(90)),
        ..default_key(1, wallet(1))
    };
    let made = keys.create(new).await.unwrap();
    assert!(
        keys.rotate(wallet(2), made.id, secret(2), at(2))
            .await
            .unwrap()
            .is_none()
    );
    let rotated = keys
        .rotate(wallet(1), made.id, secret(2), at(2))
        .await
        .unwrap()
        .unwrap();
    let KeySecret {
        nonce,
        hash,
        issued_at,
    } = secret(2);
    let expected = ApiKey {
        nonce,
        hash,
        issued_at,
        ..made.clone()
    };
    assert_eq!((&rotated.key, rotated.old), (&expected, made.hash));
    assert_eq!(keys.find(made.hash).await.unwrap(), None);
    assert_eq!(keys.find(hash).await.unwrap(), Some(expected));
    assert_eq!(keys.last_issued(wallet(1)).await.unwrap(), Some(at(2)));
    let late = keys.rotate(wallet(1), made.id, secret(3), at(90)).await;
    assert!(late.unwrap().is_none(), "expired");
    keys.revoke(wallet(1), made.id, at(50)).await.unwrap();
    let revoked = keys.rotate(wallet(1), made.id, secret(3), at(51)).await;
    assert!(revoked.unwrap().is_none(), "revoked");
}

async fn of_many_rotations_at_once_each_replaces_the_one_before(db: impl Database) {
    let world = with_accounts(db).await;
    let made = world.db.api_keys().create(key(1, wallet(1))).await.unwrap();
    let rotations = (2..=17).map(|number| {
        let store = world.db.api_keys();
        tokio::spawn(async move { store.rotate(wallet(1), made.id, secret(number), at(20)).await })
    });
    let mut old: Vec<u8> = futures::future::join_all(rotations)
        .await
        .into_iter()
        .map(|rotated| rotated.unwrap().unwrap().unwrap().old.0[0])
        .collect();
    let last = world
        .db
        .api_keys()
        .get(wallet(1), made.id)
        .await
        .unwrap()
        .unwrap();
    old.push(last.hash.0[0]);
    old.sort_unstable();
    assert_eq!(old, (1..=17).collect::<Vec<u8>>(), "every secret was alone once");
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

async fn keys_issued_before_a_time_are_revoked_and_later_ones_stay(db: impl Database) {
    let world = with_accounts(db).await;
    let keys = world.db.api_keys();
    for (number, address) in [(1, wallet(1)), (2, wallet(2)), (3, wallet(1)), (4, wallet(1))] {
        keys.create(key(number, address)).await.unwrap();
    }
    let first = all(&world, wallet(1)).await.items.pop().unwrap();
    keys.revoke(wallet(1), first.id, at(5)).await.unwrap().unwrap();
    assert_eq!(keys.revoke_issued_before(at(4), at(9)).await.unwrap(), 2);
    assert_eq!(keys.revoke_issued_before(at(4), at(10)).await.unwrap(), 0);
    let revoked: Vec<_> = all(&world, wallet(1))
        .await
        .items
        .iter()
        .map(|key| (key.hash.0[0], key.revoked_at))
        .collect();
    assert_eq!(revoked, [(4, None), (3, Some(at(9))), (1, Some(at(5)))]);
}

on_every_database!(
    a_key_reads_back_by_its_hash_with_all_its_bounds,
    of_many_default_keys_made_at_once_one_is_stored,
    a_revoked_default_key_makes_room_for_the_next_and_stays_found,
    the_last_issue_counts_revoked_default_keys_and_no_others,
    keys_are_listed_newest_first_for_their_wallet_only,
    keys_are_listed_by_whether_they_are_live_and_by_their_name,
    a_key_is_got_by_its_number_for_its_wallet_only,
    a_change_sets_clears_and_leaves_alone_and_only_a_live_key_is_changed,
    a_rotated_key_keeps_its_number_and_authority_and_its_old_hash_finds_nothing,
    of_many_rotations_at_once_each_replaces_the_one_before,
    a_key_is_revoked_once_by_its_own_wallet,
    keys_issued_before_a_time_are_revoked_and_later_ones_stay,
    a_keys_use_is_noted,
    keys_and_revocations_outlive_a_restart,
);
