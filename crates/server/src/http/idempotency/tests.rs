use super::*;
use crate::{
    api::testing::{Answer, Mocks, ORG, PROJECT, context, now, send, state, token},
    http::limits::RequestQuotas,
};
use bytes::Bytes;
use haithe_billing::hold::HoldError;
use haithe_identity::idempotency::Claimed;
use haithe_inference::{
    conversations::{Conversation, ConversationId},
    ports::{MockChatModel, UpstreamAnswer},
};
use haithe_kernel::{StoreError, Usdt};
use haithe_orgs::{Standing, ports::MockDirectory};
use http::request::Builder;
use proptest::prelude::*;
use std::sync::Mutex;

const CHAT: &str = "/api/v1beta/openai/chat/completions";
const TALK: &str = "/api/v1beta/chat/conversations";
const QUESTION: &str = r#"{"model":"echo","messages":[{"role":"user","content":"hi"}]}"#;
const COMPLETION: &str = r#"{"id":"x","object":"chat.completion","created":1,"model":"echo","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;

fn post(path: &str) -> Builder {
    Request::builder()
        .method("POST")
        .uri(path)
        .header("authorization", format!("Bearer {}", token()))
        .header("haithe-organization", ORG)
        .header("haithe-project", PROJECT)
        .header("content-type", "application/json")
}

fn keyed(path: &str, body: &'static str) -> Request {
    post(path)
        .header("idempotency-key", "k")
        .body(Body::from(body))
        .unwrap()
}

/// Mocks whose slot is free, and how its claim ends.
fn claimable() -> (Mocks, Arc<Mutex<Vec<Ending>>>) {
    let endings = Arc::<Mutex<Vec<Ending>>>::default();
    let mut mocks = standing_in(Claimed::Taken);
    let seen = endings.clone();
    mocks.idempotency.expect_settle().returning(move |_, _, ending| {
        seen.lock().unwrap().push(ending);
        Ok(())
    });
    (mocks, endings)
}

fn standing_in(claimed: Claimed) -> Mocks {
    let mut mocks = Mocks::default();
    mocks
        .idempotency
        .expect_claim()
        .times(1)
        .returning(move |_| Ok(claimed.clone()));
    mocks
}

/// One ending of a claim, as soon as there is one.
async fn ended(endings: &Mutex<Vec<Ending>>) -> Ending {
    loop {
        if let Some(ending) = endings.lock().unwrap().pop() {
            return ending;
        }
        tokio::task::yield_now().await;
    }
}

fn answered(ending: Ending) -> Vec<u8> {
    match ending {
        Ending::Answered(answer) => answer.to_vec(),
        other => panic!("{other:?}"),
    }
}

async fn replayed(answer: Vec<u8>, path: &str) -> Answer {
    send(standing_in(Claimed::Answered(answer)), keyed(path, QUESTION)).await
}

fn paying(mocks: &mut Mocks) {
    mocks
        .ledger
        .expect_available()
        .returning(|request| Ok(request.most));
    mocks.ledger.expect_hold().returning(|request| Ok(request.most));
    mocks.ledger.expect_release().returning(|_| ());
    mocks.ledger.expect_capture().returning(|capture| {
        Ok(haithe_billing::capture::Captured {
            charged: capture.cost(),
            lost: Usdt::ZERO,
            spent_before: Usdt::ZERO,
        })
    });
}

fn answering(mocks: &mut Mocks, answer: impl Fn() -> UpstreamAnswer + Send + Sync + 'static) {
    let mut model = MockChatModel::new();
    model.expect_send().returning(move |_| Ok(answer()));
    mocks.models.insert("echo".into(), Arc::new(model));
}

#[test]
fn posts_that_create_or_spend_take_a_key_and_nothing_else_does() {
    for (method, route, takes) in [
        ("POST", CHAT, true),
        ("post", "/api/v1beta/openai/embeddings", true),
        ("POST", "/api/v1beta/chat/conversations/{id}/messages", true),
        ("POST", "/api/v1/projects", true),
        ("POST", "/api/v1/me/api-keys/{id}/rotate", true),
        ("POST", "/api/v1/auth/login", false),
        ("POST", "/api/v1/auth/logout", false),
        ("POST", "/api/v1/me/api-key/disable", false),
        ("POST", "/api/v1beta/webhook/{id}", false),
        ("GET", "/api/v1/projects", false),
        ("PATCH", "/api/v1/projects/{id}", false),
        ("POST", "/health", false),
    ] {
        assert_eq!(takes_key(method, route), takes, "{method} {route}");
    }
}

