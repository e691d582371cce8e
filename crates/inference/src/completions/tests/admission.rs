//! Who may call what, and for how much.

use super::stage::*;
use crate::ports::MockTokenCounter;
use haithe_billing::hold::{BudgetClaim, BudgetSubject};
use haithe_identity::api_key::{ApiKeyId, BudgetWindow, KeyBudget};
use haithe_kernel::{Failure, Kind, ModelId, Timestamp, Usdt};

const SAID: &str = r#"{"choices":[{"message":{"content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;

fn ask(model: &str, more: &str) -> String {
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]{more}}}"#)
}

/// The field that bounds output, as the provider saw it.
fn bound(stage: &Stage) -> u64 {
    let sent: serde_json::Value = serde_json::from_slice(&stage.asked().last().unwrap().body).unwrap();
    sent["max_tokens"].as_u64().unwrap()
}

fn uncounted() -> MockTokenCounter {
    let mut counter = MockTokenCounter::new();
    counter.expect_count().never();
    counter
}

#[tokio::test]
async fn a_call_that_cannot_be_paid_never_reaches_the_model() {
    for (model, balance) in [("tokens", 0), ("tokens", 9), ("calls", 4_999)] {
        let stage = stage(|_| panic!("the provider was asked"));
        stage.set_balance(balance);
        let error = stage.run(&ask(model, "")).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (Kind::PaymentRequired, "insufficient_quota")
        );
        stage.assert_free();
    }
}

#[tokio::test]
async fn a_model_must_exist_be_offered_and_be_enabled() {
    let stage = stage(|_| panic!("the provider was asked"));
    for (model, kind, code) in [
        ("nothing", Kind::NotFound, "model_not_found"),
        ("gone", Kind::NotFound, "model_not_found"),
        ("disabled", Kind::Forbidden, "model_not_enabled"),
    ] {
        let error = stage.run(&ask(model, "")).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.code(), error.param()),
            (kind, code, Some("model"))
        );
    }
    stage.assert_free();
}

#[tokio::test]
async fn a_key_limited_to_models_calls_no_other() {
    let mut stage = stage(|_| document(SAID));
    let mut key = key();
    key.scope.models = Some(vec!["calls".to_owned()]);
    stage.api_key = Some(key);
    assert_eq!(
        stage.run(&ask("tokens", "")).await.unwrap_err().code(),
        "key_scope"
    );
    stage.json(&ask("calls", "")).await;
    assert_eq!(stage.charge().usage.api_key, Some(ApiKeyId(3)));
}

