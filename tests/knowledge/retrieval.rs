//! How often the passage that answers a question is among the first five.

use crate::made::{limits, reader};
use haithe_inference::{
    catalogue::{ProviderKind, ProviderSettings, Timeouts},
    routing::{CircuitPolicy, RetryPolicy},
};
use haithe_kernel::{FetchError, FetchRequest, Fetched, Fetcher, FixedClock, Timestamp};
use haithe_llm_providers::{EmbedderSettings, OpenAiCompatible, OpenAiEmbedder};
use haithe_marketplace::{
    Category,
    knowledge::{Content, Format, Knowledge, Place, Tools},
    ports::{Documents, EmbedError, Embedder},
    sealing::Plaintext,
};
use haithe_retrieval::FtsKnowledgeIndexer;
use sha2::{Digest, Sha256};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

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
        bytes: Arc::new(Plaintext::new(text.as_bytes().to_vec())),
    }
}

fn knowledge(embedder: Option<Arc<dyn Embedder>>) -> Knowledge {
    let tools = Tools {
        documents: Arc::new(reader()),
        indexer: Arc::new(FtsKnowledgeIndexer::new()),
        fetcher: Arc::new(Nowhere),
        embedder,
        clock: Arc::new(FixedClock::at(Timestamp::from_seconds(1_000))),
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
    let knowledge = knowledge(None);
    let content = content(TEXT);
    let began = Instant::now();
    knowledge.load(&content).await.unwrap();
    println!("load {:.1?}", began.elapsed());
    let recall = measured(&knowledge, &[content]).await;
    assert!(recall >= 0.85, "recall@5 is {recall:.3}");
}

/// Vectors of how words are spelled: what a poor model knows, without one.
struct Spelling;

#[async_trait::async_trait]
impl Embedder for Spelling {
    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        Ok(texts.iter().map(|text| spelling(text)).collect())
    }
}

/// How often each three letters in a row are there, each counted at one of 384 places, to the length 1.
fn spelling(text: &str) -> Vec<f32> {
    let letters: Vec<u32> = text.to_lowercase().chars().map(u32::from).collect();
    let mut vector = vec![0.0_f32; 384];
    for three in letters.windows(3) {
        let number = three.iter().fold(7, |number: u32, letter| {
            number.wrapping_mul(31).wrapping_add(*letter)
        });
        vector[number as usize % 384] += 1.0;
    }
    let length = vector.iter().map(|part| part * part).sum::<f32>().sqrt();
    vector.iter().map(|part| part / length.max(1.0)).collect()
}

/// An embedder that counts the texts it was sent.
struct Counted(Arc<dyn Embedder>, AtomicUsize);

#[async_trait::async_trait]
impl Embedder for Counted {
    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let count = texts.len();
        let answer = self.0.embed(texts).await;
        self.1
            .fetch_add(if answer.is_ok() { count } else { 0 }, Ordering::SeqCst);
        answer
    }
}

/// Those of the model at `HAITHE_TEST_EMBEDDINGS` (README.md), or, since no test downloads one, of
/// [`Spelling`]: even poor vectors must not spoil what words find.
fn embedder() -> Arc<dyn Embedder> {
    let Ok(base_url) = std::env::var("HAITHE_TEST_EMBEDDINGS") else {
        return Arc::new(Spelling);
    };
    let patience = Duration::from_secs(600);
    let settings = ProviderSettings {
        name: "test".into(),
        kind: ProviderKind::OpenAi,
        base_url,
        api_key_env: None,
        active: true,
        timeouts: Timeouts {
            connect: patience,
            first_byte: patience,
            idle: patience,
            answer: patience,
        },
        retry: RetryPolicy::default(),
        circuit: CircuitPolicy::default(),
    };
    Arc::new(OpenAiEmbedder::new(
        Arc::new(OpenAiCompatible::new(&settings, None).expect("a provider")),
        EmbedderSettings {
            provider: "test".into(),
            model: "all-MiniLM-L6-v2".into(),
            dimensions: None,
            timeout: patience,
            text_bytes: 8_000,
        },
    ))
}

#[tokio::test]
async fn recall_at_five_with_vectors() {
    let counted = Arc::new(Counted(embedder(), AtomicUsize::new(0)));
    let content = [content(TEXT)];
    let pieces = pieces().await;
    // A question waits for so long only; a model's server remembers what it has made, and sooner or later
    // all of it is there in time.
    let knowledge = loop {
        let knowledge = knowledge(Some(counted.clone()));
        counted.1.store(0, Ordering::SeqCst);
        knowledge.passages(&content, "warm up", BUDGET).await.unwrap();
        let made = counted.1.load(Ordering::SeqCst);
        println!("{made} of {pieces} pieces");
        if made > pieces {
            break knowledge;
        }
    };
    let recall = measured(&knowledge, &content).await;
    assert!(recall >= 0.85, "recall@5 is {recall:.3}");
}

/// Asks every question and prints the figures; gives recall@5.
async fn measured(knowledge: &Knowledge, content: &[Content]) -> f64 {
    let mut ranks = Vec::new();
    let mut times = Vec::new();
    for line in QUESTIONS.lines() {
        let (heading, question) = line.split_once('\t').unwrap();
        let began = Instant::now();
        let passages = knowledge.passages(content, question, BUDGET).await.unwrap();
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
        "{} questions: recall@1 {:.3}, recall@5 {:.3}, recall@20 {:.3}; search p50 {:.1?} p99 {:.1?}",
        ranks.len(),
        share(within(1)),
        share(within(5)),
        share(within(20)),
        at(0.5),
        at(0.99),
    );
    share(within(5))
}

/// How many pieces the text has.
async fn pieces() -> usize {
    let chunks = reader()
        .extract(Format::Text, TEXT.as_bytes().into(), limits())
        .await;
    chunks.unwrap().len()
}

#[tokio::test]
async fn the_text_has_a_thousand_pieces() {
    let pieces = pieces().await;
    assert!(pieces >= 1_000, "{pieces}");
}
