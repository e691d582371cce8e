//! What is said reads back, to its owner alone, in order and page by page.

use super::{AMPLE, later, said, scene, texts, words};
use crate::database::{Database, NOON, on_every_database};
use haithe_inference::conversations::{Conversation, Cut, MessageId, NotStored, Quota, Sender};
use haithe_kernel::Page;

async fn what_is_written_reads_back_after_a_restart(db: impl Database) {
    let scene = scene(db).await;
    let begun = scene.begin(scene.owner, "Plans", NOON).await;
    assert_eq!((begun.created_at, begun.updated_at), (NOON, NOON));
    let exact = "  ünï 🦀\r\n\tcode ";
    let messages = vec![said(Sender::User, exact), said(Sender::Ai, "yes")];
    let store = scene.world.db.conversations();
    let appended = store
        .append(scene.owner, begun.id, messages, later(5), AMPLE)
        .await
        .unwrap();
    let db = scene.world.db.reopened().await;
    let found = db.conversations().find(scene.owner, begun.id).await.unwrap();
    let expected = Conversation {
        updated_at: later(5),
        ..begun
    };
    assert_eq!(found, Some(expected));
    let newest = db
        .conversations()
        .newest(scene.owner, begun.id, 10)
        .await
        .unwrap();
    assert_eq!(newest, appended);
    let newest = newest.unwrap();
    assert_eq!(texts(&newest), [exact, "yes"]);
    assert_eq!((newest[0].sender, newest[1].sender), (Sender::User, Sender::Ai));
    assert!(newest[0].id < newest[1].id);
}

async fn to_everybody_else_a_conversation_does_not_exist(db: impl Database) {
    let scene = scene(db).await;
    let id = scene.begin(scene.owner, "Secret plans", NOON).await.id;
    scene.append(id, &["the treasure is buried"], NOON).await;
    let store = scene.world.db.conversations();
    for other in scene.others {
        // One of their own, so that they are owners of something.
        scene.begin(other, "Mine", NOON).await;
        assert_eq!(store.find(other, id).await.unwrap(), None);
        assert_eq!(
            store.rename(other, id, "x".parse().unwrap(), NOON).await.unwrap(),
            None
        );
        assert!(!store.delete(other, id).await.unwrap());
        let messages = store.messages(other, id, Cut::default(), Page::FIRST);
        assert_eq!(messages.await.unwrap(), None);
        assert_eq!(store.newest(other, id, 9).await.unwrap(), None);
        let recalled = store.recall(other, id, MessageId(i64::MAX), words("treasure"), 9);
        assert_eq!(recalled.await.unwrap(), None);
        let intruding = vec![said(Sender::User, "hello")];
        let appended = store.append(other, id, intruding, NOON, AMPLE).await.unwrap();
        assert_eq!(appended, None);
        assert_eq!(
            scene.titles(other, None, Page::FIRST).await,
            (vec!["Mine".into()], 1)
        );
        for word in ["treasure", "secret", "plans"] {
            assert_eq!(scene.titles(other, Some(word), Page::FIRST).await, (vec![], 0));
        }
    }
    assert_eq!(scene.found(id, Cut::default()).await, ["the treasure is buried"]);
}

async fn the_conversation_that_changed_last_comes_first(db: impl Database) {
    let scene = scene(db).await;
    let mut ids = Vec::new();
    for (number, title) in (0u64..).zip(["a", "b", "c", "d"]) {
        ids.push(scene.begin(scene.owner, title, later(number)).await.id);
    }
    let page = |limit, offset| Page::new(limit, offset).unwrap();
    assert_eq!(
        scene.titles(scene.owner, None, Page::FIRST).await.0,
        ["d", "c", "b", "a"]
    );
    scene.append(ids[0], &["hello"], later(10)).await;
    let renamed = scene
        .world
        .db
        .conversations()
        .rename(scene.owner, ids[1], "B".parse().unwrap(), later(20))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (renamed.title.as_str(), renamed.created_at, renamed.updated_at),
        ("B", later(1), later(20))
    );
    assert_eq!(
        scene.titles(scene.owner, None, Page::FIRST).await.0,
        ["B", "a", "d", "c"]
    );
    assert_eq!(
        scene.titles(scene.owner, None, page(2, 1)).await,
        (vec!["a".into(), "d".into()], 4)
    );
    assert_eq!(scene.titles(scene.owner, None, page(2, 9)).await, (vec![], 4));
}

