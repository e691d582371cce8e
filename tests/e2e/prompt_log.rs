//! `prompt_log`: what a paying organization lets the log keep of prompts and answers, and nothing else
//! of them in any line of any level.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Tenant, models},
    logs::Lines,
    upstream::Script,
};
use serde_json::{Value, json};

/// The lines of the prompts' log.
fn kept(text: &str) -> Vec<Value> {
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines
        .filter(|line: &Value| line["target"] == "haithe::prompts")
        .collect()
}

const QUESTION: &str = "zebra-question\n{\"level\":\"forged\"}";
const SYSTEM: &str = "zebra-system";
const ANSWER: &str = "quokka-answer";
/// In every text that is said, by whomever.
const SAID: [&str; 2] = ["zebra", "quokka"];

fn asked(model: &str, streamed: bool) -> Value {
    let messages = json!([
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": QUESTION},
    ]);
    json!({"model": model, "stream": streamed, "messages": messages})
}

fn answer() -> Script {
    let usage = json!({"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10});
    let message = json!({"role": "assistant", "content": ANSWER});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    let body = json!({"id": "a", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage});
    Script::status(200, &body.to_string())
}

/// Half of [`ANSWER`], and its other half unless the provider fails in between.
fn streamed_answer(fails: bool) -> Script {
    let (first, second) = ANSWER.split_at(5);
    let chunk = |text: &str, finish: Value| {
        let choice = json!({"index": 0, "delta": {"content": text}, "finish_reason": finish});
        let chunk = json!({"id": "a", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]});
        format!("data: {chunk}\n\n")
    };
    let mut body = chunk(first, Value::Null);
    if fails {
        let error =
            json!({"error": {"type": "invalid_request_error", "message": format!("bad: {QUESTION}")}});
        body += &format!("data: {error}\n\n");
    } else {
        body += &chunk(second, json!("stop"));
        body += "data: [DONE]\n\n";
    }
    Script::verbatim(200, "text/event-stream", &body)
}

/// Every way in which something is said or quoted.
async fn say_everything(app: &App, tenant: &Tenant) {
    let chat = |body: Value| tenant.caller.chat(&body).send();
    app.upstream.next([answer()]);
    assert_eq!(chat(asked("per-call", false)).await.status, 200);
    app.upstream.next([streamed_answer(false)]);
    assert!(chat(asked("per-call", true)).await.text().contains("[DONE]"));
    app.upstream.next([streamed_answer(true)]);
    assert!(chat(asked("per-call", true)).await.text().contains("zebra"));
    let quoting = json!({"error": {"message": format!("cannot read {QUESTION}"), "type": "invalid_request_error", "code": "zebra"}});
    for status in [400, 422, 429, 500, 503] {
        app.upstream.next([Script::status(status, &quoting.to_string())]);
        assert!(!chat(asked("per-call", false)).await.status.is_success());
    }
    // Requests that say something where it does not belong.
    let mut odd = asked("per-call", false);
    odd["n"] = json!(QUESTION);
    assert_eq!(chat(odd).await.status, 400);
    let odd = json!({"model": QUESTION, "messages": [{"role": "user", "content": QUESTION}]});
    assert_eq!(chat(odd).await.status, 404);
    let odd = json!({"model": "per-call", "messages": QUESTION});
    assert_eq!(chat(odd).await.status, 400);
    let cut = tenant.caller.post("/v1beta/openai/chat/completions");
    let cut = cut
        .header("content-type", "application/json")
        .body(format!("{{\"{SYSTEM}\": {QUESTION}"));
    assert_eq!(cut.send().await.status, 400);
    let vectors = json!({"model": "vectors", "input": QUESTION});
    let vectors = tenant.caller.post("/v1beta/openai/embeddings").json(&vectors);
    assert_eq!(vectors.send().await.status, 200);
    let talk = "/v1beta/chat/conversations";
    let id = tenant.caller.post(talk).data().await["id"].clone();
    let message = json!({"message": QUESTION, "sender": "user"});
    let path = format!("{talk}/{id}/messages");
    tenant.caller.post(&path).json(&message).data().await;
    let message = json!({"message": QUESTION, "sender": QUESTION});
    let refused = tenant.caller.post(&path).json(&message).send().await;
    assert_eq!(refused.status, 400);
    tenant.caller.get(talk).query(&[("q", SYSTEM)]).send().await;
    tenant.at_rest().await;
}

async fn wants(tenant: &Tenant, policy: &str) {
    let path = format!("/v1/orgs/{}/settings", tenant.org_id);
    let settings = json!({"prompt_log": policy});
    tenant.owner.client.patch(&path).json(&settings).data().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_keeps_what_the_organization_lets_it_and_not_a_word_more() {
    let lines = Lines::default();
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(tracing::Level::TRACE)
        .with_writer(lines.clone())
        .init();
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(5)).await;
    tenant.enable(models::VECTORS).await;

    lines.take();
    say_everything(&app, &tenant).await;
    let text = lines.take();
    assert!(text.contains("haithe::failure"), "other lines are looked at too");
    assert_eq!(kept(&text), [json!(null); 0], "nothing is the default");
    assert_silent(&text);

    wants(&tenant, "metadata").await;
    lines.take();
    say_everything(&app, &tenant).await;
    let text = lines.take();
    assert_silent(&text);
    let all = kept(&text);
    assert_eq!(all.len(), 4, "each answered call: {all:#?}");
    let [whole, streamed, broken, vectors] = &all[..] else {
        unreachable!("just counted");
    };
    for line in &all {
        assert_eq!(line["org.id"], tenant.org_id);
        assert_eq!(line["project.id"], tenant.project_id);
        assert_eq!(line["wallet"], tenant.owner.address());
        assert!(line["call"].is_string(), "{line}");
        assert!(line["request_bytes"].as_u64() > Some(20), "{line}");
        assert!(
            line.get("prompt").is_none() && line.get("answer").is_none(),
            "{line}"
        );
    }
    assert_eq!(
        (&whole["model"], &whole["provider"]),
        (&json!("per-call"), &json!("test"))
    );
    assert_eq!(
        (&whole["tokens.input"], &whole["tokens.output"]),
        (&json!(7), &json!(3))
    );
    assert_eq!(whole["answer_bytes"], ANSWER.len());
    assert_eq!(
        (&whole["streamed"], &streamed["streamed"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(streamed["answer_bytes"], ANSWER.len());
    assert_eq!(broken["outcome"], "partial");
    assert_eq!(vectors["endpoint"], "embeddings");
    let answered = whole["call"].as_str().unwrap();
    tenant.receipt(answered).await;

    wants(&tenant, "full").await;
    lines.take();
    say_everything(&app, &tenant).await;
    let text = lines.take();
    let all = kept(&text);
    assert_eq!(all.len(), 4);
    for line in &all {
        let prompt = line["prompt"].as_str().unwrap();
        assert!(prompt.contains(QUESTION), "{line}");
        assert_eq!(line["cut"], false);
    }
    let answers: Vec<&str> = all.iter().map(|line| line["answer"].as_str().unwrap()).collect();
    assert_eq!(answers, [ANSWER, ANSWER, &ANSWER[..5], ""]);
    assert!(all[0]["prompt"].as_str().unwrap().contains(SYSTEM));
    let elsewhere: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("haithe::prompts"))
        .collect();
    assert_silent(&elsewhere.join("\n"));

    let long = "zebra ".repeat(20_000);
    app.upstream.next([answer()]);
    let body = json!({"model": "per-call", "messages": [{"role": "user", "content": long}]});
    assert_eq!(tenant.caller.chat(&body).send().await.status, 200);
    let line = kept(&lines.take()).pop().unwrap();
    assert_eq!(line["cut"], true);
    assert_eq!(line["prompt"].as_str().map(str::len), Some(32 * 1024));

    wants(&tenant, "none").await;
    lines.take();
    say_everything(&app, &tenant).await;
    let text = lines.take();
    assert_eq!(kept(&text), [json!(null); 0]);
    assert_silent(&text);
}

/// No line has any of what was said.
fn assert_silent(text: &str) {
    for line in text.lines() {
        for said in SAID {
            assert!(!line.contains(said), "{said} is in the log: {line}");
        }
    }
}
