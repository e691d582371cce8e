//! The rules, over mocked ports.

mod deliveries;
mod signatures;

use super::*;
use crate::{
    completions::{Answer, CallPermit, tests::stage},
    error::CompletionError,
    ports::UpstreamError,
};
use bytes::Bytes;
use haithe_kernel::{
    CallId, Clock, Failure, FetchError, Fetched, FixedClock, MockFetcher, OrgId, ProjectId, Random,
    StoreError, Tasks, Timestamp, Usdt, WalletAddress,
};
use haithe_orgs::{
    Contexts, Standing,
    ports::{CallContext, MockDirectory},
};
use proptest::prelude::*;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use signature::{Signed, sign};
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use uuid::Uuid;

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
const WALLET: WalletAddress = WalletAddress::new([1; 20]);
const ID: WebhookId = WebhookId(Uuid::from_u128(7));
const PAYLOAD: &[u8] = b"{\"order\": 12}";

fn secret(byte: u8) -> WebhookSecret {
    WebhookSecret::new(vec![byte; 32]).unwrap()
}

fn webhook(delivery_url: Option<&str>) -> Webhook {
    let context = context(true);
    Webhook {
        id: ID,
        project: context.project.id,
        project_uid: context.project.uid,
        org: context.payer.id,
        org_uid: context.payer.uid,
        name: "orders".parse().unwrap(),
        wallet: WALLET,
        delivery_url: delivery_url.map(|url| url.parse().unwrap()),
        enabled: true,
        created_at: NOW,
        rotated_at: NOW,
    }
}

fn context(owner: bool) -> CallContext {
    CallContext {
        standing: Standing {
            owner,
            ..Standing::default()
        },
        ..stage::context()
    }
}

struct TokioTasks;

impl Tasks for TokioTasks {
    fn spawn(&self, _: &'static str, work: Pin<Box<dyn Future<Output = ()> + Send>>) {
        tokio::spawn(work);
    }
}

struct NoChance;

impl Random for NoChance {
    fn bytes16(&self) -> [u8; 16] {
        [0; 16]
    }
    fn bytes32(&self) -> [u8; 32] {
        [5; 32]
    }
}

/// Verifies messages of one webhook.
struct Stage {
    webhook: Webhook,
    owner: bool,
    inbox: MockWebhookInbox,
    agent: MockAgent,
    clock: Arc<FixedClock>,
}

impl Stage {
    fn of(webhook: Webhook) -> Self {
        Self {
            webhook,
            owner: true,
            inbox: MockWebhookInbox::new(),
            agent: MockAgent::new(),
            clock: Arc::new(FixedClock::at(NOW)),
        }
    }

    fn triggers(self) -> Triggers {
        let mut store = MockWebhookStore::new();
        let webhook = self.webhook;
        store
            .expect_with_secret()
            .returning(move |id| Ok((id == webhook.id).then(|| (webhook.clone(), secret(1)))));
        let mut directory = MockDirectory::new();
        directory.expect_version().returning(|| 1);
        let owner = self.owner;
        directory
            .expect_context()
            .returning(move |_, _, _| Ok(Some(context(owner))));
        Triggers::new(
            Arc::new(store),
            Arc::new(self.inbox),
            Arc::new(Contexts::new(Arc::new(directory))),
            Arc::new(self.agent),
            Arc::new(TokioTasks),
            self.clock,
            secret(9),
        )
    }
}

fn signed(by: &WebhookSecret, at: Timestamp, payload: &[u8]) -> Signed {
    read(&sign(by, "msg_1", at, payload))
}

fn read(headers: &[(String, String); 3]) -> Signed {
    let [id, time, signature] = headers;
    Signed::read(Some(&id.1), Some(&time.1), Some(&signature.1)).unwrap()
}

async fn verified(triggers: &Triggers) -> Accepted {
    let signed = signed(&secret(1), NOW, PAYLOAD);
    triggers
        .verify(ID, signed, Bytes::from_static(PAYLOAD), None)
        .await
        .unwrap()
}

