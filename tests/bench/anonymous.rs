//! What anonymous clients do to logins and paid calls: both are measured alone, then beside clients that ask one
//! public operation as fast as the default rate of an address allows.

use crate::{load::run, stage::Stage};
use anyhow::Context;
use haithe_tests::{app::User, wallets::Wallet};
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Anonymous clients at once.
const CLIENTS: usize = 16;
/// The pause between two requests of a client: `limits.requests_per_address` is 6,000 a minute by default.
const PACE: Duration = Duration::from_millis(10);
/// Most that the p99 may rise.
const MOST: f64 = 1.2;

/// The p99 of logins and of paid calls.
#[derive(Clone, Copy)]
struct Tail {
    login: Duration,
    paid: Duration,
}

/// Measures every public operation that reads; prints one line for each.
pub async fn compare(stage: &Stage, span: Duration) -> anyhow::Result<()> {
    let document = stage.client().get("/openapi.json").send().await.json();
    println!("p99 beside {CLIENTS} anonymous clients, and alone just before; times in ms\n");
    println!(
        "{:<40} | login alone beside       | paid call alone beside",
        "GET"
    );
    let mut worst = (0.0f64, 0.0f64);
    for path in operations(&document) {
        let alone = measure(stage, span).await?;
        let stop = CancellationToken::new();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| tokio::spawn(anonymous(stage.client(), path.clone(), stop.clone())))
            .collect();
        let beside = measure(stage, span).await;
        stop.cancel();
        for client in clients {
            client.await?;
        }
        let beside = beside?;
        let rise = |before: Duration, after: Duration| after.as_secs_f64() / before.as_secs_f64();
        let (login, paid) = (rise(alone.login, beside.login), rise(alone.paid, beside.paid));
        worst = (worst.0.max(login), worst.1.max(paid));
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        println!(
            "{path:<40} | {:>11.1} {:>6.1} {login:>5.2}x | {:>15.1} {:>6.1} {paid:>5.2}x",
            ms(alone.login),
            ms(beside.login),
            ms(alone.paid),
            ms(beside.paid),
        );
    }
    println!(
        "\nworst: login {:.2}x, paid call {:.2}x; at most {MOST:.2}x",
        worst.0, worst.1
    );
    Ok(())
}

/// The paths of public GETs, with values for their parameters.
fn operations(document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let paths = document["paths"].as_object().into_iter().flatten();
    for (path, operations) in paths {
        let security = operations["get"]["security"].as_array();
        let open = |required: &Value| required.as_object().is_some_and(serde_json::Map::is_empty);
        let public = security.is_some_and(|all| all.is_empty() || all.iter().any(open));
        if !public || path.starts_with("/api/v1/auth/") {
            continue;
        }
        let wallet = Wallet::number(1).wallet_address().to_string();
        let path = path
            .replace("{address}", &wallet)
            .replace("{sha256}", &"0".repeat(64))
            .replace("{file}", "index.css")
            .replace("{id}", "1");
        found.push(path);
    }
    found
}

async fn anonymous(client: haithe_tests::client::Client, path: String, stop: CancellationToken) {
    let path = path
        .strip_prefix("/api")
        .map_or(format!("/{path}"), str::to_owned);
    while !stop.is_cancelled() {
        let began = Instant::now();
        // Any answer will do: it is asked, not tested.
        let _ = client.get(&path).try_send().await;
        tokio::time::sleep(PACE.saturating_sub(began.elapsed())).await;
    }
}

async fn measure(stage: &Stage, span: Duration) -> anyhow::Result<Tail> {
    let logins = async {
        let client = stage.client();
        let end = Instant::now() + span;
        let mut latencies = Vec::new();
        while Instant::now() < end {
            let began = Instant::now();
            User::log_in(&client, Wallet::number(2)).await;
            latencies.push(began.elapsed());
        }
        latencies.sort_unstable();
        let last = latencies.len().saturating_sub(1);
        latencies.get(last * 99 / 100).copied().context("no login ended")
    };
    let target = stage.target(false);
    let (login, paid) = tokio::join!(logins, run(&target, 1, Duration::ZERO, span));
    Ok(Tail {
        login: login?,
        paid: paid?.quantile(0.99),
    })
}