async fn pages_of_messages_count_from_the_newest_or_forwards_after_one(db: impl Database) {
    let scene = scene(db).await;
    let id = scene.begin(scene.owner, "Count", NOON).await.id;
    // Another conversation in between must not show.
    let other = scene.begin(scene.owner, "Other", NOON).await.id;
    let mut ids = Vec::new();
    for number in 0..7 {
        ids.push(scene.append(id, &[&format!("m{number}")], NOON).await[0].id);
        scene.append(other, &["noise"], NOON).await;
    }
    let store = scene.world.db.conversations();
    for (after, before, limit, offset, expected, total) in [
        (None, None, 200, 0, "m0 m1 m2 m3 m4 m5 m6", 7),
        (None, None, 3, 0, "m4 m5 m6", 7),
        (None, None, 3, 3, "m1 m2 m3", 7),
        (None, None, 3, 6, "m0", 7),
        (None, Some(4), 2, 0, "m2 m3", 4),
        (Some(1), None, 2, 0, "m2 m3", 5),
        (Some(1), None, 2, 2, "m4 m5", 5),
        (Some(1), Some(5), 200, 0, "m2 m3 m4", 3),
        (Some(6), None, 200, 0, "", 0),
        (None, Some(0), 200, 0, "", 0),
    ] {
        let cut = Cut {
            after: after.map(|at: usize| ids[at]),
            before: before.map(|at: usize| ids[at]),
            query: None,
        };
        let page = Page::new(limit, offset).unwrap();
        let shown = store
            .messages(scene.owner, id, cut.clone(), page)
            .await
            .unwrap()
            .unwrap();
        let case = format!("{cut:?} {page:?}");
        assert_eq!(
            (texts(&shown.items).join(" ").as_str(), shown.total),
            (expected, total),
            "{case}"
        );
        // The same words in every message: a search pages alike.
        let searched = Cut {
            query: Some(words("m")),
            ..cut
        };
        let none = store
            .messages(scene.owner, id, searched, page)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (none.items.len(), none.total),
            (0, 0),
            "a single letter stands alone: {case}"
        );
    }
    assert_eq!(
        texts(&store.newest(scene.owner, id, 2).await.unwrap().unwrap()),
        ["m5", "m6"]
    );
}

async fn messages_that_belong_together_are_appended_together_or_not_at_all(db: impl Database) {
    let scene = scene(db).await;
    let store = scene.world.db.conversations();
    let id = scene.begin(scene.owner, "Small", NOON).await.id;
    let quota = Quota { bytes: 300, ..AMPLE };
    let pair = |size| vec![said(Sender::User, "hi"), said(Sender::Ai, &"x".repeat(size))];
    let full = store.append(scene.owner, id, pair(200), later(1), quota).await;
    assert!(matches!(full, Err(NotStored::Full { most: 300 })), "{full:?}");
    assert_eq!(scene.found(id, Cut::default()).await, Vec::<String>::new());
    let found = store.find(scene.owner, id).await.unwrap().unwrap();
    assert_eq!(found.updated_at, NOON);
    store
        .append(scene.owner, id, pair(100), later(1), quota)
        .await
        .unwrap()
        .unwrap();
    let full = store.append(scene.owner, id, pair(1), later(2), quota).await;
    assert!(matches!(full, Err(NotStored::Full { .. })), "{full:?}");
}

on_every_database!(
    what_is_written_reads_back_after_a_restart,
    to_everybody_else_a_conversation_does_not_exist,
    the_conversation_that_changed_last_comes_first,
    pages_of_messages_count_from_the_newest_or_forwards_after_one,
    messages_that_belong_together_are_appended_together_or_not_at_all,
);