async fn refusal(stage: Stage, id: WebhookId, signed: Signed, payload: &'static [u8]) -> &'static str {
    let verified = stage
        .triggers()
        .verify(id, signed, Bytes::from_static(payload), None)
        .await;
    verified.map_or_else(|error| error.code(), |_| "ok")
}

fn completion(said: &str) -> Answer {
    let body = json!({"id": "x", "choices": [{"message": {"role": "assistant", "content": said}}]});
    Answer::Json {
        call: CallId(Uuid::from_u128(3)),
        body: Bytes::from(body.to_string()),
        cost: Usdt::from_nano(5),
    }
}

// Verifying.

#[tokio::test]
async fn a_good_message_is_accepted_on_the_account_of_the_project_s_organization() {
    let accepted = verified(&Stage::of(webhook(None)).triggers()).await;
    assert_eq!(accepted.context.payer.id, OrgId(7));
    assert_eq!(accepted.context.project.id, ProjectId(8));
}

#[tokio::test]
async fn who_cannot_sign_learns_nothing() {
    let stage = || Stage::of(webhook(None));
    let unknown = WebhookId(Uuid::from_u128(8));
    let good = || signed(&secret(1), NOW, PAYLOAD);
    assert_eq!(
        refusal(stage(), unknown, good(), PAYLOAD).await,
        "webhook_refused"
    );
    let forged = signed(&secret(2), NOW, PAYLOAD);
    assert_eq!(refusal(stage(), ID, forged, PAYLOAD).await, "webhook_refused");
    assert_eq!(
        refusal(stage(), ID, good(), b"{\"order\": 13}").await,
        "webhook_refused"
    );
    // The delivery's secret is good for deliveries alone.
    let reflected = signed(&secret(1).for_deliveries(), NOW, PAYLOAD);
    assert_eq!(refusal(stage(), ID, reflected, PAYLOAD).await, "webhook_refused");
    // Whoever signs with the secret that stands in for unknown webhooks, which nobody can, is nobody.
    let nobody = signed(&secret(9), NOW, PAYLOAD);
    assert_eq!(
        refusal(stage(), unknown, nobody, PAYLOAD).await,
        "webhook_refused"
    );
}

#[tokio::test]
async fn a_message_is_good_for_five_minutes_in_both_directions() {
    for (seconds, expected) in [
        (1_700_000_000 - 300, "ok"),
        (1_700_000_000 + 300, "ok"),
        (1_700_000_000 - 301, "webhook_stale"),
        (1_700_000_000 + 301, "webhook_stale"),
        (0, "webhook_stale"),
    ] {
        let signed = signed(&secret(1), Timestamp::from_seconds(seconds), PAYLOAD);
        let stage = Stage::of(webhook(None));
        assert_eq!(refusal(stage, ID, signed, PAYLOAD).await, expected, "{seconds}");
    }
}

#[tokio::test]
async fn what_is_signed_must_also_be_allowed() {
    let mut off = Stage::of(webhook(None));
    off.webhook.enabled = false;
    let good = || signed(&secret(1), NOW, PAYLOAD);
    assert_eq!(refusal(off, ID, good(), PAYLOAD).await, "webhook_disabled");
    let mut removed = Stage::of(webhook(None));
    removed.owner = false;
    assert_eq!(refusal(removed, ID, good(), PAYLOAD).await, "not_found");
    for payload in [b"".as_slice(), b" \n", b"\xff\xfe"] {
        let signed = signed(&secret(1), NOW, payload);
        let stage = Stage::of(webhook(None));
        assert_eq!(refusal(stage, ID, signed, payload).await, "invalid_payload");
    }
}

// Running.

#[tokio::test]
async fn the_payload_is_the_user_s_message_and_the_answer_comes_inline() {
    let mut stage = Stage::of(webhook(None));
    stage
        .inbox
        .expect_receive()
        .withf(|event| event.key == EventKey::of("msg_1") && event.otherwise.is_none())
        .return_once(|_| Ok(Received::New(EventId(4))));
    stage
        .agent
        .expect_ask()
        .withf(|caller, body| {
            let asked: Value = serde_json::from_slice(body).unwrap();
            let payload = std::str::from_utf8(PAYLOAD).unwrap();
            asked == json!({"messages": [{"role": "user", "content": payload}]})
                && caller.wallet == WALLET
                && caller.api_key.is_none()
        })
        .return_once(|_, _| Ok(completion("hello")));
    let kept = Arc::new(Mutex::new(None));
    let keeps = Arc::clone(&kept);
    stage.inbox.expect_close().return_once(move |event, outcome, _| {
        *keeps.lock().unwrap() = Some((event, outcome));
        Ok(())
    });
    let triggers = stage.triggers();
    let accepted = verified(&triggers).await;
    let Ran::Answered(answer) = triggers.run(accepted, CallPermit::default()).await.unwrap() else {
        panic!("an answer");
    };
    let said: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(
        (&said["answer"], &said["event_id"]),
        (&json!("hello"), &json!("msg_1"))
    );
    assert_eq!(said["completion"]["id"], "x");
    let expected = (EventId(4), Outcome::Keep(Some(answer)));
    assert_eq!(kept.lock().unwrap().take(), Some(expected));
}

#[tokio::test]
async fn what_was_received_before_is_not_asked_again() {
    let answer = Bytes::from_static(b"{}");
    for (received, delivery, expected) in [
        (Received::InFlight, None, Err("webhook_in_flight")),
        (
            Received::Answered(Some(answer.clone())),
            None,
            Ok(Ran::Answered(answer)),
        ),
        (Received::Answered(None), None, Err("webhook_answered")),
        (Received::Lost, None, Err("webhook_answer_lost")),
        (Received::InFlight, Some("https://a.example/"), Ok(Ran::Queued)),
        (Received::Delivering, Some("https://a.example/"), Ok(Ran::Queued)),
    ] {
        let mut stage = Stage::of(webhook(delivery));
        stage.agent.expect_ask().never();
        let seen = received.clone();
        stage.inbox.expect_receive().return_once(|_| Ok(received));
        let triggers = stage.triggers();
        let accepted = verified(&triggers).await;
        let ran = triggers
            .run(accepted, CallPermit::default())
            .await
            .map_err(|error| error.code());
        assert_eq!(ran, expected, "{seen:?}");
    }
}

/// Runs a message whose question fails; gives what the inbox was told.
async fn outcome_of(delivery: Option<&str>, error: CompletionError) -> (Result<Ran, &'static str>, Outcome) {
    let mut stage = Stage::of(webhook(delivery));
    stage
        .inbox
        .expect_receive()
        .return_once(|_| Ok(Received::New(EventId(4))));
    stage.agent.expect_ask().return_once(|_, _| Err(error));
    let (tell, told) = futures::channel::oneshot::channel();
    stage.inbox.expect_close().return_once(move |_, outcome, _| {
        tell.send(outcome).unwrap();
        Ok(())
    });
    let triggers = stage.triggers();
    let accepted = verified(&triggers).await;
    let ran = triggers
        .run(accepted, CallPermit::default())
        .await
        .map_err(|error| error.code());
    (ran, told.await.unwrap())
}

#[tokio::test]
async fn a_failure_that_cost_nothing_frees_the_message_and_another_does_not() {
    let free = CompletionError::Upstream(UpstreamError::Credentials);
    let (ran, outcome) = outcome_of(None, free).await;
    assert!(ran.is_err());
    assert_eq!(outcome, Outcome::Forget);
    for unsure in [
        CompletionError::Capture(StoreError::new("broken")),
        CompletionError::Interrupted,
    ] {
        assert_eq!(outcome_of(None, unsure).await.1, Outcome::Lost);
    }
}

#[tokio::test]
async fn a_failure_is_delivered_where_answers_are() {
    let error = CompletionError::Upstream(UpstreamError::Credentials);
    let (ran, outcome) = outcome_of(Some("https://a.example/"), error).await;
    assert_eq!(ran, Ok(Ran::Queued));
    let Outcome::Deliver(body) = outcome else {
        panic!("{outcome:?}");
    };
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["type"], "webhook.failed");
    assert_eq!(body["data"]["event_id"], "msg_1");
    assert!(body["data"]["error"]["code"].is_string());
}

