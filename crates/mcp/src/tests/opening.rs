//! Opening a session: what is sent, what is listed, and every way to fail.

use super::scripted::{Reply, SESSION, Scripted};
use haithe_kernel::{FetchError, FetchMethod};
use haithe_marketplace::ports::ToolServerError::{
    Denied, Late, Moved, Protocol, Refused, TooLarge, Unreachable,
};
use serde_json::{Value, json};

#[tokio::test]
async fn a_session_is_opened_listed_page_by_page_and_ended() {
    let server = Scripted::good();
    let open = server.open().await.unwrap();
    let names: Vec<_> = open.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["tide", "bare", "wind"]);
    assert_eq!(
        (&*open.tools[0].description, &*open.tools[1].description),
        ("Tells the tide", "")
    );
    assert_eq!(open.tools[0].schema["properties"]["port"]["type"], "string");
    drop(open);
    server.ended().await;
    assert_eq!(
        server.methods(),
        [
            "initialize",
            "notifications/initialized",
            "tools/list",
            "tools/list",
            ""
        ]
    );
    let heard = server.heard.lock().unwrap();
    for (number, heard) in heard.iter().enumerate() {
        assert_eq!(heard.header("x-key"), ["the creator's"], "{number}");
        let session: &[&str] = if number == 0 { &[] } else { &[SESSION] };
        assert_eq!(heard.header("mcp-session-id"), session, "{number}");
    }
    let (posts, goodbye) = heard.split_at(4);
    for heard in posts {
        assert_eq!(heard.method, FetchMethod::Post);
        assert_eq!(heard.header("accept"), ["application/json, text/event-stream"]);
    }
    let version = &heard[0].message["params"]["protocolVersion"];
    for heard in &heard[1..] {
        assert_eq!(heard.header("mcp-protocol-version"), [version.as_str().unwrap()]);
    }
    assert_eq!(goodbye[0].method, FetchMethod::Delete);
    assert_eq!(heard[0].message["params"]["clientInfo"]["name"], "haithe");
    assert_eq!(heard[0].message["params"]["capabilities"], json!({}));
}

#[tokio::test]
async fn a_server_that_answers_a_notification_is_used_all_the_same() {
    let server = Scripted::at("notifications/initialized", || {
        Reply::Http(200, "application/json", b"{}".to_vec())
    });
    assert_eq!(server.open().await.unwrap().tools.len(), 3);
}

#[tokio::test]
async fn what_the_fetcher_refuses_or_cannot_reach_is_said_in_the_ports_words() {
    for method in ["initialize", "tools/list"] {
        let cases = [
            (FetchError::Refused("10.0.0.1".into()), Refused),
            (FetchError::Header, Refused),
            (FetchError::Redirect, Moved),
            (FetchError::TooLarge, TooLarge),
            (FetchError::Late, Late),
            (FetchError::Unreachable("10.0.0.1".into()), Unreachable),
        ];
        for (failure, expected) in cases {
            let failure = std::sync::Mutex::new(Some(failure));
            let server = Scripted::at(method, move || {
                Reply::Fails(failure.lock().unwrap().take().unwrap_or(FetchError::Late))
            });
            assert_eq!(server.open().await.err(), Some(expected), "{method}");
        }
    }
}

#[tokio::test]
async fn what_is_not_the_protocol_is_refused() {
    let garbage: &[(u16, &'static str, &'static [u8])] = &[
        (200, "application/json", b"{]"),
        (200, "application/json", b"{}"),
        (200, "application/json", b"[]"),
        (200, "text/html", b"<html>"),
        (200, "text/event-stream", b""),
        (200, "text/event-stream", b"data: {]\n\n"),
        (200, "application/json", b"\xff\xfe"),
        (302, "text/plain", b""),
        (404, "text/plain", b""),
    ];
    for method in ["initialize", "tools/list"] {
        for (status, form, body) in garbage {
            let server = Scripted::at(method, || Reply::Http(*status, form, body.to_vec()));
            assert_eq!(
                server.open().await.err(),
                Some(Protocol),
                "{method} {status} {form} {body:?}"
            );
        }
        for (status, expected) in [
            (401, Denied),
            (403, Denied),
            (429, Unreachable),
            (503, Unreachable),
        ] {
            let server = Scripted::at(method, move || {
                Reply::Http(status, "text/plain", b"the secret".to_vec())
            });
            assert_eq!(server.open().await.err(), Some(expected), "{method} {status}");
        }
    }
    let declined = Scripted::with(|method, message| {
        let error = json!({"jsonrpc": "2.0", "id": message["id"],
            "error": {"code": -32_602, "message": "unsupported version"}});
        let body = error.to_string().into_bytes();
        (method == "initialize").then_some(Reply::Http(400, "application/json", body))
    });
    assert_eq!(declined.open().await.err(), Some(Protocol));
}

#[tokio::test]
async fn a_list_without_end_is_not_read_to_its_end() {
    let endless = Scripted::with(|method, _| {
        let page = json!({"tools": [{"name": "again", "inputSchema": {}}], "nextCursor": "on"});
        (method == "tools/list").then_some(Reply::Result(page))
    });
    assert_eq!(endless.open().await.err(), Some(TooLarge));
    assert_eq!(
        endless
            .methods()
            .iter()
            .filter(|method| *method == "tools/list")
            .count(),
        8
    );
    endless.ended().await;
    let long = Scripted::with(|method, _| {
        let tools: Vec<Value> = (0..513)
            .map(|number| json!({"name": format!("t{number}"), "inputSchema": {}}))
            .collect();
        (method == "tools/list").then_some(Reply::Result(json!({"tools": tools})))
    });
    assert_eq!(long.open().await.err(), Some(TooLarge));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_given_up() {
    for method in ["initialize", "notifications/initialized", "tools/list"] {
        let server = Scripted::at(method, || Reply::Hangs);
        assert_eq!(server.open().await.err(), Some(Late), "{method}");
        if method == "tools/list" {
            server.ended().await;
        }
    }
}

/// Field case K3: one tool whose `inputSchema` is null must not lose the whole list.
#[tokio::test]
async fn a_tool_without_a_schema_does_not_hide_the_others() {
    let tools = json!({"tools": [{"name": "odd", "inputSchema": null}, {"name": "fine", "inputSchema": {}}]});
    for streamed in [false, true] {
        let tools = tools.clone();
        let server = Scripted::with(move |method, _| {
            let reply = if streamed { Reply::Events } else { Reply::Result };
            (method == "tools/list").then(|| reply(tools.clone()))
        });
        let open = server.open().await.unwrap();
        let names: Vec<&str> = open.tools.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names, ["odd", "fine"], "streamed: {streamed}");
    }
}
