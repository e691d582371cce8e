//! What happens when a provider is in trouble and others could answer.

use super::stage::*;
use crate::ports::{UpstreamAnswer, UpstreamError, UpstreamRequest};
use futures::StreamExt;
use haithe_billing::capture::CallOutcome;
use haithe_kernel::{Failure, ModelId, Usdt};

pub const SAID: &str = r#"{"choices":[{"message":{"content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":5}}"#;
pub const HEL: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"up\",\"choices\":[{\"delta\":{\"content\":\"hel\"}}]}\n\n";
pub const STOP: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"up\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

pub fn ask(model: &str, more: &str) -> String {
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]{more}}}"#)
}

pub fn whom(stage: &Stage) -> Vec<String> {
    stage
        .asked()
        .into_iter()
        .map(|request| request.provider)
        .collect()
}

fn busy() -> UpstreamError {
    UpstreamError::RateLimited { retry_after: Some(5) }
}

/// A provider `q` that fails, and a provider `p` that answers.
fn only_p(request: &UpstreamRequest) -> Result<UpstreamAnswer, UpstreamError> {
    if request.provider == "q" {
        Err(busy())
    } else {
        document(SAID)
    }
}

#[tokio::test]
async fn a_provider_in_trouble_is_replaced_before_the_caller_notices() {
    let stage = stage(only_p);
    let body = stage.json(&ask("falling", "")).await;
    assert!(body.contains("hello"));
    assert_eq!(whom(&stage), ["q", "p"]);
    let sent: serde_json::Value = serde_json::from_slice(&stage.asked()[1].body).unwrap();
    assert_eq!(
        (&sent["model"], &sent["max_tokens"]),
        (&"up".into(), &1_000.into()),
        "its own name and bound"
    );

    let charge = stage.charge();
    assert_eq!(
        charge.cost(),
        Usdt::from_nano(15 * 3),
        "at the price of the model that was asked for"
    );
    assert_eq!(
        (charge.usage.model, charge.usage.provider.as_str()),
        (ModelId(6), "p")
    );
    assert_eq!(
        stage.ledger.asked.lock().unwrap().len(),
        1,
        "one hold covers all of them"
    );
    stage.assert_nothing_held();
}

#[tokio::test]
async fn a_stream_is_begun_elsewhere_as_long_as_nothing_was_handed_on() {
    for fails in [
        "",
        "data: {\"error\":{\"message\":\"overloaded\"}}\n\n",
        "data: <html>\n\n",
    ] {
        let stage = stage(move |request: &UpstreamRequest| {
            let said = if request.provider == "q" {
                vec![fails]
            } else {
                vec![HEL, STOP]
            };
            reads(&said)(request)
        });
        let said = stage.streamed(&ask("falling", r#","stream":true"#)).await;
        assert_eq!(said, [HEL, STOP, "data: [DONE]\n\n"].concat(), "{fails}");
        assert_eq!(whom(&stage), ["q", "p"]);
        assert_eq!(stage.charge().usage.outcome, CallOutcome::Complete);
    }
}

#[tokio::test]
async fn a_stream_that_began_is_never_begun_again() {
    let stage = stage(|request: &UpstreamRequest| reads(&[HEL])(request));
    let pieces: Vec<_> = stage
        .stream(&ask("falling", r#","stream":true"#))
        .await
        .collect()
        .await;
    assert_eq!(pieces.len(), 2);
    assert_eq!(whom(&stage), ["q"]);
    assert_eq!(stage.charge().usage.outcome, CallOutcome::Partial);
}

#[tokio::test]
async fn a_refusal_of_the_request_itself_is_not_taken_elsewhere() {
    let stage = stage(|_| {
        Err(UpstreamError::Refused {
            status: 400,
            message: "no".into(),
            code: None,
            kind: None,
            param: None,
        })
    });
    assert_eq!(
        stage.run(&ask("falling", "")).await.unwrap_err().code(),
        "upstream_refused"
    );
    assert_eq!(whom(&stage), ["q"]);
    stage.assert_free();
}

#[tokio::test]
async fn when_nobody_answers_the_first_ones_error_is_told_and_nothing_charged() {
    let stage = stage(|request: &UpstreamRequest| {
        Err(if request.provider == "q" {
            busy()
        } else {
            UpstreamError::TimedOut
        })
    });
    let error = stage.run(&ask("falling", "")).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retry_after()),
        ("upstream_rate_limited", Some(5))
    );
    // `gone` is not offered, `disabled` not enabled, and `tiny` reads less than was promised.
    assert_eq!(whom(&stage), ["q", "p", "p"]);
    stage.assert_free();
}

#[tokio::test]
async fn a_question_never_reaches_a_model_the_organization_has_not_enabled() {
    let stage1 = stage(only_p);
    assert_eq!(
        stage1.run(&ask("alone", "")).await.unwrap_err().code(),
        "upstream_rate_limited"
    );
    assert_eq!(whom(&stage1), ["q"]);

    let mut stage2 = stage(only_p);
    let mut key = key();
    key.scope.models = Some(vec!["falling".to_owned()]);
    stage2.api_key = Some(key);
    assert_eq!(
        stage2.run(&ask("falling", "")).await.unwrap_err().code(),
        "upstream_rate_limited"
    );
    assert_eq!(whom(&stage2), ["q"], "nor one that the key may not use");
}
