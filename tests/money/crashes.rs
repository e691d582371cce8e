//! `kill -9` a hundred times under load, and settlement in between.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{Setup, Surroundings, Tenant, User, question, streamed_question},
    client::Client,
    eventually,
    program::{Server, free_port},
    upstream::{Script, Stage},
    wallets::Wallet,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;

const KILLS: u32 = 100;
const CALLERS: usize = 8;
const DEPOSIT: Usdt = Usdt::whole(1_000);

/// Calls whose whole answer arrived, by id.
type Heard = Arc<Mutex<BTreeSet<String>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_kills_lose_no_charge_and_double_none() {
    let setup = Setup::default()
        .set("settlement.max_calls", 25)
        .set("settlement.max_age_seconds", 1);
    let around = Surroundings::prepare(setup).await;
    around.upstream.always(Script::tokens(10, 5));
    let port = free_port();
    let mut server = around.serve(port).await;
    let tenant = founded(&around, &server).await;

    let heard = Heard::default();
    let over = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..CALLERS)
        .map(|number| {
            tokio::spawn(keep_calling(
                tenant.caller.clone(),
                number,
                Arc::clone(&heard),
                Arc::clone(&over),
            ))
        })
        .collect();
    let mut rng = StdRng::seed_from_u64(crate::seed() + 9);
    for _ in 0..KILLS {
        await_moment(&around, &mut rng).await;
        server.kill().await;
        server = around.serve(port).await;
    }
    over.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    let heard = heard.lock().unwrap().clone();
    let batches = around.chain.next_batch().await;
    println!("{} answers were heard, {batches} batches settled", heard.len());
    assert!(
        heard.len() > 2 * KILLS as usize && batches > 10,
        "there was a load"
    );
    audit(&around, &tenant, &heard).await;
    server.kill().await;
    let checked = around.run(&["ledger", "check"], None).await;
    assert!(checked.success(), "{checked:?}");
}

async fn founded(around: &Surroundings, server: &Server) -> Tenant {
    let owner = User::log_in(&server.anonymous(), Wallet::number(1)).await;
    let tenant = Tenant::found(&around.chain, owner, "Acme").await;
    tenant.deposit(&around.chain, DEPOSIT).await;
    tenant
}

/// A kill comes at any moment; or right after the provider's last byte, between it and the capture;
/// or right after a settlement was mined, before the server can know.
async fn await_moment(around: &Surroundings, rng: &mut StdRng) {
    let exchange = around.upstream.exchange(around.upstream.count()).await;
    match rng.random_range(0..5) {
        0 | 1 => sleep(Duration::from_micros(rng.random_range(0..150_000))).await,
        2 | 3 => {
            exchange
                .until("the provider is through", |metered| {
                    metered.stage != Stage::Received
                })
                .await;
            sleep(Duration::from_micros(rng.random_range(0..3_000))).await;
        }
        _ => {
            let settled = around.chain.next_batch().await;
            for _ in 0..200 {
                if around.chain.next_batch().await != settled {
                    break;
                }
                sleep(Duration::from_millis(1)).await;
            }
        }
    }
}

/// Calls again and again, and remembers what was heard to its end.
async fn keep_calling(caller: Client, number: usize, heard: Heard, over: Arc<AtomicBool>) {
    let bodies = [
        question("per-call"),
        streamed_question("per-token"),
        question("per-token"),
        streamed_question("both"),
    ];
    let mut round = number;
    while !over.load(Ordering::Relaxed) {
        round += 1;
        match call(&caller, &bodies[round % bodies.len()]).await {
            Some(call) => {
                heard.lock().unwrap().insert(call);
            }
            // The server is being killed or started.
            None => sleep(Duration::from_millis(2)).await,
        }
    }
}

/// One call; its id if the whole answer arrived.
async fn call(caller: &Client, body: &Value) -> Option<String> {
    let answer = caller.chat(body).try_send().await.ok()?;
    let whole = if body["stream"] == true {
        answer.text().ends_with("data: [DONE]\n\n")
    } else {
        answer.json()["usage"]["total_cost"].is_u64()
    };
    assert!(answer.status.is_success(), "{} {}", answer.status, answer.text());
    whole.then(|| {
        answer
            .header("x-haithe-call")
            .expect("a call has an id")
            .to_owned()
    })
}

/// Compares what callers heard, what the provider served, what the ledger charged and what the
/// chain holds.
async fn audit(around: &Surroundings, tenant: &Tenant, heard: &BTreeSet<String>) {
    let settled = async || {
        let balance = tenant.balance().await;
        (balance.held == Usdt::ZERO && balance.unsettled == Usdt::ZERO).then_some(balance)
    };
    let balance = eventually("everything is settled", settled).await;
    let receipts = tenant.receipts().await;
    let served: BTreeMap<String, u64> = around
        .upstream
        .exchanges()
        .iter()
        .map(|exchange| {
            (
                exchange.header("x-request-id").unwrap().to_owned(),
                exchange.metered().output,
            )
        })
        .collect();
    for call in heard {
        assert!(receipts.contains_key(call), "{call} was answered and not charged");
    }
    let mut sum = 0;
    for (call, charged) in &receipts {
        assert!(served.contains_key(call), "{call} was charged and never served");
        // 0.1, 10 × 1,000 + 5 × 3,000 nano, or both.
        let known = [100_000_000, 25_000, 100_025_000].contains(charged);
        assert!(known || !heard.contains(call), "{call} costs {charged}");
        sum += charged;
    }
    assert_eq!(tenant.expenditure().await.nano(), sum);
    let left = DEPOSIT.nano() - sum;
    assert_eq!((balance.available.nano(), balance.onchain.nano()), (left, left));
    let units = |nano: i64| u128::try_from(nano).unwrap() * 1_000_000_000;
    assert_eq!(
        around.chain.token_balance(tenant.contract).await,
        units(left),
        "chain equals ledger"
    );
    assert_eq!(around.chain.platform_funds().await, units(sum));
}
