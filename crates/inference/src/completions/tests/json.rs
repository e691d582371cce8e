//! Answers in one piece.

use super::stage::*;
use crate::{completions::Answer, error::CompletionError, ports::UpstreamError};
use haithe_billing::capture::{CallOutcome, LineItem, Payee, TokenUsage};
use haithe_kernel::{Failure, Kind, OrgId, Usdt};
use sha2::{Digest, Sha256};
use std::sync::atomic::Ordering;

const ASK: &str =
    r#"{"model":"tokens","messages":[{"role":"user","content":"hi"}],"max_tokens":10,"x_odd":1.0e2}"#;
const SAID: &str = r#"{"id":"a","object":"chat.completion","created":1,"model":"up","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":5,"total_tokens":25,"prompt_tokens_details":{"cached_tokens":4}},"x_unknown":1e3}"#;

#[tokio::test]
async fn a_complete_answer_is_charged_as_reported_and_says_what_it_cost() {
    let stage = stage(|_| document(SAID));
    let answer = stage.run(ASK).await.unwrap();
    // 16 fresh, 4 cached and 5 output tokens: 16 + 2 + 10 nano.
    let Answer::Json { call, body, cost } = answer else {
        panic!("a stream")
    };
    assert_eq!(cost, Usdt::from_nano(28));
    let expected = SAID.replace(
        r#""cached_tokens":4}}"#,
        r#""cached_tokens":4},"total_cost":28,"expense_till_now":0}"#,
    );
    assert_eq!(body, expected.as_bytes());

    let charge = stage.charge();
    assert_eq!((charge.call, charge.org), (call, OrgId(7)));
    assert_eq!(
        charge.usage.tokens,
        TokenUsage {
            input: 20,
            cached: 4,
            output: 5,
            reasoning: 0
        }
    );
    assert_eq!(charge.usage.outcome, CallOutcome::Complete);
    assert!(!charge.usage.estimated && !charge.usage.streamed);
    assert_eq!(charge.usage.request_hash, <[u8; 32]>::from(Sha256::digest(ASK)));
    assert_eq!(charge.usage.response_hash, <[u8; 32]>::from(Sha256::digest(SAID)));
    assert_eq!(
        (charge.usage.model_name.as_str(), charge.usage.provider.as_str()),
        ("tokens", "p")
    );
    stage.assert_nothing_held();

    let again = stage.json(ASK).await;
    assert!(
        again.contains(r#""total_cost":28,"expense_till_now":28"#),
        "{again}"
    );
}

#[tokio::test]
async fn the_provider_gets_the_callers_bytes_with_its_own_name_for_the_model() {
    let stage = stage(|_| document(SAID));
    stage.json(ASK).await;
    let asked = &stage.asked()[0];
    assert_eq!(asked.body, ASK.replace("\"tokens\"", "\"up\"").as_bytes());
    assert_eq!(asked.request_id, stage.charge().call.to_string());
    assert!(!asked.stream);
}

#[tokio::test]
async fn a_call_id_is_a_version_7_uuid_of_the_moment() {
    let stage = stage(|_| document(SAID));
    stage.json(ASK).await;
    let id = stage.charge().call.0;
    assert_eq!(id.get_version_num(), 7);
    let (seconds, _) = id.get_timestamp().unwrap().to_unix();
    assert_eq!(i64::try_from(seconds).unwrap(), NOW.seconds());
}

#[tokio::test]
async fn a_provider_that_fails_costs_nothing_and_gives_the_hold_back() {
    type Fail = fn() -> UpstreamError;
    let failures: [(Fail, Kind, &str); 5] = [
        (
            || UpstreamError::Failed("x".into()),
            Kind::Upstream,
            "upstream_failed",
        ),
        (
            || UpstreamError::TimedOut,
            Kind::UpstreamTimeout,
            "upstream_timeout",
        ),
        (
            || UpstreamError::Credentials,
            Kind::Upstream,
            "upstream_unavailable",
        ),
        (
            || UpstreamError::RateLimited { retry_after: Some(9) },
            Kind::RateLimited,
            "upstream_rate_limited",
        ),
        (
            || UpstreamError::Refused {
                status: 400,
                message: "m".into(),
                code: None,
                kind: None,
                param: Some("p".into()),
            },
            Kind::Invalid,
            "upstream_refused",
        ),
    ];
    for (fail, kind, code) in failures {
        let stage = stage(move |_| Err(fail()));
        let error = stage.run(ASK).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (kind, code));
        stage.assert_free();
    }
}

