//! Calling a tool: answers, failures, and what comes instead of an answer.

use super::scripted::{Reply, SESSION, Scripted};
use haithe_kernel::FetchError;
use haithe_marketplace::ports::{
    ToolAnswer, ToolServerError,
    ToolServerError::{Late, Protocol, TooLarge, Unreachable},
};
use serde_json::{Map, Value, json};
use std::sync::Arc;

fn port(name: &str) -> Map<String, Value> {
    Map::from_iter([("port".to_owned(), name.into())])
}

async fn answer(server: &Arc<Scripted>) -> Result<ToolAnswer, ToolServerError> {
    let open = server.open().await.unwrap();
    open.session.call("tide", port("Rome")).await
}

fn said(text: &str, failed: bool) -> Result<ToolAnswer, ToolServerError> {
    let text = text.to_owned();
    Ok(ToolAnswer { text, failed })
}

#[tokio::test]
async fn a_tool_is_called_in_the_session_with_its_arguments() {
    let server = Scripted::good();
    let open = server.open().await.unwrap();
    let (one, other) = (
        open.session.call("tide", port("Rome")),
        open.session.call("tide", port("Bari")),
    );
    let (one, other) = futures::join!(one, other);
    assert_eq!(one, said("high water at Rome: 14:20", false));
    assert_eq!(other, said("high water at Bari: 14:20", false));
    let heard = server.heard.lock().unwrap();
    let call = heard.iter().find(|heard| heard.says() == "tools/call").unwrap();
    assert_eq!(call.header("mcp-session-id"), [SESSION]);
    let params = &call.message["params"];
    assert_eq!(
        (&params["name"], &params["arguments"]),
        (&json!("tide"), &json!({"port": "Rome"}))
    );
}

#[tokio::test]
async fn every_kind_of_answer_becomes_text() {
    let text = json!({"type": "text", "text": "14:20"});
    let cases = [
        (
            json!({"content": [text, {"type": "text", "text": "2.1 m"}]}),
            "14:20\n2.1 m",
            false,
        ),
        (json!({"content": [text], "isError": true}), "14:20", true),
        (
            json!({"content": [], "structuredContent": {"at": 1}}),
            r#"{"at":1}"#,
            false,
        ),
        (
            json!({"content": [text], "structuredContent": {"at": 1}}),
            "14:20",
            false,
        ),
        (json!({"content": []}), "", false),
        (
            json!({"content": [{"type": "image", "data": "QUJD", "mimeType": "image/png"}, text]}),
            "[image image/png left out]\n14:20",
            false,
        ),
        (
            json!({"content": [{"type": "resource", "resource": {"uri": "a:b", "text": "a table"}}]}),
            "a table",
            false,
        ),
        (
            json!({"content": [{"type": "resource_link", "uri": "https://a.example/", "name": "table"}]}),
            "[table: https://a.example/]",
            false,
        ),
    ];
    for (result, text, failed) in cases {
        let (plain, events) = (result.clone(), result.clone());
        let json = Scripted::at("tools/call", move || Reply::Result(plain.clone()));
        assert_eq!(answer(&json).await, said(text, failed), "{result}");
        let events = Scripted::at("tools/call", move || Reply::Events(events.clone()));
        assert_eq!(answer(&events).await, said(text, failed), "{result} as events");
    }
}

#[tokio::test]
async fn what_the_server_has_against_a_call_is_an_answer_that_failed() {
    for status in [200, 400] {
        let server = Scripted::with(move |method, message| {
            let error = json!({"jsonrpc": "2.0", "id": message["id"],
                "error": {"code": -32_602, "message": "port must be a harbour"}});
            let body = error.to_string().into_bytes();
            (method == "tools/call").then_some(Reply::Http(status, "application/json", body))
        });
        assert_eq!(
            answer(&server).await,
            said("port must be a harbour", true),
            "{status}"
        );
    }
}

#[tokio::test]
async fn what_is_no_answer_is_an_error_of_the_port() {
    let cases: [(fn() -> Reply, _); 6] = [
        (|| Reply::Fails(FetchError::TooLarge), TooLarge),
        (
            || Reply::Fails(FetchError::Unreachable("10.0.0.1".into())),
            Unreachable,
        ),
        (|| Reply::Http(200, "application/json", b"{]".to_vec()), Protocol),
        (|| Reply::Http(200, "text/html", b"<html>".to_vec()), Protocol),
        (|| Reply::Http(404, "text/plain", Vec::new()), Protocol),
        (|| Reply::Http(502, "text/html", Vec::new()), Unreachable),
    ];
    for (number, (reply, expected)) in cases.into_iter().enumerate() {
        let server = Scripted::at("tools/call", reply);
        assert_eq!(answer(&server).await, Err(expected), "{number}");
        // Nothing is tried twice.
        let calls = server
            .methods()
            .into_iter()
            .filter(|method| method == "tools/call");
        assert_eq!(calls.count(), 1, "{number}");
    }
}

#[tokio::test]
async fn a_stream_that_ends_without_the_answer_is_no_answer() {
    let server = Scripted::at("tools/call", || {
        Reply::Http(200, "text/event-stream", b"id: 1\ndata:\n\n".to_vec())
    });
    let answer = answer(&server).await;
    assert!(!matches!(&answer, Ok(answer) if !answer.failed), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_never_answered_is_given_up() {
    for reply in [|| Reply::Hangs, || Reply::Http(202, "text/plain", Vec::new())] {
        let server = Scripted::at("tools/call", reply);
        assert_eq!(answer(&server).await, Err(Late));
    }
}

#[tokio::test]
async fn a_server_that_asks_back_without_end_is_answered_so_often_and_no_more() {
    let server = Scripted::with(|method, message| {
        (method == "tools/call").then(|| {
            let ping = |number| {
                let ping = json!({"jsonrpc": "2.0", "id": format!("p{number}"), "method": "ping"});
                format!("data: {ping}\n\n")
            };
            let mut body: String = (0..2_000).map(ping).collect();
            let result = json!({"content": [{"type": "text", "text": "14:20"}]});
            let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
            body.push_str(&format!("data: {answer}\n\n"));
            Reply::Http(200, "text/event-stream", body.into_bytes())
        })
    });
    // The library may answer each, or give the session up; either way there is an end.
    let _ = answer(&server).await;
    server.ended().await;
    assert!(server.heard.lock().unwrap().len() <= 520);
}
