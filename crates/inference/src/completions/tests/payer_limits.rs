//! What the payer lets a call cost: the accepted price of another organization's project, and the caller's
//! own maximum.

use super::stage::*;
use haithe_billing::capture::{LineItem, Payee};
use haithe_kernel::{AnnouncedPrice, Failure, Kind, OrgId, PriceSchedule, Usdt};

const SAID: &str = r#"{"choices":[{"message":{"content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":5}}"#;

fn ask(model: &str, more: &str) -> String {
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]{more}}}"#)
}

/// The project belongs to another organization, costs 700 nano per call, and is accepted up to `maximum`.
fn of_another(mut stage: Stage, maximum: Option<i64>) -> Stage {
    stage.context.project.org = OrgId(99);
    stage.context.project.public = true;
    stage.context.accepted = maximum.map(Usdt::from_nano);
    stage
}

fn never_asked() -> Stage {
    stage(|_| panic!("the provider was asked"))
}

fn asked_for(stage: &Stage) -> Vec<(Usdt, Usdt)> {
    let asked = stage.ledger.asked.lock().unwrap();
    asked
        .iter()
        .map(|request| (request.least, request.most))
        .collect()
}

#[tokio::test]
async fn another_organizations_project_is_refused_before_the_hold_unless_its_price_is_accepted() {
    for (maximum, kind, code) in [
        (None, Kind::Forbidden, "project_not_accepted"),
        (Some(699), Kind::PaymentRequired, "price_above_maximum"),
    ] {
        let stage = of_another(never_asked(), maximum);
        for body in [ask("tokens", ""), ask("tokens", r#","stream":true"#)] {
            let error = stage.run(&body).await.unwrap_err();
            assert_eq!((error.kind(), error.code()), (kind, code));
            assert!(error.to_string().contains("0.0000007 USDT"), "{error}");
        }
        stage.assert_free();
        assert_eq!(asked_for(&stage), [], "nothing was held");
    }
    let stage = of_another(stage(|_| document(SAID)), Some(700));
    stage.json(&ask("calls", "")).await;
    let lines = stage.charge().lines;
    let fee = lines
        .iter()
        .find(|line| line.payee == Payee::Organization(OrgId(99)));
    let fee = fee.expect("a line for the project");
    assert_eq!(
        (fee.item, fee.amount),
        (LineItem::Project(stage.context.project.id), Usdt::from_nano(700))
    );
}

#[tokio::test]
async fn an_announced_price_counts_from_its_time_on_and_never_above_the_maximum() {
    let mut stage = of_another(stage(|_| document(SAID)), Some(700));
    let rise = AnnouncedPrice {
        price: Usdt::whole(499),
        at: NOW.plus(std::time::Duration::from_secs(60)),
    };
    stage.context.project.price_per_call = PriceSchedule::scheduled(Usdt::from_nano(700), Some(rise));
    stage.json(&ask("calls", "")).await;
    stage.clock.advance(std::time::Duration::from_secs(60));
    let error = stage.run(&ask("calls", "")).await.unwrap_err();
    assert_eq!(error.code(), "price_above_maximum");
    assert_eq!(stage.charges().len(), 1);
}

#[tokio::test]
async fn an_organizations_own_project_needs_no_acceptance() {
    let stage = stage(|_| document(SAID));
    assert_eq!(stage.context.accepted, None);
    stage.json(&ask("calls", "")).await;
    assert_eq!(stage.charge().lines.len(), 1, "the model alone");
}

#[tokio::test]
async fn the_callers_maximum_lowers_the_hold_and_the_output() {
    let mut stage = stage(|_| document(SAID));
    let body = ask("tokens", "");
    let input = i64::try_from(body.len()).unwrap();
    stage.max_cost = Some(Usdt::from_nano(input + 2 * 40));
    stage.json(&body).await;
    assert_eq!(
        asked_for(&stage),
        [(Usdt::from_nano(input + 2), Usdt::from_nano(input + 2 * 40))]
    );
    let sent: serde_json::Value = serde_json::from_slice(&stage.asked()[0].body).unwrap();
    assert!(sent["max_tokens"].as_u64().unwrap() >= 40);
    assert!(sent["max_tokens"].as_u64().unwrap() < 1_000);
}

#[tokio::test]
async fn a_call_that_does_not_fit_the_callers_maximum_is_refused_before_the_hold() {
    let mut stage = never_asked();
    stage.max_cost = Some(Usdt::from_nano(5));
    let error = stage.run(&ask("tokens", "")).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (Kind::PaymentRequired, "max_cost_exceeded")
    );
    stage.max_cost = Some(Usdt::from_nano(4_999));
    let error = stage.run(&ask("calls", "")).await.unwrap_err();
    assert_eq!(error.code(), "max_cost_exceeded");
    assert_eq!(asked_for(&stage), []);
    stage.assert_free();
}

#[tokio::test]
async fn a_provider_that_uses_more_than_the_callers_maximum_is_paid_no_more() {
    let said = r#"{"choices":[{"message":{"content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":50000}}"#;
    let mut stage = stage(move |_| document(said));
    stage.max_cost = Some(Usdt::from_nano(200));
    stage.json(&ask("tokens", "")).await;
    assert_eq!(stage.charge().cost(), Usdt::from_nano(200));
}

#[tokio::test]
async fn the_callers_maximum_does_not_raise_what_the_payer_accepted() {
    let mut stage = of_another(never_asked(), Some(699));
    stage.max_cost = Some(Usdt::whole(100));
    let error = stage.run(&ask("calls", "")).await.unwrap_err();
    assert_eq!(error.code(), "price_above_maximum");
}
