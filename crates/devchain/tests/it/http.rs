//! JSON-RPC over HTTP, spoken by a client that writes its own bytes.

use crate::support::*;
use alloy::providers::{Provider, ProviderBuilder};
use haithe_devchain::{DevChain, ServedChain};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

async fn served() -> (DevChain, ServedChain) {
    let chain = instant();
    let served = chain.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
    (chain, served)
}

/// Sends bytes, reads until the server closes.
async fn exchange(served: &ServedChain, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(served.local_addr()).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

async fn post(served: &ServedChain, body: &str) -> (String, Value) {
    let request = format!(
        "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = exchange(served, request.as_bytes()).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (
        head.to_owned(),
        serde_json::from_str(body).unwrap_or(Value::String(body.to_owned())),
    )
}

#[tokio::test]
async fn calls_and_batches_are_answered_in_order() {
    let (_chain, served) = served().await;
    let (head, answer) = post(
        &served,
        r#"{"jsonrpc":"2.0","id":7,"method":"eth_chainId","params":[]}"#,
    )
    .await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("content-type: application/json"));
    assert_eq!(answer, json!({"jsonrpc": "2.0", "id": 7, "result": "0x20a55"}));

    let batch = r#"[{"jsonrpc":"2.0","id":"a","method":"eth_blockNumber"},
        {"jsonrpc":"2.0","method":"evm_mine"}, {"jsonrpc":"2.0","id":null,"method":"eth_blockNumber"},
        {"jsonrpc":"2.0","id":1,"method":"nope"}, 5]"#;
    let (_, answer) = post(&served, batch).await;
    let answers = answer.as_array().unwrap();
    assert_eq!(answers.len(), 4, "a notification has no answer");
    assert_eq!(answers[0], json!({"jsonrpc": "2.0", "id": "a", "result": "0x0"}));
    assert_eq!(answers[1], json!({"jsonrpc": "2.0", "id": null, "result": "0x1"}));
    assert_eq!(
        (&answers[2]["error"]["code"], &answers[3]["error"]["code"]),
        (&json!(-32601), &json!(-32600))
    );
}

#[tokio::test]
async fn errors_are_objects() {
    let (chain, served) = served().await;
    let revert = chain.deploy(REVERT);
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [{"to": revert, "data": "0xabcd"}]});
    let (_, answer) = post(&served, &call.to_string()).await;
    assert_eq!(
        answer["error"],
        json!({"code": 3, "message": "execution reverted", "data": "0xabcd"})
    );
    for (body, code) in [
        ("", -32700),
        ("{", -32700),
        ("nonsense", -32700),
        ("[]", -32600),
        ("{}", -32600),
        ("5", -32600),
        (r#"{"jsonrpc":"1.0","id":1,"method":"eth_chainId"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":{},"method":"eth_chainId"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":5}"#, -32600),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_call","params":{"a":1}}"#,
            -32602,
        ),
    ] {
        let (head, answer) = post(&served, body).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{body}: {head}");
        assert_eq!(answer["error"]["code"], code, "{body}: {answer}");
    }
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(
        post(&served, &nested).await.1["error"]["code"],
        -32700,
        "depth is bounded"
    );
    let many = format!("[{}1]", "1,".repeat(1000));
    assert_eq!(
        post(&served, &many).await.1["error"]["message"],
        "batch too large, limit 1000"
    );
}

#[tokio::test]
async fn browsers_are_let_in() {
    let (_chain, served) = served().await;
    let preflight = "OPTIONS / HTTP/1.1\r\nhost: x\r\norigin: https://wallet.example\r\nconnection: close\r\n\
        access-control-request-method: POST\r\naccess-control-request-headers: content-type\r\n\r\n";
    let answer = exchange(&served, preflight.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    for header in [
        "access-control-allow-origin: *",
        "access-control-allow-methods: POST, GET, OPTIONS",
        "access-control-allow-headers: content-type",
        "access-control-allow-private-network: true",
    ] {
        assert!(answer.contains(header), "{header}");
    }
    let (head, _) = post(&served, r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#).await;
    assert!(head.contains("access-control-allow-origin: *"));
    let got = exchange(&served, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(got.starts_with("HTTP/1.1 200") && got.ends_with("send JSON-RPC by POST\n"));
    let put = exchange(
        &served,
        b"PUT / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    assert!(put.starts_with("HTTP/1.1 405"));
}

#[tokio::test]
async fn a_body_over_five_megabytes_is_refused() {
    let (_chain, served) = served().await;
    let announced = "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 5242881\r\n\r\n";
    let mut stream = TcpStream::connect(served.local_addr()).await.unwrap();
    stream.write_all(announced.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let chunk = vec![b' '; 64 * 1024];
    // The server answers once it has seen enough; it may close before everything is written.
    while stream.write_all(&chunk).await.is_ok() {
        if answer.len() > 5 * 1024 * 1024 {
            break;
        }
        answer.resize(answer.len() + chunk.len(), 0);
    }
    answer.clear();
    let _ = stream.read_to_end(&mut answer).await;
    let text = String::from_utf8_lossy(&answer);
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 413"), "{text}");
    let (_, answer) = post(&served, r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#).await;
    assert_eq!(answer["result"], "0x20a55", "the server goes on");
}

#[tokio::test]
async fn alloy_speaks_to_it_over_http() {
    let (_chain, served) = served().await;
    let provider = ProviderBuilder::new().connect_http(served.url().parse().unwrap());
    assert_eq!(
        provider.get_chain_id().await.unwrap(),
        haithe_devchain::DEFAULT_CHAIN_ID
    );
    let raw = alloy::eips::eip2718::Encodable2718::encoded_2718(&sign(0, draft(0)));
    let receipt = provider
        .send_raw_transaction(&raw)
        .await
        .unwrap()
        .get_receipt()
        .await
        .unwrap();
    assert!(receipt.status());
    let block = provider
        .get_block(alloy::eips::BlockId::latest())
        .full()
        .await
        .unwrap()
        .unwrap();
    assert_eq!(block.transactions.len(), 1);
}

#[tokio::test]
async fn a_lost_answer_closes_the_connection() {
    let (chain, served) = served().await;
    chain.lose_answer_next("evm_mine", 1);
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"evm_mine"}"#;
    let request = format!(
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(exchange(&served, request.as_bytes()).await, "");
    assert_eq!(chain.head().number, 1);
}

#[tokio::test]
async fn a_stopped_server_lets_go_of_its_port_and_the_chain_goes_on() {
    let (chain, served) = served().await;
    let address = served.local_addr();
    let mut idle = TcpStream::connect(address).await.unwrap();
    served.shutdown().await;
    assert!(TcpStream::connect(address).await.is_err());
    assert_eq!(
        idle.read(&mut [0; 1]).await.unwrap_or(0),
        0,
        "idle connections are closed"
    );
    let again = chain.serve(address).await.unwrap();
    assert_eq!(again.local_addr(), address);
    drop(again);
    chain.mine(1);
}