#[tokio::test]
async fn an_answer_too_large_to_keep_is_given_once() {
    let mut stage = Stage::of(webhook(None));
    stage
        .inbox
        .expect_receive()
        .return_once(|_| Ok(Received::New(EventId(4))));
    stage
        .agent
        .expect_ask()
        .return_once(|_, _| Ok(completion(&"x".repeat(1 << 20))));
    stage
        .inbox
        .expect_close()
        .withf(|_, outcome, _| *outcome == Outcome::Keep(None))
        .return_once(|_, _, _| Ok(()));
    let triggers = stage.triggers();
    let accepted = verified(&triggers).await;
    assert!(matches!(
        triggers.run(accepted, CallPermit::default()).await,
        Ok(Ran::Answered(answer)) if answer.len() > 1 << 20
    ));
}

#[tokio::test]
async fn the_place_is_held_until_the_agent_has_answered_even_when_the_caller_leaves() {
    struct Place(Arc<AtomicU32>);
    impl Drop for Place {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let mut stage = Stage::of(webhook(None));
    stage
        .inbox
        .expect_receive()
        .return_once(|_| Ok(Received::New(EventId(4))));
    stage
        .agent
        .expect_ask()
        .return_once(|_, _| Ok(completion("hello")));
    let (tell, told) = futures::channel::oneshot::channel();
    stage.inbox.expect_close().return_once(move |_, outcome, _| {
        tell.send(outcome).unwrap();
        Ok(())
    });
    let triggers = stage.triggers();
    let accepted = verified(&triggers).await;
    let freed = Arc::new(AtomicU32::new(0));
    {
        let mut run = Box::pin(triggers.run(accepted, CallPermit::new(Place(Arc::clone(&freed)))));
        assert!(futures::poll!(&mut run).is_pending());
        assert_eq!(freed.load(Ordering::SeqCst), 0);
    }
    let Outcome::Keep(Some(_)) = told.await.unwrap() else {
        panic!("the answer is kept");
    };
    tokio::task::yield_now().await;
    assert_eq!(freed.load(Ordering::SeqCst), 1);
}
