//! Over a loopback socket, byte by byte: what HTTP does to an answer must not show.

use super::*;
use futures::StreamExt;
use haithe_inference::{
    catalogue::ProviderKind,
    routing::{CircuitPolicy, RetryPolicy},
};
use haithe_kernel::{Failure, Kind};
use std::error::Error;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

const KEY: &str = "sk-very-secret";

/// Answers one request with these bytes, each piece written by itself, and hangs up. Gives what it
/// was sent.
async fn upstream(pieces: Vec<Vec<u8>>) -> (OpenAiCompatible, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.set_nodelay(true).unwrap();
        let request = request_of(&mut socket).await;
        for piece in pieces {
            socket.write_all(&piece).await.unwrap();
            socket.flush().await.unwrap();
            tokio::task::yield_now().await;
        }
        request
    });
    (
        provider(&format!("http://{address}/v1"), Some(KEY)).unwrap(),
        served,
    )
}

/// A whole request: head and a body of `content-length` bytes.
async fn request_of(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 1024];
        let read = socket.read(&mut piece).await.unwrap();
        assert!(read > 0, "the client hung up");
        bytes.extend_from_slice(&piece[..read]);
        let text = String::from_utf8(bytes.clone()).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        if body.len() == length.unwrap().parse::<usize>().unwrap() {
            return text;
        }
    }
}

fn provider(base_url: &str, key: Option<&str>) -> Result<OpenAiCompatible, SetupError> {
    let patience = Duration::from_secs(5);
    let settings = ProviderSettings {
        name: "p".into(),
        kind: ProviderKind::OpenAi,
        base_url: base_url.into(),
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
    OpenAiCompatible::new(&settings, key.map(SecretString::from).as_ref())
}

fn request(stream: bool) -> UpstreamRequest {
    UpstreamRequest {
        provider: "p".into(),
        endpoint: Endpoint::Chat,
        body: Bytes::from_static(b"{\"model\":\"m\",\"x\":1.0e2}"),
        stream,
        request_id: "call-7".into(),
    }
}

fn answer(head: &str, body: &str) -> Vec<Vec<u8>> {
    let length = body.len();
    vec![format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()]
}

async fn failure(pieces: Vec<Vec<u8>>, stream: bool) -> UpstreamError {
    let (provider, _served) = upstream(pieces).await;
    provider.send(request(stream)).await.unwrap_err()
}

#[tokio::test]
async fn the_request_carries_the_body_untouched_and_no_more_headers_than_needed() {
    let (provider, served) = upstream(answer("200 OK\r\ncontent-type: application/json", "{}")).await;
    provider.send(request(false)).await.unwrap();
    let sent = served.await.unwrap();
    let (head, body) = sent.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "{\"model\":\"m\",\"x\":1.0e2}");
    let mut lines = head.lines();
    assert_eq!(lines.next(), Some("POST /v1/chat/completions HTTP/1.1"));
    let mut names: Vec<&str> = lines.map(|line| line.split(':').next().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "accept",
            "authorization",
            "content-length",
            "content-type",
            "host",
            "user-agent",
            "x-request-id"
        ]
    );
}

