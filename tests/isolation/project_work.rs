//! The work and memory of one project are bounded.

use async_trait::async_trait;
use futures::future::join_all;
use haithe_kernel::{FetchError, FetchRequest, Fetched, Fetcher, Usdt};
use haithe_marketplace::{
    Category,
    knowledge::{Chunk, Content, Format, Knowledge, Place, ReadLimits, Terms, Tools},
    ports::{Documents, ExtractError, KnowledgeIndexer},
    sealing::Plaintext,
};
use haithe_retrieval::FtsKnowledgeIndexer;
use haithe_tests::{
    app::{App, question},
    selling::{creator, sell, thousandths},
};
use serde_json::json;
use std::{sync::Arc, time::Instant};

/// A number of `/proc/self/status`, which counts memory in KiB.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with(name)).expect(name);
    let number = line.split_ascii_whitespace().nth(1).expect("a number");
    number.parse().expect("a number")
}

/// A document of one piece.
struct OnePiece;

#[async_trait]
impl Documents for OnePiece {
    async fn extract(&self, _: Format, bytes: Arc<[u8]>, _: ReadLimits) -> Result<Vec<Chunk>, ExtractError> {
        Ok(vec![Chunk {
            text: String::from_utf8_lossy(&bytes).into_owned(),
            place: Place::Lines(1, 1),
        }])
    }
}

struct Nowhere;

#[async_trait]
impl Fetcher for Nowhere {
    async fn fetch(&self, _: FetchRequest) -> Result<Fetched, FetchError> {
        Err(FetchError::Late)
    }
}

/// Finding 9: each knowledge document took a thread and about 400 KB that no cache weighed.
#[tokio::test]
async fn documents_that_are_kept_take_no_threads_and_little_memory() {
    let knowledge = Knowledge::new(
        Tools {
            documents: Arc::new(OnePiece),
            indexer: Arc::new(FtsKnowledgeIndexer::new()),
            fetcher: Arc::new(Nowhere),
            embedder: None,
            clock: Arc::new(haithe_kernel::FixedClock::at(
                haithe_kernel::Timestamp::from_seconds(1_000_000),
            )),
        },
        ReadLimits::default(),
    );
    let documents: Vec<Content> = (0..150)
        .map(|number| {
            let text = format!("pump number {number:>10}");
            assert_eq!(text.len(), 22);
            let bytes = Arc::new(Plaintext::new(text.into_bytes()));
            Content {
                name: format!("document {number}"),
                category: Category::KnowledgeText,
                digest: bytes.sha256(),
                bytes,
            }
        })
        .collect();
    // What the first document needs is needed once.
    knowledge.load(&documents[0]).await.unwrap();
    let (threads, memory) = (status("Threads:"), status("VmRSS:"));
    let found = knowledge.passages(&documents, "pump", 4_000).await.unwrap();
    assert_eq!(found.len(), 150);
    let more = (
        status("Threads:").saturating_sub(threads),
        status("VmRSS:").saturating_sub(memory),
    );
    assert!(
        more.0 <= 4 && more.1 <= 30 * 1024,
        "{} threads and {} KiB more",
        more.0,
        more.1
    );
}

/// The size that ADR 0013 states; the time of a search is printed for the same purpose.
#[tokio::test]
async fn the_index_of_a_short_document_is_at_most_five_pages() {
    let chunk = Chunk {
        text: "pump number          1".to_owned(),
        place: Place::Lines(1, 1),
    };
    let indexer = FtsKnowledgeIndexer::new();
    let index = indexer.index(Arc::from([chunk])).await.unwrap();
    assert!(index.bytes() <= 5 * 4096, "{} bytes", index.bytes());
    let start = Instant::now();
    for _ in 0..1_000 {
        assert_eq!(index.search(Terms::of("pump"), 5).await.unwrap().len(), 1);
    }
    println!(
        "{} bytes, {:?} per search",
        index.bytes(),
        start.elapsed() / 1_000
    );
}

/// Finding 9: the prompts of a project were composed before its payer's money was looked at, for every
/// call by itself.
#[tokio::test(flavor = "multi_thread")]
async fn calls_without_money_compose_nothing() {
    let app = App::start().await;
    let maker = creator(&app, 7).await;
    let tenant = app.funded("Acme", Usdt::ZERO).await;
    // As much text as 150 sets of 32 KB.
    let set = json!(["a", "b", "c"].map(|letter| letter.repeat(64 * 1024))).to_string();
    for number in 0..24 {
        let name = format!("set {number}");
        let product = (name.as_str(), "promptset", thousandths(1));
        sell(&app, &maker, &tenant, product, set.as_bytes()).await;
    }
    let ask = question("per-token");
    tenant
        .caller
        .chat(&ask)
        .openai_refused(402, "insufficient_quota")
        .await;
    std::fs::write("/proc/self/clear_refs", "5").expect("the peak can be reset");
    let memory = status("VmHWM:");
    let calls = (0..40).map(|_| tenant.caller.chat(&ask).openai_refused(402, "insufficient_quota"));
    join_all(calls).await;
    let more = status("VmHWM:").saturating_sub(memory);
    assert!(more <= 50 * 1024, "{more} KiB more at the peak");
    assert_eq!(app.upstream.count(), 0);
}
