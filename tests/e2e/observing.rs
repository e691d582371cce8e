//! What operators see: readiness part by part, and every figure, which moves when something happens.

use haithe_kernel::Usdt;
use haithe_server::service::metrics::CATALOGUE;
use haithe_tests::{
    app::{App, Setup, Tenant, models, question, streamed_question},
    client::Client,
    eventually,
    program::free_port,
    upstream::Script,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Figures by series: name and labels as they are written.
struct Figures(BTreeMap<String, f64>);

impl Figures {
    /// Scrapes, and holds the text against the catalogue's names and kinds.
    async fn scrape(address: &str) -> Self {
        let shown = Client::new(format!("http://{address}"));
        let shown = shown.get("//metrics").send().await;
        assert_eq!(
            shown.header("content-type"),
            Some("text/plain; version=0.0.4; charset=utf-8")
        );
        let text = shown.text();
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, kind) = line.split_once(' ').expect("a name and a kind");
            assert!(
                CATALOGUE
                    .iter()
                    .any(|(known, as_what, _)| (*known, *as_what) == (name, kind)),
                "{line} is not in the catalogue"
            );
        }
        let series = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty());
        let pair = |line: &str| {
            let (series, value) = line.rsplit_once(' ').expect("a series and its value");
            (series.to_owned(), value.parse().expect("a number"))
        };
        Self(series.map(pair).collect())
    }

    /// The sum of all series of this name whose text holds all of `labels`.
    fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let all = self.0.iter().filter(|(series, _)| {
            let named = series.split('{').next().unwrap_or_default() == name;
            named && labels.iter().all(|label| series.contains(label))
        });
        all.map(|(_, value)| value).sum()
    }

    fn has(&self, name: &str) -> bool {
        let is = |series: &String| {
            let plain = series.split('{').next().unwrap_or_default();
            [name, &format!("{name}_count")].contains(&plain)
        };
        self.0.keys().any(is)
    }
}

