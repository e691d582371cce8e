//! What is asked of an embedder, how often, and what happens when it fails.

use super::*;
use async_trait::async_trait;
use haithe_kernel::{FixedClock, Timestamp};
use proptest::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};

const SOON: Duration = Duration::from_secs(60);

/// Vectors are the texts' lengths; what contains `poison` is refused. A request takes `takes` on the clock.
struct Lengths {
    down: AtomicBool,
    short: AtomicBool,
    takes: Duration,
    asked: Mutex<Vec<Vec<String>>>,
    clock: Arc<FixedClock>,
}

impl Default for Lengths {
    fn default() -> Self {
        Self {
            down: AtomicBool::default(),
            short: AtomicBool::default(),
            takes: Duration::ZERO,
            asked: Mutex::default(),
            clock: Arc::new(FixedClock::at(Timestamp::from_seconds(1_000))),
        }
    }
}

impl Lengths {
    fn requests(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

#[async_trait]
impl Embedder for Lengths {
    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.asked.lock().unwrap().push(texts.clone());
        self.clock.advance(self.takes);
        if self.down.load(Ordering::SeqCst) {
            return Err(EmbedError::Unavailable("down".into()));
        }
        if texts.iter().any(|text| text.contains("poison")) {
            return Err(EmbedError::Refused("status 400".into()));
        }
        let skipped = usize::from(self.short.load(Ordering::SeqCst));
        let lengths = texts.iter().skip(skipped);
        Ok(lengths.map(|text| vec![text.len() as f32]).collect())
    }
}

fn pieces(texts: &[&str]) -> Vec<Chunk> {
    let chunk = |text: &&str| Chunk {
        text: (*text).to_owned(),
        place: Place::Page(1),
    };
    texts.iter().map(chunk).collect()
}

fn sense(embedder: Lengths, pause: Duration) -> (Arc<Lengths>, Sense) {
    let embedder = Arc::new(embedder);
    let clock = Arc::clone(&embedder.clock);
    (Arc::clone(&embedder), Sense::with_pause(embedder, clock, pause))
}

async fn of(sense: &Sense, chunks: &[Chunk]) -> Option<Vectors> {
    let until = sense.clock.monotonic().plus(SOON);
    sense.of_pieces(chunks, digest(chunks), until).await
}

#[tokio::test]
async fn a_document_is_embedded_once_and_a_question_whenever_it_is_asked() {
    let (embedder, sense) = sense(Lengths::default(), PAUSE);
    for _ in 0..3 {
        let vectors = of(&sense, &pieces(&["a", "bbb"])).await.unwrap();
        assert_eq!(*vectors, [vec![1.0], vec![3.0]]);
        assert_eq!(sense.of_question("who?").await, Some(vec![4.0]));
    }
    assert_eq!(embedder.requests(), 1 + 3);
}

#[tokio::test]
async fn a_heading_is_embedded_with_what_stands_under_it() {
    let (embedder, sense) = sense(Lengths::default(), PAUSE);
    let under = |heading: &str| {
        vec![Chunk {
            text: "From nine to five.".to_owned(),
            place: Place::Heading(heading.to_owned()),
        }]
    };
    of(&sense, &under("Opening hours")).await.unwrap();
    of(&sense, &under("Office hours")).await.unwrap();
    let asked = embedder.asked.lock().unwrap().concat();
    assert_eq!(
        asked,
        [
            "Opening hours\nFrom nine to five.",
            "Office hours\nFrom nine to five."
        ]
    );
}

#[tokio::test]
async fn an_embedder_that_fails_is_left_alone_and_then_asked_by_one() {
    let pause = Duration::from_millis(300);
    let (embedder, sense) = sense(Lengths::default(), pause);
    let known = pieces(&["known"]);
    of(&sense, &known).await.unwrap();
    embedder.down.store(true, Ordering::SeqCst);
    assert_eq!(sense.of_question("x").await, None);
    for _ in 0..5 {
        assert_eq!(sense.of_question("x").await, None);
        assert!(of(&sense, &pieces(&["another"])).await.is_none());
    }
    assert_eq!(embedder.requests(), 2);
    assert!(of(&sense, &known).await.is_some(), "what is known stays");

    embedder.clock.advance(pause);
    assert_eq!(sense.of_question("x").await, None);
    assert_eq!(sense.of_question("x").await, None);
    assert_eq!(embedder.requests(), 3);

    embedder.down.store(false, Ordering::SeqCst);
    embedder.clock.advance(pause);
    assert_eq!(sense.of_question("xy").await, Some(vec![2.0]));
    assert!(
        of(&sense, &pieces(&["another"])).await.is_some(),
        "it was not asked for this one, so it was not given up"
    );
}

#[tokio::test]
async fn a_document_that_is_refused_is_given_up_and_keeps_no_other_from_its_vectors() {
    let (embedder, sense) = sense(Lengths::default(), PAUSE);
    for _ in 0..3 {
        assert!(of(&sense, &pieces(&["fine", "poison"])).await.is_none());
    }
    assert_eq!(embedder.requests(), 1);
    assert!(of(&sense, &pieces(&["fine"])).await.is_some());
    assert!(sense.of_question("x").await.is_some());
}

#[tokio::test]
async fn a_vector_too_few_is_none_at_all() {
    let (embedder, sense) = sense(Lengths::default(), PAUSE);
    embedder.short.store(true, Ordering::SeqCst);
    assert!(of(&sense, &pieces(&["a", "b"])).await.is_none());
    assert_eq!(sense.of_question("x").await, None);
}

#[tokio::test]
async fn documents_beyond_bounds_are_not_asked_for() {
    let (embedder, sense) = sense(Lengths::default(), PAUSE);
    let most = pieces(&vec!["x"; PIECES + 1]);
    assert!(of(&sense, &most).await.is_none());
    assert!(of(&sense, &[]).await.is_none());
    assert_eq!(embedder.requests(), 0);
    assert_eq!(of(&sense, &most[1..]).await.unwrap().len(), PIECES);
}

#[tokio::test]
async fn a_question_waits_only_so_long() {
    let slow = Lengths {
        takes: Duration::from_millis(20),
        ..Lengths::default()
    };
    let (embedder, sense) = sense(slow, PAUSE);
    let texts: Vec<String> = (0..PIECES).map(|number| format!("{number}")).collect();
    let long = pieces(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    let until = sense.clock.monotonic().plus(Duration::from_millis(30));
    assert!(sense.of_pieces(&long, digest(&long), until).await.is_none());
    let requests = embedder.requests();
    assert!(requests < PIECES / AT_ONCE, "{requests}");
    assert!(of(&sense, &long).await.is_none(), "not again for a while");
    assert_eq!(embedder.requests(), requests);

    // Too late to begin: nothing is known, and the next question asks.
    let late = pieces(&["late"]);
    assert!(sense.of_pieces(&late, digest(&late), until).await.is_none());
    assert!(of(&sense, &late).await.is_some());
    assert_eq!(embedder.requests(), requests + 1);
}

#[tokio::test]
async fn a_document_that_was_not_done_in_time_is_gone_on_with_where_it_was_left() {
    let slow = Lengths {
        takes: Duration::from_millis(5),
        ..Lengths::default()
    };
    let (embedder, sense) = sense(slow, PAUSE);
    let texts: Vec<String> = (0..20 * AT_ONCE).map(|number| "x".repeat(number)).collect();
    let long = pieces(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    let mut vectors = None;
    for _ in 0..200 {
        let until = sense.clock.monotonic().plus(Duration::from_millis(12));
        vectors = sense.embedded(&long, until).await.ok();
        if vectors.is_some() {
            break;
        }
    }
    let vectors = vectors.expect("in the end all of it is there");
    assert!(
        (0..)
            .zip(vectors.iter())
            .all(|(length, vector): (u16, _)| *vector == [f32::from(length)])
    );
    assert_eq!(embedder.requests(), 20, "and no piece was asked for twice");
}

#[tokio::test]
async fn who_asks_at_once_waits_for_one_answer() {
    let slow = Lengths {
        takes: Duration::from_millis(20),
        ..Lengths::default()
    };
    let (embedder, sense) = sense(slow, PAUSE);
    let chunks = pieces(&["a", "b"]);
    let all = futures::future::join_all((0..8).map(|_| of(&sense, &chunks))).await;
    assert!(all.iter().all(Option::is_some));
    assert_eq!(embedder.requests(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn vectors_keep_the_order_of_their_pieces_over_any_number_of_requests(
        lengths in proptest::collection::vec(0_usize..40, 1..400))
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (embedder, sense) = sense(Lengths::default(), PAUSE);
        let texts: Vec<String> = lengths.iter().map(|length| "x".repeat(*length)).collect();
        let chunks = pieces(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        let vectors = runtime.block_on(of(&sense, &chunks)).unwrap();
        let expected: Vec<Vec<f32>> = lengths.iter().map(|length| vec![*length as f32]).collect();
        prop_assert_eq!(&*vectors, expected.as_slice());
        let asked = embedder.asked.lock().unwrap();
        prop_assert!(asked.iter().all(|texts| texts.len() <= AT_ONCE));
        prop_assert_eq!(asked.concat(), texts);
    }

    #[test]
    fn other_pieces_have_another_digest(
        left in proptest::collection::vec("[ab]{0,3}", 0..4),
        right in proptest::collection::vec("[ab]{0,3}", 0..4))
    {
        let of = |texts: &[String]| digest(&pieces(&texts.iter().map(String::as_str).collect::<Vec<_>>()));
        prop_assert_eq!(of(&left) == of(&right), left == right);
    }
}
