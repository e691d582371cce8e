//! Servers of tools that redirect: a call goes to the address that its creator declared, and to no other,
//! not even one that anybody could name. What is read in public is followed to where it went.

use crate::{
    market::creator,
    selling::{sell, texts},
};
use alloy::primitives::U256;
use haithe_kernel::{FixedClock, Usdt};
use haithe_tests::{
    app::{App, Setup, Tenant, User, question},
    recorder::{Asked, Recorder, moved},
    tool_server::{Act, ToolServer},
    upstream::{Exchange, Script},
};
use http::Response;
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

const KEY: &str = "a-key-of-the-creator";
const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];
const PAGE: &str = "The lighthouse of Arlen was lit by the keeper Ino Marl.";

/// Somebody else, whom the service may call, and somebody inside, whom it may not.
struct Others {
    public: Recorder,
    inside: Recorder,
}

impl Others {
    async fn start() -> Self {
        let page = |_: &Asked| {
            let response = Response::builder().header("content-type", "text/plain");
            response.body(PAGE.to_owned()).expect("a valid header")
        };
        Self {
            public: Recorder::answering(page).await,
            inside: Recorder::canary().await,
        }
    }

    /// Where the tools' servers lead: elsewhere in public, inside, and about their own house.
    fn places(&self) -> [String; 5] {
        let inside = self.inside.address().port();
        [
            self.public.url("/admin"),
            format!("http://127.0.0.1:{inside}/"),
            format!("http://localhost:{inside}/"),
            "http://169.254.169.254/latest/meta-data".to_owned(),
            "/admin".to_owned(),
        ]
    }

    fn expect_silence(&self) {
        assert_eq!(
            (self.public.connections(), self.inside.connections()),
            (0, 0),
            "nobody was called"
        );
    }
}

/// `303-2` as a tool's argument: the status, and the place that its server leads to.
fn led(word: &str, places: &[String]) -> Option<(u16, String)> {
    let (status, place) = word.split_once('-')?;
    let place: usize = place.parse().ok()?;
    Some((status.parse().ok()?, places.get(place)?.clone()))
}

/// Calls every tool with the last word of the question, then says that it is done.
fn model(exchange: &Exchange) -> Script {
    let request = exchange.json();
    let answered = !texts(&request, "tool").is_empty();
    let question = texts(&request, "user").pop().unwrap_or_default().to_owned();
    let word = question.rsplit(' ').next().unwrap_or_default();
    let tools = request["tools"].as_array().filter(|_| !answered);
    let names = tools
        .into_iter()
        .flatten()
        .filter_map(|tool| tool["function"]["name"].as_str());
    let calls: Vec<_> = names
        .map(|name| (name.to_owned(), json!({"where": word}).to_string()))
        .collect();
    if calls.is_empty() {
        Script::text("done")
    } else {
        Script::calls(calls)
    }
}

/// A project, and who sells to it.
struct Market {
    app: App,
    clock: Arc<FixedClock>,
    tenant: Tenant,
    maker: User,
}

impl Market {
    async fn open(receivers: &[&Recorder], server: Option<&ToolServer>) -> Self {
        let receivers = receivers.iter().map(|receiver| receiver.address());
        let (setup, clock) = Setup::on_a_clock();
        let setup = Setup {
            receivers: receivers.chain(server.map(ToolServer::address)).collect(),
            ..setup
        };
        let app = App::with(setup).await;
        app.upstream.decide(model);
        let maker = creator(&app, 7).await;
        let tenant = app.funded("Acme", Usdt::whole(20)).await;
        Self {
            app,
            clock,
            tenant,
            maker,
        }
    }

    async fn sell(&self, name: &str, category: &str, content: &str) {
        let product = (name, category, U256::ZERO);
        sell(&self.app, &self.maker, &self.tenant, product, content.as_bytes()).await;
    }

    /// What the model heard of the tools that it called.
    async fn heard(&self, word: &str, streamed: bool) -> Vec<String> {
        let mut ask = question("per-token");
        ask["stream"] = streamed.into();
        ask["messages"] = json!([{"role": "user", "content": format!("Go {word}")}]);
        let answer = self.tenant.caller.chat(&ask).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let last = self.app.upstream.exchanges().pop().expect("an exchange");
        let last = last.json();
        texts(&last, "tool").into_iter().map(str::to_owned).collect()
    }
}