#[tokio::test]
async fn a_document_in_pieces_is_one_document() {
    let text = r#"{"id":"a","choices":[{"message":{"content":"zwölf"}}]}"#;
    let mut pieces = vec![b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec()];
    for part in text.as_bytes().chunks(3) {
        pieces.push([format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat());
    }
    pieces.push(b"0\r\n\r\n".to_vec());
    let (provider, _served) = upstream(pieces).await;
    match provider.send(request(false)).await.unwrap() {
        UpstreamAnswer::Json(body) => assert_eq!(body, text),
        UpstreamAnswer::Stream(_) => panic!("a stream"),
    }
}

#[tokio::test]
async fn a_stream_is_passed_on_byte_by_byte_however_it_is_cut() {
    let text = ": hi\r\n\r\ndata: {\"a\":\"zwölf\"}\r\n\r\ndata: [DONE]\n\n";
    for size in [1, 2, 5, 1000] {
        let mut pieces = vec![
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                .to_vec(),
        ];
        for part in text.as_bytes().chunks(size) {
            pieces.push([format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat());
        }
        pieces.push(b"0\r\n\r\n".to_vec());
        let (provider, _served) = upstream(pieces).await;
        let UpstreamAnswer::Stream(stream) = provider.send(request(true)).await.unwrap() else {
            panic!("a document")
        };
        let read: Vec<Bytes> = stream.map(Result::unwrap).collect().await;
        assert_eq!(read.concat(), text.as_bytes());
    }
}

#[tokio::test]
async fn a_document_where_a_stream_was_asked_for_is_handed_on_as_one() {
    for kind in ["application/json; charset=utf-8", "text/html"] {
        let head = format!("200 OK\r\ncontent-type: {kind}");
        let (provider, _served) = upstream(answer(&head, "{\"error\":{}}")).await;
        assert!(
            matches!(provider.send(request(true)).await.unwrap(), UpstreamAnswer::Json(body) if body == "{\"error\":{}}")
        );
    }
}

#[tokio::test]
async fn a_provider_that_hangs_up_or_talks_nonsense_has_failed() {
    for pieces in [
        vec![],
        vec![b"SSH-2.0-OpenSSH\r\n".to_vec()],
        vec![b"HTTP/1.1 200 OK\r\ncontent-le".to_vec()],
        vec![b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"id\":".to_vec()],
        vec![b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec()],
    ] {
        let shown = format!("{pieces:?}");
        let error = failure(pieces, false).await;
        assert_eq!(error.kind(), Kind::Upstream, "{shown}");
        let mut cause: Option<&dyn Error> = Some(&error);
        while let Some(error) = cause {
            assert!(!error.to_string().contains("127.0.0.1"), "{error}");
            cause = error.source();
        }
    }
}

#[tokio::test]
async fn a_stream_cut_off_in_the_middle_gives_what_came_and_then_the_failure() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let (provider, _served) = upstream(vec![format!("{head}6\r\ndata: \r\n").into_bytes()]).await;
    let UpstreamAnswer::Stream(stream) = provider.send(request(true)).await.unwrap() else {
        panic!("a document")
    };
    let read: Vec<_> = stream.collect().await;
    assert!(matches!(&read[0], Ok(bytes) if bytes == "data: "));
    assert!(matches!(&read[1], Err(UpstreamError::Failed(_))));
    assert_eq!(read.len(), 2);
}

#[tokio::test]
async fn what_a_limited_provider_asks_for_is_read_and_bounded() {
    for (header, wait) in [
        ("retry-after: 7", Some(7)),
        ("retry-after-ms: 1200", Some(2)),
        ("retry-after: 99999999", Some(3600)),
        ("retry-after: Wed, 21 Oct 2015 07:28:00 GMT", None),
        ("x-nothing: 1", None),
    ] {
        let head = format!("429 Too Many Requests\r\n{header}");
        match failure(answer(&head, "{}"), false).await {
            UpstreamError::RateLimited { retry_after } => assert_eq!(retry_after, wait, "{header}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_error_is_read_no_further_than_needed() {
    let endless = "x".repeat(MOST_ERROR_BYTES + 10);
    let head = format!("HTTP/1.1 500 Oops\r\ncontent-length: 99999999\r\n\r\n{endless}");
    assert_eq!(
        failure(vec![head.into_bytes()], false).await.kind(),
        Kind::Upstream
    );
}

#[test]
fn bad_settings_are_named_and_the_key_is_not() {
    assert!(matches!(provider("http://[", None), Err(SetupError::Address(_))));
    let error = provider("http://127.0.0.1/v1", Some("sk-\nx")).err().unwrap();
    assert!(matches!(error, SetupError::Key));
    assert!(!format!("{error} {error:?}").contains("sk-"));
}

#[test]
fn an_error_that_repeats_the_key_is_read_without_it() {
    let key = SecretString::from(" a-key-of-no-known-form ");
    for (body, read) in [
        ("a-key-of-no-known-form", "[concealed]"),
        (
            r#"{"error":"bad a-key-of-no-known-form, a-key-of-no-known-form!"}"#,
            r#"{"error":"bad [concealed], [concealed]!"}"#,
        ),
        ("a-key-of-no", "a-key-of-no"),
        ("", ""),
    ] {
        assert_eq!(without(body.as_bytes(), Some(&key)), read.as_bytes());
    }
    assert_eq!(without(b"anything", None), b"anything".as_slice());
    assert_eq!(
        without(b"anything", Some(&SecretString::from(" "))),
        b"anything".as_slice()
    );
}
