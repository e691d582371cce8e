//! What the sandbox says, read with the dialect's own types.

use super::*;
use async_openai::types::chat::{
    CreateChatCompletionResponse, CreateChatCompletionStreamResponse, FinishReason,
};
use haithe_kernel::{FixedClock, Timestamp};
use serde_json::{Value, json};

async fn ask(body: Value) -> Result<UpstreamAnswer, UpstreamError> {
    let sandbox = Sandbox::new(Arc::new(FixedClock::at(Timestamp::from_seconds(1_700_000_000))));
    let request = UpstreamRequest {
        provider: "sandbox".into(),
        endpoint: haithe_inference::ports::Endpoint::Chat,
        stream: body["stream"] == true,
        body: Bytes::from(body.to_string()),
        request_id: "c1".into(),
    };
    sandbox.send(request).await
}

async fn document(body: Value) -> CreateChatCompletionResponse {
    match ask(body).await.unwrap() {
        UpstreamAnswer::Json(body) => serde_json::from_slice(&body).unwrap(),
        UpstreamAnswer::Stream(_) => panic!("a stream"),
    }
}

fn question(text: &str) -> Value {
    json!({"model": "haithe-sandbox", "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": text}]})
}

#[tokio::test]
async fn it_says_what_it_is_and_repeats_the_question() {
    let answer = document(question("How are you?")).await;
    assert_eq!(
        (answer.id.as_str(), answer.created),
        ("chatcmpl-c1", 1_700_000_000)
    );
    assert_eq!(answer.model, "haithe-sandbox");
    let choice = &answer.choices[0];
    assert_eq!(
        choice.message.content.as_deref(),
        Some("This is Haithe's sandbox, not a language model. You said: How are you?")
    );
    assert_eq!(choice.finish_reason, Some(FinishReason::Stop));
    let usage = answer.usage.unwrap();
    assert_eq!(
        (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens),
        (5, 13, 18)
    );
}

#[tokio::test]
async fn parts_are_read_and_an_empty_question_is_answered_too() {
    let mut body = question("");
    body["messages"][1]["content"] = json!([{"type": "text", "text": "one"}, {"type": "image_url"}]);
    let answer = document(body).await;
    assert!(
        answer.choices[0]
            .message
            .content
            .as_ref()
            .unwrap()
            .ends_with("You said: one")
    );
    let answer = document(question("")).await;
    assert_eq!(
        answer.choices[0].message.content.as_deref(),
        Some("This is Haithe's sandbox, not a language model.")
    );
}

#[tokio::test]
async fn its_answer_honours_the_bound_on_output() {
    let mut body = question("hi");
    body["max_tokens"] = json!(3);
    body["n"] = json!(2);
    let answer = document(body).await;
    assert_eq!(answer.choices.len(), 2);
    assert_eq!(
        answer.choices[1].message.content.as_deref(),
        Some("This is Haithe's")
    );
    assert_eq!(answer.choices[1].finish_reason, Some(FinishReason::Length));
    assert_eq!(answer.usage.unwrap().completion_tokens, 6);
}

#[tokio::test]
async fn its_stream_says_the_same_as_its_document() {
    let mut body = question("hi there");
    let whole = document(body.clone()).await;
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});
    let UpstreamAnswer::Stream(events) = ask(body).await.unwrap() else {
        panic!("a document")
    };
    let events: Vec<Bytes> = events.map(Result::unwrap).collect().await;
    let (done, chunks) = events.split_last().unwrap();
    assert_eq!(done, "data: [DONE]\n\n");
    let chunks: Vec<CreateChatCompletionStreamResponse> = chunks
        .iter()
        .map(|event| {
            let data = event
                .strip_prefix(b"data: ")
                .and_then(|data| data.strip_suffix(b"\n\n"));
            serde_json::from_slice(data.unwrap()).unwrap()
        })
        .collect();
    let said: String = chunks
        .iter()
        .flat_map(|chunk| &chunk.choices)
        .filter_map(|choice| choice.delta.content.clone())
        .collect();
    assert_eq!(Some(said), whole.choices[0].message.content);
    assert_eq!(chunks.last().unwrap().usage, whole.usage);
}

#[tokio::test]
async fn what_it_cannot_read_it_refuses() {
    for body in [
        json!({}),
        json!({"model": "m"}),
        json!([]),
        json!({"model": "m", "messages": [{}]}),
    ] {
        assert!(matches!(
            ask(body).await,
            Err(UpstreamError::Refused { status: 400, .. })
        ));
    }
}
