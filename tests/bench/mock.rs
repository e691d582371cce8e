//! An upstream that answers at once: the same bytes for every call, JSON or a stream of events.

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::{convert::Infallible, net::SocketAddr};
use tokio::net::TcpListener;

/// Tokens that the mock claims for every call.
pub const INPUT_TOKENS: u64 = 20;
/// Tokens that the mock claims for every answer; one event of a stream each.
pub const OUTPUT_TOKENS: u64 = 50;

/// Starts the mock on loopback; it lives as long as the runtime.
pub async fn start() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            socket.set_nodelay(true).ok();
            let service = service_fn(answer);
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service),
            );
        }
    });
    Ok(address)
}

async fn answer(request: Request<Incoming>) -> Result<Response<BoxBody<Bytes, Infallible>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let streamed = contains(&body, br#""stream":true"#);
    let (kind, body) = if streamed {
        (
            "text/event-stream",
            BodyExt::boxed(StreamBody::new(stream_of_events())),
        )
    } else {
        ("application/json", http_body_util::Full::new(json()).boxed())
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::OK;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, http::HeaderValue::from_static(kind));
    Ok(response)
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

fn json() -> Bytes {
    static ANSWER: std::sync::LazyLock<Bytes> = std::sync::LazyLock::new(|| {
        let text = "word ".repeat(OUTPUT_TOKENS as usize);
        let answer = serde_json::json!({
            "id": "chatcmpl-bench", "object": "chat.completion", "created": 1_700_000_000, "model": "bench",
            "choices": [{ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" }],
            "usage": usage(),
        });
        Bytes::from(answer.to_string())
    });
    ANSWER.clone()
}

fn usage() -> serde_json::Value {
    serde_json::json!({
        "prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS, "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    })
}

/// The events of every stream, in order: each word bears its number.
pub fn events() -> &'static [Bytes] {
    static EVENTS: std::sync::LazyLock<Vec<Bytes>> = std::sync::LazyLock::new(|| {
        let chunk = |choices: serde_json::Value, usage: serde_json::Value| {
            let event = serde_json::json!({
                "id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1_700_000_000,
                "model": "bench", "choices": choices, "usage": usage,
            });
            Bytes::from(format!("data: {event}\n\n"))
        };
        let word = |number| serde_json::json!([{ "index": 0, "delta": { "content": format!("word{number} ") }, "finish_reason": null }]);
        let words = (0..OUTPUT_TOKENS).map(|number| chunk(word(number), serde_json::Value::Null));
        let tail = [
            chunk(serde_json::json!([]), usage()),
            Bytes::from_static(b"data: [DONE]\n\n"),
        ];
        words.chain(tail).collect()
    });
    &EVENTS
}

fn stream_of_events() -> impl futures::Stream<Item = Result<Frame<Bytes>, Infallible>> {
    stream::iter(events()).map(|event| Ok(Frame::data(event.clone())))
}

/// What of a stream every caller gets, byte by byte: the events with words.
pub fn words() -> Bytes {
    static WORDS: std::sync::LazyLock<Bytes> = std::sync::LazyLock::new(|| {
        let words = events().iter().take(OUTPUT_TOKENS as usize);
        Bytes::from(words.flat_map(|event| event.iter().copied()).collect::<Vec<u8>>())
    });
    WORDS.clone()
}
