//! The rules, over mocked ports.

use super::*;
use crate::{completions::Answer, error::CompletionError, ports::UpstreamError};
use bytes::Bytes;
use haithe_kernel::{
    CallId, Clock, Failure, FetchError, Fetched, FixedClock, MockFetcher, ModelId, OrgId, ProjectId, Random,
    StoreError, Tasks, Timestamp, Usdt, WalletAddress,
};
use haithe_orgs::{
    BotTokens, Contexts, OrgSettings, Organization, Project, Standing,
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
        payer: Organization {
            id: OrgId(7),
            uid: "0190a0b0c0d0e0f00102030405060708".parse().unwrap(),
            address: WalletAddress::new([9; 20]),
            orchestrator_index: 1,
            name: "acme".into(),
            owner: WALLET,
            created_at: NOW,
            deleted_at: None,
        },
        project: Project {
            id: ProjectId(8),
            uid: "1190a0b0c0d0e0f00102030405060708".parse().unwrap(),
            org: OrgId(7),
            name: "agent".into(),
            search_enabled: false,
            memory_enabled: false,
            memory_window: 30,
            memory_retention_days: None,
            default_model: ModelId(1),
            price_per_call: Usdt::ZERO,
            public: false,
            skip_unavailable_products: false,
            bots: BotTokens::default(),
            created_at: NOW,
        },
        standing: Standing {
            owner,
            ..Standing::default()
        },
        models: vec![ModelId(1)],
        products: Vec::new(),
        settings: OrgSettings::default(),
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

// Signatures.

/// The example of the Standard Webhooks libraries.
#[test]
fn the_standard_s_own_example_verifies() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let bytes = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let secret = WebhookSecret::new(bytes).unwrap();
    let signed = Signed::read(
        Some("msg_p5jXN8AQM9LWM0D4loKWxJek"),
        Some("1614265330"),
        Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    )
    .unwrap();
    assert!(signed.verifies(&secret, b"{\"test\": 2432232314}"));
    assert!(!signed.verifies(&secret, b"{\"test\": 2432232315}"));
    assert_eq!(
        secret.text().expose_secret(),
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    );
}

#[test]
fn one_good_signature_among_several_is_enough() {
    let [id, time, signature] = sign(&secret(1), "msg_1", NOW, PAYLOAD);
    let [_, _, other] = sign(&secret(2), "msg_1", NOW, PAYLOAD);
    for (header, good) in [
        (format!("{} {}", other.1, signature.1), true),
        (format!("v1a,AAAA {} v1,AAAA", signature.1), true),
        (format!("{} {}", other.1, other.1), false),
        (signature.1.replacen("v1,", "v1,v1,", 1) + " " + &other.1, false),
    ] {
        let signed = Signed::read(Some(&id.1), Some(&time.1), Some(&header)).unwrap();
        assert_eq!(signed.verifies(&secret(1), PAYLOAD), good, "{header}");
    }
}

#[test]
fn headers_that_are_absent_or_malformed_are_refused() {
    let good = sign(&secret(1), "msg_1", NOW, PAYLOAD);
    let [id, time, signature] = &good;
    let long = "i".repeat(257);
    let many = vec![signature.1.as_str(); 17].join(" ");
    for (id, time, signature) in [
        (None, Some(time.1.as_str()), Some(signature.1.as_str())),
        (Some(id.1.as_str()), None, Some(signature.1.as_str())),
        (Some(id.1.as_str()), Some(time.1.as_str()), None),
        (Some(""), Some(&time.1), Some(&signature.1)),
        (Some("msg.1"), Some(&time.1), Some(&signature.1)),
        (Some("msg 1"), Some(&time.1), Some(&signature.1)),
        (Some(&long), Some(&time.1), Some(&signature.1)),
        (Some(&id.1), Some(""), Some(&signature.1)),
        (Some(&id.1), Some("+1700000000"), Some(&signature.1)),
        (Some(&id.1), Some("1700000000.0"), Some(&signature.1)),
        (Some(&id.1), Some("17000000000000"), Some(&signature.1)),
        (Some(&id.1), Some(&time.1), Some("")),
        (Some(&id.1), Some(&time.1), Some("v1")),
        (Some(&id.1), Some(&time.1), Some("v1,!")),
        (Some(&id.1), Some(&time.1), Some("v2,AAAA")),
        (Some(&id.1), Some(&time.1), Some(&many)),
    ] {
        let refused = Signed::read(id, time, signature).unwrap_err();
        assert_eq!(
            refused.code(),
            "webhook_unsigned",
            "{id:?} {time:?} {signature:?}"
        );
    }
}

proptest! {
    #[test]
    fn only_what_was_signed_verifies(
        payload in proptest::collection::vec(any::<u8>(), 0..100),
        other in proptest::collection::vec(any::<u8>(), 0..100),
        bit in 0usize..256,
    ) {
        let by = secret(1);
        let signed = signed(&by, NOW, &payload);
        prop_assert!(signed.verifies(&by, &payload));
        prop_assert_eq!(signed.verifies(&by, &other), payload == other);
        let mut key = by.expose().to_vec();
        key[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!signed.verifies(&WebhookSecret::new(key).unwrap(), &payload));
    }

    #[test]
    fn no_header_makes_it_panic(id in ".{0,40}", time in ".{0,20}", signature in ".{0,80}") {
        let _ = Signed::read(Some(&id), Some(&time), Some(&signature));
    }
}

#[test]
fn an_empty_or_short_secret_is_none_and_none_prints() {
    for bytes in [0, 1, 23, 65] {
        assert!(WebhookSecret::new(vec![1; bytes]).is_err(), "{bytes}");
    }
    assert!(!format!("{:?}", secret(0xab)).contains("171"));
    assert_ne!(secret(1).for_deliveries().expose(), secret(1).expose());
}