#[test]
fn a_path_says_what_it_is_about() {
    for (path, about) in [
        ("/api/v1/orgs/7/members", Some(About::Org(7))),
        ("/api/v1/projects/8", Some(About::Project(8))),
        ("/api/v1/orgs", None),
        ("/api/v1/orgs/x/members", None),
        (CHAT, None),
    ] {
        assert_eq!(About::of_path(path), about, "{path}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_reading_a_kept_answer_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = Kept::decode(bytes);
    }

    #[test]
    fn an_answer_is_kept_as_it_is(status in 200u16..500, value in "[ -~]{0,40}", body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response.headers_mut().insert("x-some", HeaderValue::from_str(&value).unwrap());
        response.headers_mut().append("x-some", HeaderValue::from_static("twice"));
        response.extensions_mut().insert(About::Org(7));
        let kept = Kept::decode(Head::of(&response).with(&body)).unwrap();
        prop_assert_eq!(kept.about(), Some(About::Org(7)));
        let again = kept.into_response();
        prop_assert_eq!(again.status(), response.status());
        prop_assert_eq!(again.headers().get_all("x-some").iter().collect::<Vec<_>>(), vec![value.as_str(), "twice"]);
        let bytes = futures::executor::block_on(again.into_body().collect()).unwrap().to_bytes();
        prop_assert_eq!(bytes, Bytes::from(body));
    }
}

#[tokio::test]
async fn without_the_header_or_where_none_is_taken_nothing_is_looked_up() {
    // A store that nothing is expected of panics when it is asked.
    let plain = post(CHAT).body(Body::from("{")).unwrap();
    assert_eq!(send(Mocks::default(), plain).await.status, 400);
    for (method, path, status) in [
        ("GET", "/api/v1beta/openai/models", 200),
        ("POST", "/api/v1/auth/login", 400),
        ("POST", "/api/v1/nothing", 404),
    ] {
        let request = post(path)
            .method(method)
            .header("idempotency-key", HeaderValue::from_bytes(b"\xe9").unwrap());
        let answer = send(Mocks::default(), request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, status, "{method} {path}");
    }
}

#[tokio::test]
async fn who_asks_comes_before_the_key() {
    let stranger = || {
        Request::builder()
            .method("POST")
            .uri(CHAT)
            .header("idempotency-key", "")
            .body(Body::empty())
            .unwrap()
    };
    let answer = send(Mocks::default(), stranger()).await;
    assert_eq!(
        (answer.status.as_u16(), &*answer.code()),
        (401, "authentication_required")
    );
    let mut directory = MockDirectory::new();
    directory.expect_version().returning(|| 1);
    directory.expect_context().returning(|_, _, _| {
        let mut context = context();
        context.standing = Standing::default();
        Ok(Some(context))
    });
    let removed = Mocks {
        directory,
        ..Mocks::default()
    };
    let answer = send(removed, keyed(CHAT, QUESTION)).await;
    assert!(matches!(answer.status.as_u16(), 403 | 404), "{}", answer.status);
}

#[tokio::test]
async fn a_request_with_a_key_counts_once_against_the_rates() {
    let (mut mocks, _) = claimable();
    mocks.quotas = RequestQuotas {
        project: 5,
        ..RequestQuotas::default()
    };
    paying(&mut mocks);
    answering(&mut mocks, || UpstreamAnswer::Json(COMPLETION.into()));
    let answer = send(mocks, keyed(CHAT, QUESTION)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), "4");
}