#[tokio::test]
async fn what_is_no_answer_costs_nothing() {
    for (said, code) in [
        ("<html>bad gateway</html>", "upstream_failed"),
        ("", "upstream_failed"),
        ("[]", "upstream_failed"),
        (r#"{"choices":[]}"#, "upstream_failed"),
        (r#"{"choices":null,"id":"x"}"#, "upstream_failed"),
        (r#"{"choices":[{"message":{"content":"cut"#, "upstream_failed"),
        (
            r#"{"error":{"message":"bad","type":"invalid_request_error"}}"#,
            "upstream_refused",
        ),
        (
            r#"{"error":{"message":"slow down","code":429}}"#,
            "upstream_rate_limited",
        ),
    ] {
        let stage = stage(move |_| document(said));
        assert_eq!(stage.run(ASK).await.unwrap_err().code(), code, "{said}");
        stage.assert_free();
    }
}

#[tokio::test]
async fn an_answer_without_usage_is_counted_and_flagged() {
    let stage =
        stage(|_| document(r#"{"choices":[{"message":{"content":"hello"},"finish_reason":"stop"}]}"#));
    let body = stage.json(ASK).await;
    let charge = stage.charge();
    // The counter of the stage makes every character a token: "user", "hi" and their line ends.
    assert_eq!(
        charge.usage.tokens,
        TokenUsage {
            input: 8,
            output: 5,
            ..TokenUsage::default()
        }
    );
    assert!(charge.usage.estimated);
    assert!(
        body.contains(r#""prompt_tokens":8,"completion_tokens":5,"total_tokens":13"#),
        "{body}"
    );
    assert!(body.contains(r#""total_cost":18"#), "{body}");
}

#[tokio::test]
async fn what_is_counted_never_exceeds_the_hold() {
    let said =
        r#"{"choices":[{"message":{"content":"much longer than ten tokens"},"finish_reason":"stop"}]}"#;
    let stage = stage(move |_| document(said));
    stage.json(ASK).await;
    assert_eq!(stage.charge().usage.tokens.output, 10);
}

#[tokio::test]
async fn per_call_prices_are_due_once_something_was_answered() {
    let ask = ASK.replace("tokens\",\"mess", "calls\",\"mess");
    let stage1 = stage(|_| document(SAID));
    stage1.json(&ask).await;
    assert_eq!(stage1.charge().cost(), Usdt::from_nano(5_000));
    assert_eq!(stage1.charge().lines[0].item, LineItem::ModelCall);

    let silent = r#"{"choices":[{"message":{"content":""},"finish_reason":"content_filter"}],"usage":{"prompt_tokens":9,"completion_tokens":0}}"#;
    let stage2 = stage(move |_| document(silent));
    stage2.json(&ask).await;
    assert_eq!(stage2.charge().cost(), Usdt::ZERO);
}

#[tokio::test]
async fn a_call_of_somebody_elses_project_pays_its_owner() {
    let mut stage = stage(|_| document(SAID));
    stage.context.project.org = OrgId(99);
    stage.context.accepted = Some(Usdt::from_nano(700));
    stage.json(ASK).await;
    let charge = stage.charge();
    assert_eq!(charge.cost(), Usdt::from_nano(728));
    let fee = charge
        .lines
        .iter()
        .find(|line| line.payee == Payee::Organization(OrgId(99)))
        .unwrap();
    assert_eq!(fee.amount, Usdt::from_nano(700));
}

#[tokio::test]
async fn a_caller_who_leaves_is_charged_all_the_same() {
    let stage = stage(|_| document(SAID));
    stage.provider.slow.store(true, Ordering::SeqCst);
    let run = stage.run(ASK);
    tokio::select! {
        biased;
        _ = run => panic!("the provider has not answered yet"),
        () = async { while stage.asked().is_empty() { tokio::task::yield_now().await } } => {}
    }
    stage.provider.gate.notify_one();
    stage.charged(1).await;
    stage.assert_nothing_held();
}

#[tokio::test]
async fn an_answer_waits_until_its_charge_is_on_disk() {
    let stage = stage(|_| document(SAID));
    stage.ledger.slow.store(true, Ordering::SeqCst);
    let mut run = Box::pin(stage.run(ASK));
    for _ in 0..50 {
        tokio::select! {
            biased;
            _ = &mut run => panic!("answered before the charge was recorded"),
            () = tokio::task::yield_now() => {}
        }
    }
    stage.ledger.gate.notify_one();
    run.await.unwrap();
    assert_eq!(stage.charges().len(), 1);
}

#[tokio::test]
async fn an_answer_whose_charge_cannot_be_recorded_is_withheld() {
    let stage = stage(|_| document(SAID));
    stage.ledger.broken.store(true, Ordering::SeqCst);
    let error = stage.run(ASK).await.unwrap_err();
    assert!(matches!(error, CompletionError::Capture(_)));
    assert_eq!(
        (error.kind(), error.code()),
        (Kind::Unavailable, "charge_not_recorded")
    );
    assert!(!error.to_string().contains("disk full"));
    stage.assert_free();
}

#[tokio::test]
async fn a_ledger_that_fails_once_is_asked_again() {
    let stage = stage(|_| document(SAID));
    stage.ledger.hiccup.store(true, Ordering::SeqCst);
    stage.json(ASK).await;
    assert_eq!(stage.charge().cost(), Usdt::from_nano(28));
    stage.assert_nothing_held();
}

#[tokio::test]
async fn a_stream_where_none_was_asked_for_is_a_failure() {
    let stage = stage(reads(&["data: {}\n\n"]));
    assert_eq!(stage.run(ASK).await.unwrap_err().code(), "upstream_failed");
    stage.assert_free();
}
