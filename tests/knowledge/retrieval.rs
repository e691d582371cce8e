//! How often the passage that answers a question is among the first five.

use crate::made::{limits, reader};
use haithe_kernel::{FetchError, FetchRequest, Fetched, Fetcher};
use haithe_marketplace::{
    Category,
    knowledge::{Content, Knowledge, Place, Tools},
};
use haithe_sqlite::SqliteKnowledgeIndexer;
use sha2::{Digest, Sha256};
use std::{sync::Arc, time::Instant};

const TEXT: &str = include_str!("jargon.md");
const QUESTIONS: &str = include_str!("questions.tsv");
/// The set as it was written, before there was a retriever.
const TEXT_SHA256: &str = "02d7d9ed5f216011461caf671907d033961a2c7040b699082cda2d0108b36cc4";
const QUESTIONS_SHA256: &str = "a52642658a7af21996c17158d905e3a7429a25ba30be3788913fc9e5f8e9f123";

/// How much of five passages' text may be asked for: more than five passages have.
const BUDGET: usize = 64 << 10;

struct Nowhere;

#[async_trait::async_trait]
impl Fetcher for Nowhere {
    async fn fetch(&self, _: FetchRequest) -> Result<Fetched, FetchError> {
        Err(FetchError::Late)
    }
}

fn content(text: &str) -> Content {
    Content {
        name: "The Jargon File".to_owned(),
        category: Category::KnowledgeText,
        digest: Sha256::digest(text).into(),
        bytes: text.as_bytes().into(),
    }
}

fn knowledge() -> Knowledge {
    let tools = Tools {
        documents: Arc::new(reader()),
        indexer: Arc::new(SqliteKnowledgeIndexer),
        fetcher: Arc::new(Nowhere),
        embedder: None,
    };
    Knowledge::new(tools, limits())
}

#[test]
fn the_set_is_frozen() {
    assert_eq!(hex::encode(Sha256::digest(TEXT)), TEXT_SHA256);
    assert_eq!(hex::encode(Sha256::digest(QUESTIONS)), QUESTIONS_SHA256);
    assert!(QUESTIONS.lines().count() >= 200);
}

#[tokio::test]
async fn recall_at_five() {
    let knowledge = knowledge();
    let content = [content(TEXT)];
    let began = Instant::now();
    knowledge.load(&content[0]).await.unwrap();
    let loaded = began.elapsed();
    let mut ranks = Vec::new();
    let mut times = Vec::new();
    for line in QUESTIONS.lines() {
        let (heading, question) = line.split_once('\t').unwrap();
        let began = Instant::now();
        let passages = knowledge.passages(&content, question, BUDGET).await.unwrap();
        times.push(began.elapsed());
        let wanted = Place::Heading(heading.to_owned());
        let rank = passages.iter().position(|passage| passage.place == wanted);
        if rank.is_none_or(|rank| rank >= 5) {
            let first = passages.first().map(|passage| passage.place.to_string());
            println!("missed: {heading}: {question} (first: {first:?}, rank {rank:?})");
        }
        ranks.push(rank);
    }
    let within = |most: usize| ranks.iter().flatten().filter(|rank| **rank < most).count();
    let share = |count: usize| count as f64 / ranks.len() as f64;
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!(
        "{} questions: recall@1 {:.3}, recall@5 {:.3}, recall@20 {:.3}; load {loaded:.1?}, search p50 {:.1?} p99 {:.1?}",
        ranks.len(),
        share(within(1)),
        share(within(5)),
        share(within(20)),
        at(0.5),
        at(0.99),
    );
    assert!(share(within(5)) >= 0.85, "recall@5 is {:.3}", share(within(5)));
}

#[tokio::test]
async fn the_text_has_a_thousand_pieces() {
    use haithe_marketplace::{knowledge::Format, ports::Documents};
    let chunks = reader()
        .extract(Format::Text, TEXT.as_bytes().into(), limits())
        .await
        .unwrap();
    assert!(chunks.len() >= 1_000, "{}", chunks.len());
}
