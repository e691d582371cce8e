//! The ledger check reads all balances at once and raises an alarm when it cannot be made.

use bytes::Bytes;
use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Setup, Surroundings},
    client::Client,
    eventually,
    program::free_port,
    wallets::Wallet,
};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};
use tokio::net::TcpListener;

/// The selector of `balanceOf(address)`.
const BALANCE_OF: &str = "70a08231";

/// Stands between the service and its node: counts requests for balances, and can refuse them.
struct Relay {
    url: String,
    asked: Arc<AtomicUsize>,
    refuses: Arc<AtomicBool>,
}

impl Relay {
    async fn to(node: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let relay = Self {
            url,
            asked: Arc::default(),
            refuses: Arc::default(),
        };
        let (asked, refuses) = (relay.asked.clone(), relay.refuses.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (node, asked, refuses) = (node.clone(), asked.clone(), refuses.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let (node, asked, refuses) = (node.clone(), asked.clone(), refuses.clone());
                    async move {
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        let balances = String::from_utf8_lossy(&body).contains(BALANCE_OF);
                        if balances {
                            asked.fetch_add(1, Relaxed);
                        }
                        Ok::<_, Infallible>(answer(&node, body, balances && refuses.load(Relaxed)).await)
                    }
                });
                tokio::spawn(async move {
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        relay
    }
}

async fn answer(node: &str, body: Bytes, refused: bool) -> Response<Full<Bytes>> {
    if refused {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        return response;
    }
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(node).header("content-type", "application/json");
    let said = request.body(body).send().await.unwrap();
    let mut response = Response::new(Full::new(said.bytes().await.unwrap()));
    let json = "application/json".parse().unwrap();
    response.headers_mut().insert("content-type", json);
    response
}

async fn relayed(setup: Setup) -> (Surroundings, Relay) {
    let mut around = Surroundings::prepare(setup).await;
    let relay = Relay::to(around.chain.rpc_url()).await;
    around.set("chain.rpc_url", relay.url.clone());
    (around, relay)
}

/// Finding 18: one request per organization made the check slower with every tenant.
#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_check_reads_the_balances_of_all_organizations_in_one_request() {
    const TENANTS: u32 = 24;
    let (around, relay) = relayed(Setup::default()).await;
    let app = App::over(around).await;
    for number in 0..TENANTS {
        let org = app
            .chain
            .create_organization(&Wallet::number(100 + number), &format!("tenant {number}"))
            .await;
        app.chain.deposit(org, Usdt::whole(1)).await;
    }
    let head = app.chain.dev.head().number;
    eventually("every organization is indexed", async || {
        let ready = app.anonymous().get("//health/ready").send().await.json();
        (ready["chain"]["indexed_block"] == head).then_some(())
    })
    .await;
    let around = app.stop().await;
    let before = relay.asked.load(Relaxed);
    let checked = around.run(&["ledger", "check"], None).await;
    assert!(checked.success(), "{checked:?}");
    let asked = relay.asked.load(Relaxed) - before;
    let organizations = checked.stdout.matches("organization ").count();
    assert_eq!(organizations, TENANTS as usize, "{}", checked.stdout);
    assert_eq!(asked, 1, "one request for all balances");
}

/// Finding 18: a check that could not be made was a warning that nobody watches for.
#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_check_that_cannot_be_made_raises_an_alarm_and_shows_in_health_and_metrics() {
    let metrics = format!("127.0.0.1:{}", free_port());
    let setup = Setup::default()
        .set("settlement.check_seconds", 1)
        .set("settlement.check_alarm_seconds", 2)
        .set("metrics.address", metrics.clone());
    let (around, relay) = relayed(setup).await;
    relay.refuses.store(true, Relaxed);
    let server = around.serve(free_port()).await;
    let client = server.anonymous();
    eventually("the alarm is raised", async || {
        let log = server.log();
        let raised =
            log.contains("haithe::alarm") && log.contains("not compared with the chain for too long");
        raised.then_some(())
    })
    .await;
    let ready = client.get("//health/ready").send().await.json();
    assert_eq!(ready["status"], "degraded", "{ready}");
    assert_eq!(ready["ledger"]["ok"], false, "{ready}");
    let figures = Client::new(format!("http://{metrics}"));
    let figures = figures.get("//metrics").send().await.text();
    let age = figures
        .lines()
        .find_map(|line| line.strip_prefix("haithe_ledger_check_age_seconds "))
        .and_then(|age| age.parse::<f64>().ok());
    assert!(age.is_some_and(|age| age > 2.0), "{age:?}");

    relay.refuses.store(false, Relaxed);
    eventually("a completed check ends it", async || {
        let ready = client.get("//health/ready").send().await.json();
        (ready["ledger"]["ok"] == true && ready["ledger"]["checked_seconds_ago"].is_u64()).then_some(())
    })
    .await;
    server.kill().await;
}
