//! What every route owes its callers, whatever goes wrong.

use super::testing::*;
use axum::body::Body;
use haithe_billing::hold::HoldError;
use haithe_inference::ports::{MockChatModel, UpstreamAnswer, UpstreamError};
use haithe_kernel::{StoreError, Usdt};
use http::{HeaderValue, Request, StatusCode, request::Builder};
use std::{sync::Arc, time::Duration};

const CHAT: &str = "/api/v1beta/openai/chat/completions";
const QUESTION: &str = r#"{"model":"echo","messages":[{"role":"user","content":"hi"}]}"#;

fn request(method: &str, uri: &str) -> Builder {
    Request::builder().method(method).uri(uri)
}

fn authorized(method: &str, uri: &str) -> Builder {
    request(method, uri)
        .header("authorization", format!("Bearer {}", token()))
        .header("haithe-organization", ORG)
        .header("haithe-project", PROJECT)
        .header("content-type", "application/json")
}

fn empty(builder: Builder) -> Request<Body> {
    builder.body(Body::empty()).unwrap()
}

fn with(builder: Builder, body: &'static str) -> Request<Body> {
    builder.body(Body::from(body)).unwrap()
}

/// Status and code, after checking that the answer speaks its path's dialect.
async fn refusal(mocks: Mocks, request: Request<Body>) -> (u16, String) {
    let openai = request.uri().path().starts_with("/api/v1beta/openai");
    let answer = send(mocks, request).await;
    let json = answer.json();
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert!(!answer.header("x-request-id").is_empty());
    if openai {
        let error = json.get("error").unwrap().as_object().unwrap();
        let keys: Vec<_> = error.keys().map(String::as_str).collect();
        assert_eq!(keys, ["message", "type", "param", "code"]);
        assert!(error["type"].is_string() && error["message"].is_string());
    } else {
        assert_eq!(json.get("success").unwrap(), false);
        assert!(json.get("message").unwrap().is_string());
        assert_eq!(json.get("request_id").unwrap(), answer.header("x-request-id"));
    }
    (answer.status.as_u16(), answer.code())
}

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn a_path_that_leads_nowhere_says_so_in_its_dialect() {
    for path in [
        "/",
        "/api/v1/nothing",
        "/api/v1/me/",
        "/api/v1beta/openai/nothing",
        "/api/v1beta/openai",
    ] {
        let answer = refusal(Mocks::default(), empty(request("GET", path))).await;
        assert_eq!(answer, is(404, "route_not_found"), "{path}");
    }
}

#[tokio::test]
async fn a_wrong_method_says_which_are_right() {
    for path in ["/api/v1/auth/login", CHAT] {
        let answer = send(Mocks::default(), empty(request("GET", path))).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(answer.header("allow"), "POST");
        assert_eq!(answer.code(), "method_not_allowed");
    }
}

#[tokio::test]
async fn without_a_credential_there_is_a_challenge_and_no_answer() {
    for (method, path) in [
        ("GET", "/api/v1/me"),
        ("POST", CHAT),
        ("GET", "/api/v1beta/openai/models"),
    ] {
        let answer = send(Mocks::default(), empty(request(method, path))).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        assert_eq!(answer.code(), "authentication_required");
    }
    for credential in ["Bearer null", "Bearer ", "Basic abc", "Bearer sk-x", "nonsense"] {
        let request = request("POST", CHAT).header("authorization", credential);
        assert_eq!(
            refusal(Mocks::default(), empty(request)).await,
            is(401, "invalid_api_key"),
            "{credential}"
        );
    }
    let bytes = request("GET", "/api/v1/me")
        .header("authorization", HeaderValue::from_bytes(b"Bearer \xff").unwrap());
    assert_eq!(refusal(Mocks::default(), empty(bytes)).await.0, 401);
}

