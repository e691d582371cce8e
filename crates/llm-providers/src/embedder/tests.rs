//! Answers in every shape, over a provider that says what it is told to.

use super::*;
use crate::embedder::answer::MOST_DIMENSIONS;
use async_openai::types::embeddings::{CreateEmbeddingResponse, Embedding, EmbeddingUsage};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures::{StreamExt, stream};
use haithe_kernel::Failure;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Mutex;

/// Says this, once.
struct Says(Mutex<Option<Result<UpstreamAnswer, UpstreamError>>>);

#[async_trait]
impl ChatModel for Says {
    async fn send(&self, _: UpstreamRequest) -> Result<UpstreamAnswer, UpstreamError> {
        let said = self.0.lock().unwrap().take();
        said.expect("an embedder asks once")
    }
}

async fn embed(said: Result<UpstreamAnswer, UpstreamError>) -> Result<Vec<Vec<f32>>, EmbedError> {
    let settings = EmbedderSettings {
        provider: "p".into(),
        model: "m".into(),
        dimensions: None,
        timeout: Duration::from_secs(5),
        text_bytes: 100,
    };
    let embedder = OpenAiEmbedder::new(Arc::new(Says(Mutex::new(Some(said)))), settings);
    embedder.embed(vec!["one".into(), "two".into()]).await
}

fn item(index: u32, embedding: Value) -> Value {
    json!({"object": "embedding", "index": index, "embedding": embedding})
}

/// What is read of an answer about two texts.
fn read(data: &[Value]) -> Result<Vec<Vec<f32>>, &'static str> {
    answer::read(json!({"data": data}).to_string().as_bytes(), 2, None)
}

fn base64(numbers: &[f32]) -> Value {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    json!(STANDARD.encode(bytes))
}

#[test]
fn floats_whole_numbers_and_base64_are_read_in_any_order() {
    let expected = Ok(vec![vec![1.0, -0.5], vec![0.0, 2.0]]);
    for data in [
        [item(0, json!([1, -0.5])), item(1, json!([0.0, 2e0]))],
        [item(1, json!([0.0, 2])), item(0, json!([1.0, -5e-1]))],
        [item(0, base64(&[1.0, -0.5])), item(1, json!([0.0, 2.0]))],
        [json!({"embedding": [1.0, -0.5]}), item(1, base64(&[0.0, 2.0]))],
    ] {
        assert_eq!(read(&data), expected, "{data:?}");
    }
}

#[test]
fn openais_own_form_is_read() {
    let embedding = |index, embedding| Embedding {
        index,
        object: "embedding".into(),
        embedding,
    };
    let whole = CreateEmbeddingResponse {
        object: "list".into(),
        model: "m".into(),
        data: vec![embedding(1, vec![2.5]), embedding(0, vec![1.5])],
        usage: EmbeddingUsage::default(),
    };
    let body = serde_json::to_vec_pretty(&whole).unwrap();
    assert_eq!(answer::read(&body, 2, Some(1)), Ok(vec![vec![1.5], vec![2.5]]));
}

#[test]
fn what_is_not_a_vector_per_text_is_refused_with_its_reason() {
    let good = || item(0, json!([1.0, 2.0]));
    for (data, problem) in [
        (vec![], "lacks the vector of a text"),
        (vec![good()], "lacks the vector of a text"),
        (vec![good(), good()], "has two vectors for a text"),
        (
            vec![good(), item(1, json!([1.0, 2.0])), item(1, json!([1.0, 2.0]))],
            "has two vectors for a text",
        ),
        (
            vec![good(), item(2, json!([1.0, 2.0]))],
            "has a vector for a text that was not sent",
        ),
        (
            vec![good(), item(1, json!([1.0]))],
            "has vectors of no or of different lengths",
        ),
        (
            vec![item(0, json!([])), item(1, json!([]))],
            "has vectors of no or of different lengths",
        ),
        (
            vec![good(), item(1, json!([1.0, 1e39]))],
            "has a number that is not finite",
        ),
        (
            vec![good(), item(1, base64(&[f32::NAN, 1.0]))],
            "has a number that is not finite",
        ),
        (
            vec![good(), item(1, base64(&[f32::NEG_INFINITY, 1.0]))],
            "has a number that is not finite",
        ),
        (vec![good(), item(1, json!([1.0, null]))], "is no list of vectors"),
        (
            vec![good(), item(1, json!([1.0, "2.0"]))],
            "is no list of vectors",
        ),
        (
            vec![good(), item(1, json!([[1.0, 2.0]]))],
            "is no list of vectors",
        ),
        (vec![good(), item(1, json!(null))], "is no list of vectors"),
        (vec![good(), item(1, json!("AAAA"))], "is no list of vectors"),
        (vec![good(), item(1, json!("*"))], "is no list of vectors"),
        (
            vec![good(), json!({"index": -1, "embedding": [1.0, 2.0]})],
            "is no list of vectors",
        ),
        (vec![good(), json!({"index": 1})], "is no list of vectors"),
        (
            vec![good(), item(1, json!(vec![0.5; MOST_DIMENSIONS + 1]))],
            "is no list of vectors",
        ),
        (
            vec![good(), item(1, base64(&vec![0.5; MOST_DIMENSIONS + 1]))],
            "is no list of vectors",
        ),
    ] {
        assert_eq!(read(&data), Err(problem), "{data:?}");
    }
}

