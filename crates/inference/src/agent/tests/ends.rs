//! Every end of a loop, and what it costs.

use super::*;

#[tokio::test]
async fn the_last_step_may_call_nothing_and_says_so_when_it_does() {
    let limits = AgentLimits {
        steps: 2,
        ..AgentLimits::default()
    };
    let again = || calls(&[call("a", "weather", "{}")]);
    let stage = playing(
        Kit::with(&[("weather", Some("sunny"))]),
        limits,
        [again(), again()],
    );
    let answer: Value = serde_json::from_str(&stage.json(ASK).await).unwrap();
    let sent: Value = serde_json::from_slice(&stage.asked()[1].body).unwrap();
    assert_eq!(sent["tool_choice"], "none");
    assert_eq!(
        (
            &answer["haithe"]["stopped"],
            &answer["choices"][0]["finish_reason"]
        ),
        (&json!("step_limit"), &json!("length"))
    );
    assert!(answer["choices"][0]["message"].get("tool_calls").is_none());
    assert_eq!(stage.charge().usage.outcome, CallOutcome::Complete);
}

#[tokio::test]
async fn a_loop_spends_no_more_than_it_set_aside() {
    let limits = AgentLimits {
        cost: Usdt::from_nano(2_000),
        steps: 100,
        ..AgentLimits::default()
    };
    let turns = (0..100).map(|_| calls(&[call("a", "weather", "{}")]));
    let stage = playing(Kit::with(&[("weather", Some("sunny"))]), limits, turns);
    let answer: Value = serde_json::from_str(&stage.json(ASK).await).unwrap();
    assert_eq!(answer["haithe"]["stopped"], "cost_limit");
    let held = stage.ledger.asked.lock().unwrap()[0].most.nano();
    assert_eq!(held, 2_000 + 40);
    let cost = stage.charge().cost().nano();
    assert!((3 * STEP + 40..=held).contains(&cost), "{cost}");
    stage.assert_nothing_held();
}

