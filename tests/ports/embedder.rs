//! [`Embedder`]: what whoever makes vectors must do, and what one over HTTP must not believe or tell.

use async_openai::types::embeddings::{CreateEmbeddingRequest, EmbeddingInput, EncodingFormat};
use haithe_inference::{
    catalogue::{ProviderKind, ProviderSettings, Timeouts},
    routing::{CircuitPolicy, RetryPolicy},
};
use haithe_kernel::{Failure, Kind};
use haithe_llm_providers::{EmbedderSettings, OpenAiCompatible, OpenAiEmbedder};
use haithe_marketplace::ports::{EmbedError, Embedder};
use haithe_server::service::{WatchedEmbedder, metrics::Figures};
use haithe_tests::{
    logs::Lines,
    upstream::{Script, Upstream},
};
use secrecy::SecretString;
use serde_json::json;
use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

const KEY: &str = "sk-provider-secret";
const TEXT: &str = "what-nobody-else-may-read";
const PATIENCE: Duration = Duration::from_millis(400);

fn over_http(base_url: &str, dimensions: Option<u32>) -> OpenAiEmbedder {
    let settings = ProviderSettings {
        name: "test".into(),
        kind: ProviderKind::OpenAi,
        base_url: base_url.into(),
        api_key_env: None,
        active: true,
        timeouts: Timeouts {
            connect: PATIENCE,
            first_byte: PATIENCE,
            // The embedder's own patience is shorter than its provider's.
            idle: Duration::from_secs(60),
            answer: Duration::from_secs(60),
        },
        retry: RetryPolicy::default(),
        circuit: CircuitPolicy::default(),
    };
    let provider = OpenAiCompatible::new(&settings, Some(&SecretString::from(KEY))).unwrap();
    OpenAiEmbedder::new(
        Arc::new(provider),
        EmbedderSettings {
            provider: "test".into(),
            model: "the-model".into(),
            dimensions,
            timeout: PATIENCE,
            text_bytes: 8_000,
        },
    )
}

