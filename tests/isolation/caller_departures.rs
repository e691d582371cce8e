//! A caller that leaves before the first token pays for the input that the provider read.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Setup, Tenant, models, question, usdt},
    eventually,
    tokens::o200k_tokens,
    upstream::{Ending, Exchange, Metered, Script, Stage, UsageReport},
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::{sync::Semaphore, task::JoinHandle};

const SEED: u64 = 20_261_130;
const DEPARTURES: u64 = 1_000;
/// Departures at a time.
const AT_ONCE: usize = 24;

/// When a caller leaves, and what becomes of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Departure {
    /// Before the head, which then comes.
    BeforeHead,
    /// Before the head; the provider then refuses, fails, limits, or breaks the connection.
    Refused(u16),
    Broken,
    /// Between the head and the first token.
    AfterHead,
    /// After so many tokens.
    AfterTokens(u64),
    /// Before the head of the fallback, after the model's own provider had failed.
    FailedOver,
    /// Before the head of the fallback, which fails, too.
    FailedOverAndRefused,
}

fn departures() -> Vec<Departure> {
    let mut random = StdRng::seed_from_u64(SEED);
    let kinds = [
        Departure::BeforeHead,
        Departure::BeforeHead,
        Departure::Refused(400),
        Departure::Refused(429),
        Departure::Refused(503),
        Departure::Broken,
        Departure::AfterHead,
        Departure::AfterHead,
        Departure::AfterTokens(0),
        Departure::FailedOver,
        Departure::FailedOverAndRefused,
    ];
    let kinds = (0..DEPARTURES).map(|_| match kinds.choose(&mut random) {
        Some(Departure::AfterTokens(_)) => Departure::AfterTokens(random.random_range(1..30)),
        Some(kind) => *kind,
        None => unreachable!(),
    });
    kinds.collect()
}

/// What the provider itself counts of a request: its messages' texts.
fn tokens_of(request: &Value) -> u64 {
    let messages = request["messages"].as_array().expect("a list").iter();
    let texts = messages.flat_map(|message| [&message["role"], &message["content"]]);
    let texts: String = texts
        .map(|text| format!("{}\n", text.as_str().expect("text")))
        .collect();
    o200k_tokens(&texts)
}

fn scripted(departures: &[Departure], request: &Value) -> Script {
    let number = request["x_case"].as_u64().expect("a number");
    let departure = departures[usize::try_from(number).expect("a small number")];
    let input = tokens_of(request);
    let failure = |status| Script::status(status, r#"{"error":{"message":"no","code":"odd"}}"#);
    let accepted = |generated| {
        Script::tokens(input, 60)
            .usage(UsageReport::OnEveryEvent)
            .ending(Ending::PauseAfter(generated))
    };
    match departure {
        Departure::FailedOver | Departure::FailedOverAndRefused if request["model"] == "enduring" => {
            failure(500)
        }
        Departure::BeforeHead | Departure::FailedOver => accepted(0).gated(),
        Departure::Refused(status) => failure(status).gated(),
        Departure::FailedOverAndRefused => failure(502).gated(),
        Departure::Broken => Script::reset().gated(),
        Departure::AfterHead => accepted(0),
        Departure::AfterTokens(generated) => accepted(generated),
    }
}

/// A request that tells itself apart from all others, by its length, too.
fn body_of(number: u64, model: &str) -> Value {
    let words = "word ".repeat(usize::try_from(number % 97).expect("a small number"));
    json!({"x_case": number, "model": model, "stream": true,
        "messages": [{"role": "user", "content": format!("case {number}: {words}")}]})
}

/// Sends request `number`; gives its exchange with the provider of the patient model, which is the
/// enduring one's fallback, and the caller, who waits.
async fn asked(app: &App, tenant: &Tenant, number: u64, model: &str) -> (Arc<Exchange>, JoinHandle<()>) {
    let caller = tenant.caller.clone();
    let body = body_of(number, model);
    let waiting = tokio::spawn(async move {
        let mut stream = caller.chat(&body).stream().await;
        while let Ok(Some(_)) = stream.next().await {}
    });
    let case = format!("\"case {number}: ");
    let exchange = app.upstream.exchange_where(&case, |exchange| {
        let text = std::str::from_utf8(&exchange.body).expect("UTF-8");
        text.contains(&case) && text.contains("\"patient\"")
    });
    (exchange.await, waiting)
}

async fn hang_up(waiting: JoinHandle<()>) {
    waiting.abort();
    let _ = waiting.await;
}

async fn depart(app: &App, tenant: &Tenant, number: u64, departure: Departure) {
    let failed_over = matches!(departure, Departure::FailedOver | Departure::FailedOverAndRefused);
    let model = if failed_over { "enduring" } else { "patient" };
    if let Departure::AfterTokens(generated) = departure {
        let mut stream = tenant.caller.chat(&body_of(number, model)).stream().await;
        for _ in 0..generated {
            stream.next_json().await;
        }
        return;
    }
    let (exchange, waiting) = asked(app, tenant, number, model).await;
    if departure == Departure::AfterHead {
        let begun = |metered: &Metered| metered.stage == Stage::Answering;
        exchange.until("the head is sent", begun).await;
        hang_up(waiting).await;
        return;
    }
    hang_up(waiting).await;
    exchange.resume();
}

/// Nano-USDT of what the provider metered.
fn price(metered: Metered) -> i64 {
    i64::try_from(metered.input * 1_000 + metered.output * 3_000).expect("a small number")
}

async fn tenant_of(app: &App) -> Tenant {
    let tenant = app.funded("Acme", Usdt::whole(50)).await;
    tenant.enable(models::PATIENT).await;
    tenant.enable(models::ENDURING).await;
    tenant
}

/// Finding 5: over 1,000 random departures the ledger says exactly what the provider counted.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_random_departures_cost_exactly_what_the_provider_counted() {
    let app = Arc::new(App::start().await);
    let tenant = tenant_of(&app).await;
    let departures: Arc<[Departure]> = departures().into();
    let known = Arc::clone(&departures);
    app.upstream
        .decide(move |exchange| scripted(&known, &exchange.json()));
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut leaving = Vec::new();
    for (number, departure) in (0u64..).zip(departures.iter().copied()) {
        let place = Arc::clone(&places).acquire_owned().await.expect("never closed");
        let (app, tenant) = (Arc::clone(&app), tenant.clone());
        leaving.push(tokio::spawn(async move {
            depart(&app, &tenant, number, departure).await;
            drop(place);
        }));
    }
    for left in leaving {
        left.await.expect("a caller that leaves as planned");
    }
    let ended = |exchange: &Exchange| !matches!(exchange.metered().stage, Stage::Received | Stage::Answering);
    eventually("the provider is left with nothing to do", async || {
        app.upstream
            .exchanges()
            .iter()
            .all(|one| ended(one.as_ref()))
            .then_some(())
    })
    .await;
    let receipts = tenant.at_rest().await;
    let accepted: Vec<Metered> = app
        .upstream
        .exchanges()
        .iter()
        .map(|exchange| exchange.metered())
        .filter(|metered| metered.input > 0)
        .collect();
    let counted: i64 = accepted.iter().map(|metered| price(*metered)).sum();
    let charged: i64 = receipts.values().sum();
    assert_eq!(
        (charged - counted).abs(),
        0,
        "{charged} charged, {counted} counted"
    );
    assert_eq!(
        receipts.len(),
        accepted.len(),
        "one receipt for each accepted request"
    );
    let due = departures.iter().filter(|departure| {
        matches!(
            departure,
            Departure::BeforeHead | Departure::AfterHead | Departure::AfterTokens(_) | Departure::FailedOver
        )
    });
    assert_eq!(receipts.len(), due.count());
    for call in receipts.keys().step_by(37) {
        let document = tenant.receipt(call).await["document"].to_string();
        assert!(document.contains("\"aborted\""), "{document}");
    }
    let app = Arc::into_inner(app).expect("nobody else has it");
    let around = app.stop().await;
    assert!(around.run(&["ledger", "check"], None).await.success());
}

