//! A project of another organization uses what creators sell: prompts, knowledge and a tool in one call.

use crate::market::{creator, whole};
use haithe_kernel::{Usdt, WalletAddress};
use haithe_marketplace::sealing::EnclavePublicKey;
use haithe_tests::{
    app::{App, RECEIVER, Setup, Tenant, User, question},
    eventually,
    sealed::Sealed,
    upstream::Script,
};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const FACT: &str = "The gatehouse of Arlen was built in 1743 by the mason Odo Brack.";

/// A tool's server: says "sunny" and remembers the first line of every request.
async fn weather() -> (SocketAddr, std::sync::Arc<std::sync::Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4_096];
            let read = stream.read(&mut request).await.unwrap_or(0);
            let text = String::from_utf8_lossy(&request[..read]).into_owned();
            heard
                .lock()
                .expect("a lock")
                .push(text.lines().next().unwrap_or_default().to_owned());
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nsunny";
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, asked)
}

/// Seals, hosts, publishes at one USDT, and enables for the tenant's project; gives the product's number.
async fn sell(
    app: &App,
    maker: &User,
    tenant: &Tenant,
    (name, category): (&str, &str),
    content: &[u8],
) -> i64 {
    let shown = app.anonymous().get("/v1/tee/pub-key").data().await;
    let enclave: EnclavePublicKey = shown["tee_pubkey"]
        .as_str()
        .expect("a key")
        .parse()
        .expect("a key");
    let address: WalletAddress = maker.address().parse().expect("an address");
    let sealed = Sealed::for_creator(&enclave, address, content);
    let put = maker.client.put("/v1/content").body(sealed.bytes.clone());
    put.header("content-type", "application/octet-stream")
        .data()
        .await;
    let uri = format!("haithe:sha256:{}", sealed.digest);
    let contract = app
        .chain
        .add_product_at(
            &maker.wallet,
            (name, category),
            (&uri, &sealed.wrapped_key),
            whole(1),
        )
        .await;
    let id = eventually("the product is indexed", async || {
        let synced = maker.client.post("/v1/products").data().await;
        let product = &synced["product"];
        (product["name"] == name).then(|| product["id"].as_i64().expect("a number"))
    })
    .await;
    app.chain
        .enable_product(&tenant.owner.wallet, tenant.contract, contract, whole(1))
        .await;
    let project = tenant.project_id.to_string();
    let enable = format!("/v1/products/{id}/enable");
    eventually("the contract's acceptance is indexed", async || {
        let asked = tenant
            .owner
            .client
            .post(&enable)
            .query(&[("project_id", project.as_str())]);
        asked.send().await.status.is_success().then_some(())
    })
    .await;
    id
}

fn texts<'a>(request: &'a Value, role: &str) -> Vec<&'a str> {
    let messages = request["messages"].as_array().expect("a list").iter();
    let of_role = messages.filter(|message| message["role"] == role);
    of_role
        .filter_map(|message| message["content"].as_str())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_uses_prompts_knowledge_and_a_tool_and_pays_their_creator() {
    let (site, asked) = weather().await;
    let setup = Setup {
        receivers: vec![site],
        ..Setup::default()
    };
    let app = App::with(setup).await;
    let maker = creator(&app, 7).await;
    let tenant = app.funded("Acme", Usdt::whole(20)).await;
    let prompts = json!(["Speak Latin."]).to_string();
    let tool = json!({"name": "weather", "description": "Tells the weather of a city.", "method": "GET",
        "url": format!("http://{RECEIVER}:{}/now", site.port()), "headers": {"x-key": "a-secret-of-the-creator"},
        "parameters": [{"name": "city", "in": "query", "type": "string", "required": true}]})
    .to_string();
    let latin = sell(&app, &maker, &tenant, ("latin", "promptset"), prompts.as_bytes()).await;
    let knowledge = ("arlen", "knowledge:text");
    let arlen = sell(&app, &maker, &tenant, knowledge, FACT.as_bytes()).await;
    let sky = sell(&app, &maker, &tenant, ("sky", "tool:rpc"), tool.as_bytes()).await;

    let call = json!({"id": "c1", "type": "function",
        "function": {"name": format!("p{sky}_weather"), "arguments": "{\"city\":\"Arlen\"}"}});
    let turn = json!({"id": "x", "object": "chat.completion", "created": 1, "model": "up",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": null, "tool_calls": [call]},
            "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}});
    app.upstream
        .next([Script::verbatim(200, "application/json", &turn.to_string())]);
    let mut ask = question("per-call");
    ask["messages"] = json!([{"role": "user", "content": "Who built the gatehouse of Arlen?"}]);
    let answer = tenant.caller.chat(&ask).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());

    let first = app.upstream.exchange(0).await.json();
    assert!(texts(&first, "system")[0].starts_with("Speak Latin."));
    let data = texts(&first, "user")[0];
    assert!(data.starts_with("<data>") && data.contains("Odo Brack"), "{data}");
    assert!(!first.to_string().contains("a-secret-of-the-creator"));
    assert_eq!(first["tools"][0]["function"]["name"], format!("p{sky}_weather"));
    let second = app.upstream.exchange(1).await.json();
    assert_eq!(texts(&second, "tool"), ["status 200\nsunny"]);
    assert_eq!(*asked.lock().expect("a lock"), ["GET /now?city=Arlen HTTP/1.1"]);

    let about = &answer.json()["haithe"];
    assert_eq!((&about["steps"], &about["stopped"]), (&json!(2), &Value::Null));
    assert_eq!(about["sources"][0]["product_id"], arlen);
    let call = answer.header("x-haithe-call").expect("a call").to_owned();
    let receipt = tenant.receipt(&call).await;
    let text = receipt.to_string();
    for product in [latin, arlen, sky] {
        let line = format!(
            "{{\"amount_nano\":\"1000000000\",\"item\":\"product/{product}\",\"payee\":\"creator/{}\"}}",
            maker.address()
        );
        assert!(text.contains(&line), "{line} in {text}");
    }
    assert!(text.contains("\"item\":\"model_call\""), "{text}");

    let mut around = app.stop().await;
    around.set("settlement.max_calls", 1);
    let app = App::over(around).await;
    eventually("the charge is settled", async || {
        (app.chain.next_batch().await == 1).then_some(())
    })
    .await;
    let around = app.stop().await;
    assert!(around.run(&["ledger", "check"], None).await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_cannot_be_loaded_refuses_the_call_or_is_left_out_as_the_project_says() {
    let app = App::start().await;
    let maker = creator(&app, 7).await;
    let tenant = app.funded("Acme", Usdt::whole(5)).await;
    sell(&app, &maker, &tenant, ("broken", "promptset"), b"not JSON").await;
    let ask = question("per-call");
    tenant
        .caller
        .chat(&ask)
        .openai_refused(503, "product_unavailable")
        .await;
    assert_eq!(app.upstream.count(), 0);
    assert!(tenant.receipts().await.is_empty());
    let project = format!("/v1/projects/{}", tenant.project_id);
    let change = json!({"skip_unavailable_products": true});
    tenant.owner.client.patch(&project).json(&change).data().await;
    let answer = tenant.caller.chat(&ask).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(tenant.receipts().await.len(), 1);
}
