//! [`ConversationStore`]: private, paged, searchable, bounded, and forgotten in time.

use crate::{
    database::{Database, NOON, on_every_database},
    world::{World, act, wallet},
};
use haithe_inference::conversations::{
    Conversation, ConversationId, Cut, Message, MessageId, NewConversation, NewMessage, NotStored, Owner,
    Quota, SearchQuery, Sender,
};
use haithe_kernel::{Page, Timestamp, Usdt};
use haithe_orgs::ProjectChange;
use std::time::Duration;

const AMPLE: Quota = Quota {
    conversations: 100,
    bytes: 10_000_000,
};

/// Two projects of two organizations, and who speaks with them.
struct Scene<D> {
    world: World<D>,
    owner: Owner,
    /// Who else there is: another wallet, another project, another payer.
    others: [Owner; 3],
}

fn later(seconds: u64) -> Timestamp {
    NOON.plus(Duration::from_secs(seconds))
}

fn words(text: &str) -> SearchQuery {
    SearchQuery::of(text).unwrap()
}

fn texts(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.text.as_str()).collect()
}

fn said(sender: Sender, text: &str) -> NewMessage {
    NewMessage {
        sender,
        text: text.to_owned().try_into().unwrap(),
    }
}

async fn scene<D: Database>(db: D) -> Scene<D> {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("acme", Usdt::ZERO).await;
    let (other_org, _) = world.funded("other", Usdt::ZERO).await;
    let other_project = world.project(&org).await;
    let owner = Owner {
        wallet: wallet(1),
        org: org.id,
        project: project.id,
    };
    let others = [
        Owner {
            wallet: wallet(2),
            ..owner
        },
        Owner {
            project: other_project.id,
            ..owner
        },
        Owner {
            org: other_org.id,
            ..owner
        },
    ];
    Scene { world, owner, others }
}

impl<D: Database> Scene<D> {
    async fn begin(&self, owner: Owner, title: &str, at: Timestamp) -> Conversation {
        let new = NewConversation {
            owner,
            title: title.parse().unwrap(),
            at,
        };
        self.world.db.conversations().create(new, AMPLE).await.unwrap()
    }

    async fn append(&self, id: ConversationId, messages: &[&str], at: Timestamp) -> Vec<Message> {
        let messages = messages.iter().map(|text| said(Sender::User, text)).collect();
        let store = self.world.db.conversations();
        let appended = store.append(self.owner, id, messages, at, AMPLE).await.unwrap();
        appended.expect("the owner's conversation")
    }

    async fn titles(&self, owner: Owner, query: Option<&str>, page: Page) -> (Vec<String>, u64) {
        let store = self.world.db.conversations();
        let listed = store.list(owner, query.map(words), page).await.unwrap();
        let titles = listed.items.iter().map(|one| one.title.as_str().to_owned());
        (titles.collect(), listed.total)
    }

    async fn found(&self, id: ConversationId, cut: Cut) -> Vec<String> {
        let store = self.world.db.conversations();
        let found = store.messages(self.owner, id, cut, Page::FIRST).await.unwrap();
        let found = found.unwrap();
        assert_eq!(found.items.len() as u64, found.total);
        texts(&found.items).into_iter().map(str::to_owned).collect()
    }
}

fn matching(text: &str) -> Cut {
    Cut {
        query: Some(words(text)),
        ..Cut::default()
    }
}

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

async fn a_search_pages_like_a_list(db: impl Database) {
    let scene = scene(db).await;
    let id = scene.begin(scene.owner, "Count", NOON).await.id;
    let mut ids = Vec::new();
    for number in 0..6 {
        let text = if number % 2 == 0 { "even apple" } else { "odd pear" };
        ids.push(scene.append(id, &[&format!("{text} m{number}")], NOON).await[0].id);
    }
    let store = scene.world.db.conversations();
    let ask = async |cut: Cut, limit, offset| {
        let page = Page::new(limit, offset).unwrap();
        let found = store.messages(scene.owner, id, cut, page).await.unwrap().unwrap();
        (texts(&found.items).join("|"), found.total)
    };
    assert_eq!(
        ask(matching("apple"), 2, 0).await,
        ("even apple m2|even apple m4".into(), 3)
    );
    assert_eq!(ask(matching("apple"), 2, 2).await, ("even apple m0".into(), 3));
    let after = Cut {
        after: Some(ids[0]),
        ..matching("apple")
    };
    assert_eq!(ask(after, 1, 0).await, ("even apple m2".into(), 2));
    let before = Cut {
        before: Some(ids[4]),
        ..matching("apple")
    };
    assert_eq!(ask(before, 1, 0).await, ("even apple m2".into(), 2));
}

async fn a_search_finds_all_words_whatever_their_case_and_accents(db: impl Database) {
    let scene = scene(db).await;
    let id = scene.begin(scene.owner, "Café notes", NOON).await.id;
    scene
        .append(
            id,
            &["The Quick brown fox", "A crème brûlée, please", "foo-bar baz"],
            NOON,
        )
        .await;
    let other = scene.begin(scene.owner, "Recipes", later(1)).await.id;
    scene.append(other, &["brown sugar"], later(1)).await;
    for (query, expected) in [
        ("QUICK", "The Quick brown fox"),
        ("fox quick", "The Quick brown fox"),
        ("fox sugar", ""),
        ("creme", "A crème brûlée, please"),
        ("BRÛL", "A crème brûlée, please"),
        ("foo-bar", "foo-bar baz"),
        ("bar", "foo-bar baz"),
        ("oo", ""),
        ("bro", "The Quick brown fox"),
    ] {
        assert_eq!(
            scene.found(id, matching(query)).await.join("|"),
            expected,
            "{query}"
        );
    }
    for (query, expected) in [
        ("cafe", vec!["Café notes"]),
        ("brown", vec!["Recipes", "Café notes"]),
        ("recipes", vec!["Recipes"]),
        ("sugar", vec!["Recipes"]),
        ("absent", vec![]),
    ] {
        let (titles, total) = scene.titles(scene.owner, Some(query), Page::FIRST).await;
        assert_eq!(
            (titles.len() as u64, &titles),
            (total, &expected.iter().map(|t| (*t).to_owned()).collect())
        );
    }
}