#[test]
fn a_delivery_address_is_a_plain_web_address() {
    for good in ["https://a.example/x?y=1", "http://a.example:8080/"] {
        assert!(good.parse::<DeliveryUrl>().is_ok(), "{good}");
    }
    let long = format!("https://a.example/{}", "x".repeat(2_048));
    for bad in [
        "",
        "a.example",
        "ftp://a.example/",
        "file:///etc/passwd",
        "https://user@a.example/",
        "https://user:secret@a.example/",
        "https://a.example/#here",
        "https://a.example/\n",
        " https://a.example/",
        &long,
    ] {
        let refused = bad.parse::<DeliveryUrl>().unwrap_err();
        assert_eq!(refused.code(), "invalid_url", "{bad}");
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
    let Ran::Answered(answer) = triggers.run(accepted, ()).await.unwrap() else {
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
        let ran = triggers.run(accepted, ()).await.map_err(|error| error.code());
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
    let ran = triggers.run(accepted, ()).await.map_err(|error| error.code());
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
        triggers.run(accepted, ()).await,
        Ok(Ran::Answered(answer)) if answer.len() > 1 << 20
    ));
}

// Delivering.

fn delivery(attempts: u32) -> Delivery {
    Delivery {
        event: EventId(4),
        webhook: webhook(Some("https://a.example/hook")),
        secret: secret(1),
        body: Bytes::from_static(PAYLOAD),
        attempts,
    }
}

/// One try; gives how it ended and when it is due again.
async fn tried(attempts: u32, answer: Result<u16, FetchError>) -> (Attempted, Option<Option<Timestamp>>) {
    let mut inbox = MockWebhookInbox::new();
    inbox
        .expect_due()
        .return_once(move |_, _, _| Ok(vec![delivery(attempts)]));
    let told = Arc::new(Mutex::new(None));
    let tell = Arc::clone(&told);
    inbox.expect_undelivered().returning(move |_, due| {
        *tell.lock().unwrap() = Some(due);
        Ok(())
    });
    inbox.expect_delivered().returning(|_| Ok(()));
    let mut fetcher = MockFetcher::new();
    fetcher
        .expect_fetch()
        .withf(|request| {
            let header = |name: &str| {
                let found = request.headers.iter().find(|(found, _)| found == name);
                found.map(|(_, value)| value.as_str())
            };
            let signed = Signed::read(
                header("webhook-id"),
                header("webhook-timestamp"),
                header("webhook-signature"),
            )
            .unwrap();
            signed.verifies(&secret(1).for_deliveries(), &request.body)
                && signed.is_fresh(NOW).is_ok()
                && request.url == "https://a.example/hook"
                && header("content-type") == Some("application/json")
        })
        .return_once(move |_| {
            answer.map(|status| Fetched {
                status,
                headers: Vec::new(),
                body: Vec::new(),
                url: String::new(),
            })
        });
    let clock: Arc<dyn Clock> = Arc::new(FixedClock::at(NOW));
    let deliveries = Deliveries::new(Arc::new(inbox), Arc::new(fetcher), clock, Arc::new(NoChance));
    let ended = deliveries.step().await.unwrap();
    let due = *told.lock().unwrap();
    (ended[0], due)
}

#[tokio::test]
async fn a_delivery_is_signed_and_over_once_it_is_taken() {
    for status in [200, 202, 204] {
        assert_eq!(tried(0, Ok(status)).await, (Attempted::Delivered, None));
    }
}

#[tokio::test]
async fn what_is_not_taken_is_tried_again_with_growing_pauses_and_given_up_in_the_end() {
    let mut pauses = Vec::new();
    for attempts in 0.. {
        let (ended, due) = tried(attempts, Ok(503)).await;
        match due.unwrap() {
            Some(due) => {
                assert_eq!(ended, Attempted::Postponed(due));
                pauses.push(due.since(NOW));
            }
            None => {
                assert_eq!(ended, Attempted::GivenUp);
                break;
            }
        }
    }
    assert_eq!(pauses.first(), Some(&Duration::from_secs(5)));
    assert!(pauses.windows(2).all(|pair| pair[0] < pair[1]), "{pauses:?}");
    let all: Duration = pauses.iter().sum();
    assert!(all > Duration::from_secs(20 * 3_600) && all < Duration::from_secs(48 * 3_600));
}

#[tokio::test]
async fn what_cannot_get_better_is_given_up_at_once_and_the_rest_is_not() {
    let refused = || FetchError::Refused("private".into());
    for (answer, given_up) in [
        (Ok(410), true),
        (Err(refused()), true),
        (Ok(302), false),
        (Ok(404), false),
        (Ok(500), false),
        (Err(FetchError::Late), false),
        (Err(FetchError::Redirect), false),
        (Err(FetchError::TooLarge), false),
        (Err(FetchError::Unreachable("down".into())), false),
    ] {
        let said = format!("{answer:?}");
        let (ended, due) = tried(0, answer).await;
        assert_eq!(ended == Attempted::GivenUp, given_up, "{said}");
        assert_eq!(due.unwrap().is_none(), given_up, "{said}");
    }
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
        let mut run = Box::pin(triggers.run(accepted, Place(Arc::clone(&freed))));
        assert!(futures::poll!(&mut run).is_pending());
        assert_eq!(freed.load(Ordering::SeqCst), 0);
    }
    let Outcome::Keep(Some(_)) = told.await.unwrap() else {
        panic!("the answer is kept");
    };
    tokio::task::yield_now().await;
    assert_eq!(freed.load(Ordering::SeqCst), 1);
}