#[tokio::test]
async fn public_routes_ignore_whatever_credential_comes_along() {
    let request = request("GET", "/api/v1/models").header("authorization", "Bearer null");
    let answer = send(Mocks::default(), empty(request)).await;
    assert_eq!(answer.status, StatusCode::OK);
    let model = answer.json().pointer("/data/0").unwrap().clone();
    assert_eq!(model["price_per_call"], 10_000_000_000_000_000_u64);
    assert_eq!(model["price_per_call_usdt"], "0.01");
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused_in_both_dialects() {
    for path in ["/api/v1/auth/login", CHAT] {
        let json = |body| with(authorized("POST", path), body);
        for body in ["{", "[]", "\"x\"", "{\"a\":1,}", "\u{0}"] {
            assert_eq!(
                refusal(Mocks::default(), json(body)).await.0,
                400,
                "{path} {body}"
            );
        }
        let invalid = authorized("POST", path)
            .body(Body::from(vec![b'{', b'"', 0xff, b'"', b'}']))
            .unwrap();
        assert_eq!(refusal(Mocks::default(), invalid).await.0, 400);
        let form = with(
            request("POST", path)
                .header("authorization", format!("Bearer {}", token()))
                .header("haithe-organization", ORG)
                .header("haithe-project", PROJECT)
                .header("content-type", "application/x-www-form-urlencoded"),
            "a=b",
        );
        assert_eq!(
            refusal(Mocks::default(), form).await,
            is(415, "unsupported_media_type"),
            "{path}"
        );
        let large = authorized("POST", path)
            .body(Body::from(vec![b' '; 4097]))
            .unwrap();
        assert_eq!(
            refusal(Mocks::default(), large).await,
            is(413, "request_too_large"),
            "{path}"
        );
        let announced = authorized("POST", path).header("content-length", "99999999999");
        assert_eq!(
            refusal(Mocks::default(), empty(announced)).await,
            is(413, "request_too_large"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up() {
    tokio::time::pause();
    let body = Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    let request = authorized("POST", CHAT).body(body).unwrap();
    assert_eq!(refusal(Mocks::default(), request).await, is(408, "body_timeout"));
}

#[tokio::test]
async fn parameters_are_named_when_they_are_missing_or_wrong() {
    for (uri, status, code) in [
        ("/api/v1/auth/nonce", 400, "missing_parameter"),
        ("/api/v1/auth/nonce?address=0x12", 400, "invalid_parameter"),
        (
            "/api/v1/auth/nonce?address=a&address=b",
            400,
            "conflicting_parameter",
        ),
        ("/api/v1/auth/nonce?address=%ff", 400, "invalid_query"),
    ] {
        assert_eq!(
            refusal(Mocks::default(), empty(request("GET", uri))).await,
            is(status, code),
            "{uri}"
        );
    }
    for path in [
        "/api/v1/orgs/x",
        "/api/v1/orgs/-1",
        "/api/v1/orgs/99999999999999999999",
        "/api/v1/projects/%ff",
    ] {
        let answer = refusal(Mocks::default(), empty(authorized("GET", path))).await;
        assert_eq!(answer, is(400, "invalid_path"), "{path}");
    }
}

#[tokio::test]
async fn a_failing_store_is_a_503_that_leaks_nothing() {
    let mut mocks = Mocks::default();
    mocks
        .orgs
        .expect_of_wallet()
        .returning(|_, _, _| Err(StoreError::new("disk I/O error at /var/secret")));
    let answer = send(mocks, empty(authorized("GET", "/api/v1/me/orgs"))).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.code(), "storage_unavailable");
    assert_eq!(answer.header("retry-after"), "1");
    assert!(!String::from_utf8_lossy(&answer.body).contains("secret"));
}

#[tokio::test]
async fn a_panic_is_a_500_that_leaks_nothing() {
    let mut mocks = Mocks::default();
    mocks
        .orgs
        .expect_of_wallet()
        .returning(|_, _, _| panic!("the secret of the house"));
    let request = authorized("GET", "/api/v1/me/orgs").header("origin", SITE);
    let answer = send(mocks, empty(request)).await;
    assert_eq!((answer.status.as_u16(), answer.code()), is(500, "internal"));
    assert!(!String::from_utf8_lossy(&answer.body).contains("house"));
    assert_eq!(answer.header("access-control-allow-origin"), SITE);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_too_long_is_given_up() {
    let mocks = Mocks {
        deadline: Duration::from_secs(1),
        ..Mocks::default()
    };
    let body = Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    let request = authorized("POST", "/api/v1/projects").body(body).unwrap();
    assert_eq!(refusal(mocks, request).await, is(503, "deadline_exceeded"));
}

#[tokio::test]
async fn the_default_key_is_made_by_nothing_but_a_plain_get() {
    let untouched = || {
        let mut mocks = Mocks::default();
        mocks.api_keys.expect_create().never();
        mocks
    };
    let head = send(untouched(), empty(authorized("HEAD", "/api/v1/me/api-key"))).await;
    assert_eq!(head.status, StatusCode::METHOD_NOT_ALLOWED);
    for (name, value) in [
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "prefetch"),
        ("x-moz", "prefetch"),
    ] {
        let request = authorized("GET", "/api/v1/me/api-key").header(name, value);
        assert_eq!(
            refusal(untouched(), empty(request)).await,
            is(400, "prefetch_refused")
        );
    }
}

#[tokio::test]
async fn a_callers_own_request_id_is_kept_when_it_is_plain() {
    for (given, kept) in [
        ("abc-1.2_3", true),
        ("a b", false),
        ("", false),
        (&"x".repeat(65), false),
    ] {
        let request = request("GET", "/health").header("x-request-id", given);
        let answer = send(Mocks::default(), empty(request)).await;
        assert_eq!(answer.header("x-request-id") == given, kept, "{given}");
        assert!(!answer.header("x-request-id").is_empty());
    }
}

#[tokio::test]
async fn configured_pages_may_call_and_others_may_not() {
    let preflight = |origin: &str| {
        empty(
            request("OPTIONS", CHAT)
                .header("origin", origin)
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "authorization,haithe-project"),
        )
    };
    let answer = send(Mocks::default(), preflight(SITE)).await;
    assert_eq!(answer.header("access-control-allow-origin"), SITE);
    assert!(
        answer
            .header("access-control-allow-headers")
            .contains("haithe-project")
    );
    assert!(answer.header("access-control-allow-methods").contains("PATCH"));
    let answer = send(Mocks::default(), preflight("https://evil.example")).await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn a_call_that_cannot_be_paid_is_a_402_and_never_reaches_the_model() {
    let mut mocks = Mocks::default();
    mocks.ledger.expect_available().returning(|_| {
        Err(HoldError::Funds {
            spendable: Usdt::ZERO,
            least: Usdt::whole(1),
        })
    });
    let mut model = MockChatModel::new();
    model.expect_send().never();
    mocks.models.insert("echo".into(), Arc::new(model));
    let answer = send(mocks, with(authorized("POST", CHAT), QUESTION)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        is(402, "insufficient_quota")
    );
    assert_eq!(
        answer.json().pointer("/error/type").unwrap(),
        "insufficient_quota"
    );
}

#[tokio::test]
async fn a_providers_refusal_keeps_its_words_and_the_hold_is_given_back() {
    let mut mocks = Mocks::default();
    mocks
        .ledger
        .expect_available()
        .returning(|request| Ok(request.most));
    mocks.ledger.expect_hold().returning(|request| Ok(request.most));
    mocks.ledger.expect_release().once().returning(|_| ());
    let mut model = MockChatModel::new();
    model.expect_send().returning(|_| {
        Err(UpstreamError::Refused {
            status: 400,
            message: "temperature must be at most 2".into(),
            code: Some("bad_temperature".into()),
            kind: Some("invalid_request_error".into()),
            param: Some("temperature".into()),
        })
    });
    mocks.models.insert("echo".into(), Arc::new(model));
    let answer = send(mocks, with(authorized("POST", CHAT), QUESTION)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        is(400, "bad_temperature")
    );
    let error = answer.json().get("error").unwrap().clone();
    assert_eq!(error["message"], "temperature must be at most 2");
    assert_eq!(error["param"], "temperature");
}

#[tokio::test]
async fn an_answer_names_its_call_and_is_charged_first() {
    let mut mocks = Mocks::default();
    mocks
        .ledger
        .expect_available()
        .returning(|request| Ok(request.most));
    mocks.ledger.expect_hold().returning(|request| Ok(request.most));
    mocks.ledger.expect_release().returning(|_| ());
    mocks.ledger.expect_capture().once().returning(|capture| {
        Ok(haithe_billing::capture::Captured {
            charged: capture.cost(),
            lost: Usdt::ZERO,
            spent_before: Usdt::ZERO,
        })
    });
    let mut model = MockChatModel::new();
    model.expect_send().returning(|_| {
        Ok(UpstreamAnswer::Json(
            r#"{"id":"x","object":"chat.completion","created":1,"model":"echo","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#
                .into(),
        ))
    });
    mocks.models.insert("echo".into(), Arc::new(model));
    let answer = send(mocks, with(authorized("POST", CHAT), QUESTION)).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("x-haithe-call").len(), 36);
    assert_eq!(
        answer.json().pointer("/choices/0/message/content").unwrap(),
        "hello"
    );
}

#[tokio::test]
async fn models_are_listed_as_openai_does() {
    let answer = send(
        Mocks::default(),
        empty(authorized("GET", "/api/v1beta/openai/models")),
    )
    .await;
    assert_eq!(answer.json().pointer("/data/0/id").unwrap(), "echo");
    let one = send(
        Mocks::default(),
        empty(authorized("GET", "/api/v1beta/openai/models/echo")),
    )
    .await;
    assert_eq!(one.json().get("object").unwrap(), "model");
    let none = empty(authorized("GET", "/api/v1beta/openai/models/vendor/none"));
    assert_eq!(refusal(Mocks::default(), none).await, is(404, "model_not_found"));
}
