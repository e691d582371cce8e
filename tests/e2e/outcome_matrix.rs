//! Every way a call can end, as a document and as a stream, against what the provider metered: nothing is
//! charged that was not generated, nothing generated is free, no hold is left behind.
//!
//! Where usage is known the difference is zero; where it is not, the charge lies between what was heard
//! and what was generated, counted by our own tokenizer.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Tenant, models, question, streamed_question, usdt},
    eventually,
    upstream::{Ending, Exchange, Metered, Script, Stage, UsageReport},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::Value;
use std::sync::Arc;

const SEED: u64 = 20_260_115;
/// Tokens that ours makes of one of the provider's words, and of the question with its frame, at most.
const PER_WORD: u64 = 4;
const OF_QUESTION: u64 = 200;

/// What an end costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// The hold is given back.
    Nothing,
    /// Exactly what the provider metered.
    AsMetered,
    /// Counted here, and flagged so.
    Counted,
}

/// Price of these tokens of the model per-token, in nano-USDT.
pub fn price(input: u64, cached: u64, output: u64) -> i64 {
    i64::try_from((input - cached) * 1_000 + cached * 500 + output * 3_000).unwrap()
}

pub fn metered_price(metered: Metered) -> i64 {
    price(metered.input, metered.cached, metered.output)
}

/// Nano-USDT that a receipt says were charged, and its document.
async fn charged(tenant: &Tenant, call: &str) -> (i64, String) {
    let receipt = tenant.receipt(call).await;
    (
        usdt(&receipt["charged_usdt"]).nano(),
        receipt["document"].to_string(),
    )
}

