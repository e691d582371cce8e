//! Turns: what the model says and calls, and what of it the caller hears.

use super::*;

#[tokio::test]
async fn tools_run_between_turns_and_everything_is_charged_once() {
    let kit = Kit::with(&[("weather", Some("sunny")), ("clock", Some("noon"))]);
    let (asked, told) = (Arc::clone(&kit.asked), Arc::clone(&kit.told));
    let both = [call("a", "weather", r#"{"city":"Roma"}"#), call("b", "clock", "")];
    let stage = playing(kit, AgentLimits::default(), [calls(&both), said("Sol lucet.")]);
    let answer: Value = serde_json::from_str(&stage.json(ASK).await).unwrap();
    assert_eq!(
        answer["choices"][0]["message"],
        json!({"role": "assistant", "content": "Sol lucet."})
    );
    assert_eq!(answer["usage"]["prompt_tokens"], 20);
    assert_eq!(answer["usage"]["total_cost"], 2 * STEP + 40);
    let about = json!({"steps": 2, "tools": ["weather", "clock"], "stopped": null,
        "sources": [{"number": 1, "product_id": 9, "name": "news", "locator": "page 1"}]});
    assert_eq!(answer["haithe"], about);
    let mut heard = asked.lock().unwrap().clone();
    heard.sort_by_key(Value::to_string);
    assert_eq!(heard, [json!({"city": "Roma"}), json!({})]);

    let sent: Vec<Value> = stage
        .asked()
        .iter()
        .map(|request| serde_json::from_slice(&request.body).unwrap())
        .collect();
    let roles = |body: &Value| -> Vec<String> {
        body["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| message["role"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(roles(&sent[0]), ["system", "user", "user"]);
    assert_eq!(
        roles(&sent[1]),
        ["system", "user", "user", "assistant", "tool", "tool"]
    );
    assert_eq!(
        sent[1]["messages"][4],
        json!({"role": "tool", "tool_call_id": "a", "content": "sunny"})
    );
    assert_eq!(sent[0]["tools"].as_array().unwrap().len(), 2);

    let charge = stage.charge();
    let lines: Vec<_> = charge
        .lines
        .iter()
        .map(|line| (line.payee, line.item, line.amount.nano()))
        .collect();
    assert_eq!(
        lines,
        [
            (Payee::Platform, LineItem::ModelTokens, 2 * STEP),
            (Payee::Creator(CREATOR), LineItem::Product(ProductId(9)), 40),
        ]
    );
    let tokens = TokenUsage {
        input: 20,
        output: 8,
        ..TokenUsage::default()
    };
    assert_eq!(
        (charge.usage.tokens, charge.usage.outcome),
        (tokens, CallOutcome::Complete)
    );
    stage.assert_nothing_held();
    let exchange = Exchange {
        question: "Quid novi?".into(),
        answer: "Sol lucet.".into(),
    };
    while told.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(*told.lock().unwrap(), [exchange]);
}

#[tokio::test]
async fn a_stream_says_the_same_and_hides_the_calls_of_our_tools() {
    let kit = Kit::with(&[("weather", Some("sunny"))]);
    let stage = playing(
        kit,
        AgentLimits::default(),
        [streamed_call("a", "weather", "{}"), streamed_text("Sol lucet.")],
    );
    let (chunks, done) = chunks(&stage.streamed(STREAM).await);
    assert!(done);
    assert_eq!(text_of(&chunks), "Sol lucet.");
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk.pointer("/choices/0/delta/tool_calls").is_none())
    );
    let [.., last, usage] = chunks.as_slice() else {
        panic!("{chunks:?}")
    };
    assert_eq!(
        (&last["choices"][0]["finish_reason"], &last["haithe"]["steps"]),
        (&json!("stop"), &json!(2))
    );
    assert_eq!(usage["usage"]["total_cost"], 2 * STEP + 40);
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(stage.charge().cost().nano(), 2 * STEP + 40);
    assert!(stage.charge().usage.streamed);
}

#[tokio::test]
async fn the_callers_own_tools_come_back_to_it_and_ours_of_that_turn_do_not_run() {
    let body = r#"{"model":"tokens","tools":[{"type":"function","function":{"name":"mine"}}],"messages":[{"role":"user","content":"x"}]}"#;
    let kit = Kit::with(&[("weather", Some("sunny"))]);
    let asked = Arc::clone(&kit.asked);
    let mixed = [call("a", "weather", "{}"), call("b", "mine", "{}")];
    let stage = playing(kit, AgentLimits::default(), [calls(&mixed)]);
    let answer: Value = serde_json::from_str(&stage.json(body).await).unwrap();
    let choice = &answer["choices"][0];
    assert_eq!(
        (&choice["finish_reason"], &choice["message"]["tool_calls"]),
        (&json!("tool_calls"), &json!([call("b", "mine", "{}")]))
    );
    assert_eq!(*asked.lock().unwrap(), [] as [Value; 0]);
    assert_eq!(stage.charge().cost().nano(), STEP + 40);
}

#[tokio::test]
async fn what_goes_wrong_with_a_tool_is_told_to_the_model() {
    let kit = Kit::with(&[("weather", Some("sunny")), ("slow", None)]);
    let wrong = [
        call("a", "weather", "[1]"),
        call("b", "nobody", "{}"),
        call("c", "weather", "{}"),
        call("d", "weather", "{}"),
    ];
    let limits = AgentLimits {
        calls_per_turn: 3,
        tool_bytes: 3,
        ..AgentLimits::default()
    };
    let stage = playing(kit, limits, [calls(&wrong), said("ok")]);
    stage.json(ASK).await;
    let sent: Value = serde_json::from_slice(&stage.asked()[1].body).unwrap();
    let answers: Vec<_> = sent["messages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|message| message["role"] == "tool")
        .map(|message| message["content"].as_str().unwrap().to_owned())
        .collect();
    let cut = "\n[cut here: the answer is longer]";
    assert_eq!(
        answers,
        [
            format!("err{cut}"),
            format!("err{cut}"),
            format!("sun{cut}"),
            format!("err{cut}")
        ]
    );
}

#[tokio::test]
async fn a_tool_that_takes_too_long_is_given_up_and_the_loop_goes_on() {
    struct Soon;
    impl Timer for Soon {
        fn sleep(&self, span: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
            if span == AgentLimits::default().tool_time {
                Box::pin(future::ready(()))
            } else {
                Box::pin(future::pending())
            }
        }
    }
    let mut script: Script = [calls(&[call("a", "slow", "{}")]), said("ok")].into();
    let mut stage = stage(move |_: &UpstreamRequest| script.pop_front().unwrap());
    let kit = Arc::new(Kit::with(&[("slow", None)]));
    stage.completions = stage
        .completions
        .equipped(vec![kit], AgentLimits::default(), Arc::new(Soon));
    stage.json(ASK).await;
    let sent: Value = serde_json::from_slice(&stage.asked()[1].body).unwrap();
    assert_eq!(
        sent["messages"][4]["content"],
        "error: the tool did not answer in time"
    );
}