#[tokio::test]
async fn a_key_that_cannot_be_read_is_refused() {
    let long = "k".repeat(256);
    for values in [
        vec![""],
        vec!["a", "a"],
        vec![long.as_str()],
        vec!["k\u{e9}"],
        vec!["a\tb"],
    ] {
        let mut request = post(CHAT);
        for value in &values {
            request = request.header(
                "idempotency-key",
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        let answer = send(Mocks::default(), request.body(Body::from(QUESTION)).unwrap()).await;
        let refused = (answer.status.as_u16(), answer.code());
        assert_eq!(refused, (400, "invalid_idempotency_key".to_owned()), "{values:?}");
    }
}

#[tokio::test]
async fn what_stands_in_a_slot_is_said_in_the_dialect_of_the_path() {
    let work = uuid::Uuid::from_u128(7);
    for (claimed, status, code, retry_after, should_retry) in [
        (Claimed::Reused, 422, "idempotency_key_reused", "", ""),
        (Claimed::InFlight, 409, "idempotency_in_flight", "1", ""),
        (
            Claimed::TooLarge,
            409,
            "idempotency_answer_too_large",
            "",
            "false",
        ),
        (
            Claimed::Lost { work },
            409,
            "idempotency_answer_lost",
            "",
            "false",
        ),
    ] {
        for path in [CHAT, TALK] {
            let answer = send(standing_in(claimed.clone()), keyed(path, QUESTION)).await;
            assert_eq!(
                (answer.status.as_u16(), &*answer.code()),
                (status, code),
                "{path}"
            );
            assert_eq!(answer.header("retry-after"), retry_after, "{code}");
            assert_eq!(answer.header("x-should-retry"), should_retry, "{code}");
        }
    }
}

#[tokio::test]
async fn a_store_that_fails_is_a_503_and_nothing_is_carried_out() {
    let mut mocks = Mocks::default();
    mocks
        .idempotency
        .expect_claim()
        .returning(|_| Err(StoreError::new("disk I/O error")));
    let answer = send(mocks, keyed(CHAT, QUESTION)).await;
    assert_eq!(
        (answer.status.as_u16(), &*answer.code()),
        (503, "storage_unavailable")
    );
}

#[tokio::test]
async fn a_document_comes_back_byte_for_byte() {
    let (mut mocks, endings) = claimable();
    paying(&mut mocks);
    answering(&mut mocks, || UpstreamAnswer::Json(COMPLETION.into()));
    let first = send(mocks, keyed(CHAT, QUESTION)).await;
    assert_eq!(first.status, 200);
    assert_eq!(first.header("idempotency-replayed"), "");
    let again = replayed(answered(ended(&endings).await), CHAT).await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(again.header("idempotency-replayed"), "true");
    for name in ["content-type", "x-haithe-call", "x-haithe-cost"] {
        assert!(!first.header(name).is_empty(), "{name}");
        assert_eq!(again.header(name), first.header(name), "{name}");
    }
}

#[tokio::test]
async fn the_call_has_the_id_that_the_claim_knows() {
    let mut mocks = Mocks::default();
    let work = Arc::new(Mutex::new(None));
    let claimed = work.clone();
    mocks.idempotency.expect_claim().returning(move |claim| {
        *claimed.lock().unwrap() = Some(claim.work);
        Ok(Claimed::Taken)
    });
    mocks.idempotency.expect_settle().returning(|_, _, _| Ok(()));
    paying(&mut mocks);
    answering(&mut mocks, || UpstreamAnswer::Json(COMPLETION.into()));
    let answer = send(mocks, keyed(CHAT, QUESTION)).await;
    let work = work.lock().unwrap().unwrap();
    assert_eq!(answer.header("x-haithe-call"), work.to_string());
}

#[tokio::test]
async fn a_stream_comes_back_byte_for_byte() {
    let (mut mocks, endings) = claimable();
    paying(&mut mocks);
    answering(&mut mocks, || {
        let events = [
            "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n",
            "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
            "data: [DONE]\n\n",
        ];
        UpstreamAnswer::Stream(futures::stream::iter(events.map(|event| Ok(event.into()))).boxed())
    });
    let asked = r#"{"model":"echo","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let first = send(mocks, keyed(CHAT, asked)).await;
    assert_eq!(first.status, 200);
    assert!(first.body.ends_with(b"data: [DONE]\n\n"));
    let again = replayed(answered(ended(&endings).await), CHAT).await;
    assert_eq!(again.body, first.body);
    assert_eq!(again.header("content-type"), "text/event-stream; charset=utf-8");
    assert_eq!(again.header("x-haithe-call"), first.header("x-haithe-call"));
}

#[tokio::test]
async fn what_is_wrong_with_the_request_is_kept_and_written_for_the_request_that_is_answered() {
    for (path, body) in [(CHAT, "{"), (TALK, "{\"title\":\"\"}")] {
        let (mocks, endings) = claimable();
        let first = send(mocks, keyed(path, body)).await;
        assert_eq!(first.status, 400);
        let again = replayed(answered(ended(&endings).await), path).await;
        assert_eq!((again.status, again.code()), (first.status, first.code()));
        assert_eq!(again.header("idempotency-replayed"), "true");
        if path == CHAT {
            assert_eq!(again.body, first.body);
        } else {
            assert_eq!(again.json()["message"], first.json()["message"]);
            assert_eq!(again.json()["request_id"], again.header("x-request-id"));
        }
    }
}

#[tokio::test]
async fn what_failed_or_depends_on_something_else_frees_the_key() {
    let (mut mocks, endings) = claimable();
    mocks.ledger.expect_available().returning(|_| {
        Err(HoldError::Funds {
            spendable: Usdt::ZERO,
            least: Usdt::whole(1),
        })
    });
    answering(&mut mocks, || UpstreamAnswer::Json(COMPLETION.into()));
    assert_eq!(send(mocks, keyed(CHAT, QUESTION)).await.status, 402);
    assert_eq!(ended(&endings).await, Ending::Released);

    let (mut mocks, endings) = claimable();
    mocks
        .conversations
        .expect_create()
        .returning(|_, _| Err(StoreError::new("disk I/O error").into()));
    assert_eq!(send(mocks, keyed(TALK, "")).await.status, 503);
    assert_eq!(ended(&endings).await, Ending::Released);

    let (mut mocks, endings) = claimable();
    mocks
        .conversations
        .expect_create()
        .returning(|_, _| panic!("the secret of the house"));
    let answer = send(mocks, keyed(TALK, "")).await;
    assert_eq!((answer.status.as_u16(), &*answer.code()), (500, "internal"));
    assert_eq!(ended(&endings).await, Ending::Released);
}

#[tokio::test]
async fn a_caller_who_leaves_finds_the_answer_when_it_comes_back() {
    let (mut mocks, endings) = claimable();
    mocks.conversations.expect_create().times(1).returning(|new, _| {
        Ok(Conversation {
            id: ConversationId(7),
            title: new.title,
            created_at: now(),
            updated_at: now(),
        })
    });
    let state = state(mocks);
    let service =
        crate::api::router::service(state, std::time::Duration::from_secs(5), std::iter::empty(), None);
    let mut asking = Box::pin(service.oneshot(keyed(TALK, "{\"title\":\"Plans\"}")));
    // The work has begun, and gets no turn before nobody waits for it any more.
    for _ in 0..10 {
        assert!(futures::poll!(&mut asking).is_pending());
    }
    drop(asking);
    let again = replayed(answered(ended(&endings).await), TALK).await;
    assert_eq!(again.status, 200);
    assert_eq!(again.json().pointer("/data/title").unwrap(), "Plans");
}

#[tokio::test]
async fn a_replay_takes_the_right_to_read_what_it_is_about() {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(About::Project(7));
    let answer = Head::of(&response).with(b"{}");
    for (path, said) in [("/api/v1/projects", true), ("/api/v1/orgs/1/members", false)] {
        let mut mocks = standing_in(Claimed::Answered(if said {
            answer.clone()
        } else {
            Head::of(&Response::new(Body::empty())).with(b"{}")
        }));
        mocks
            .projects
            .expect_find()
            .returning(|_| Ok(Some(context().project)));
        mocks.orgs.expect_find().returning(|_| Ok(Some(context().payer)));
        mocks
            .standings
            .expect_standing()
            .returning(|_, _, _| Ok(Standing::default()));
        let refused = send(mocks, keyed(path, "{}")).await;
        assert_eq!(
            (refused.status.as_u16(), &*refused.code()),
            (404, "not_found"),
            "{path}"
        );
        assert_eq!(refused.header("idempotency-replayed"), "");
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_given_and_not_kept() {
    let (mut mocks, endings) = claimable();
    paying(&mut mocks);
    let long = COMPLETION.replace("hello", &"h".repeat(LARGEST));
    answering(&mut mocks, move || UpstreamAnswer::Json(long.clone().into()));
    let answer = send(mocks, keyed(CHAT, QUESTION)).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.len() > LARGEST);
    assert_eq!(ended(&endings).await, Ending::TooLarge);
}
