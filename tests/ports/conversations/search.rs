//! Words are found whatever their case, and nothing in a search is more than a word.

use super::{later, matching, scene, texts, words};
use crate::database::{Database, NOON, on_every_database};
use haithe_inference::conversations::{Cut, MessageId};
use haithe_kernel::Page;

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

on_every_database!(
    a_search_pages_like_a_list,
    a_search_finds_all_words_whatever_their_case_and_accents,
    hostile_searches_are_words_like_any_other,
    searches_follow_renames_and_deletions,
    memory_recalls_the_best_matches_from_beyond_the_window,
);
