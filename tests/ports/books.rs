//! [`Books`]: receipts that prove themselves, and the ledger as an auditor reads it.

use crate::{
    database::{Database, on_every_database},
    world::{World, call_id, capture, line, nano},
};
use haithe_billing::{batch::BatchState, capture::Payee, merkle};
use serde_json::Value;
use sha2::{Digest, Sha256};

async fn a_receipt_is_canonical_and_its_hash_is_of_its_bytes(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", nano(100)).await;
    let call = world.spend(&org, &project, nano(42)).await;
    let receipt = world.db.books().receipt(call).await.unwrap().unwrap();
    assert_eq!(
        (receipt.call, receipt.org, receipt.charged),
        (call, org.id, nano(42))
    );
    assert_eq!(receipt.org_address, org.address);
    assert_eq!(receipt.settlement, None);
    let digest: [u8; 32] = Sha256::digest(receipt.sealed.json.as_bytes()).into();
    assert_eq!(receipt.sealed.hash, digest);
    let json: Value = serde_json::from_str(&receipt.sealed.json).unwrap();
    let text = receipt.sealed.json.as_str();
    assert!(
        text.contains(&call.to_string()),
        "a receipt names its call: {text}"
    );
    assert!(
        text.contains(&hex::encode([1; 32])),
        "a receipt names the request's hash: {text}"
    );
    assert!(
        text.contains(&hex::encode([2; 32])),
        "a receipt names the response's hash: {text}"
    );
    let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
    assert!(keys.is_sorted(), "RFC 8785 sorts members: {text}");
    assert!(
        !text.contains(": ") && !text.contains('\n'),
        "RFC 8785 has no blanks: {text}"
    );
    assert!(world.db.books().receipt(call_id()).await.unwrap().is_none());
}

async fn a_receipt_proves_itself_from_sealing_on(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", nano(1_000)).await;
    let mut calls = Vec::new();
    for cost in 1..=7 {
        calls.push(world.spend(&org, &project, nano(cost)).await);
    }
    let batch = world.seal().await.unwrap();
    for call in &calls {
        let receipt = world.db.books().receipt(*call).await.unwrap().unwrap();
        let settlement = receipt.settlement.unwrap();
        assert_eq!((settlement.seq, settlement.root), (batch.seq, batch.root));
        assert_eq!((settlement.state, settlement.tx), (BatchState::Sealed, None));
        assert!(merkle::verify(&batch.root, &settlement.leaf, &settlement.proof));
        let mut forged = settlement.leaf;
        forged[0] ^= 1;
        assert!(!merkle::verify(&batch.root, &forged, &settlement.proof));
    }
    world.finality = 2;
    let events = world.settled(&batch, &[]);
    let mined = world.mine(vec![events]).await;
    let seen = world
        .db
        .books()
        .receipt(calls[0])
        .await
        .unwrap()
        .unwrap()
        .settlement
        .unwrap();
    assert_eq!((seen.state, seen.tx), (BatchState::Seen, Some(mined[0].tx)));
    world.mine_empty(1).await;
    let done = world
        .db
        .books()
        .receipt(calls[0])
        .await
        .unwrap()
        .unwrap()
        .settlement
        .unwrap();
    assert_eq!((done.state, done.tx), (BatchState::Final, Some(mined[0].tx)));
}

async fn receipts_are_paged_oldest_first(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", nano(1_000)).await;
    let (other, theirs) = world.funded("Other", nano(1_000)).await;
    let mut calls = Vec::new();
    for cost in 1..=5 {
        calls.push(world.spend(&org, &project, nano(cost)).await);
        world.spend(&other, &theirs, nano(cost)).await;
    }
    let books = world.db.books();
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = books.receipts(org.id, after, 2).await.unwrap();
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = Some(last.call);
        seen.extend(page.iter().map(|receipt| receipt.call));
    }
    assert_eq!(seen, calls);
}

async fn a_free_call_has_a_receipt_too(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", nano(0)).await;
    let call = world.spend(&org, &project, nano(0)).await;
    let receipt = world.db.books().receipt(call).await.unwrap().unwrap();
    assert_eq!(receipt.charged, nano(0));
    world.assert_sound().await;
}

async fn what_could_not_be_taken_is_on_the_receipt_as_charged_not_as_asked(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", nano(10)).await;
    let call = world.hold(&org, nano(10)).await.unwrap();
    let lines = vec![line(Payee::Platform, nano(3)), line(Payee::Platform, nano(20))];
    world
        .db
        .ledger()
        .capture(capture(call, org.id, &project, lines))
        .await
        .unwrap();
    let receipt = world.db.books().receipt(call).await.unwrap().unwrap();
    assert_eq!(receipt.charged, nano(10));
    world.assert_sound().await;
}

async fn a_snapshot_shows_each_organizations_terms_of_the_identity(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", nano(100)).await;
    world.spend(&org, &project, nano(30)).await;
    world.settle().await;
    world.spend(&org, &project, nano(5)).await;
    world.confirmations = 5;
    world.finality = 5;
    world.deposit(&org, nano(7)).await;
    let snapshot = world.db.books().snapshot().await.unwrap();
    assert_eq!(snapshot.block, world.head().unwrap().number);
    let position = snapshot
        .orgs
        .iter()
        .find(|position| position.org == org.id)
        .unwrap();
    assert_eq!(position.address, org.address);
    assert_eq!((position.available, position.unsettled), (nano(65), nano(5)));
    assert_eq!(position.mirror, nano(70));
    assert_eq!(position.unconfirmed_in, world.units(nano(7)));
    assert_eq!(position.withdrawing, nano(0));
    assert_eq!(snapshot.orchestrator_mirror, nano(30));
    world.assert_sound().await;
}

async fn receipts_outlive_a_restart(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", nano(100)).await;
    let call = world.spend(&org, &project, nano(42)).await;
    let before = world.db.books().receipt(call).await.unwrap();
    let world = world.reopened().await;
    assert_eq!(world.db.books().receipt(call).await.unwrap(), before);
    world.assert_sound().await;
}

on_every_database!(
    a_receipt_is_canonical_and_its_hash_is_of_its_bytes,
    a_receipt_proves_itself_from_sealing_on,
    receipts_are_paged_oldest_first,
    a_free_call_has_a_receipt_too,
    what_could_not_be_taken_is_on_the_receipt_as_charged_not_as_asked,
    a_snapshot_shows_each_organizations_terms_of_the_identity,
    receipts_outlive_a_restart,
);