#[tokio::test]
async fn a_product_that_cannot_be_loaded_costs_nothing() {
    let kit = Kit {
        broken: true,
        ..Kit::with(&[])
    };
    let stage = playing(kit, AgentLimits::default(), []);
    let error = stage.run(ASK).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retry_after()),
        ("product_unavailable", Some(5))
    );
    stage.assert_free();
    assert_eq!(stage.ledger.asked.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn a_provider_that_fails_at_first_costs_nothing_and_later_the_finished_steps() {
    let dead = || Err(UpstreamError::Failed("dead".into()));
    for body in [ASK, STREAM] {
        let stage = playing(Kit::with(&[]), AgentLimits::default(), [dead()]);
        assert_eq!(stage.run(body).await.unwrap_err().code(), "upstream_failed");
        stage.assert_free();
    }
    let stage = playing(
        Kit::with(&[("weather", Some("sunny"))]),
        AgentLimits::default(),
        [calls(&[call("a", "weather", "{}")]), dead()],
    );
    assert_eq!(stage.run(ASK).await.unwrap_err().code(), "upstream_failed");
    assert_eq!(
        (stage.charge().cost().nano(), stage.charge().usage.outcome),
        (STEP, CallOutcome::Partial)
    );
    let stage = playing(
        Kit::with(&[("weather", Some("sunny"))]),
        AgentLimits::default(),
        [streamed_call("a", "weather", "{}"), dead()],
    );
    let (said, done) = chunks(&stage.streamed(STREAM).await);
    assert!(
        !done && said.last().unwrap()["error"]["code"] == "upstream_failed",
        "{said:?}"
    );
    assert_eq!(stage.charge().cost().nano(), STEP);
}

#[tokio::test]
async fn a_stream_that_breaks_is_charged_for_what_came_and_says_so() {
    let broken = || {
        let half = delta(json!({"role": "assistant", "content": "Sol"}), Value::Null);
        let events: Vec<Result<Bytes, UpstreamError>> = vec![
            Ok(Bytes::from(format!("data: {half}\n\n"))),
            Err(UpstreamError::Failed("gone".into())),
        ];
        Ok(UpstreamAnswer::Stream(futures::stream::iter(events).boxed()))
    };
    let stage = playing(Kit::with(&[]), AgentLimits::default(), [broken()]);
    let (said, done) = chunks(&stage.streamed(STREAM).await);
    assert_eq!(text_of(&said), "Sol");
    assert!(!done && said.last().unwrap().get("error").is_some());
    let charge = stage.charge();
    assert_eq!(
        (charge.usage.outcome, charge.usage.estimated),
        (CallOutcome::Partial, true)
    );
    assert!(
        charge
            .lines
            .iter()
            .any(|line| line.item == LineItem::Product(ProductId(9)))
    );
    stage.assert_nothing_held();
}

#[tokio::test]
async fn a_caller_who_leaves_a_stream_stops_the_loop_and_pays_what_was_generated() {
    let (feed, upstream) = mpsc::unbounded::<Result<Bytes, UpstreamError>>();
    let stage = playing(
        Kit::with(&[]),
        AgentLimits::default(),
        [Ok(UpstreamAnswer::Stream(upstream.boxed()))],
    );
    let half = delta(json!({"role": "assistant", "content": "Sol"}), Value::Null);
    feed.unbounded_send(Ok(Bytes::from(format!("data: {half}\n\n"))))
        .unwrap();
    let mut events: BoxStream<'static, Bytes> = stage.stream(STREAM).await;
    assert!(events.next().await.unwrap().starts_with(b"data: "));
    assert!(events.next().now_or_never().is_none());
    drop(events);
    stage.charged(1).await;
    assert!(feed.is_closed(), "the provider was not stopped");
    let charge = stage.charge();
    assert_eq!(charge.usage.outcome, CallOutcome::Aborted);
    assert_eq!(charge.usage.tokens.output, 3);
    stage.assert_nothing_held();
}

#[tokio::test]
async fn a_caller_who_leaves_while_a_tool_runs_stops_the_loop_too() {
    let stage = playing(
        Kit::with(&[("slow", None)]),
        AgentLimits::default(),
        [streamed_call("a", "slow", "{}")],
    );
    let mut events = stage.stream(STREAM).await;
    while events.next().await.unwrap() != ": working\n\n" {}
    drop(events);
    stage.charged(1).await;
    let charge = stage.charge();
    assert_eq!(
        (charge.usage.outcome, charge.cost().nano()),
        (CallOutcome::Aborted, STEP)
    );
}

#[tokio::test]
async fn time_ends_a_loop_with_what_there_is() {
    let mut script: Script = [calls(&[call("a", "slow", "{}")])].into();
    let mut stage = stage(move |_: &UpstreamRequest| script.pop_front().unwrap());
    let limits = AgentLimits {
        time: Duration::from_secs(7),
        ..AgentLimits::default()
    };
    struct Seven;
    impl Timer for Seven {
        fn sleep(&self, span: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
            if span == Duration::from_secs(7) {
                Box::pin(future::ready(()))
            } else {
                Box::pin(future::pending())
            }
        }
    }
    let kit = Arc::new(Kit::with(&[("slow", None)]));
    stage.completions = stage.completions.equipped(vec![kit], limits, Arc::new(Seven));
    let answer: Value = serde_json::from_str(&stage.json(ASK).await).unwrap();
    assert_eq!(answer["haithe"]["stopped"], "time_limit");
    assert_eq!(stage.charge().cost().nano(), STEP);
}

#[tokio::test]
async fn what_is_said_before_a_tool_runs_is_a_paragraph_of_its_own_unless_a_format_is_asked_for() {
    let first = || {
        let mut whole = call("a", "weather", "{}");
        whole["index"] = json!(0);
        stream_of(&[
            delta(
                json!({"role": "assistant", "content": "Let me look."}),
                Value::Null,
            ),
            delta(json!({"tool_calls": [whole]}), Value::Null),
            delta(json!({}), json!("tool_calls")),
            usage(),
        ])
    };
    let kit = || Kit::with(&[("weather", Some("sunny"))]);
    let stage = playing(kit(), AgentLimits::default(), [first(), streamed_text("Sunny.")]);
    assert_eq!(
        text_of(&chunks(&stage.streamed(STREAM).await).0),
        "Let me look.\n\nSunny."
    );
    let formatted = STREAM.replace(
        "\"stream\":true",
        "\"stream\":true,\"response_format\":{\"type\":\"json_object\"}",
    );
    let stage = playing(kit(), AgentLimits::default(), [first(), streamed_text("{}")]);
    assert_eq!(text_of(&chunks(&stage.streamed(&formatted).await).0), "{}");
    assert_eq!(stage.charge().lines.len(), 2);
}

#[tokio::test]
async fn several_choices_and_names_of_ours_are_refused_before_anything_is_held() {
    for (body, param) in [
        (ASK.replace("\"messages\"", "\"n\":2,\"messages\""), "n"),
        (
            ASK.replace(
                "\"messages\"",
                "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"weather\"}}],\"messages\"",
            ),
            "tools",
        ),
    ] {
        let stage = playing(Kit::with(&[("weather", Some(""))]), AgentLimits::default(), []);
        assert_eq!(stage.run(&body).await.unwrap_err().param(), Some(param));
        stage.assert_free();
    }
}

#[tokio::test]
async fn a_project_that_brings_nothing_takes_the_short_way() {
    let stage = stage(reads(&[
        &format!("data: {}\n\n", delta(json!({"content": "x"}), json!("stop"))),
        "data: [DONE]\n\n",
    ]));
    assert!(matches!(stage.run(STREAM).await.unwrap(), Answer::Stream { .. }));
}

/// What the only product earns when its tools gave these answers.
async fn earned(answers: &[(&'static str, Option<&'static str>)]) -> i64 {
    let kit = Kit::with(answers);
    let called: Vec<Value> = answers.iter().map(|(name, _)| call(name, name, "{}")).collect();
    let script = [calls(&called), said("Done.")];
    let stage = playing(kit, AgentLimits::default(), script);
    stage.json(ASK).await;
    let charge = stage.charge();
    let product = |item| item == LineItem::Product(ProductId(9));
    let lines = charge.lines.iter().filter(|line| product(line.item));
    lines.map(|line| line.amount.nano()).sum()
}

#[tokio::test]
async fn a_product_whose_tool_calls_all_failed_is_not_charged() {
    assert_eq!(earned(&[("weather", Some("error: no such city"))]).await, 0);
    let mixed = [("weather", Some("error: no such city")), ("clock", Some("noon"))];
    assert_eq!(earned(&mixed).await, 40);
    assert_eq!(earned(&[("clock", Some("noon"))]).await, 40);
}

#[tokio::test]
async fn a_tool_that_was_offered_and_not_called_is_charged() {
    let kit = Kit::with(&[("weather", Some("error: no such city"))]);
    let stage = playing(kit, AgentLimits::default(), [said("Done.")]);
    stage.json(ASK).await;
    let charge = stage.charge();
    assert!(charge.lines.iter().any(|line| line.amount.nano() == 40));
}

#[tokio::test]
async fn nothing_is_prepared_for_a_caller_without_money() {
    let mut gear = MockGear::new();
    gear.expect_wanted().return_const(true);
    gear.expect_equip().never();
    let mut stage = stage(|_| panic!("the provider was asked"));
    let time = Arc::new(Time { over: false });
    stage.completions = stage
        .completions
        .equipped(vec![Arc::new(gear)], AgentLimits::default(), time);
    stage.set_balance(0);
    assert_eq!(stage.run(ASK).await.unwrap_err().code(), "insufficient_quota");
    stage.assert_free();
}