/// No money is held, the books are even, and the tools say so too.
async fn even(app: App, tenant: &Tenant, spent: i64) {
    tenant.at_rest().await;
    assert_eq!(tenant.expenditure().await, Usdt::from_nano(spent));
    let balance = tenant.balance().await;
    assert_eq!(balance.held, Usdt::ZERO);
    assert_eq!(balance.available.nano(), Usdt::whole(5).nano() - spent);
    let around = app.stop().await;
    assert!(around.run(&["ledger", "check"], None).await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_end_costs_what_the_table_says_and_the_provider_metered() {
    use Due::{AsMetered, Counted, Nothing};
    let tokens = || Script {
        cached: 4,
        ..Script::tokens(17, 9)
    };
    let refusal = r#"{"error":{"message":"no","code":"odd"}}"#;
    // What happens; what it costs as a document, and as a stream.
    let table = [
        ("complete", tokens(), AsMetered, AsMetered),
        ("no words", Script::tokens(17, 0), AsMetered, AsMetered),
        ("no usage", tokens().usage(UsageReport::Never), Counted, Counted),
        (
            "usage on the last event",
            tokens().usage(UsageReport::OnLastEvent),
            AsMetered,
            AsMetered,
        ),
        (
            "usage on every event",
            tokens().usage(UsageReport::OnEveryEvent),
            AsMetered,
            AsMetered,
        ),
        (
            "no [DONE]",
            tokens().ending(Ending::WithoutDone),
            AsMetered,
            AsMetered,
        ),
        ("refused", Script::status(400, refusal), Nothing, Nothing),
        ("our key", Script::status(401, refusal), Nothing, Nothing),
        ("too many", Script::status(429, refusal), Nothing, Nothing),
        ("failed", Script::status(500, refusal), Nothing, Nothing),
        ("closed", Script::reset(), Nothing, Nothing),
        ("silent", Script::hang(), Nothing, Nothing),
        (
            "a page",
            Script::verbatim(200, "text/html", "<html>"),
            Nothing,
            Nothing,
        ),
        (
            "empty",
            Script::verbatim(200, "application/json", "{}"),
            Nothing,
            Nothing,
        ),
        // A document has no middle: these are streams' ends.
        (
            "breaks at once",
            tokens().ending(Ending::CloseAfter(0)),
            AsMetered,
            Nothing,
        ),
        (
            "breaks",
            tokens().ending(Ending::CloseAfter(3)),
            AsMetered,
            Counted,
        ),
        (
            "garbled",
            tokens().ending(Ending::GarbageAfter(3)),
            AsMetered,
            Counted,
        ),
        (
            "an error event",
            tokens().ending(Ending::ErrorAfter(3)),
            AsMetered,
            Counted,
        ),
        (
            "stalls",
            tokens().ending(Ending::PauseAfter(3)),
            AsMetered,
            Counted,
        ),
        (
            "breaks, usage known",
            tokens()
                .usage(UsageReport::OnEveryEvent)
                .ending(Ending::CloseAfter(3)),
            AsMetered,
            AsMetered,
        ),
        (
            "an error event, usage known",
            tokens()
                .usage(UsageReport::OnEveryEvent)
                .ending(Ending::ErrorAfter(5)),
            AsMetered,
            AsMetered,
        ),
    ];
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(5)).await;
    let mut spent = 0;
    for (name, script, document, stream) in table {
        for (body, due) in [
            (question("per-token"), document),
            (streamed_question("per-token"), stream),
        ] {
            app.upstream.always(script.clone());
            let answer = tenant.caller.chat(&body).send().await;
            let exchange = app.upstream.exchanges().pop().expect("it was asked");
            let call = answer.header("x-haithe-call").map(str::to_owned);
            if due == Due::Nothing {
                answer.openai_failure();
                tenant.at_rest().await;
            } else {
                let (cost, receipt) = charged(&tenant, &call.expect("the call's id")).await;
                let estimated = receipt.contains("\"estimated\":true");
                assert_eq!(estimated, due == Due::Counted, "{name} {body}: {receipt}");
                assert_cost(name, due, cost, exchange.metered());
                spent += cost;
            }
            assert_eq!(
                tenant.expenditure().await,
                Usdt::from_nano(spent),
                "{name} {body}"
            );
        }
    }
    even(app, &tenant, spent).await;
}

fn assert_cost(name: &str, due: Due, cost: i64, metered: Metered) {
    match due {
        Due::Nothing => assert_eq!(cost, 0, "{name}"),
        Due::AsMetered => assert_eq!(cost, metered_price(metered), "{name}: {metered:?}"),
        Due::Counted => {
            let most = price(OF_QUESTION, 0, metered.output * PER_WORD);
            assert!(
                (1..=most).contains(&cost),
                "{name}: {cost} of {most}, {metered:?}"
            );
        }
    }
}

/// Reads so many events, then leaves. The call's id.
async fn leave_after(tenant: &Tenant, body: &Value, events: u64) -> String {
    let mut stream = tenant.caller.chat(body).stream().await;
    let call = stream.headers["x-haithe-call"].to_str().unwrap().to_owned();
    for _ in 0..events {
        stream.next_json().await;
    }
    call
}

/// The exchange of the script that this seed was put into.
async fn exchange_of(app: &App, input: u64) -> Arc<Exchange> {
    eventually("the provider was asked", async || {
        let exchanges = app.upstream.exchanges();
        exchanges
            .into_iter()
            .find(|exchange| exchange.metered().input == input)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_when_usage_is_known_pays_exactly_what_was_generated() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(5)).await;
    tenant.enable(models::PATIENT).await;
    let mut random = StdRng::seed_from_u64(SEED);
    let mut leaving = Vec::new();
    for number in 0..24 {
        // The input tells the calls apart.
        let (input, generated) = (1_000 + number, random.random_range(1..40));
        let mut body = streamed_question("patient");
        let script = Script::tokens(input, 60)
            .usage(UsageReport::OnEveryEvent)
            .ending(Ending::PauseAfter(generated));
        body["x_script"] = serde_json::to_value(script).unwrap();
        let tenant = tenant.clone();
        leaving.push(tokio::spawn(async move {
            (input, generated, leave_after(&tenant, &body, generated).await)
        }));
    }
    let mut spent = 0;
    for left in leaving {
        let (input, generated, call) = left.await.unwrap();
        let metered = exchange_of(&app, input).await.until_client_left().await;
        assert_eq!(metered.output, generated);
        let (cost, receipt) = charged(&tenant, &call).await;
        assert_eq!(cost, metered_price(metered), "{metered:?}");
        assert!(
            receipt.contains("\"aborted\"") && receipt.contains("\"estimated\":false"),
            "{receipt}"
        );
        spent += cost;
    }
    even(app, &tenant, spent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_at_any_moment_stops_the_provider_and_pays_no_more_than_was_generated() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(5)).await;
    tenant.enable(models::PATIENT).await;
    let mut random = StdRng::seed_from_u64(SEED + 1);
    let mut leaving = Vec::new();
    for number in 0..40 {
        let (input, heard) = (1_000 + number, random.random_range(0..25));
        let usage = match random.random_range(0..3) {
            0 => UsageReport::Never,
            1 => UsageReport::AsAsked,
            _ => UsageReport::OnEveryEvent,
        };
        let mut body = streamed_question("patient");
        let script = Script {
            tokens_per_event: random.random_range(1..4),
            ..Script::tokens(input, 900).usage(usage).paced(1)
        };
        let each = script.tokens_per_event;
        body["x_script"] = serde_json::to_value(script).unwrap();
        let tenant = tenant.clone();
        leaving.push(tokio::spawn(async move {
            let call = leave_after(&tenant, &body, heard).await;
            (input, heard * each, usage, call)
        }));
    }
    let mut spent = 0;
    for left in leaving {
        let (input, heard, usage, call) = left.await.unwrap();
        let metered = exchange_of(&app, input).await.until_client_left().await;
        assert!(metered.output >= heard, "{metered:?}");
        let (cost, receipt) = charged(&tenant, &call).await;
        if usage == UsageReport::OnEveryEvent {
            let (least, most) = (price(input, 0, heard), metered_price(metered));
            assert!((least..=most).contains(&cost), "{least} {cost} {most}: {receipt}");
        } else {
            assert!(receipt.contains("\"estimated\":true"), "{receipt}");
            assert_cost("left", Due::Counted, cost, metered);
        }
        spent += cost;
    }
    even(app, &tenant, spent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_random_trouble_one_provider_has_costs_callers_nothing_while_another_lives() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(5)).await;
    for model in [models::STURDY, models::SPARE] {
        tenant.enable(model).await;
    }
    let mut random = StdRng::seed_from_u64(SEED + 2);
    let script = |random: &mut StdRng| match random.random_range(0..9) {
        0 => Script::reset(),
        1 => Script::hang(),
        2 => Script::status(429, "{}").header("retry-after", "9"),
        3 => Script::status(500 + random.random_range(0..5), "<html>"),
        4 => Script::verbatim(200, "application/json", "{\"id\""),
        5 => Script::default().ending(Ending::GarbageAfter(0)),
        6 => Script::default().ending(Ending::CloseAfter(0)),
        _ => Script::default(),
    };
    app.upstream.next((0..200).map(|_| script(&mut random)));
    app.upstream.always(Script::reset());
    let calls: Vec<_> = (0..60)
        .map(|number| {
            let tenant = tenant.clone();
            let body = match number % 2 {
                0 => question("sturdy"),
                _ => streamed_question("sturdy"),
            };
            tokio::spawn(async move {
                let answer = tenant.caller.chat(&body).send().await;
                assert_eq!(answer.status, 200, "{}", answer.text());
                assert!(answer.text().contains("w4"), "{}", answer.text());
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    let receipts = tenant.at_rest().await;
    assert_eq!(receipts.len(), 60);
    assert!(
        receipts.values().all(|nano| *nano == price(10, 0, 5)),
        "{receipts:?}"
    );
    let finished = |exchange: &Arc<Exchange>| {
        let metered = exchange.metered();
        metered.stage == Stage::Finished && metered.output == 5
    };
    let answered = app
        .upstream
        .exchanges()
        .iter()
        .filter(|one| finished(one))
        .count()
        + app.spare.exchanges().iter().filter(|one| finished(one)).count();
    assert!(answered >= 60, "each call was generated: {answered}");
    even(app, &tenant, 60 * price(10, 0, 5)).await;
}
