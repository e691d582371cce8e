//! [`KnowledgeIndexer`]'s and [`KnowledgeIndex`]'s contract.

use haithe_marketplace::{
    knowledge::{Chunk, Place, Terms},
    ports::{KnowledgeIndex, KnowledgeIndexer},
};
use haithe_retrieval::FtsKnowledgeIndexer;
use proptest::prelude::*;
use std::sync::Arc;

fn indexers() -> Vec<Arc<dyn KnowledgeIndexer>> {
    vec![Arc::new(FtsKnowledgeIndexer::new())]
}

fn chunk(heading: &str, text: &str) -> Chunk {
    Chunk {
        text: text.to_owned(),
        place: if heading.is_empty() {
            Place::Page(1)
        } else {
            Place::Heading(heading.to_owned())
        },
    }
}

async fn index(indexer: &dyn KnowledgeIndexer, chunks: &[(&str, &str)]) -> Arc<dyn KnowledgeIndex> {
    let chunks: Arc<[Chunk]> = chunks
        .iter()
        .map(|(heading, text)| chunk(heading, text))
        .collect();
    indexer.index(chunks).await.unwrap()
}

async fn found(index: &dyn KnowledgeIndex, question: &str) -> Vec<usize> {
    let hits = index.search(Terms::of(question), 10).await.unwrap();
    assert!(hits.is_sorted_by(|a, b| a.score >= b.score), "{hits:?}");
    hits.into_iter().map(|hit| hit.chunk).collect()
}

#[tokio::test]
async fn the_best_piece_comes_first_and_those_without_the_words_not_at_all() {
    for indexer in indexers() {
        let index = index(
            &*indexer,
            &[
                ("", "The lamp burns."),
                ("", "A pump lifts water; the pump hums and pumps."),
                ("", "Water is wet, and flows, and falls, and freezes, and boils."),
                ("Opening hours", "From nine to five."),
                ("", "Nothing of that kind."),
                ("", "Nothing at all."),
            ],
        )
        .await;
        assert_eq!(
            found(&*index, "Why does the water pump hum?").await.first(),
            Some(&1)
        );
        assert_eq!(found(&*index, "lamps?").await, [0]);
        assert_eq!(found(&*index, "OPENING").await, [3], "headings count");
        assert_eq!(found(&*index, "zebra").await, Vec::<usize>::new());
        assert_eq!(
            index.search(Terms::of("pump lamp water"), 2).await.unwrap().len(),
            2
        );
    }
}

#[tokio::test]
async fn case_accents_and_scripts_are_folded() {
    for indexer in indexers() {
        let chunks = [
            ("", "Das CAFÉ öffnet."),
            ("", "知识库的营业时间是早上九点。"),
            ("", "हिन्दी भाषा"),
            ("", "x"),
            ("", "y"),
        ];
        let index = index(&*indexer, &chunks).await;
        assert_eq!(found(&*index, "cafe").await, [0]);
        assert_eq!(found(&*index, "营业时间？").await, [1]);
        assert_eq!(found(&*index, "हिन्दी").await, [2]);
    }
}

#[tokio::test]
async fn indexes_know_nothing_of_each_other() {
    for indexer in indexers() {
        let first = index(&*indexer, &[("", "lamp"), ("", "x"), ("", "y")]).await;
        let second = index(&*indexer, &[("", "pump"), ("", "x"), ("", "y")]).await;
        assert_eq!(found(&*first, "pump").await, Vec::<usize>::new());
        drop(first);
        assert_eq!(found(&*second, "pump").await, [0]);
    }
}

#[tokio::test]
async fn a_question_of_no_words_finds_nothing() {
    for indexer in indexers() {
        let index = index(&*indexer, &[("", "lamp")]).await;
        assert_eq!(found(&*index, "?!").await, Vec::<usize>::new());
    }
}

#[test]
fn no_question_is_syntax() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for indexer in indexers() {
        let index = runtime.block_on(index(
            &*indexer,
            &[("h", "lamp near and or not"), ("", "x"), ("", "y")],
        ));
        let hostile =
            "[\"'*^:(){}+ \\-a-zA-Z0-9;\u{0}\u{1}漢ß]{0,80}|(NEAR|AND|OR|NOT|words|rowid|[\"()*^:-]| ){0,30}";
        proptest!(ProptestConfig::with_cases(512), |(question in hostile)| {
            let hits = runtime.block_on(index.search(Terms::of(&question), 10));
            prop_assert!(hits.is_ok(), "{question:?}: {hits:?}");
        });
    }
}