#[tokio::test]
async fn a_request_without_a_model_gets_the_projects() {
    let stage = stage(|_| document(SAID));
    stage
        .json(r#"{"messages":[{"role":"user","content":"hi"}]}"#)
        .await;
    assert_eq!(stage.charge().usage.model, ModelId(1));
    let sent: serde_json::Value = serde_json::from_slice(&stage.asked()[0].body).unwrap();
    assert_eq!(sent["model"], "up");
}

#[tokio::test]
async fn the_list_of_models_is_what_calls_may_use() {
    let stage = stage(|_| document(SAID));
    let names = |key: Option<&haithe_identity::api_key::ApiKey>| -> Vec<String> {
        let models = stage.completions.models(&stage.context, key);
        models.iter().map(|model| model.name.clone()).collect()
    };
    assert_eq!(
        names(None),
        ["tokens", "calls", "tiny", "falling", "alone", "sturdy", "lonely"]
    );
    let mut limited = key();
    limited.scope.models = Some(vec!["calls".to_owned(), "gone".to_owned()]);
    assert_eq!(names(Some(&limited)), ["calls"]);
}

#[tokio::test]
async fn with_plenty_of_money_nothing_is_counted_and_the_models_own_bound_is_written() {
    let stage = stage_with(uncounted(), |_| document(SAID));
    let body = ask("tokens", "");
    stage.json(&body).await;
    let held = &stage.ledger.asked.lock().unwrap()[0];
    let bytes = i64::try_from(body.len()).unwrap();
    // A nano per byte of input, two per token of output; at least one token must be affordable.
    assert_eq!(held.most, Usdt::from_nano(bytes + 1_000 * 2));
    assert_eq!(held.least, Usdt::from_nano(bytes + 2));
    assert_eq!(bound(&stage), 1_000);
}

#[tokio::test]
async fn every_choice_is_bounded_and_held_for() {
    let stage = stage_with(uncounted(), |_| document(SAID));
    let body = ask("tokens", r#","n":4,"max_tokens":50"#);
    stage.json(&body).await;
    let held = &stage.ledger.asked.lock().unwrap()[0];
    assert_eq!(
        held.most,
        Usdt::from_nano(i64::try_from(body.len()).unwrap() + 4 * 50 * 2)
    );
    assert_eq!(bound(&stage), 50);
}

#[tokio::test]
async fn a_balance_that_buys_less_output_bounds_the_answer() {
    let stage = stage(|_| document(SAID));
    let body = ask("tokens", r#","max_tokens":900"#);
    // Input is counted now: 8 tokens, a margin of 1, 8 for the message and 16 make 33 nano; 100 output
    // tokens remain.
    stage.set_balance(233);
    stage.json(&body).await;
    assert_eq!(bound(&stage), 100);
    assert_eq!(
        stage.ledger.asked.lock().unwrap().len(),
        1,
        "what was granted suffices"
    );
}

#[tokio::test]
async fn a_call_refused_for_its_bytes_is_admitted_for_its_tokens() {
    let stage = stage(|_| document(SAID));
    let body = ask(
        "tokens",
        &format!(r#","max_tokens":5,"metadata":{{"note":"{}"}}"#, "x".repeat(500)),
    );
    stage.set_balance(33 + 5 * 2);
    stage.json(&body).await;
    assert_eq!(bound(&stage), 5);
    assert_eq!(stage.ledger.asked.lock().unwrap().len(), 1);
    assert_eq!(stage.ledger.asked.lock().unwrap()[0].most, Usdt::from_nano(43));
}

#[tokio::test]
async fn counting_stops_as_soon_as_it_is_clear_that_money_does_not_suffice() {
    let mut counter = MockTokenCounter::new();
    counter
        .expect_count()
        .times(1)
        .returning(|text| Ok(u64::try_from(text.text.len()).unwrap()));
    let stage = stage_with(counter, |_| panic!("the provider was asked"));
    stage.set_balance(1_000);
    let long = format!(
        r#"{{"model":"tokens","messages":[{{"role":"user","content":"{}"}}]}}"#,
        "x".repeat(50_000)
    );
    assert_eq!(stage.run(&long).await.unwrap_err().code(), "insufficient_quota");
}

#[tokio::test]
async fn a_prompt_beyond_the_context_is_refused_and_one_that_only_looks_so_is_not() {
    let stage = stage(|_| document(SAID));
    let long = format!(
        r#"{{"model":"tiny","messages":[{{"role":"user","content":"{}"}}]}}"#,
        "x".repeat(200)
    );
    let error = stage.run(&long).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (Kind::Invalid, "context_length_exceeded")
    );
    stage.assert_free();
    stage
        .json(&ask("tiny", &format!(r#","user":"{}""#, "y".repeat(200))))
        .await;
}

#[tokio::test]
async fn an_image_of_unknown_size_is_held_for_with_the_whole_context() {
    let stage = stage(|_| document(SAID));
    let body = r#"{"model":"tokens","max_tokens":1,"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"http://x/y.png"}}]}]}"#;
    stage.json(body).await;
    assert_eq!(
        stage.ledger.asked.lock().unwrap()[0].most,
        Usdt::from_nano(100_000 + 2)
    );
}

#[tokio::test]
async fn a_keys_budget_is_claimed_for_its_window() {
    // NOW is 2023-11-14 22:13:20.
    for (window, since) in [
        (BudgetWindow::Day, "2023-11-14 00:00:00"),
        (BudgetWindow::Month, "2023-11-01 00:00:00"),
        (BudgetWindow::Total, "1970-01-01 00:00:00"),
    ] {
        let mut stage = stage(|_| document(SAID));
        let limit = Usdt::whole(3);
        let mut key = key();
        key.budget = Some(KeyBudget { limit, window });
        stage.api_key = Some(key);
        stage.json(&ask("calls", "")).await;
        let claims = stage.ledger.asked.lock().unwrap()[0].budgets.clone();
        let [
            BudgetClaim {
                subject,
                limit: claimed,
                since: from,
            },
        ] = claims[..]
        else {
            panic!("{claims:?}")
        };
        assert_eq!((subject, claimed), (BudgetSubject::ApiKey(ApiKeyId(3)), limit));
        assert_eq!(Timestamp::legacy(from), since);
    }
}

#[tokio::test]
async fn concurrent_calls_reach_the_model_as_often_as_money_covers_them() {
    let stage = stage(|_| document(SAID));
    stage.set_balance(10 * 5_000);
    stage
        .provider
        .slow
        .store(true, std::sync::atomic::Ordering::SeqCst);
    let body = ask("calls", "");
    let calls = futures::future::join_all((0..64).map(|_| stage.run(&body)));
    let open = async {
        while stage.asked().len() < 10 {
            tokio::task::yield_now().await;
        }
        for _ in 0..10 {
            stage.provider.gate.notify_one();
            tokio::task::yield_now().await;
        }
    };
    let (answers, ()) = futures::join!(calls, open);
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 10);
    let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
    assert!(
        refused
            .into_iter()
            .all(|error| error.code() == "insufficient_quota")
    );
    assert_eq!(
        (stage.asked().len(), stage.charges().len(), stage.balance()),
        (10, 10, 0)
    );
    stage.assert_nothing_held();
}

/// A request with this text, `times` times.
fn long(model: &str, text: &str, times: usize) -> String {
    let text = text.repeat(times);
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"{text}"}}]}}"#)
}

