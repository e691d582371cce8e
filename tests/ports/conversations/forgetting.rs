//! What is deleted, beyond a quota or too old is gone.

use super::{AMPLE, matching, said, scene, texts};
use crate::database::{Database, NOON, on_every_database};
use crate::world::act;
use haithe_inference::conversations::{Cut, NewConversation, NotStored, Quota, Sender};
use haithe_kernel::Page;
use haithe_orgs::ProjectChange;
use std::time::Duration;

async fn a_long_conversation_is_gone_at_once_and_its_rows_soon(db: impl Database) {
    let scene = scene(db).await;
    let store = scene.world.db.conversations();
    let id = scene.begin(scene.owner, "Long", NOON).await.id;
    for _ in 0..11 {
        scene.append(id, &["word"; 100], NOON).await;
    }
    assert!(store.delete(scene.owner, id).await.unwrap());
    assert_eq!(store.find(scene.owner, id).await.unwrap(), None);
    assert_eq!(scene.titles(scene.owner, Some("word"), Page::FIRST).await.1, 0);
    let mut rows = 0;
    loop {
        match store.expire(NOON, 30).await.unwrap() {
            0 => break,
            some => rows += some,
        }
    }
    assert_eq!(rows, 101, "100 messages that were left, and the conversation");
}

async fn a_quota_is_the_wallets_over_all_its_projects_and_deleting_makes_room(db: impl Database) {
    let scene = scene(db).await;
    let store = scene.world.db.conversations();
    let quota = Quota {
        conversations: 2,
        bytes: 200,
    };
    let begin = async |owner| {
        let new = NewConversation {
            owner,
            title: "x".parse().unwrap(),
            at: NOON,
        };
        store.create(new, quota).await
    };
    let [stranger, elsewhere, _] = scene.others;
    let first = begin(scene.owner).await.unwrap();
    begin(elsewhere).await.unwrap();
    let refused = begin(scene.owner).await;
    assert!(
        matches!(refused, Err(NotStored::TooMany { most: 2 })),
        "{refused:?}"
    );
    begin(stranger).await.unwrap();
    let text = "x".repeat(100);
    let say = async |id| {
        let message = vec![said(Sender::User, &text)];
        store.append(scene.owner, id, message, NOON, quota).await
    };
    say(first.id).await.unwrap().unwrap();
    assert!(matches!(say(first.id).await, Err(NotStored::Full { most: 200 })));
    assert!(store.delete(scene.owner, first.id).await.unwrap());
    let second = begin(scene.owner).await.unwrap();
    say(second.id).await.unwrap().unwrap();
}

async fn a_projects_retention_deletes_older_messages_only(db: impl Database) {
    let scene = scene(db).await;
    let store = scene.world.db.conversations();
    let days = |days: u64| NOON.plus(Duration::from_secs(days * 86_400));
    let id = scene.begin(scene.owner, "Kept", NOON).await.id;
    scene.append(id, &["old apple"], NOON).await;
    scene.append(id, &["new apple"], days(5)).await;
    let elsewhere = scene.others[1];
    let forever = scene.begin(elsewhere, "Forever", NOON).await.id;
    let message = vec![said(Sender::User, "kept")];
    store
        .append(elsewhere, forever, message, NOON, AMPLE)
        .await
        .unwrap();
    assert_eq!(store.expire(days(1_000), 100).await.unwrap(), 0);
    let week = ProjectChange {
        memory_retention_days: Some(Some(7)),
        ..ProjectChange::default()
    };
    let projects = scene.world.db.projects();
    let change = act(scene.owner.wallet);
    let notice = haithe_orgs::PriceNotice(Duration::from_secs(604_800));
    projects
        .change(scene.owner.project, week, notice, change)
        .await
        .unwrap();
    assert_eq!(store.expire(days(7), 100).await.unwrap(), 0);
    assert_eq!(store.expire(days(8), 100).await.unwrap(), 1);
    assert_eq!(store.expire(days(8), 100).await.unwrap(), 0);
    assert_eq!(scene.found(id, Cut::default()).await, ["new apple"]);
    assert_eq!(scene.found(id, matching("apple")).await, ["new apple"]);
    let kept = store.newest(elsewhere, forever, 5).await.unwrap().unwrap();
    assert_eq!(texts(&kept), ["kept"]);
}

async fn a_deleted_projects_conversations_are_deleted_too(db: impl Database) {
    let scene = scene(db).await;
    let store = scene.world.db.conversations();
    let id = scene.begin(scene.owner, "Doomed", NOON).await.id;
    scene.append(id, &["a", "b"], NOON).await;
    scene.begin(scene.owner, "Empty", NOON).await;
    let kept = scene.begin(scene.others[1], "Kept", NOON).await.id;
    scene
        .world
        .db
        .projects()
        .delete(scene.owner.project, act(scene.owner.wallet))
        .await
        .unwrap();
    assert_eq!(store.expire(NOON, 100).await.unwrap(), 4);
    assert_eq!(store.expire(NOON, 100).await.unwrap(), 0);
    assert_eq!(store.find(scene.owner, id).await.unwrap(), None);
    assert!(store.find(scene.others[1], kept).await.unwrap().is_some());
}

on_every_database!(
    a_long_conversation_is_gone_at_once_and_its_rows_soon,
    a_quota_is_the_wallets_over_all_its_projects_and_deleting_makes_room,
    a_projects_retention_deletes_older_messages_only,
    a_deleted_projects_conversations_are_deleted_too,
);
