use super::{text::parse, *};
use crate::{
    api_key::{BudgetWindow, Rotated, RouteFamily},
    ports::MockApiKeyStore,
    signature::personal_digest,
};
use haithe_kernel::{FixedClock, MockRandom, Usdt};
use secrecy::SecretString;
use std::{
    sync::{
        Mutex,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

fn signer(byte: u8) -> MessageSigner {
    MessageSigner::from_hex(&SecretString::from(hex::encode([byte; 32]))).unwrap()
}

/// A store with one row at most.
fn store(row: Arc<Mutex<Option<ApiKey>>>) -> MockApiKeyStore {
    let mut store = MockApiKeyStore::new();
    let created = row.clone();
    store.expect_create().returning(move |new| {
        let key = ApiKey {
            id: ApiKeyId(1),
            address: new.address,
            nonce: new.nonce,
            hash: new.hash,
            name: new.name,
            is_default: new.is_default,
            scope: new.scope,
            expires_at: new.expires_at,
            budget: new.budget,
            requests_per_minute: new.requests_per_minute,
            tokens_per_minute: new.tokens_per_minute,
            issued_at: new.issued_at,
            last_used_at: None,
            revoked_at: None,
        };
        *created.lock().unwrap() = Some(key.clone());
        Ok(key)
    });
    let found = row.clone();
    store
        .expect_find()
        .returning(move |hash| Ok(found.lock().unwrap().clone().filter(|key| key.hash == hash)));
    let got = row.clone();
    store.expect_get().returning(move |address, _| {
        let key = got.lock().unwrap().clone();
        Ok(key.filter(|key| key.address == address))
    });
    let used = row.clone();
    store.expect_touch().returning(move |_, at| {
        if let Some(key) = used.lock().unwrap().as_mut() {
            key.last_used_at = Some(at);
        }
        Ok(())
    });
    let changed = row.clone();
    store.expect_change().returning(move |address, _, change, now| {
        let mut row = changed.lock().unwrap();
        let live = row
            .as_mut()
            .filter(|key| key.address == address && key.is_live(now));
        Ok(live.map(|key| {
            key.name = change.name.unwrap_or_else(|| key.name.clone());
            key.expires_at = change.expires_at.unwrap_or(key.expires_at);
            key.budget = change.budget.unwrap_or(key.budget);
            key.clone()
        }))
    });
    let rotated = row.clone();
    store.expect_rotate().returning(move |address, _, secret, now| {
        let mut row = rotated.lock().unwrap();
        let live = row
            .as_mut()
            .filter(|key| key.address == address && key.is_live(now));
        Ok(live.map(|key| {
            let old = key.hash;
            (key.nonce, key.hash, key.issued_at) = (secret.nonce, secret.hash, secret.issued_at);
            Rotated {
                key: key.clone(),
                old,
            }
        }))
    });
    store.expect_revoke_default().returning(move |_, at| {
        let mut row = row.lock().unwrap();
        let live = row.clone().filter(|key| key.revoked_at.is_none());
        if let Some(key) = row.as_mut() {
            key.revoked_at = Some(at);
        }
        Ok(live)
    });
    store
}

fn keys(store: MockApiKeyStore, clock: Arc<FixedClock>) -> ApiKeys {
    let mut random = MockRandom::new();
    let next = AtomicU8::new(3);
    random
        .expect_bytes16()
        .returning(move || [next.fetch_add(1, Ordering::SeqCst); 16]);
    ApiKeys::new(Arc::new(store), signer(8), clock, Arc::new(random))
}

fn clock() -> Arc<FixedClock> {
    Arc::new(FixedClock::at(Timestamp::from_seconds(1_700_000_000)))
}

#[tokio::test]
async fn a_key_has_the_documented_form_and_its_signature_covers_the_message() {
    let keys = keys(store(Arc::default()), clock());
    let address = WalletAddress::new([0xab; 20]);
    let issued = keys.issue_default(address, None).await.unwrap();
    let parsed = parse(&issued.api_key).unwrap();
    assert_eq!(issued.message, format!("1700000000.{address}.{}", parsed.nonce));
    assert_eq!(
        parsed
            .signature
            .recover(personal_digest(issued.message.as_bytes())),
        Ok(signer(8).address())
    );
    let caller = keys.authenticate(&issued.api_key).await.unwrap();
    assert_eq!(caller.address, address);
}

#[tokio::test]
async fn every_typing_error_is_refused_without_a_read() {
    let issuing = keys(store(Arc::default()), clock());
    let key = issuing
        .issue_default(WalletAddress::new([0xab; 20]), None)
        .await
        .unwrap()
        .api_key;
    let mut unread = MockApiKeyStore::new();
    unread.expect_find().never();
    let keys = keys(unread, clock());
    for position in 3..key.len() {
        let mut bytes = key.clone().into_bytes();
        bytes[position] = if bytes[position] == b'0' { b'1' } else { b'0' };
        let typo = String::from_utf8(bytes).unwrap();
        assert!(
            matches!(keys.authenticate(&typo).await, Err(AuthError::InvalidKey)),
            "{typo}"
        );
    }
    for text in [
        "",
        "sk-",
        "null",
        &key[..key.len() - 1],
        &format!("{key}0"),
        &key.replace('.', ":"),
    ] {
        assert!(
            matches!(keys.authenticate(text).await, Err(AuthError::InvalidKey)),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_key_signed_by_another_service_is_refused() {
    let row = Arc::default();
    let theirs = {
        let mut random = MockRandom::new();
        random.expect_bytes16().returning(|| [3; 16]);
        ApiKeys::new(
            Arc::new(store(Arc::clone(&row))),
            signer(9),
            clock(),
            Arc::new(random),
        )
    };
    let key = theirs
        .issue_default(WalletAddress::new([1; 20]), None)
        .await
        .unwrap()
        .api_key;
    assert!(keys(store(row), clock()).authenticate(&key).await.is_err());
}

#[tokio::test]
async fn a_disabled_key_is_refused_on_the_next_request_although_it_was_cached() {
    let keys = keys(store(Arc::default()), clock());
    let address = WalletAddress::new([1; 20]);
    let key = keys.issue_default(address, None).await.unwrap().api_key;
    keys.authenticate(&key).await.unwrap();
    assert!(keys.disable_default(address).await.unwrap().is_some());
    assert!(keys.authenticate(&key).await.is_err());
    assert!(keys.disable_default(address).await.unwrap().is_none());
}

#[tokio::test]
async fn an_expired_key_is_refused_although_it_was_cached() {
    let clock = clock();
    let keys = keys(store(Arc::default()), clock.clone());
    let expires_at = Some(clock.now().plus(Duration::from_secs(10)));
    let spec = KeySpec {
        name: "short".into(),
        expires_at,
        ..KeySpec::default()
    };
    let key = keys
        .issue(WalletAddress::new([1; 20]), spec)
        .await
        .unwrap()
        .api_key;
    clock.advance(Duration::from_secs(9));
    keys.authenticate(&key).await.unwrap();
    clock.advance(Duration::from_secs(1));
    assert!(keys.authenticate(&key).await.is_err());
}

#[tokio::test]
async fn what_cannot_be_makes_no_key() {
    let clock = clock();
    let keys = keys(store(Arc::default()), clock.clone());
    let spec = || KeySpec {
        name: "x".into(),
        ..KeySpec::default()
    };
    let mut refused = Vec::new();
    for name in ["", "  ", "a\nb", &"x".repeat(65)] {
        let named = KeySpec {
            name: name.into(),
            ..spec()
        };
        refused.push((named, "invalid_key_name"));
    }
    let past = KeySpec {
        expires_at: Some(clock.now()),
        ..spec()
    };
    refused.push((past, "invalid_expiry"));
    for (models, routes) in [(Some(vec![]), None), (None, Some(vec![]))] {
        let scope = KeyScope {
            models,
            routes,
            ..KeyScope::default()
        };
        refused.push((KeySpec { scope, ..spec() }, "invalid_key_scope"));
    }
    for (requests_per_minute, tokens_per_minute) in [(Some(0), None), (None, Some(0))] {
        let still = KeySpec {
            requests_per_minute,
            tokens_per_minute,
            ..spec()
        };
        refused.push((still, "invalid_rate"));
    }
    for (spec, code) in refused {
        let error = keys.issue(WalletAddress::new([1; 20]), spec).await.unwrap_err();
        assert_eq!(haithe_kernel::Failure::code(&error), code);
    }
}

#[tokio::test]
async fn a_rotated_key_keeps_its_authority_and_only_its_new_secret_works() {
    let keys = keys(store(Arc::default()), clock());
    let address = WalletAddress::new([1; 20]);
    let budget = Some(KeyBudget {
        limit: Usdt::whole(1),
        window: BudgetWindow::Day,
    });
    let spec = KeySpec {
        name: "x".into(),
        budget,
        ..KeySpec::default()
    };
    let old = keys.issue(address, spec).await.unwrap();
    keys.authenticate(&old.api_key).await.unwrap();
    let new = keys.rotate(address, old.row.id).await.unwrap();
    assert_eq!((new.row.id, new.row.budget), (old.row.id, budget));
    assert!(keys.authenticate(&old.api_key).await.is_err());
    let caller = keys.authenticate(&new.api_key).await.unwrap();
    assert_eq!(caller.address, address);
}

#[tokio::test]
async fn a_change_acts_on_the_next_request_although_the_key_was_known() {
    let keys = keys(store(Arc::default()), clock());
    let address = WalletAddress::new([1; 20]);
    let issued = keys.issue_default(address, None).await.unwrap();
    keys.authenticate(&issued.api_key).await.unwrap();
    let limit = KeyBudget {
        limit: Usdt::whole(2),
        window: BudgetWindow::Total,
    };
    let change = KeyChange {
        budget: Some(Some(limit)),
        ..KeyChange::default()
    };
    keys.change(address, issued.row.id, change).await.unwrap();
    let caller = keys.authenticate(&issued.api_key).await.unwrap();
    let Credential::ApiKey(key) = caller.credential else {
        panic!("a key")
    };
    assert_eq!(key.budget, Some(limit));
}

#[tokio::test]
async fn dead_and_foreign_keys_are_neither_changed_nor_rotated() {
    let clock = clock();
    let keys = keys(store(Arc::default()), clock.clone());
    let (mine, theirs) = (WalletAddress::new([1; 20]), WalletAddress::new([2; 20]));
    let spec = KeySpec {
        name: "x".into(),
        expires_at: Some(clock.now().plus(Duration::from_secs(10))),
        ..KeySpec::default()
    };
    let id = keys.issue(mine, spec).await.unwrap().row.id;
    let change = || KeyChange {
        expires_at: Some(None),
        ..KeyChange::default()
    };
    assert!(matches!(
        keys.change(theirs, id, change()).await,
        Err(KeyError::NotFound)
    ));
    assert!(matches!(keys.rotate(theirs, id).await, Err(KeyError::NotFound)));
    let nothing = keys.change(mine, id, KeyChange::default()).await;
    assert!(matches!(nothing, Err(KeyError::NoChange)));
    clock.advance(Duration::from_secs(10));
    assert!(matches!(
        keys.change(mine, id, change()).await,
        Err(KeyError::NotLive)
    ));
    assert!(matches!(keys.rotate(mine, id).await, Err(KeyError::NotLive)));
}

#[test]
fn a_scope_of_routes_opens_those_and_a_scope_without_opens_all() {
    let bound = KeyScope {
        routes: Some(vec![RouteFamily::Models]),
        ..KeyScope::default()
    };
    assert!(bound.allows(Some(RouteFamily::Models)));
    assert!(!bound.allows(Some(RouteFamily::ChatCompletions)));
    assert!(!bound.allows(None));
    let free = KeyScope::default();
    assert!(free.allows(Some(RouteFamily::Webhooks)) && free.allows(None));
    for family in RouteFamily::ALL {
        assert_eq!(family.word().parse(), Ok(family));
    }
    assert!("chat".parse::<RouteFamily>().is_err());
}
