//! Sixty-four callers, funds for ten.

use futures::future::join_all;
use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Tenant, question, streamed_question},
    eventually,
    upstream::{Ending, Script},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const CALLERS: u64 = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixty_four_calls_on_funds_for_ten_ten_are_made() {
    let app = App::start().await;
    for round in 0..3 {
        let tenant = app.funded(&format!("Acme {round}"), Usdt::whole(1)).await;
        app.upstream.always(Script {
            wait_ms: 20,
            ..Script::default()
        });
        let before = app.upstream.count();
        let body = if round == 1 {
            streamed_question("per-call")
        } else {
            question("per-call")
        };
        let calls = (0..CALLERS).map(|_| {
            let (caller, body) = (tenant.caller.clone(), body.clone());
            tokio::spawn(async move { caller.chat(&body).send().await })
        });
        let answers = join_all(calls).await.into_iter().map(|answer| answer.unwrap());
        let (made, refused): (Vec<_>, Vec<_>) = answers.partition(|answer| answer.status.is_success());
        assert_eq!((made.len(), refused.len()), (10, 54));
        for answer in refused {
            answer.openai_refused(402, "insufficient_quota");
        }
        assert_eq!(app.upstream.count() - before, 10);
        let balance = tenant.balance().await;
        assert_eq!((balance.available, balance.held), (Usdt::ZERO, Usdt::ZERO));
        assert_eq!(tenant.expenditure().await, Usdt::whole(1));
    }
    let around = app.stop().await;
    assert!(around.run(&["ledger", "check"], None).await.success());
}

/// What one call of this body holds, found out by holding one open.
async fn hold_of(app: &App, body: &Value) -> Usdt {
    let tenant = app.funded("Gauge", Usdt::whole(1)).await;
    let gated = Script::default().ending(Ending::PauseAfter(0));
    app.upstream.always(gated);
    let number = app.upstream.count();
    let (caller, body) = (tenant.caller.clone(), body.clone());
    let call = tokio::spawn(async move { caller.chat(&body).send().await.status });
    let exchange = app.upstream.exchange(number).await;
    let held = tenant.balance().await.held;
    exchange.resume();
    assert_eq!(call.await.unwrap(), 200);
    held
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn streams_below_their_hold_with_callers_who_vanish_stay_exact_to_the_nano() {
    let app = App::start().await;
    let mut body = streamed_question("per-token");
    body["max_tokens"] = json!(100);
    let hold = hold_of(&app, &body).await;
    let funds = Usdt::from_nano(hold.nano() * 10);
    let tenant = app.funded("Acme", funds).await;
    // All who are admitted wait in their streams until everybody has been answered.
    let first = app.upstream.count();
    app.upstream
        .always(Script::tokens(5, 40).ending(Ending::PauseAfter(1)).paced(1));
    let mut rng = StdRng::seed_from_u64(64);
    let calls = (0..CALLERS).map(|number| {
        let (caller, body) = (tenant.caller.clone(), body.clone());
        let leaves_after = (number % 5 == 0).then(|| rng.random_range(1..35));
        tokio::spawn(async move {
            let mut stream = caller.chat(&body).stream().await;
            if stream.status == 402 {
                return None;
            }
            assert_eq!(stream.status, 200);
            let call = stream.headers["x-haithe-call"].to_str().unwrap().to_owned();
            let mut events = 0;
            while let Some(event) = stream.next().await.expect("an unbroken stream") {
                events += 1;
                if leaves_after == Some(events) || event == "[DONE]" {
                    break;
                }
            }
            Some((call, leaves_after.is_none()))
        })
    });
    let calls: Vec<_> = calls.collect();
    eventually("everybody is answered", async || {
        let refused = calls.iter().filter(|call| call.is_finished()).count();
        let admitted = app.upstream.count() - first;
        (refused + admitted >= 64).then_some(())
    })
    .await;
    let admitted = app.upstream.count() - first;
    assert!(admitted >= 10, "{admitted}");
    let exchanges = app.upstream.exchanges().split_off(first);
    for exchange in &exchanges {
        exchange.resume();
    }
    let mut answered = BTreeMap::new();
    for call in join_all(calls).await {
        answered.extend(call.unwrap());
    }
    assert_eq!(answered.len(), admitted);
    exact(&app, &tenant, funds, first, &answered).await;
    let around = app.stop().await;
    assert!(around.run(&["ledger", "check"], None).await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_free_for_all_of_calls_until_the_funds_are_gone_stays_exact_to_the_nano() {
    let app = App::start().await;
    let funds = Usdt::from_nano(9_999_999);
    let tenant = app.funded("Acme", funds).await;
    app.upstream.always(Script::tokens(5, 40));
    let mut body = streamed_question("per-token");
    body["max_tokens"] = json!(200);
    let mut rng = StdRng::seed_from_u64(65);
    let mut answered = BTreeMap::new();
    for _ in 0..4 {
        let calls = (0..CALLERS).map(|number| {
            let (caller, body) = (tenant.caller.clone(), body.clone());
            let leaves_after = (number % 5 == 0).then(|| rng.random_range(0..42));
            tokio::spawn(async move {
                let mut stream = caller.chat(&body).stream().await;
                if stream.status == 402 {
                    return None;
                }
                assert_eq!(stream.status, 200);
                let call = stream.headers["x-haithe-call"].to_str().unwrap().to_owned();
                let mut events = 0;
                while leaves_after != Some(events) {
                    events += 1;
                    if stream.next().await.expect("an unbroken stream").is_none() {
                        return Some((call, true));
                    }
                }
                Some((call, false))
            })
        });
        for call in join_all(calls.collect::<Vec<_>>()).await {
            answered.extend(call.unwrap());
        }
    }
    exact(&app, &tenant, funds, 0, &answered).await;
    let around = app.stop().await;
    assert!(around.run(&["ledger", "check"], None).await.success());
}

/// Every answered call has one receipt, what stayed to its end costs exactly what the provider
/// metered, and receipts, expenditure and balance agree to the nano.
async fn exact(app: &App, tenant: &Tenant, funds: Usdt, first: usize, answered: &BTreeMap<String, bool>) {
    let receipts = tenant.at_rest().await;
    for exchange in app.upstream.exchanges().split_off(first) {
        let call = exchange
            .header("x-request-id")
            .expect("the call's id goes upstream");
        let (stayed, charged) = (answered[call], receipts.get(call));
        let metered = exchange.metered();
        let price = i64::try_from(metered.input * 1_000 + metered.output * 3_000).unwrap();
        if stayed {
            assert_eq!(charged, Some(&price), "{call}: {metered:?}");
        }
    }
    let sum: i64 = receipts.values().sum();
    let balance = tenant.balance().await;
    assert_eq!(balance.available.nano(), funds.nano() - sum);
    assert!(!balance.available.is_negative());
}
