//! Every moment at which a caller can leave before the first token, against what the provider counted: the
//! input is due once the provider has accepted the request, and prices per call are not.
//!
//! The 1,000 random departures stand in `tests/isolation/caller_departures.rs`.

use crate::outcome_matrix_loops::project::{Project, question as loop_question};
use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Setup, Tenant, models, question, streamed_question},
    eventually,
    tokens::o200k_tokens,
    upstream::{Ending, Metered, Script, Stage, UsageReport},
};
use serde_json::{Value, json};

/// What a departure costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// The hold is given back.
    Nothing,
    /// The input as counted here, flagged so; no price per call.
    Input,
}

/// Nano-USDT of the input of `body` with the model `both`.
fn input_price(body: &Value) -> i64 {
    let message = &body["messages"][0];
    let text = |name: &str| message[name].as_str().expect("text").to_owned();
    let tokens = o200k_tokens(&format!("{}\n{}\n", text("role"), text("content")));
    i64::try_from(tokens * 1_000).expect("a small number")
}

/// Sends the request, leaves once the provider stands at `stage`, and lets the provider go on.
async fn leave(app: &App, tenant: &Tenant, path: &str, body: &Value, stage: Stage) {
    let number = app.upstream.count();
    let ask = tenant.caller.post(path).json(body);
    let waiting = tokio::spawn(async move { ask.send().await });
    let exchange = app.upstream.exchange(number).await;
    exchange
        .until("the caller leaves", |metered| metered.stage == stage)
        .await;
    waiting.abort();
    let _ = waiting.await;
    if stage == Stage::Received {
        exchange.resume();
    }
    let ended = |metered: &Metered| !matches!(metered.stage, Stage::Received | Stage::Answering);
    exchange.until("the provider has nothing to do", ended).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_departure_before_the_first_token_costs_what_the_table_says() {
    use Due::{Input, Nothing};
    let refusal = r#"{"error":{"message":"no","code":"odd"}}"#;
    let accepted = || Script::tokens(17, 9).ending(Ending::PauseAfter(0));
    let document =
        r#"{"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;
    let before = Stage::Received;
    // What happens; where the provider stands when the caller leaves; what is due.
    let table = [
        ("accepted", accepted().gated(), before, Input),
        ("refused", Script::status(400, refusal).gated(), before, Nothing),
        ("our key", Script::status(401, refusal).gated(), before, Nothing),
        ("too many", Script::status(429, refusal).gated(), before, Nothing),
        ("failed", Script::status(500, refusal).gated(), before, Nothing),
        ("closed", Script::reset().gated(), before, Nothing),
        ("silent until the timeout", Script::hang(), before, Nothing),
        (
            "a document",
            Script::status(200, document).gated(),
            before,
            Nothing,
        ),
        ("after the head", accepted(), Stage::Answering, Input),
    ];
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(5)).await;
    let (path, body) = ("/v1beta/openai/chat/completions", streamed_question("both"));
    let mut spent = 0;
    for (name, script, stage, due) in table {
        app.upstream.always(script);
        let known = tenant.receipts().await;
        leave(&app, &tenant, path, &body, stage).await;
        let receipts = tenant.at_rest().await;
        let new: Vec<&String> = receipts
            .keys()
            .filter(|call| !known.contains_key(*call))
            .collect();
        if due == Nothing {
            assert!(new.is_empty(), "{name}: {receipts:?}");
            continue;
        }
        let [call] = new[..] else {
            panic!("{name}: {receipts:?}")
        };
        assert_eq!(receipts[call], input_price(&body), "{name}");
        spent += receipts[call];
        let document = tenant.receipt(call).await["document"].to_string();
        let flagged = document.contains("\"aborted\"") && document.contains("\"estimated\":true");
        assert!(flagged && !document.contains("model_call"), "{name}: {document}");
    }
    // Without a stream the work is carried out, whoever waits for it.
    tenant.enable(models::VECTORS).await;
    let vectors = json!({"model": "vectors", "input": "hello"});
    for (name, path, body, cost) in [
        (
            "a document",
            path,
            question("both"),
            100_000_000 + 17_000 + 27_000,
        ),
        ("vectors", "/v1beta/openai/embeddings", vectors, 17_000),
    ] {
        app.upstream.always(Script::tokens(17, 9).gated());
        leave(&app, &tenant, path, &body, before).await;
        spent += cost;
        let what = format!("{name} is charged as if its caller had stayed");
        eventually(&what, async || {
            (tenant.expenditure().await == Usdt::from_nano(spent)).then_some(())
        })
        .await;
    }
    tenant.at_rest().await;
    assert_eq!(tenant.balance().await.held, Usdt::ZERO);
    let around = app.stop().await;
    assert!(around.run(&["ledger", "check"], None).await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_with_an_idempotency_key_that_is_left_before_its_head_is_kept_and_charged_whole() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(5)).await;
    app.upstream.always(Script::tokens(17, 9).gated());
    let keyed = Tenant {
        caller: tenant.caller.with("idempotency-key", "k"),
        ..tenant.clone()
    };
    let body = streamed_question("both");
    let path = "/v1beta/openai/chat/completions";
    leave(&app, &keyed, path, &body, Stage::Received).await;
    let again = eventually("the first request has ended", async || {
        let answer = keyed.caller.chat(&body).send().await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    assert!(again.text().ends_with("data: [DONE]\n\n"), "{}", again.text());
    assert_eq!(app.upstream.count(), 1);
    let receipts = tenant.at_rest().await;
    let charged: Vec<i64> = receipts.into_values().collect();
    assert_eq!(charged, [100_000_000 + 17_000 + 27_000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_left_before_a_steps_first_token_costs_the_steps_before_and_that_steps_input() {
    let mut stage = Project::set(Setup::default()).await;
    let mut spent = 0;
    for place in 0..3 {
        for (after_head, accepted) in [(false, true), (true, true), (false, false)] {
            let what = format!("step {place}, after the head: {after_head}, accepted: {accepted}");
            let mut scripts: Vec<Script> = (0..place)
                .map(|_| stage.call().usage(UsageReport::OnEveryEvent))
                .collect();
            let last = match accepted {
                true => Script::tokens(29, 60).ending(Ending::PauseAfter(0)),
                false => Script::status(500, "{}"),
            };
            scripts.push(if after_head { last } else { last.gated() });
            let seen = stage.app.upstream.count();
            stage.app.upstream.next(scripts);
            let caller = stage.tenant.caller.clone();
            let waiting = tokio::spawn(async move {
                let mut stream = caller.chat(&loop_question("patient", true)).stream().await;
                while let Ok(Some(_)) = stream.next().await {}
            });
            let left = stage.app.upstream.exchange(seen + place).await;
            if after_head {
                let begun = |metered: &Metered| metered.stage == Stage::Answering;
                left.until("the head is sent", begun).await;
            }
            waiting.abort();
            let _ = waiting.await;
            if !after_head {
                left.resume();
            }
            if accepted {
                left.until_client_left().await;
            }
            let before: i64 = stage.app.upstream.exchanges()[seen..seen + place]
                .iter()
                .map(|exchange| crate::outcome_matrix::metered_price(exchange.metered()))
                .sum();
            let charge = stage.charged().await;
            if place == 0 && !accepted {
                assert_eq!(charge, None, "{what}");
                continue;
            }
            let (nano, document) = charge.expect("finished steps are charged");
            let text = document.to_string();
            assert_eq!(stage.fees(&document), (0, 0), "{what}: nothing was heard: {text}");
            let input = nano - before;
            if accepted {
                // No tokenizer makes more tokens than there are bytes.
                let most = i64::try_from(left.body.len() * 1_000).expect("a small body");
                assert!((1..=most).contains(&input), "{what}: {input}: {text}");
                assert!(
                    text.contains("\"aborted\"") && text.contains("\"estimated\":true"),
                    "{text}"
                );
            } else {
                assert_eq!(input, 0, "{what}: {text}");
            }
            spent += nano;
        }
    }
    stage.even(spent).await;
}
