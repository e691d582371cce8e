//! Everything at once: providers that fail in every way, callers who leave, deposits, a chain that
//! reorganizes and a node that loses answers. In the end all books agree.

use haithe_devchain::{Mining, ReorgTxs};
use haithe_kernel::{TokenUnits, Usdt};
use haithe_tests::{
    app::{App, Setup, Tenant, models},
    chain::ChainSetup,
    client::Client,
    eventually,
    upstream::{Answer, Ending, Script, UsageReport},
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::json;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::{task::JoinSet, time::sleep};

const CALLS: u64 = 400;
const CALLERS: u64 = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_happens_the_books_agree_with_each_other_and_with_the_chain() {
    let setup = Setup {
        chain: ChainSetup {
            mining: Mining::Interval(Duration::from_millis(60)),
            ..ChainSetup::default()
        },
        ..Setup::default()
    };
    let setup = setup
        .set("settlement.max_calls", 15)
        .set("settlement.max_age_seconds", 1)
        .set("chain.confirmations", 2)
        .set("chain.finality", 4);
    let app = App::with(setup).await;
    let tenant = app.funded("Acme", Usdt::from_nano(2_000_000_000)).await;
    let mut callers: JoinSet<Vec<String>> = JoinSet::new();
    let mut heard = Vec::new();
    for number in 0..CALLERS {
        callers.spawn(calls(
            tenant.caller.clone(),
            StdRng::seed_from_u64(crate::seed() + number),
        ));
    }
    let mut deposited = Usdt::from_nano(2_000_000_000);
    let mut rng = StdRng::seed_from_u64(crate::seed() + 4_711);
    while !callers.is_empty() {
        deposited = Usdt::from_nano(deposited.nano() + disturb(&app, &tenant, &mut rng).await);
        while let Some(caller) = callers.try_join_next() {
            heard.extend(caller.unwrap());
        }
    }
    app.chain.dev.clear_faults();
    audit(&app, &tenant, deposited, &heard).await;
    let around = app.stop().await;
    let checked = around.run(&["ledger", "check"], None).await;
    assert!(checked.success(), "{checked:?}");
    let audited = around
        .run(&["receipt", "audit", "--org", &tenant.org_id.to_string()], None)
        .await;
    assert!(audited.success(), "{audited:?}");
}

/// Something happens to the chain; gives what was deposited.
async fn disturb(app: &App, tenant: &Tenant, rng: &mut StdRng) -> i64 {
    let dev = &app.chain.dev;
    sleep(Duration::from_millis(rng.random_range(5..60))).await;
    match rng.random_range(0..8) {
        0 | 1 => {
            // The depositor is none of those who must cope.
            dev.clear_faults();
            let nano = rng.random_range(1..40_000_000);
            // A fraction of a nano is dust, which belongs to nobody.
            let units = TokenUnits::new(u128::try_from(nano).unwrap() * 1_000_000_000 + 7);
            app.chain.deposit_units(tenant.contract, units).await;
            return nano;
        }
        2 => dev
            .reorg(rng.random_range(1..=3), ReorgTxs::Replay)
            .expect("a few blocks back"),
        3 => dev
            .reorg(rng.random_range(1..=3), ReorgTxs::Requeue)
            .expect("a few blocks back"),
        4 => dev.lose_answer_next("eth_sendRawTransaction", 1),
        5 => {
            let method = ["eth_getLogs", "eth_getBlockByNumber", "eth_call"]
                .choose(rng)
                .unwrap();
            dev.fail_next(method, 2, haithe_devchain::RpcError::params("busy"));
        }
        6 => dev.advance_time(rng.random_range(1..100)),
        _ => {
            dev.drop_pending();
        }
    }
    0
}

/// Makes calls one after the other; gives those whose answer was heard to its end.
async fn calls(caller: Client, mut rng: StdRng) -> Vec<String> {
    let mut heard = Vec::new();
    for _ in 0..CALLS / CALLERS {
        heard.extend(call(&caller, &mut rng).await);
    }
    heard
}

fn script(rng: &mut StdRng) -> Script {
    let (input, output) = (rng.random_range(0..50), rng.random_range(0..60));
    let answer = match rng.random_range(0..12) {
        0 => Script::reset(),
        1 => Script::status(
            *[400, 401, 404, 429, 500, 503].choose(rng).unwrap(),
            "{\"error\":{\"message\":\"no\"}}",
        ),
        2 => Script::verbatim(200, "text/html", "<html>"),
        _ => Script::tokens(input, output),
    };
    let after = rng.random_range(0..20);
    let endings = [
        Ending::Done,
        Ending::Done,
        Ending::Done,
        Ending::WithoutDone,
        Ending::CloseAfter(after),
        Ending::GarbageAfter(after),
        Ending::ErrorAfter(after),
    ];
    Script {
        cached: rng.random_range(0..=input),
        honours_bound: rng.random_bool(0.9),
        usage: *[
            UsageReport::AsAsked,
            UsageReport::AsAsked,
            UsageReport::Never,
            UsageReport::OnLastEvent,
        ]
        .choose(rng)
        .unwrap(),
        tokens_per_event: rng.random_range(1..4),
        wait_ms: rng.random_range(0..15),
        pace_ms: rng.random_range(0..3),
        ending: *endings.choose(rng).unwrap(),
        ..answer
    }
}

async fn call(caller: &Client, rng: &mut StdRng) -> Option<String> {
    let (_, model) = models::USUAL.choose(rng).unwrap();
    let script = script(rng);
    let broken = !matches!(script.answer, Answer::Completion);
    let body = json!({"model": model, "stream": rng.random_bool(0.6), "n": rng.random_range(1..3),
        "max_tokens": rng.random_range(1..80), "x_script": script,
        "messages": [{"role": "user", "content": "x".repeat(rng.random_range(1..200))}]});
    let patience = rng
        .random_bool(0.2)
        .then(|| Duration::from_millis(rng.random_range(0..40)));
    let begun = Instant::now();
    let ask = caller.chat(&body).send();
    let answer = match patience {
        Some(patience) => tokio::time::timeout(patience, ask).await.ok()?,
        None => ask.await,
    };
    let status = answer.status.as_u16();
    assert!(begun.elapsed() < Duration::from_secs(20), "{body}");
    let expected = if broken {
        &[200, 400, 402, 404, 429, 502][..]
    } else {
        &[200, 402, 502]
    };
    assert!(
        expected.contains(&status),
        "{status} {} for {body}",
        answer.text()
    );
    if status != 200 {
        answer.openai_failure();
        return None;
    }
    let call = answer.header("x-haithe-call").unwrap().to_owned();
    let whole = body["stream"] == false || answer.text().ends_with("data: [DONE]\n\n");
    whole.then_some(call)
}

/// What was deposited is either still there, in the ledger and on the chain, or was charged by a
/// receipt and reached the platform.
async fn audit(app: &App, tenant: &Tenant, deposited: Usdt, heard: &[String]) {
    let receipts: BTreeMap<String, i64> = tenant.at_rest().await;
    let sum: i64 = receipts.values().sum();
    assert!(
        sum > 0 && receipts.len() > 50,
        "{} receipts of {sum} nano",
        receipts.len()
    );
    for call in heard {
        assert!(receipts.contains_key(call), "{call} was answered and not charged");
    }
    let left = deposited.nano() - sum;
    let balance = eventually("everything is settled and final", async || {
        let balance = tenant.balance().await;
        (balance.unsettled == Usdt::ZERO && balance.onchain == balance.available).then_some(balance)
    })
    .await;
    assert_eq!((balance.available.nano(), balance.held.nano()), (left, 0));
    let onchain = app.chain.token_balance(tenant.contract).await;
    assert_eq!(onchain / 1_000_000_000, u128::try_from(left).unwrap());
    assert_eq!(
        app.chain.platform_funds().await,
        u128::try_from(sum).unwrap() * 1_000_000_000
    );
}
