//! A project of another organization uses what creators sell: prompts, knowledge and a tool in one call.

use crate::{
    market::{creator, whole},
    selling::{sell, sell_unhosted, texts},
};
use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Setup, question},
    eventually,
    site::Site,
    upstream::Script,
};
use serde_json::{Value, json};

const FACT: &str = "The gatehouse of Arlen was built in 1743 by the mason Odo Brack.";

#[tokio::test(flavor = "multi_thread")]
async fn a_call_uses_prompts_knowledge_and_a_tool_and_pays_their_creator() {
    let site = Site::start([("/now", "text/plain", "sunny")]).await;
    let setup = Setup {
        receivers: vec![site.address()],
        ..Setup::default()
    };
    let app = App::with(setup).await;
    let maker = creator(&app, 7).await;
    let tenant = app.funded("Acme", Usdt::whole(20)).await;
    let prompts = json!(["Speak Latin."]).to_string();
    let tool = json!({"name": "weather", "description": "Tells the weather of a city.", "method": "GET",
        "url": site.url("/now"), "headers": {"x-key": "a-secret-of-the-creator"},
        "parameters": [{"name": "city", "in": "query", "type": "string", "required": true}]})
    .to_string();
    let sell = async |name, category, content: &str| {
        let product = (name, category, whole(1));
        sell(&app, &maker, &tenant, product, content.as_bytes()).await
    };
    let latin = sell("latin", "promptset", &prompts).await;
    let arlen = sell("arlen", "knowledge:text", FACT).await;
    let sky = sell("sky", "tool:rpc", &tool).await;

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
    assert_eq!(site.asked(), ["GET /now?city=Arlen"]);

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
    let broken = ("broken", "promptset", whole(1));
    sell_unhosted(&app, &maker, &tenant, broken).await;
    let ask = question("per-call");
    tenant
        .caller
        .chat(&ask)
        .openai_refused(503, "product_unavailable")
        .await;
    assert_eq!(app.upstream.count(), 0);
    assert!(tenant.receipts().await.is_empty());
    tenant
        .change_project(json!({"skip_unavailable_products": true}))
        .await;
    let answer = tenant.caller.chat(&ask).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(tenant.receipts().await.len(), 1);
}