async fn ask(tenant: &Tenant) -> u16 {
    let answer = tenant.caller.chat(&question(models::PER_CALL.1)).send().await;
    answer.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_figure_is_shown_and_moves_when_something_happens() {
    let address = format!("127.0.0.1:{}", free_port());
    let setup = Setup::default()
        .set("metrics.address", address.clone())
        .set("limits.concurrent_per_organization", 2);
    let app = App::with(setup).await;
    let tenant = app.funded("acme", Usdt::whole(10)).await;
    let limits = json!({
        "project_id": tenant.project_id, "requests_per_minute": 2, "tokens_per_minute": 100_000,
    });
    let limited = app.anonymous().bearer(&tenant.api_key(limits).await);
    let frugal = json!({"project_id": tenant.project_id, "tokens_per_minute": 1});
    let frugal = app.anonymous().bearer(&tenant.api_key(frugal).await);
    let before = Figures::scrape(&address).await;

    assert_eq!(ask(&tenant).await, 200);
    let streamed = tenant
        .caller
        .chat(&streamed_question(models::PER_CALL.1))
        .send()
        .await;
    assert_eq!(streamed.status, 200);
    for status in [200, 200, 429] {
        let answer = limited.chat(&question(models::PER_CALL.1)).send().await;
        assert_eq!(answer.status, status);
    }
    for status in [200, 429] {
        let answer = frugal.chat(&question(models::PER_CALL.1)).send().await;
        assert_eq!(answer.status, status);
    }

    // Two long streams: what is open is seen while it is open, and a third call finds no place.
    let long = Script {
        output: 900,
        tokens_per_event: 1,
        pace_ms: 200,
        ..Script::default()
    };
    app.upstream.next([long.clone(), long]);
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let caller = tenant.caller.clone();
            tokio::spawn(async move { caller.chat(&streamed_question(models::PER_CALL.1)).send().await })
        })
        .collect();
    let during = eventually("both answers have begun", async || {
        let now = Figures::scrape(&address).await;
        (now.sum("haithe_open_streams", &[]) == 2.0).then_some(now)
    })
    .await;
    assert_eq!(ask(&tenant).await, 429);
    assert_eq!(during.sum("haithe_calls_under_way", &[]), 2.0);
    assert_eq!(during.sum("haithe_holds", &[]), 2.0);
    assert!(during.sum("haithe_held_nano_usdt", &[]) > 0.0);
    assert!(during.sum("haithe_open_connections", &[]) >= 2.0);
    for call in waiting {
        call.abort();
    }
    tenant.at_rest().await;

    assert_eq!(
        app.anonymous().get("//metrics").send().await.status,
        404,
        "callers of the service see no figures"
    );
    let after = Figures::scrape(&address).await;
    assert_eq!(
        after.sum("haithe_charged_nano_usdt_total", &[]),
        f64::from(i32::try_from(tenant.expenditure().await.nano()).expect("a small sum"))
    );
    for (name, ..) in CATALOGUE {
        assert!(after.has(name), "{name} is in the catalogue and not shown");
    }
    for (name, labels, by) in [
        (
            "haithe_requests_total",
            &["chat/completions", "status=\"200\""][..],
            5.0,
        ),
        (
            "haithe_requests_total",
            &["chat/completions", "status=\"429\""],
            3.0,
        ),
        ("haithe_request_seconds_count", &["chat/completions"], 8.0),
        (
            "haithe_rate_limited_total",
            &["limit=\"requests\"", "whose=\"key\""],
            1.0,
        ),
        (
            "haithe_rate_limited_total",
            &["limit=\"tokens\"", "whose=\"key\""],
            1.0,
        ),
        (
            "haithe_rate_limited_total",
            &["limit=\"concurrency\"", "whose=\"organization\""],
            1.0,
        ),
        ("haithe_calls_total", &["streamed=\"false\""], 4.0),
        ("haithe_calls_total", &["streamed=\"true\""], 1.0),
        ("haithe_call_seconds_count", &["streamed=\"false\""], 4.0),
        ("haithe_call_seconds_count", &["streamed=\"true\""], 1.0),
        ("haithe_gateway_seconds_count", &[], 4.0),
        ("haithe_first_token_seconds_count", &[], 1.0),
        ("haithe_hold_seconds_count", &[], 5.0),
        ("haithe_capture_seconds_count", &[], 5.0),
        ("haithe_upstream_total", &["outcome=\"answered\""], 5.0),
        ("haithe_upstream_seconds_count", &[], 5.0),
    ] {
        let moved = after.sum(name, labels) - before.sum(name, labels);
        assert!(moved >= by, "{name} {labels:?} moved by {moved}, not {by}");
    }
    for (name, labels) in [
        ("haithe_tokens_total", &["kind=\"input\""][..]),
        ("haithe_tokens_total", &["kind=\"output\""]),
        ("haithe_charged_nano_usdt_total", &[]),
        ("haithe_unsettled_nano_usdt", &[]),
        ("haithe_settlement_lag_seconds", &[]),
    ] {
        let (was, is) = (before.sum(name, labels), after.sum(name, labels));
        assert!(is > was, "{name} {labels:?} was {was} and is {is}");
    }
    for name in [
        "haithe_index_block",
        "haithe_rate_subjects",
        "haithe_task_up",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_max_fds",
        "process_threads",
        "process_start_time_seconds",
        "haithe_runtime_tasks",
    ] {
        assert!(after.sum(name, &[]) > 0.0, "{name} is not above zero");
    }
    for name in [
        "haithe_holds",
        "haithe_calls_under_way",
        "haithe_open_streams",
        "haithe_lost_nano_usdt_total",
        "haithe_sender_halted",
        "haithe_sender_alarms",
    ] {
        assert_eq!(after.sum(name, &[]), 0.0, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_figures_follow_prometheus_conventions() {
    for (name, kind, what) in CATALOGUE {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(name.chars().all(plain), "{name}");
        assert!(
            name.starts_with("haithe_") || name.starts_with("process_"),
            "{name} names its application"
        );
        assert_eq!(name.ends_with("_total"), *kind == "counter", "{name} is a {kind}");
        assert!(!what.is_empty());
        // Units are base units, written out.
        for shorthand in ["_ms", "_millis", "_milliseconds", "_kb", "_percent"] {
            assert!(!name.contains(shorthand), "{name}");
        }
        assert!(*kind != "histogram" || name.ends_with("_seconds"), "{name}");
    }
}

async fn ready(app: &App) -> (u16, Value) {
    let answer = app.anonymous().get("//health/ready").send().await;
    (answer.status.as_u16(), answer.json())
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_tells_of_each_provider_what_calls_found_and_asks_none_itself() {
    let app = App::start().await;
    let tenant = app.funded("acme", Usdt::whole(10)).await;
    tenant.enable(models::STURDY).await;
    let mut payers = vec![tenant.clone()];
    for number in [2, 3] {
        let owner = app.wallet(number).await;
        let other = Tenant::found(&app.chain, owner, &format!("other {number}")).await;
        other.deposit(&app.chain, Usdt::whole(10)).await;
        other.enable(models::STURDY).await;
        payers.push(other);
    }
    let healthy = eventually("all is well", async || {
        let (_, view) = ready(&app).await;
        (view["status"] == "ready").then_some(view)
    })
    .await;
    assert_eq!(healthy["chain"]["ok"], true);
    assert!(healthy["chain"]["lag_seconds"].is_u64());
    assert_eq!(
        healthy["sender"],
        json!({"ok": true, "halted": false, "alarms": 0, "waiting": 0})
    );
    assert!(healthy["tasks"]["indexer"]["ok"].as_bool().unwrap_or(false));
    let providers = healthy["providers"].as_object().expect("an object");
    assert!(providers.len() > 1 && providers.values().all(|provider| provider["ok"] == true));

    app.upstream.always(Script::status(500, "{}"));
    let broken = eventually("a circuit opens, for faults of several payers", async || {
        for payer in &payers {
            payer.caller.chat(&question(models::STURDY.1)).send().await;
        }
        let (status, view) = ready(&app).await;
        assert_eq!(status, 200, "calls of other models are answered");
        (view["status"] == "degraded").then_some(view)
    })
    .await;
    let resting: Vec<_> = broken["providers"]
        .as_object()
        .expect("an object")
        .values()
        .filter(|provider| provider["ok"] == false)
        .flat_map(|provider| provider["resting"].as_array().expect("a list").clone())
        .collect();
    assert_eq!(resting, [json!(models::STURDY.1)]);

    let asked = app.upstream.count();
    for _ in 0..5 {
        ready(&app).await;
    }
    assert_eq!(app.upstream.count(), asked, "a probe asks no provider");

    // It recovers only by being asked.
    app.upstream.always(Script::default());
    eventually("the circuit closes again", async || {
        tenant.caller.chat(&question(models::STURDY.1)).send().await;
        (ready(&app).await.1["status"] == "ready").then_some(())
    })
    .await;
}
