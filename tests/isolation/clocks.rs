//! Rate limits, caches and the settlement gate do not depend on the wall clock.

use haithe_kernel::{Clock as _, Usdt};
use haithe_tests::{
    app::{App, Setup, models, question},
    client::Client,
    eventually,
    program::free_port,
    upstream::Script,
    wallets::Wallet,
};
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

const HOUR: Duration = Duration::from_secs(3_600);

/// Finding 16: a step back by an hour refuses nobody whose quota is free.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_keeps_its_quota_when_the_time_of_day_steps_back() {
    let (setup, clock) = Setup::on_a_clock();
    let app = App::with(setup.set("limits.requests_per_address", 6)).await;
    let client = app.anonymous();
    let models = || client.get("/v1/models").send();
    for _ in 0..5 {
        assert_eq!(models().await.status, 200);
    }
    clock.set(clock.now().minus(HOUR));
    assert_eq!(models().await.status, 200, "one request is left");
    let refused = models().await;
    assert_eq!(
        (refused.status.as_u16(), refused.header("retry-after")),
        (429, Some("10"))
    );
    clock.advance(Duration::from_secs(10));
    assert_eq!(models().await.status, 200);
}

/// Finding 16: the same for keys' requests and tokens, and for the settlement gate, in both directions.
#[tokio::test(flavor = "multi_thread")]
async fn paid_calls_are_answered_whatever_the_time_of_day_does() {
    let (setup, clock) = Setup::on_a_clock();
    let app = App::with(setup).await;
    let tenant = app.funded("acme", Usdt::whole(10)).await;
    let limits =
        json!({"project_id": tenant.project_id, "requests_per_minute": 4, "tokens_per_minute": 100_000});
    let key = tenant.api_key(limits).await;
    let client = app.anonymous().bearer(&key);
    let call = || client.chat(&question(models::PER_CALL.1)).send();
    assert_eq!(call().await.status, 200);
    clock.set(clock.now().minus(HOUR));
    assert_eq!(call().await.status, 200);
    clock.set(clock.now().plus(4 * HOUR));
    assert_eq!(call().await.status, 200);
    clock.set(clock.now().minus(3 * HOUR));
    assert_eq!(call().await.status, 200);
    let fifth = call().await;
    assert_eq!(fifth.header("retry-after"), Some("15"));
    fifth.openai_refused(429, "rate_limited");
}

/// Finding 16: a step forward in the middle of a call does not spend its time for retries, and a step in either
/// direction is in no figure of the call.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_during_a_call_is_neither_time_for_retries_nor_in_the_metrics() {
    let address = format!("127.0.0.1:{}", free_port());
    let (setup, clock) = Setup::on_a_clock();
    let app = App::with(setup.set("metrics.address", address.clone())).await;
    let tenant = app.funded("acme", Usdt::whole(10)).await;
    tenant.enable(models::STURDY).await;
    for (number, forward) in [(1, true), (2, false)] {
        let (stepping, tries) = (clock.clone(), AtomicU32::new(0));
        app.upstream.decide(move |_| {
            let now = stepping.now();
            stepping.set(if forward { now.plus(HOUR) } else { now.minus(HOUR) });
            match tries.fetch_add(1, Ordering::SeqCst) {
                0 => Script::status(500, "{}"),
                _ => Script::default(),
            }
        });
        let answer = tenant.caller.chat(&question(models::STURDY.1)).send().await;
        assert_eq!(answer.status, 200, "it was tried again: {}", answer.text());
        assert_eq!(app.upstream.count(), 2 * number);
    }
    let shown = Client::new(format!("http://{address}"));
    let shown = shown.get("//metrics").send().await.text();
    for name in [
        "haithe_call_seconds_sum",
        "haithe_upstream_seconds_sum",
        "haithe_hold_seconds_sum",
        "haithe_capture_seconds_sum",
    ] {
        let series: Vec<f64> = shown
            .lines()
            .filter(|line| line.starts_with(name))
            .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
            .collect();
        assert!(!series.is_empty(), "{name} is there");
        // The clock stands still: only a step could be in it.
        assert!(series.iter().all(|seconds| *seconds == 0.0), "{name}: {series:?}");
    }
}

