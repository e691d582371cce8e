//! Every way a loop with tools can end, at each of its steps, against what the provider metered over all
//! of them: as a document and as a stream, left by its caller, and cut by each limit.
//!
//! Where usage is known the difference is zero. A product's creator is paid iff its content was loaded
//! (a tool's iff it was offered) and the caller heard anything of the answer.

pub mod project;

use crate::{
    outcome_matrix::{metered_price, price},
    selling::sell_unhosted,
};
use alloy::primitives::U256;
use haithe_tests::{
    app::Setup,
    eventually,
    upstream::{Answer as Upstreams, Ending, Exchange, Script, Stage, UsageReport},
};
use project::{PROMPTS, Project, TOOL, heard, question};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use std::sync::Arc;

const SEED: u64 = 20_261_126;

/// What a step costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Nothing,
    AsMetered,
    Counted,
}

fn due(script: &Script, streamed: bool) -> Due {
    let known = script.usage == UsageReport::OnEveryEvent;
    match (&script.answer, script.ending, streamed) {
        (Upstreams::Completion, Ending::CloseAfter(after), true)
        | (Upstreams::Completion, Ending::GarbageAfter(after), true)
        | (Upstreams::Completion, Ending::ErrorAfter(after), true)
        | (Upstreams::Completion, Ending::PauseAfter(after), true) => match (after, known) {
            (0, _) => Due::Nothing,
            (_, true) => Due::AsMetered,
            (_, false) => Due::Counted,
        },
        (Upstreams::Completion, ..) if script.usage == UsageReport::Never => Due::Counted,
        (Upstreams::Completion, ..) => Due::AsMetered,
        _ => Due::Nothing,
    }
}

/// Least and most that the steps cost together, by what the provider metered.
fn cost(steps: &[(Arc<Exchange>, Due)]) -> (i64, i64) {
    steps.iter().fold((0, 0), |(least, most), (exchange, due)| {
        let metered = exchange.metered();
        match due {
            Due::Nothing => (least, most),
            Due::AsMetered => (least + metered_price(metered), most + metered_price(metered)),
            Due::Counted => {
                // No tokenizer makes more tokens than there are bytes.
                let bytes = u64::try_from(exchange.body.len()).expect("a small body");
                (least + 1, most + price(bytes, 0, metered.output * 8 + 8))
            }
        }
    })
}