#[test]
fn the_longest_vectors_are_read_as_wide_as_anybody_writes_them() {
    let longest = vec![-0.012_345_678_9_f64; MOST_DIMENSIONS];
    let whole = json!({"data": [item(0, json!(longest)), item(1, json!(longest))]});
    let body = serde_json::to_vec_pretty(&whole).unwrap();
    let vectors = answer::read(&body, 2, None).unwrap();
    assert!(vectors.iter().all(|vector| vector.len() == MOST_DIMENSIONS));
}

#[test]
fn what_is_no_json_of_this_kind_is_refused() {
    for body in [
        "",
        "null",
        "[]",
        "{}",
        "7",
        "{\"data\": {}}",
        "{\"data\": [NaN]}",
        "{\"data\": [{\"index\": 0, \"embedding\": [NaN, 1.0]}]}",
        "{\"data\": [], \"data\": []}",
        "{\"data\": [{\"index\": 0, \"embedding\": [1.0, 2.0]}, {\"index\": 1, \"embedding\": [1.0",
        "<html>",
        "\u{feff}{}",
    ] {
        assert_eq!(
            answer::read(body.as_bytes(), 2, None),
            Err("is no list of vectors"),
            "{body}"
        );
    }
    assert_eq!(answer::read(&[b' '; 1 << 20], 2, None), Err("is too large"));
}

#[tokio::test]
async fn failures_are_told_apart_and_the_providers_words_are_not_told() {
    let refused = |status| UpstreamError::Refused {
        status,
        message: "what was asked".into(),
        code: Some("what was asked".into()),
        kind: None,
        param: None,
    };
    for (error, code, cause) in [
        (refused(400), "embeddings_refused", "status 400"),
        (refused(404), "embeddings_refused", "status 404"),
        (
            UpstreamError::RateLimited { retry_after: None },
            "embeddings_unavailable",
            "the model's provider is limiting requests; try again later",
        ),
        (
            UpstreamError::TimedOut,
            "embeddings_unavailable",
            "the model's provider did not answer in time",
        ),
        (
            UpstreamError::Failed("status 500".into()),
            "embeddings_unavailable",
            "the model's provider failed; try again",
        ),
    ] {
        let error = embed(Err(error)).await.unwrap_err();
        assert_eq!(error.code(), code);
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.to_string(), cause);
        assert!(!format!("{error} {error:?}").contains("what was asked"));
    }
    let streamed = UpstreamAnswer::Stream(stream::empty().boxed());
    let error = embed(Ok(streamed)).await.unwrap_err();
    assert_eq!(error.code(), "embeddings_malformed");
}

#[test]
fn texts_are_cut_at_whole_characters_and_never_empty() {
    for (text, most, sent) in [
        ("hello", 5, "hello"),
        ("hello", 4, "hell"),
        ("zwölf", 3, "zw"),
        ("zwölf", 4, "zwö"),
        ("", 9, " "),
        ("🦀", 3, " "),
    ] {
        assert_eq!(cut(text, most), sent, "{text:?} {most}");
    }
}

proptest! {
    #[test]
    fn whatever_is_read_is_a_finite_vector_per_text(
        body in prop_oneof![
            any::<String>(),
            r#"\{"data": ?\[(\{"index": ?[0-3],"embedding": ?\[(-?[0-9]{1,3}(e[0-9]{1,3})?,?){0,3}\]\},?){0,4}\]\}"#,
        ],
        count in 1_usize..4,
    ) {
        if let Ok(vectors) = answer::read(body.as_bytes(), count, None) {
            prop_assert_eq!(vectors.len(), count);
            let length = vectors[0].len();
            prop_assert!(length > 0 && vectors.iter().all(|vector| vector.len() == length));
            prop_assert!(vectors.iter().flatten().all(|number| number.is_finite()));
        }
    }

    #[test]
    fn vectors_survive_both_forms_in_any_order(
        vectors in proptest::collection::vec(proptest::array::uniform4(-1e30_f32..1e30), 1..6)
            .prop_shuffle(),
        packed in any::<bool>(),
        first in 0_usize..6,
    ) {
        let mut data: Vec<Value> = (0..)
            .zip(&vectors)
            .map(|(index, vector)| item(index, if packed { base64(vector) } else { json!(vector) }))
            .collect();
        let turns = first % data.len();
        data.rotate_left(turns);
        let body = json!({"data": data}).to_string();
        let expected: Vec<Vec<f32>> = vectors.iter().map(|vector| vector.to_vec()).collect();
        prop_assert_eq!(answer::read(body.as_bytes(), vectors.len(), Some(4)), Ok(expected));
    }

    #[test]
    fn a_cut_text_is_a_beginning_within_bounds(text in any::<String>(), most in 4_usize..40) {
        let sent = cut(&text, most);
        prop_assert!(!sent.is_empty() && sent.len() <= most);
        prop_assert!(text.starts_with(sent) || text.is_empty());
    }
}