/// Finding 16: a standing index does not look fresh because the time of day steps back, nor older because it
/// steps forward.
#[tokio::test(flavor = "multi_thread")]
async fn the_age_of_the_index_follows_no_step_of_the_time_of_day() {
    let (setup, clock) = Setup::on_a_clock();
    let app = App::with(setup).await;
    let anonymous = app.anonymous();
    let look = async || {
        let ready = anonymous.get("//health/ready").send().await.json();
        let block = ready["chain"]["indexed_block"].as_u64();
        (block, ready["chain"]["lag_seconds"].as_u64())
    };
    let head = app.chain.dev.head().number;
    eventually("the head is indexed", async || {
        (look().await.0 == Some(head)).then_some(())
    })
    .await;
    clock.advance(Duration::from_secs(100));
    let (_, lag) = look().await;
    assert!(lag >= Some(90), "{lag:?}");
    clock.set(clock.now().minus(HOUR));
    assert_eq!(look().await, (Some(head), lag));
    clock.set(clock.now().plus(3 * HOUR));
    assert_eq!(look().await, (Some(head), lag));
}

/// Finding 16: a step back does not make the newest login challenge the first to be evicted.
#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_that_was_issued_after_a_step_back_survives_older_ones() {
    let (setup, clock) = Setup::on_a_clock();
    let app = App::with(setup.set(
        "server.trusted_proxies",
        toml::Value::Array(vec!["127.0.0.1".into()]),
    ))
    .await;
    let wallet = Wallet::number(1);
    let address = wallet.address().to_string();
    let challenge = async |hop: &str| {
        let client = app.anonymous().with("x-forwarded-for", hop);
        client
            .get("/v1/auth/nonce")
            .query(&[("address", &address)])
            .data()
            .await
    };
    for network in 1..=8 {
        challenge(&format!("198.51.{network}.1")).await;
    }
    clock.set(clock.now().minus(Duration::from_secs(60)));
    let newest = challenge("203.0.113.7").await;
    let text = newest["nonce"].as_str().unwrap();
    let body = json!({"address": address, "signature": wallet.sign(text)});
    app.anonymous().post("/v1/auth/login").json(&body).data().await;
}

/// Where no clock but the port's may be read: the domains, and what limits clients.
const ON_THE_PORT: [&str; 8] = [
    "crates/kernel/src",
    "crates/identity/src",
    "crates/orgs/src",
    "crates/marketplace/src",
    "crates/inference/src",
    "crates/billing/src",
    "crates/server/src/service/rates",
    "crates/server/src/service/rates.rs",
];

fn root() -> PathBuf {
    haithe_tests::here().parent().unwrap().to_owned()
}

fn sources(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            sources(&entry.unwrap().path(), found);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        found.push(path.to_owned());
    }
}

/// The code of a file without its tests.
fn code(path: &Path) -> String {
    let is_test = path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs");
    if is_test {
        return String::new();
    }
    let text = std::fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Finding 16: domains and rates take time from the `Clock` port only, so that tests decide what passes.
#[test]
fn domains_and_rates_read_no_clock_but_the_port() {
    let root = root();
    let mut files = Vec::new();
    for part in ON_THE_PORT {
        sources(&root.join(part), &mut files);
    }
    assert!(files.len() > 100, "the sources are there");
    for file in files {
        let code = code(&file);
        for banned in [
            "Instant::now",
            "SystemTime::now",
            "UtcDateTime::now",
            "OffsetDateTime::now",
        ] {
            assert!(
                !code.contains(banned),
                "{} calls {banned}; take the time from `Clock`",
                file.display()
            );
        }
    }
}

/// Finding 16: what limits clients cannot see the time of day.
#[test]
fn rates_take_monotonic_time_only() {
    let root = root();
    let mut files = Vec::new();
    sources(&root.join("crates/server/src/service/rates"), &mut files);
    files.push(root.join("crates/server/src/service/rates.rs"));
    files.push(root.join("crates/inference/src/routing/breaker.rs"));
    files.push(root.join("crates/inference/src/routing/circuit.rs"));
    for file in files {
        let code = code(&file);
        assert!(
            !code.contains(".now()"),
            "{} reads the time of day",
            file.display()
        );
        assert!(
            !code.contains("Timestamp"),
            "{} keeps a time of day",
            file.display()
        );
    }
}

/// Where an age is measured once by the time of day, when it is first seen, and by monotonic time from then on.
const AGES: [&str; 2] = ["crates/billing/src/gate.rs", "crates/server/src/service/age.rs"];

/// Finding 16: no duration within the process is the difference of two times of day.
#[test]
fn durations_within_the_process_take_no_time_of_day() {
    let root = root();
    let mut files = Vec::new();
    sources(&root.join("crates"), &mut files);
    assert!(files.len() > 300, "the sources are there");
    for file in files {
        let measured = code(&file).contains(".now().since(");
        let allowed = AGES.iter().any(|age| file.ends_with(age));
        assert!(
            !measured || allowed,
            "{} measures by the time of day; use `Clock::monotonic`",
            file.display()
        );
    }
}
