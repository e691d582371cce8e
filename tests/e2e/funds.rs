//! No call is made that cannot be paid.

use haithe_kernel::Usdt;
use haithe_tests::app::{App, models, question, streamed_question};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn without_funds_nothing_reaches_the_provider() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::ZERO).await;
    for model in [models::PER_CALL, models::PER_TOKEN, models::BOTH] {
        for body in [question(model.1), streamed_question(model.1)] {
            let refused = tenant.caller.chat(&body).send().await;
            let message = refused.openai_refused(402, "insufficient_quota");
            assert!(message.contains("deposit"), "it says what to do: {message}");
            assert_eq!(refused.json()["error"]["type"], "insufficient_quota");
        }
    }
    assert_eq!(app.upstream.count(), 0);
    assert_eq!(tenant.caller.chat(&question("free")).send().await.status, 200);
    assert_eq!(tenant.balance().await.held, Usdt::ZERO);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_balance_bounds_what_the_provider_may_generate() {
    let app = App::start().await;
    // Input is bounded by bytes and overhead at 1,000 nano each; what is left buys output at 3,000.
    let tenant = app.funded("Acme", Usdt::from_nano(700_000)).await;
    app.upstream
        .always(haithe_tests::upstream::Script::tokens(10, 5_000));
    let answer = tenant.caller.chat(&question("per-token")).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent = app.upstream.exchange(0).await.json();
    let bound = sent["max_tokens"].as_u64().unwrap();
    assert!((1..234).contains(&bound), "{sent}");
    let charged = tenant.expenditure().await.nano();
    assert_eq!(charged, 10_000 + 3_000 * i64::try_from(bound).unwrap());
    assert_eq!(tenant.balance().await.available.nano(), 700_000 - charged);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callers_own_bound_is_kept_and_a_larger_one_is_cut() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    for (asked, sent) in [(json!(7), 7), (json!(100_000), 1_000), (json!(null), 1_000)] {
        let mut body = question("per-token");
        body["max_tokens"] = asked.clone();
        tenant.caller.chat(&body).send().await;
        let exchanges = app.upstream.exchanges();
        assert_eq!(exchanges.last().unwrap().json()["max_tokens"], sent, "{asked}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_ignores_its_bound_is_paid_by_the_platform_not_the_caller() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::from_nano(400_000)).await;
    let lying = haithe_tests::upstream::Script {
        honours_bound: false,
        ..haithe_tests::upstream::Script::tokens(10, 5_000)
    };
    app.upstream.always(lying);
    let answer = tenant.caller.chat(&question("per-token")).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let balance = tenant.balance().await;
    assert_eq!((balance.available, balance.held), (Usdt::ZERO, Usdt::ZERO));
    assert_eq!(tenant.expenditure().await, Usdt::from_nano(400_000));
    tenant
        .caller
        .chat(&question("per-token"))
        .openai_refused(402, "insufficient_quota")
        .await;
    let around = app.stop().await;
    assert!(around.run(&["ledger", "check"], None).await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daily_cap_on_chain_stops_calls_beyond_it() {
    use alloy::sol_types::SolCall;
    use haithe_tests::chain::{OrganizationContract, u256};
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(10)).await;
    let cap = u256(app.chain.units(Usdt::from_nano(250_000_000)));
    let call = OrganizationContract::setDailyCapCall { cap }.abi_encode();
    app.chain.send(&tenant.owner.wallet, tenant.contract, call).await;
    tenant.balance().await; // lets the index catch up
    for _ in 0..2 {
        assert_eq!(tenant.caller.chat(&question("per-call")).send().await.status, 200);
    }
    tenant
        .caller
        .chat(&question("per-call"))
        .openai_refused(402, "daily_cap_reached")
        .await;
    assert_eq!(app.upstream.count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_request_freezes_its_amount_at_once() {
    use alloy::sol_types::SolCall;
    use haithe_tests::chain::{OrganizationContract, u256};
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let amount = u256(app.chain.units(Usdt::from_nano(950_000_000)));
    let to = tenant.owner.wallet.address();
    let request = OrganizationContract::requestWithdrawalCall { to, amount }.abi_encode();
    app.chain
        .send(&tenant.owner.wallet, tenant.contract, request)
        .await;
    let balance = tenant.balance().await;
    assert_eq!(balance.pending_withdrawal, Usdt::from_nano(950_000_000));
    tenant
        .caller
        .chat(&question("per-call"))
        .openai_refused(402, "insufficient_quota")
        .await;
    let cancel = OrganizationContract::cancelWithdrawalCall {}.abi_encode();
    app.chain
        .send(&tenant.owner.wallet, tenant.contract, cancel)
        .await;
    assert_eq!(tenant.balance().await.pending_withdrawal, Usdt::ZERO);
    assert_eq!(tenant.caller.chat(&question("per-call")).send().await.status, 200);
}