/// Finding 5: what a request costs whose caller has left stays set aside until that is known.
#[tokio::test(flavor = "multi_thread")]
async fn a_hold_stays_until_the_departed_call_is_decided() {
    let app = App::start().await;
    let tenant = tenant_of(&app).await;
    app.upstream.always(Script::status(500, "{}").gated());
    let (exchange, waiting) = asked(&app, &tenant, 0, "patient").await;
    let held = tenant.balance().await.held;
    assert!(held > Usdt::ZERO);
    hang_up(waiting).await;
    // A call that begins and ends meanwhile shows that the service goes on.
    let other = tenant.caller.chat(&question("sandbox")).send().await;
    assert_eq!(other.status, 200);
    assert_eq!(tenant.balance().await.held, held);
    assert_eq!(
        exchange.metered().stage,
        Stage::Received,
        "the provider is not stopped"
    );
    let spent = tenant.expenditure().await;
    exchange.resume();
    tenant.at_rest().await;
    assert_eq!(tenant.expenditure().await, spent, "a failure costs nothing");
}

/// Finding 5: a stop waits for calls whose callers have left, and charges them.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_departed_calls() {
    let app = App::start().await;
    let tenant = tenant_of(&app).await;
    let script = Script::tokens(10, 60).ending(Ending::PauseAfter(0)).gated();
    app.upstream.always(script);
    let (exchange, waiting) = asked(&app, &tenant, 0, "patient").await;
    let input = tokens_of(&exchange.json());
    hang_up(waiting).await;
    let (around, ()) = tokio::join!(app.stop(), async { exchange.resume() });
    let app = App::over(around).await;
    let path = format!("/v1/orgs/{}/expenditure", tenant.org_id);
    let spent = tenant.owner.client.at(&app.base).get(&path).data().await;
    let due = i64::try_from(input * 1_000).expect("a small number");
    assert_eq!(usdt(&spent["expenditure_usdt"]).nano(), due);
}

/// Finding 5: callers that the stopping service cuts off did not leave, and pay nothing for that. This held
/// before callers were charged for leaving, and must stay so.
#[tokio::test(flavor = "multi_thread")]
async fn callers_that_a_stop_cuts_off_are_not_charged() {
    let app = App::with(Setup::default().set("server.shutdown_seconds", 1)).await;
    let tenant = tenant_of(&app).await;
    let waiting_for_head = Script::tokens(10, 60).gated();
    let waiting_for_token = Script::tokens(10, 60).ending(Ending::PauseAfter(0));
    app.upstream.next([waiting_for_head, waiting_for_token]);
    for number in 0..2 {
        asked(&app, &tenant, number, "patient").await;
    }
    let app = App::over(app.stop().await).await;
    let path = format!("/v1/orgs/{}/expenditure", tenant.org_id);
    let spent = tenant.owner.client.at(&app.base).get(&path).data().await;
    assert_eq!(usdt(&spent["expenditure_usdt"]), Usdt::ZERO);
}