async fn hostile_searches_are_words_like_any_other(db: impl Database) {
    let scene = scene(db).await;
    let id = scene.begin(scene.owner, "Quotes", NOON).await.id;
    scene.append(id, &["nothing to see"], NOON).await;
    let other = scene.begin(scene.others[0], "Foreign", NOON).await;
    for query in [
        "\"",
        "\"\"",
        "'",
        "*",
        "-",
        "(",
        "))",
        "NEAR(",
        "AND",
        "nothing OR",
        "NOT nothing",
        "scope:o2",
        "scope : \"o2\"",
        "message:nothing\"",
        "{scope message} : nothing",
        "^nothing",
        "nothing + to",
        "'; DROP TABLE messages; --",
        "\") OR scope : (\"o2",
        "\u{feff}\u{202e}",
        "🦀",
        "%_",
    ] {
        let found = scene.found(id, matching(query)).await;
        assert!(
            found.iter().all(|text| text == "nothing to see"),
            "{query}: {found:?}"
        );
        let (titles, _) = scene.titles(scene.owner, Some(query), Page::FIRST).await;
        assert!(!titles.contains(&other.title.as_str().to_owned()), "{query}");
        let store = scene.world.db.conversations();
        store
            .recall(scene.owner, id, MessageId(i64::MAX), words(query), 5)
            .await
            .unwrap()
            .unwrap();
    }
    // Words that name a scope find nothing of it.
    for scope in ["o1", "o2", "c1", "c2"] {
        assert_eq!(scene.found(id, matching(scope)).await, Vec::<String>::new());
    }
    assert_eq!(scene.found(id, Cut::default()).await, ["nothing to see"]);
}

async fn searches_follow_renames_and_deletions(db: impl Database) {
    let scene = scene(db).await;
    let store = scene.world.db.conversations();
    let id = scene.begin(scene.owner, "Old name", NOON).await.id;
    scene.append(id, &["a peculiar word"], NOON).await;
    store
        .rename(scene.owner, id, "Newname".parse().unwrap(), NOON)
        .await
        .unwrap();
    assert_eq!(scene.titles(scene.owner, Some("old"), Page::FIRST).await.1, 0);
    assert_eq!(scene.titles(scene.owner, Some("newname"), Page::FIRST).await.1, 1);
    assert_eq!(
        scene.titles(scene.owner, Some("peculiar"), Page::FIRST).await.1,
        1
    );
    assert!(store.delete(scene.owner, id).await.unwrap());
    assert!(!store.delete(scene.owner, id).await.unwrap());
    for word in ["newname", "peculiar"] {
        assert_eq!(scene.titles(scene.owner, Some(word), Page::FIRST).await.1, 0);
    }
    assert_eq!(scene.titles(scene.owner, None, Page::FIRST).await.1, 0);
    assert_eq!(store.find(scene.owner, id).await.unwrap(), None);
    let again = scene.begin(scene.owner, "Another", NOON).await;
    assert!(again.id > id, "a number is never given twice");
}

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

async fn memory_recalls_the_best_matches_from_beyond_the_window(db: impl Database) {
    let scene = scene(db).await;
    let id = scene.begin(scene.owner, "Memory", NOON).await.id;
    let said = scene
        .append(
            id,
            &[
                "my cat is called Mauz",
                "the weather is fine",
                "Mauz the cat likes fish",
                "what does my cat like",
            ],
            NOON,
        )
        .await;
    let store = scene.world.db.conversations();
    let recall = async |text: &str, most| {
        let found = store
            .recall(scene.owner, id, said[3].id, words(text), most)
            .await
            .unwrap()
            .unwrap();
        found.into_iter().map(|message| message.id).collect::<Vec<_>>()
    };
    assert_eq!(recall("does the cat like fish?", 1).await, [said[2].id]);
    let both = recall("cat", 5).await;
    assert!(both.len() == 2 && both.contains(&said[0].id) && both.contains(&said[2].id));
    assert_eq!(recall("elephants", 5).await, []);
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
    projects.change(scene.owner.project, week, change).await.unwrap();
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
    what_is_written_reads_back_after_a_restart,
    to_everybody_else_a_conversation_does_not_exist,
    the_conversation_that_changed_last_comes_first,
    pages_of_messages_count_from_the_newest_or_forwards_after_one,
    a_search_pages_like_a_list,
    a_search_finds_all_words_whatever_their_case_and_accents,
    hostile_searches_are_words_like_any_other,
    searches_follow_renames_and_deletions,
    a_long_conversation_is_gone_at_once_and_its_rows_soon,
    messages_that_belong_together_are_appended_together_or_not_at_all,
    a_quota_is_the_wallets_over_all_its_projects_and_deleting_makes_room,
    memory_recalls_the_best_matches_from_beyond_the_window,
    a_projects_retention_deletes_older_messages_only,
    a_deleted_projects_conversations_are_deleted_too,
);