fn rpc(name: &str, method: &str, place: &str, url: &str) -> String {
    json!({"name": name, "description": "Goes somewhere.", "method": method, "url": url,
        "headers": {"x-key": KEY},
        "parameters": [{"name": "where", "in": place, "type": "string", "required": true}]})
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_redirects_is_a_failed_call_and_a_page_that_does_is_read_where_it_went() {
    let others = Others::start().await;
    let places = others.places();
    let leads = places.clone();
    let site = Recorder::answering(move |asked| {
        let target = asked.target.strip_prefix("/read/").unwrap_or_default();
        let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        let word = body["where"].as_str().unwrap_or(target);
        match led(word, &leads) {
            Some((status, place)) => moved(status, &place),
            None => moved(302, &leads[0]),
        }
    })
    .await;
    let leads = places.clone();
    let server = ToolServer::acting(KEY, move |message| {
        let word = message["params"]["arguments"]["where"].as_str()?;
        led(word, &leads).map(|(status, place)| Act::Moved(status, place))
    })
    .await;
    let market = Market::open(&[&site, &others.public], Some(&server)).await;
    let (read, write) = (site.url("/read/{where}"), site.url("/write"));
    market
        .sell("read", "tool:rpc", &rpc("read", "GET", "path", &read))
        .await;
    market
        .sell("write", "tool:rpc", &rpc("write", "POST", "body", &write))
        .await;
    let served = json!({"url": server.url(), "headers": {"x-key": KEY}, "tools": ["close_port"]});
    market.sell("served", "mcp", &served.to_string()).await;

    for status in STATUSES {
        for place in 0..places.len() {
            let word = format!("{status}-{place}");
            let heard = market.heard(&word, place % 2 == 0).await;
            let refused = "error: the address redirects in a way that is not followed";
            let moved = "error: the tools' server redirects to another address, which is not followed";
            assert_eq!(heard, [refused, refused, moved], "{word}");
            let mut asked: Vec<_> = site
                .take()
                .into_iter()
                .map(|asked| format!("{} {}", asked.method, asked.target))
                .collect();
            asked.sort();
            assert_eq!(
                asked,
                [format!("GET /read/{word}"), "POST /write".to_owned()],
                "{word}"
            );
            let calls = server.take().into_iter();
            let calls = calls.filter(|heard| heard.message["method"] == "tools/call");
            let targets: Vec<_> = calls.map(|heard| heard.target).collect();
            assert_eq!(targets, ["/mcp"], "{word}");
        }
    }
    others.expect_silence();

    // What is no tool is followed, so that the others could have been reached.
    market.sell("page", "knowledge:url", &site.url("/page")).await;
    market.heard("to the lighthouse of Arlen", false).await;
    assert_eq!(others.public.asked().len(), 1);
    let exchanges = market.app.upstream.exchanges();
    let last = exchanges.last().expect("an exchange").json().to_string();
    assert!(last.contains("Ino Marl"), "{last}");
    assert_eq!(others.inside.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_tools_that_redirects_before_its_tools_are_known_is_a_product_that_cannot_be_loaded() {
    let others = Others::start().await;
    let now = Arc::new(Mutex::new(None::<(&str, u16, String)>));
    let then = Arc::clone(&now);
    let server = ToolServer::acting(KEY, move |message| {
        let (method, status, place) = then.lock().unwrap().clone()?;
        (message["method"] == method).then_some(Act::Moved(status, place))
    })
    .await;
    let market = Market::open(&[&others.public], Some(&server)).await;
    let served = json!({"url": server.url(), "headers": {"x-key": KEY}});
    market.sell("served", "mcp", &served.to_string()).await;
    for method in ["initialize", "notifications/initialized", "tools/list"] {
        for status in STATUSES {
            for place in others.places() {
                *now.lock().unwrap() = Some((method, status, place.clone()));
                let call = question("per-token");
                let call = market.tenant.caller.chat(&call);
                let text = call.openai_refused(503, "product_unavailable").await;
                // The library does not tell why a session ended before it was open on both sides.
                let known = method != "notifications/initialized";
                let why = if known { "redirects" } else { "does not answer as" };
                assert!(text.contains(&format!("the tools' server {why}")), "{text}");
                assert!(!text.contains(&place), "{text}");
                let targets: Vec<_> = server.take().into_iter().map(|heard| heard.target).collect();
                assert!(!targets.is_empty() && targets.iter().all(|target| target == "/mcp"));
                // A failure is remembered for longer each time, up to five minutes.
                market.clock.advance(Duration::from_secs(301));
            }
        }
    }
    others.expect_silence();
    assert_eq!(market.app.upstream.count(), 0);
    *now.lock().unwrap() = None;
    let call = question("per-token");
    assert_eq!(market.tenant.caller.chat(&call).send().await.status, 200);
}