#[tokio::test]
async fn nothing_is_counted_for_a_caller_who_cannot_pay_for_the_smallest_call() {
    // Longer than the context, too: money is looked at first.
    for balance in [0, 2] {
        let stage = stage_with(uncounted(), |_| panic!("the provider was asked"));
        stage.set_balance(balance);
        let error = stage.run(&long("tokens", "word ", 100_000)).await.unwrap_err();
        assert_eq!(error.code(), "insufficient_quota");
        stage.assert_free();
    }
}

#[tokio::test]
async fn bytes_alone_refuse_what_no_tokenizer_makes_fit() {
    let stage = stage_with(uncounted(), |_| panic!("the provider was asked"));
    // 256 bytes are the longest token: more than 120 of them are beyond the context ...
    let error = stage.run(&long("tiny", "x", 121 * 256)).await.unwrap_err();
    assert_eq!(error.code(), "context_length_exceeded");
    // ... and 200 tokens at least beyond what 100 nano pay for.
    stage.set_balance(100);
    let error = stage.run(&long("tokens", "x", 200 * 256)).await.unwrap_err();
    assert_eq!(error.code(), "insufficient_quota");
    stage.assert_free();
}

#[tokio::test]
async fn an_unknown_tokenizer_is_held_for_with_every_byte_of_the_text() {
    // The counter would count a tenth.
    let counting = || {
        let mut counter = MockTokenCounter::new();
        counter
            .expect_count()
            .returning(|text| Ok(u64::try_from(text.text.len() / 10).unwrap()));
        counter
    };
    let text = long("sturdy", "x", 1_000);
    let stage = stage_with(counting(), |_| panic!("the provider was asked"));
    stage.set_balance(900);
    assert_eq!(stage.run(&text).await.unwrap_err().code(), "insufficient_quota");
    stage.assert_free();
    // More bytes than the context: the provider reads no more than that, so that is held for.
    let stage = stage_with(counting(), |_| document(SAID));
    let long = long("falling", "x", 150_000);
    stage.json(&long).await;
    assert_eq!(
        stage.ledger.asked.lock().unwrap()[0].least,
        Usdt::from_nano(100_000 * 3 + 3)
    );
}

#[tokio::test]
async fn a_full_counter_refuses_a_call_before_anything_is_held() {
    let mut counter = MockTokenCounter::new();
    counter
        .expect_count()
        .withf(|text| !text.patient)
        .returning(|_| Err(crate::ports::CounterBusy));
    let stage = stage_with(counter, |_| panic!("the provider was asked"));
    let error = stage.run(&long("tokens", "word ", 30_000)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code(), error.retry_after()),
        (Kind::Unavailable, "overloaded", Some(1))
    );
    stage.assert_free();
    assert!(stage.ledger.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn every_message_is_held_for_with_the_tokens_of_its_format() {
    let messages = vec![r#"{"role":"user","content":"a"}"#; 1_000].join(",");
    let body = format!(r#"{{"model":"tokens","max_tokens":1,"messages":[{messages}]}}"#);
    let stage = stage(|_| document(SAID));
    // Less than the bytes take, so that tokens are counted: seven characters and eight around them.
    stage.set_balance(20_000);
    stage.json(&body).await;
    let held = stage.ledger.asked.lock().unwrap()[0].least.nano();
    assert!((15_000..20_000).contains(&held), "{held}");
}