/// How a step can end badly, or oddly.
fn ends() -> Vec<(&'static str, Script)> {
    let words = || Script::tokens(19, 9).of_input(19, 4);
    let refusal = r#"{"error":{"message":"no","code":"odd"}}"#;
    vec![
        ("complete", words()),
        ("refused", Script::status(400, refusal)),
        ("too many", Script::status(429, refusal)),
        ("failed", Script::status(500, refusal)),
        ("closed", Script::reset()),
        ("silent", Script::hang()),
        ("a page", Script::verbatim(200, "text/html", "<html>")),
        ("empty", Script::verbatim(200, "application/json", "{}")),
        ("no usage", words().usage(UsageReport::Never)),
        ("usage on the last event", words().usage(UsageReport::OnLastEvent)),
        ("no [DONE]", words().ending(Ending::WithoutDone)),
        ("breaks at once", words().ending(Ending::CloseAfter(0))),
        ("breaks", words().ending(Ending::CloseAfter(3))),
        ("garbled", words().ending(Ending::GarbageAfter(3))),
        ("an error event", words().ending(Ending::ErrorAfter(3))),
        ("stalls", words().ending(Ending::PauseAfter(3))),
        (
            "breaks, usage known",
            words()
                .usage(UsageReport::OnEveryEvent)
                .ending(Ending::CloseAfter(4)),
        ),
        (
            "an error event, usage known",
            words()
                .usage(UsageReport::OnEveryEvent)
                .ending(Ending::ErrorAfter(5)),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_end_at_every_step_costs_what_the_provider_metered_over_all_of_them() {
    let mut stage = Project::set(Setup::default()).await;
    let (mut spent, mut seen, mut calls) = (0, 0, 0);
    for place in 1..=3 {
        for (name, end) in ends() {
            // The same end, of a turn that speaks and of one that calls the tool.
            for calls_tool in [false, true] {
                let end = Script {
                    says: calls_tool.then(|| stage.call().says).flatten(),
                    ..end.clone()
                };
                for streamed in [false, true] {
                    let what = format!("{name} at step {place}, tool: {calls_tool}, streamed: {streamed}");
                    let mut scripts: Vec<Script> = (1..place).map(|_| stage.call()).collect();
                    scripts.extend([end.clone(), Script::tokens(23, 5), Script::reset()]);
                    stage.app.upstream.always(Script::reset());
                    stage.app.upstream.next(scripts.clone());
                    let answer = stage.ask("per-token", streamed).await;
                    let exchanges = stage.app.upstream.exchanges()[seen..].to_vec();
                    seen += exchanges.len();
                    // Scripts that were not reached are not for the next call.
                    stage.app.upstream.forget_next();
                    let steps: Vec<(Arc<Exchange>, Due)> = exchanges
                        .into_iter()
                        .zip(&scripts)
                        .map(|(exchange, script)| (exchange, due(script, streamed)))
                        .collect();
                    assert!(steps.len() >= place, "{what}: {}", answer.text());
                    let (least, most) = cost(&steps);
                    let spoke = answer.status == 200 && !heard(&answer, streamed).is_empty();
                    let charge = stage.charged().await;
                    let counted = steps.iter().any(|(_, due)| *due == Due::Counted);
                    if let Some((nano, document)) = &charge {
                        let (prompts, tool) = stage.fees(document);
                        let paid = if spoke { (PROMPTS, TOOL) } else { (0, 0) };
                        assert_eq!((prompts, tool), paid, "{what}: {document}");
                        let model = nano - prompts - tool;
                        assert!(
                            (least..=most).contains(&model),
                            "{what}: {model} of {least} to {most}"
                        );
                        let flagged = document.to_string().contains("\"estimated\":true");
                        assert_eq!(flagged, counted, "{what}: {document}");
                        spent += nano;
                        calls += 1;
                    }
                    assert_eq!(charge.is_some(), most > 0, "{what}");
                    assert!(charge.is_some() || !spoke, "{what}");
                }
            }
        }
    }
    assert!(calls > 100, "{calls}");
    assert!(!stage.site.asked().is_empty());
    stage.even(spent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_a_loop_at_any_step_pays_exactly_what_was_generated() {
    let mut stage = Project::set(Setup::default()).await;
    let mut random = StdRng::seed_from_u64(SEED);
    let mut spent = 0;
    for number in 0..30 {
        let place = number % 3;
        let known = |script: Script| script.usage(UsageReport::OnEveryEvent);
        // A turn that is left either speaks to the caller, or calls the tool and is heard by nobody.
        let (generated, last, heard) = if random.random_bool(0.7) {
            let generated = random.random_range(1..40);
            (generated, Script::tokens(29, 60), generated)
        } else {
            (random.random_range(1..=3), stage.call(), 0)
        };
        let mut scripts: Vec<Script> = (0..place).map(|_| known(stage.call())).collect();
        scripts.push(known(last).ending(Ending::PauseAfter(generated)));
        let seen = stage.app.upstream.count();
        stage.app.upstream.next(scripts);
        let body = question("patient", true);
        let mut stream = stage.tenant.caller.chat(&body).stream().await;
        let paused = stage.app.upstream.exchange(seen + place).await;
        paused
            .until("it pauses", |metered| metered.events == generated)
            .await;
        let mut words = 0u64;
        while words < heard {
            // A turn that calls a tool says the speaker's role, which nobody pays for.
            let chunk = stream.next_json().await;
            let content = chunk.pointer("/choices/0/delta/content").and_then(Value::as_str);
            words += u64::from(content.is_some_and(|text| !text.is_empty()));
        }
        drop(stream);
        let metered = paused.until_client_left().await;
        assert_eq!(metered.stage, Stage::ClientLeft);
        let model: i64 = stage.app.upstream.exchanges()[seen..]
            .iter()
            .map(|exchange| metered_price(exchange.metered()))
            .sum();
        let charge = eventually("the loop is charged", async || stage.charged().await).await;
        let (nano, document) = charge;
        let (prompts, tool) = stage.fees(&document);
        let paid = if heard > 0 { (PROMPTS, TOOL) } else { (0, 0) };
        assert_eq!((prompts, tool), paid, "{number}: {document}");
        let text = document.to_string();
        assert!(text.contains("\"aborted\""), "{text}");
        let (cost, last) = (nano - prompts - tool, metered_price(metered));
        if heard > 0 || text.contains("\"estimated\":false") {
            assert!(heard == 0 || text.contains("\"estimated\":false"), "{text}");
            // Of a turn that the caller does not see, it is not known how much had arrived when it left.
            let least = if heard > 0 { model } else { model - last };
            assert!(
                (least..=model).contains(&cost),
                "{number}: {model}, {last}: {text}"
            );
        } else {
            // Nothing had arrived but the head, so that the input was counted here. No tokenizer makes more
            // tokens than there are bytes.
            let most = price(u64::try_from(paused.body.len()).expect("a small body"), 0, 0);
            let input = cost - (model - last);
            assert!((1..=most).contains(&input), "{number}: {input} of {most}: {text}");
        }
        spent += nano;
    }
    stage.even(spent).await;
}

/// Runs endless loops under a limit; each ends by it, and costs what was metered.
async fn limited(setup: Setup, stopped: &str, last: Option<Script>) {
    let mut stage = Project::set(setup).await;
    let mut spent = 0;
    for streamed in [false, true] {
        let seen = stage.app.upstream.count();
        let call = stage.call();
        if let Some(last) = &last {
            stage
                .app
                .upstream
                .next([call.clone(), call.clone(), last.clone()]);
        }
        stage.app.upstream.always(call);
        let answer = stage.ask("patient", streamed).await;
        let text = answer.text();
        assert!(
            text.contains(&format!("\"stopped\":\"{stopped}\"")),
            "{streamed}: {text}"
        );
        stage.app.upstream.forget_next();
        stage.tenant.at_rest().await;
        let exchanges = stage.app.upstream.exchanges()[seen..].to_vec();
        assert!(exchanges.len() > 1, "{streamed}: {text}");
        // One that never answered a document generated nothing that anybody heard of.
        let heard = exchanges
            .iter()
            .filter(|exchange| exchange.metered().stage == Stage::Finished);
        let model: i64 = heard.map(|exchange| metered_price(exchange.metered())).sum();
        let (nano, document) = stage.charged().await.expect("finished steps are charged");
        assert_eq!(stage.fees(&document), (0, 0), "nothing was heard: {document}");
        assert_eq!(nano, model, "{streamed}: {document}");
        spent += nano;
    }
    stage.even(spent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_that_a_limit_ends_costs_its_finished_steps() {
    limited(Setup::default().set("agent.max_steps", 4), "step_limit", None).await;
    limited(
        Setup::default().set("agent.max_cost_usdt", "0.0001"),
        "cost_limit",
        None,
    )
    .await;
    limited(
        Setup::default().set("agent.max_seconds", 2),
        "time_limit",
        Some(Script::hang()),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_was_not_loaded_and_a_tool_that_was_not_offered_cost_nothing() {
    let mut stage = Project::set(Setup::default()).await;
    let mut spent = 0;
    let mut paid_for = async |stage: &mut Project, body: &Value, streamed: bool| {
        let seen = stage.app.upstream.count();
        let answer = stage.tenant.caller.chat(body).send().await;
        assert!(!heard(&answer, streamed).is_empty(), "{}", answer.text());
        let model = metered_price(stage.app.upstream.exchange(seen).await.metered());
        let (nano, document) = stage.charged().await.expect("a charge");
        let fees = stage.fees(&document);
        assert_eq!(nano, model + fees.0 + fees.1, "{document}");
        spent += nano;
        fees
    };
    for streamed in [false, true] {
        let mut body = question("per-token", streamed);
        assert_eq!(paid_for(&mut stage, &body, streamed).await, (PROMPTS, TOOL));
        body["tool_choice"] = json!("none");
        assert_eq!(
            paid_for(&mut stage, &body, streamed).await,
            (PROMPTS, 0),
            "not offered"
        );
    }
    let maker = stage.app.wallet(7).await;
    let broken = ("broken", "promptset", U256::from(1_000_000_000_000u64));
    sell_unhosted(&stage.app, &maker, &stage.tenant, broken).await;
    let asked = stage.app.upstream.count();
    for streamed in [false, true] {
        let body = question("per-token", streamed);
        let refused = stage.tenant.caller.chat(&body);
        refused.openai_refused(503, "product_unavailable").await;
        assert_eq!(stage.charged().await, None);
    }
    assert_eq!(stage.app.upstream.count(), asked, "no byte has left");
    let skip = json!({"skip_unavailable_products": true});
    stage.tenant.change_project(skip).await;
    for streamed in [false, true] {
        let body = question("per-token", streamed);
        assert_eq!(
            paid_for(&mut stage, &body, streamed).await,
            (PROMPTS, TOOL),
            "without it"
        );
    }
    stage.even(spent).await;
}
