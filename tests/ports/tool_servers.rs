//! [`ToolServers`] and [`ToolSession`](haithe_marketplace::ports::ToolSession): a real server on loopback,
//! called by every adapter, through the client that guards addresses.

use haithe_kernel::{Clock, FixedClock, Timestamp};
use haithe_marketplace::{
    ToolLists,
    content::McpEndpoint,
    ports::{
        ToolAnswer, ToolServerError,
        ToolServerError::{Denied, Moved, Protocol, Refused, TooLarge, Unreachable},
        ToolServers,
    },
};
use haithe_mcp::McpServers;
use haithe_tests::{
    app::{RECEIVER, loopback},
    recorder::Recorder,
    tool_server::{Act, Heard, ToolServer},
};
use http::Method;
use serde_json::{Map, Value, json};
use std::sync::Arc;

const KEY: &str = "a-key-of-the-creator";

/// Everybody who implements the port, each with a client that may call this server.
fn adapters(server: &ToolServer) -> [(&'static str, Arc<dyn ToolServers>); 2] {
    let clock: Arc<dyn Clock> = Arc::new(FixedClock::at(Timestamp::from_seconds(0)));
    let mcp = || Arc::new(McpServers::new(loopback(&[server.address()])));
    [
        ("mcp", mcp()),
        ("lists that are kept", Arc::new(ToolLists::new(mcp(), clock))),
    ]
}

fn endpoint(url: &str, key: &str) -> McpEndpoint {
    let written = json!({"url": url, "headers": {"x-key": key}});
    McpEndpoint::parse(written.to_string().as_bytes()).unwrap()
}

fn port(name: &str) -> Map<String, Value> {
    Map::from_iter([("port".to_owned(), name.into())])
}

fn methods(heard: &[Heard]) -> Vec<&str> {
    let methods = heard.iter().map(|heard| heard.message["method"].as_str());
    methods.flatten().collect()
}

/// A server that does this with messages of this kind, and the usual with others.
async fn acting(method: &'static str, act: Act) -> ToolServer {
    ToolServer::acting(KEY, move |message| {
        (message["method"] == method).then(|| act.clone())
    })
    .await
}

#[tokio::test]
async fn a_session_lists_every_tool_calls_them_and_is_ended_with_its_last_handle() {
    let server = ToolServer::start(KEY).await;
    for (number, (name, adapter)) in (1..).zip(adapters(&server)) {
        let open = adapter.open(&endpoint(&server.url(), KEY)).await.unwrap();
        let names: Vec<_> = open.tools.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(
            names,
            ["close_port", "tide.high"],
            "{name}: in the server's order"
        );
        assert_eq!(open.tools[1].description, "Tells the tide.high of a port.");
        assert_eq!(open.tools[1].schema["properties"]["port"]["type"], "string");
        let (one, other) = (
            open.session.call("tide.high", port("Arlen")),
            open.session.call("tide.high", port("Bari")),
        );
        let (one, other) = tokio::join!(one, other);
        for (answer, place) in [(one, "Arlen"), (other, "Bari")] {
            let text = format!("high water at {place} is at 14:20");
            assert_eq!(answer, Ok(ToolAnswer { text, failed: false }), "{name}");
        }
        let ended = |heard: &Heard| heard.method == Method::DELETE;
        let session = Arc::clone(&open.session);
        drop(open);
        assert!(session.call("tide.high", port("Rome")).await.is_ok());
        assert!(
            !server.heard()[..].last().is_some_and(ended),
            "{name}: it is in use"
        );
        drop(session);
        server.ended(number).await;
    }
    let mut calls = server.calls();
    calls.sort_by_key(|(_, arguments)| arguments.to_string());
    let called = |place: &str| ("tide.high".to_owned(), json!({"port": place}));
    let twice = ["Arlen", "Arlen", "Bari", "Bari", "Rome", "Rome"];
    assert_eq!(calls, twice.map(called));
    for heard in server.heard() {
        assert_eq!(
            heard.headers["x-key"], KEY,
            "what lets the creator in is always sent"
        );
        assert_eq!(heard.target, "/mcp");
        assert_eq!(heard.session.is_some(), heard.message["method"] != "initialize");
    }
}

#[tokio::test]
async fn a_session_for_tools_that_are_known_asks_for_nothing() {
    let server = ToolServer::start(KEY).await;
    for (name, adapter) in adapters(&server) {
        server.take();
        let session = adapter.session(&endpoint(&server.url(), KEY)).await.unwrap();
        session.call("tide.high", port("Arlen")).await.unwrap();
        drop(session);
        server.ended(1).await;
        let heard = server.heard();
        let opened = ["initialize", "notifications/initialized", "tools/call"];
        assert_eq!(methods(&heard), opened, "{name}");
    }
}

#[tokio::test]
async fn what_the_server_has_against_a_call_is_an_answer_that_failed() {
    let gone = Act::Declines("Unknown tool: tide.high");
    let failed = Act::Result(json!({"content": [{"type": "text", "text": "no such port"}], "isError": true}));
    for (act, text) in [(gone, "Unknown tool: tide.high"), (failed, "no such port")] {
        let server = acting("tools/call", act).await;
        for (name, adapter) in adapters(&server) {
            let open = adapter.open(&endpoint(&server.url(), KEY)).await.unwrap();
            let answer = open.session.call("tide.high", port("Arlen")).await;
            let text = text.to_owned();
            assert_eq!(answer, Ok(ToolAnswer { text, failed: true }), "{name}");
        }
    }
}

#[tokio::test]
async fn what_is_no_text_is_named_and_not_shown() {
    let image = json!({"content": [{"type": "image", "data": "QUJD", "mimeType": "image/png"},
        {"type": "text", "text": "14:20"}]});
    let server = acting("tools/call", Act::Result(image)).await;
    for (name, adapter) in adapters(&server) {
        let open = adapter.open(&endpoint(&server.url(), KEY)).await.unwrap();
        let answer = open.session.call("tide.high", port("Arlen")).await.unwrap();
        assert!(
            answer.text.contains("image") && answer.text.contains("14:20"),
            "{name}"
        );
        assert!(!answer.text.contains("QUJD"), "{name}: {}", answer.text);
    }
}

/// What goes wrong in the server's answers, and what it is called.
fn troubles(elsewhere: &Recorder) -> Vec<(Act, ToolServerError)> {
    let raw = |status, form, body: &str| Act::Raw(status, form, body.to_owned());
    let mut troubles = vec![
        (raw(200, "application/json", "{]"), Protocol),
        (raw(200, "text/html", "<html>"), Protocol),
        (raw(200, "text/event-stream", ""), Protocol),
        (raw(404, "text/plain", ""), Protocol),
        (raw(401, "text/plain", "no"), Denied),
        (raw(403, "text/plain", "no"), Denied),
        (raw(429, "text/plain", "no"), Unreachable),
        (raw(503, "text/plain", "no"), Unreachable),
        (raw(200, "application/json", &" ".repeat((1 << 20) + 1)), TooLarge),
    ];
    for status in [301, 302, 303, 307, 308] {
        troubles.push((Act::Moved(status, elsewhere.url("/")), Moved));
    }
    troubles
}

#[tokio::test]
async fn trouble_has_the_ports_names_and_nothing_is_tried_twice_or_followed() {
    let elsewhere = Recorder::canary().await;
    for method in ["initialize", "tools/list", "tools/call"] {
        for (act, expected) in troubles(&elsewhere) {
            let server = acting(method, act.clone()).await;
            for (name, adapter) in adapters(&server) {
                server.take();
                let what = format!("{name}, {method}: {act:?}");
                let failed = match adapter.open(&endpoint(&server.url(), KEY)).await {
                    Ok(open) => open.session.call("tide.high", port("Arlen")).await.err(),
                    Err(error) => Some(error),
                };
                assert_eq!(failed, Some(expected), "{what}");
                let heard = server.heard();
                let asked = methods(&heard).into_iter().filter(|heard| *heard == method);
                assert_eq!(asked.count(), 1, "{what}");
            }
        }
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_list_without_end_is_too_large() {
    let page = json!({"tools": [{"name": "again", "inputSchema": {}}], "nextCursor": "on"});
    let server = acting("tools/list", Act::Result(page)).await;
    for (name, adapter) in adapters(&server) {
        let opened = adapter.open(&endpoint(&server.url(), KEY)).await;
        assert_eq!(opened.err(), Some(TooLarge), "{name}");
    }
}

#[tokio::test]
async fn credentials_addresses_and_absence_are_told_apart_and_repeated_nowhere() {
    let inside = Recorder::canary().await;
    let server = ToolServer::start(KEY).await;
    let port = server.address().port();
    let cases = [
        (server.url(), "another key", Denied),
        (format!("http://{RECEIVER}:8080/mcp"), KEY, Refused),
        (format!("http://{}/mcp", inside.address()), KEY, Refused),
        ("http://169.254.169.254/mcp".to_owned(), KEY, Refused),
        (format!("http://nobody.example:{port}/mcp"), KEY, Unreachable),
    ];
    for (url, key, expected) in cases {
        for (name, adapter) in adapters(&server) {
            let endpoint = endpoint(&url, key);
            let opened = adapter.open(&endpoint).await;
            let error = opened.expect_err("nobody lets us in");
            assert_eq!(error, expected, "{name}: {url}");
            assert!(!error.to_string().contains(&url), "{error}");
            let session = adapter.session(&endpoint).await;
            assert_eq!(session.err(), Some(expected), "{name}: {url}");
        }
    }
    assert_eq!(inside.connections(), 0);
}
