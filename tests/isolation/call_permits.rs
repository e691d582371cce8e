//! Concurrency limits count calls, not open connections.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Setup, Tenant, models, question, streamed_question},
    client::{Ask, Client},
    eventually,
    program::free_port,
    signing::{now, signature},
    upstream::Script,
};
use serde_json::{Value, json};

/// Calls of an organization at once.
const LIMIT: usize = 2;

struct Stage {
    app: App,
    tenant: Tenant,
    metrics: String,
}

impl Stage {
    async fn set() -> Self {
        let metrics = format!("127.0.0.1:{}", free_port());
        let setup = Setup::default().set("metrics.address", metrics.clone()).set(
            "limits.concurrent_per_organization",
            i64::try_from(LIMIT).expect("small"),
        );
        let app = App::with(setup).await;
        let tenant = app.funded("Acme", Usdt::whole(5)).await;
        for model in [models::PATIENT, models::VECTORS] {
            tenant.enable(model).await;
        }
        Self { app, tenant, metrics }
    }

    /// The value of a figure without labels.
    async fn figure(&self, name: &str) -> f64 {
        let shown = Client::new(format!("http://{}", self.metrics));
        let text = shown.get("//metrics").send().await.text();
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.unwrap_or_else(|| panic!("no figure {name} in {text}"))
    }

    /// Sends as many calls as may run at once, each over a connection of its own, hangs up once the
    /// provider has them, and waits until the service has noticed.
    async fn hang_up_on(&self, what: &str, ask: impl Fn(&Tenant) -> Ask) {
        let seen = self.app.upstream.count();
        let callers: Vec<_> = (0..LIMIT)
            .map(|_| {
                let ask = ask(&self.tenant);
                tokio::spawn(async move { ask.send().await })
            })
            .collect();
        self.app.upstream.exchange(seen + LIMIT - 1).await;
        let open = self.figure("haithe_open_connections").await;
        for caller in callers {
            caller.abort();
            let _ = caller.await;
        }
        let gone = open - f64::from(u8::try_from(LIMIT).expect("small"));
        eventually(
            &format!("the service sees that callers of {what} left"),
            async || (self.figure("haithe_open_connections").await <= gone).then_some(()),
        )
        .await;
    }

    /// One more call finds no place as long as the provider works, and one after that.
    async fn no_place_until_the_work_ends(&self, what: &str, ask: impl Fn(&Tenant) -> Ask) {
        let seen = self.app.upstream.count();
        self.hang_up_on(what, &ask).await;
        assert_eq!(self.app.upstream.under_way(), LIMIT, "{what}: the work goes on");
        for _ in 0..3 {
            let refused = ask(&self.tenant).send().await;
            assert_eq!(refused.status, 429, "{what}: {}", refused.text());
            assert!(
                refused.text().contains("rate_limited"),
                "{what}: {}",
                refused.text()
            );
        }
        assert_eq!(self.app.upstream.count(), seen + LIMIT, "{what}");
        for exchange in &self.app.upstream.exchanges()[seen..] {
            exchange.resume();
        }
        self.app.upstream.forget_next();
        self.tenant.at_rest().await;
        eventually(&format!("{what}: the places are free again"), async || {
            let idle = self.app.upstream.under_way() == 0;
            (idle && self.figure("haithe_calls_under_way").await == 0.0).then_some(())
        })
        .await;
        let after = self.tenant.caller.chat(&question("per-token")).send().await;
        assert_eq!(after.status, 200, "{what}: {}", after.text());
    }
}

fn chat(body: Value) -> impl Fn(&Tenant) -> Ask {
    move |tenant| tenant.caller.chat(&body)
}