/// Every adapter, and the provider behind it.
async fn embedders() -> Vec<(Arc<dyn Embedder>, Upstream)> {
    let upstream = Upstream::start().await;
    let embedder = over_http(&upstream.base_url(), None);
    // A text's vector is its length and how many characters it has.
    upstream.decide(|exchange| {
        Script::vectors(&exchange.json(), |text| {
            vec![text.len() as f32, text.chars().count() as f32]
        })
    });
    vec![(Arc::new(embedder), upstream)]
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[tokio::test]
async fn every_text_has_a_vector_in_its_place() {
    for (embedder, _provider) in embedders().await {
        let vectors = embedder.embed(texts(&["a", "zwölf", "a"])).await.unwrap();
        assert_eq!(vectors, [vec![1.0, 1.0], vec![6.0, 5.0], vec![1.0, 1.0]]);
        let many: Vec<String> = (1..=100).map(|length| "x".repeat(length)).collect();
        let vectors = embedder.embed(many).await.unwrap();
        let lengths: Vec<f32> = vectors.iter().map(|vector| vector[0]).collect();
        assert_eq!(lengths, (1..=100).map(|length| length as f32).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn no_texts_are_no_vectors_and_ask_nobody() {
    for (embedder, provider) in embedders().await {
        assert!(embedder.embed(Vec::new()).await.unwrap().is_empty());
        assert_eq!(provider.count(), 0);
    }
}

#[tokio::test]
async fn empty_and_endless_texts_have_vectors_too() {
    for (embedder, _provider) in embedders().await {
        let endless = "ü".repeat(1 << 20);
        let odd = texts(&["", &endless, "\u{0}\u{feff}\"\\", " "]);
        let vectors = embedder.embed(odd).await.unwrap();
        assert_eq!(vectors.len(), 4);
        assert!(
            vectors
                .iter()
                .flatten()
                .all(|number| number.is_finite() && *number > 0.0)
        );
        assert_eq!(vectors[1], [8_000.0, 4_000.0], "its beginning counts");
    }
}

/// What became of one request of this text.
async fn failure(script: Script) -> EmbedError {
    let upstream = Upstream::start().await;
    upstream.always(script);
    let embedder = over_http(&upstream.base_url(), None);
    let began = Instant::now();
    let error = embedder.embed(texts(&[TEXT])).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(upstream.count(), 1, "an adapter never retries by itself");
    told_nothing(&error);
    error
}

fn told_nothing(error: &EmbedError) {
    let mut told = format!("{error:?}");
    let mut next: Option<&dyn Error> = Some(error);
    while let Some(cause) = next {
        told += &cause.to_string();
        next = cause.source();
    }
    assert!(!told.contains(KEY) && !told.contains(TEXT), "{told}");
}

#[tokio::test]
async fn whose_fault_a_failure_is_can_be_told() {
    let quoting = json!({"error": {"message": format!("{TEXT} {KEY} is too long"), "code": "x"}}).to_string();
    for (status, kind) in [
        (400, Kind::Unprocessable),
        (404, Kind::Unprocessable),
        (413, Kind::Unprocessable),
        (422, Kind::Unprocessable),
        (401, Kind::Unavailable),
        (402, Kind::Unavailable),
        (403, Kind::Unavailable),
        (429, Kind::Unavailable),
        (500, Kind::Unavailable),
        (503, Kind::Unavailable),
        (302, Kind::Unavailable),
    ] {
        let error = failure(Script::status(status, &quoting)).await;
        assert_eq!(error.kind(), kind, "{status}");
    }
    for script in [Script::hang(), Script::reset()] {
        assert_eq!(failure(script).await.code(), "embeddings_unavailable");
    }
    let error = over_http("http://127.0.0.1:9/v1", None)
        .embed(texts(&[TEXT]))
        .await;
    assert_eq!(error.unwrap_err().code(), "embeddings_unavailable");
}

#[tokio::test]
async fn an_answer_that_is_none_is_no_vector() {
    let wrong = json!({"data": [{"index": 7, "embedding": [1.0]}], "text": TEXT}).to_string();
    for body in [
        "",
        "<html>busy</html>",
        "{}",
        "[]",
        "{\"data\": [",
        wrong.as_str(),
    ] {
        let error = failure(Script::status(200, body)).await;
        assert_eq!(error.code(), "embeddings_malformed", "{body}");
    }
    let large = format!("{{\"data\":[],\"x\":\"{}\"}}", "x".repeat(1 << 20));
    let error = failure(Script::status(200, &large)).await;
    assert_eq!(error.to_string(), "the embedder's answer is too large");
    // Some fail with status 200.
    for (kind, code) in [
        ("rate_limit_error", "embeddings_unavailable"),
        ("invalid_request_error", "embeddings_refused"),
    ] {
        let body = json!({"error": {"message": TEXT, "type": kind}}).to_string();
        assert_eq!(failure(Script::status(200, &body)).await.code(), code);
    }
}

#[tokio::test]
async fn the_request_is_openais_with_the_providers_own_key() {
    for dimensions in [None, Some(3)] {
        let upstream = Upstream::start().await;
        let embedder = over_http(&upstream.base_url(), dimensions);
        // The upstream's own vectors, which have three numbers.
        let vectors = embedder.embed(texts(&["one", ""])).await.unwrap();
        assert_eq!(vectors, [[0.5, -1.0, 0.0], [0.5, -1.0, 1.0]]);
        let exchange = upstream.exchange(0).await;
        assert_eq!(exchange.path, "/v1/embeddings");
        assert_eq!(
            exchange.header("authorization"),
            Some(format!("Bearer {KEY}").as_str())
        );
        assert_eq!(exchange.header("x-request-id"), Some("embeddings-0"));
        let read: CreateEmbeddingRequest = serde_json::from_slice(&exchange.body).unwrap();
        let expected = CreateEmbeddingRequest {
            model: "the-model".into(),
            input: EmbeddingInput::StringArray(texts(&["one", " "])),
            encoding_format: Some(EncodingFormat::Float),
            user: None,
            dimensions,
        };
        assert_eq!(read, expected);
        let mut names: Vec<String> = exchange.json().as_object().unwrap().keys().cloned().collect();
        names.retain(|name| name != "dimensions");
        assert_eq!(names, ["model", "input", "encoding_format"], "and no more");
    }
}

#[tokio::test]
async fn vectors_of_another_length_than_was_asked_for_are_refused() {
    let upstream = Upstream::start().await;
    let embedder = over_http(&upstream.base_url(), Some(4));
    let error = embedder.embed(texts(&[TEXT])).await.unwrap_err();
    assert_eq!(error.code(), "embeddings_malformed");
    told_nothing(&error);
}

#[tokio::test]
async fn the_log_is_told_why_once_and_without_a_text_or_the_key() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(lines.clone())
        .finish();
    let _logged = tracing::subscriber::set_default(subscriber);
    let upstream = Upstream::start().await;
    let quoting = json!({"error": {"message": format!("{TEXT} {KEY} is too long")}}).to_string();
    upstream.next([Script::status(400, &quoting), Script::status(500, &quoting)]);
    let embedder = over_http(&upstream.base_url(), None);
    let watched = WatchedEmbedder::new(Arc::new(embedder), Arc::new(Figures::new()));
    for code in ["embeddings_refused", "embeddings_unavailable"] {
        let error = watched.embed(texts(&[TEXT])).await.unwrap_err();
        assert_eq!(error.code(), code);
    }
    assert_eq!(watched.embed(texts(&[TEXT])).await.unwrap().len(), 1);
    let told = lines.take();
    let mut warnings = told.lines().filter(|line| line.contains("WARN"));
    let warning = warnings.next().expect("a warning");
    for part in [
        "embeddings_refused",
        "status 400",
        "the embedder of knowledge failed",
    ] {
        assert!(warning.contains(part), "{warning}");
    }
    assert_eq!(warnings.next(), None, "at most once a minute");
    assert!(!told.contains(TEXT) && !told.contains(KEY), "{told}");
}