/// Finding 7: callers that hang up free no place before the work of their calls has ended.
#[tokio::test(flavor = "multi_thread")]
async fn hanging_up_frees_no_place_while_the_provider_works() {
    let stage = Stage::set().await;
    let gated = || vec![Script::tokens(10, 5).gated(); LIMIT];
    let vectors = json!({"model": "vectors", "input": "hello"});
    stage.app.upstream.next(gated());
    stage
        .no_place_until_the_work_ends("a document", chat(question("patient")))
        .await;
    stage.app.upstream.next(gated());
    stage
        .no_place_until_the_work_ends("a stream", chat(streamed_question("patient")))
        .await;
    stage.app.upstream.next(gated());
    let embed = |tenant: &Tenant| tenant.caller.post("/v1beta/openai/embeddings").json(&vectors);
    stage.no_place_until_the_work_ends("embeddings", embed).await;
    // A project that remembers answers in a loop of its own.
    stage.tenant.change_project(json!({"memory_enabled": true})).await;
    let begun = stage.tenant.caller.post("/v1beta/chat/conversations");
    let begun = begun.header("content-type", "application/json").data().await;
    let conversation = begun["id"].to_string();
    for (what, body) in [
        ("a loop", question("patient")),
        ("a streamed loop", streamed_question("patient")),
    ] {
        stage.app.upstream.next(gated());
        let ask = |tenant: &Tenant| {
            tenant
                .caller
                .chat(&body)
                .header("haithe-conversation", &conversation)
        };
        stage.no_place_until_the_work_ends(what, ask).await;
    }
    assert_eq!(
        stage.app.upstream.most_under_way(),
        LIMIT,
        "at no time were there more"
    );
}

/// Finding 7: the same for a webhook, whose sender need not wait for the answer. This held before the finding
/// was fixed and must stay so.
#[tokio::test(flavor = "multi_thread")]
async fn senders_of_webhooks_that_hang_up_free_no_place() {
    let stage = Stage::set().await;
    let (default, path) = (
        json!({"default_model_id": models::PER_CALL.0}),
        format!("/v1/projects/{}/webhooks", stage.tenant.project_id),
    );
    stage.tenant.change_project(default).await;
    let made = stage
        .tenant
        .owner
        .client
        .post(&path)
        .json(&json!({"name": "orders"}));
    let made = made.data().await;
    let (id, secret) = (
        made["id"].as_str().expect("text"),
        made["secret"].as_str().expect("text"),
    );
    let sent = std::sync::atomic::AtomicU32::new(0);
    let client = stage.app.anonymous();
    let ask = |_: &Tenant| {
        let number = sent.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (name, time) = (format!("msg_{number}"), now());
        let signed = signature(secret, &name, time, b"hello");
        client
            .post(&format!("/v1beta/webhook/{id}"))
            .header("content-type", "application/json")
            .header("webhook-id", &name)
            .header("webhook-timestamp", &time.to_string())
            .header("webhook-signature", &signed)
            .body("hello")
    };
    stage
        .app
        .upstream
        .next(vec![Script::tokens(10, 5).gated(); LIMIT]);
    stage.no_place_until_the_work_ends("a webhook", ask).await;
    assert_eq!(stage.app.upstream.most_under_way(), LIMIT);
}

/// Finding 7: however many callers come and hang up, the provider never has more calls at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_hangs_up_keeps_the_provider_at_the_limit() {
    let stage = Stage::set().await;
    stage.app.upstream.always(Script::tokens(10, 5).gated());
    for round in 0..40 {
        let body = match round % 2 {
            0 => question("patient"),
            _ => streamed_question("patient"),
        };
        let busy = stage.app.upstream.under_way() == LIMIT;
        let seen = stage.app.upstream.count();
        let ask = stage.tenant.caller.chat(&body);
        let caller = tokio::spawn(async move { ask.send().await });
        if busy {
            assert_eq!(caller.await.expect("an answer").status, 429);
            // One call ends, and makes room for the next one.
            let exchanges = stage.app.upstream.exchanges();
            let oldest = exchanges
                .iter()
                .find(|exchange| exchange.metered().stage == haithe_tests::upstream::Stage::Received);
            oldest.expect("a call under way").resume();
            eventually("a place is free", async || {
                let held = stage.figure("haithe_calls_under_way").await;
                let free = held < f64::from(u8::try_from(LIMIT).expect("small"));
                (free && stage.app.upstream.under_way() < LIMIT).then_some(())
            })
            .await;
            continue;
        }
        stage.app.upstream.exchange(seen).await;
        caller.abort();
        let _ = caller.await;
    }
    assert_eq!(stage.app.upstream.most_under_way(), LIMIT);
    for exchange in stage.app.upstream.exchanges() {
        exchange.resume();
    }
    stage.tenant.at_rest().await;
}
