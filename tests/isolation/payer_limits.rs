//! The payer sets the limit: another organization's prices never take more than was accepted.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Setup, Tenant, question, streamed_question, usdt},
    client::Answer,
};
use serde_json::{Value, json};
use std::time::Duration;

/// The price at which the public project begins.
const FEE: Usdt = Usdt::from_nano(50_000_000);
/// A call of the model `per-call`.
const MODEL: Usdt = Usdt::from_nano(100_000_000);
/// Shorter than sessions live, and than calls wait for settlement.
const NOTICE: Duration = Duration::from_secs(600);

fn plus(one: Usdt, other: Usdt) -> Usdt {
    one.checked_add(other).expect("a small sum")
}

/// The error object of OpenAI's dialect.
fn error(answer: &Answer, status: u16, code: &str) -> Value {
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(answer.status, status, "{body}");
    assert_eq!(body["error"]["code"], code, "{body}");
    body["error"].clone()
}

/// Finding 3: a price of 499 USDT takes nothing from any of ten payers, and every other call is answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_raised_price_takes_nothing_from_payers_and_stops_no_other_tenant() {
    let (setup, clock) = Setup::on_a_clock();
    let app = App::with(setup.set("projects.price_notice_seconds", 600)).await;
    let seller = Tenant::found(&app.chain, app.wallet(2).await, "Seller").await;
    seller.publish(FEE).await;
    let mut payers = Vec::new();
    for number in 0..10 {
        let wallet = app.wallet(3 + number).await;
        let payer = Tenant::found(&app.chain, wallet, &format!("Payer {number}")).await;
        payer.deposit(&app.chain, Usdt::whole(600)).await;
        payer.accept(&seller, FEE).await;
        payers.push(payer);
    }
    for payer in &payers {
        let answer = payer.calling(&seller).chat(&question("per-call")).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(payer.expenditure().await, plus(FEE, MODEL));
    }

    let raised = seller.publish(Usdt::whole(499)).await;
    assert_eq!(usdt(&raised["price_per_call_usdt"]), FEE, "the price in force");
    assert_eq!(usdt(&raised["next_price_per_call_usdt"]), Usdt::whole(499));
    assert!(raised["next_price_at"].is_string(), "{raised}");
    let during = payers[0]
        .calling(&seller)
        .chat(&question("per-call"))
        .send()
        .await;
    assert_eq!(during.status, 200, "{}", during.text());
    let spent = payers[0].expenditure().await;
    assert_eq!(
        spent,
        plus(plus(FEE, MODEL), plus(FEE, MODEL)),
        "the old price until the notice is over"
    );

    clock.advance(NOTICE);
    let shown = seller
        .owner
        .client
        .get(&format!("/v1/projects/{}", seller.project_id))
        .data()
        .await;
    assert_eq!(usdt(&shown["price_per_call_usdt"]), Usdt::whole(499), "in force");
    let asked = app.upstream.count();
    for payer in &payers {
        let before = payer.balance().await;
        for body in [question("per-call"), streamed_question("per-call")] {
            let refused = payer.calling(&seller).chat(&body).send().await;
            let refused = error(&refused, 402, "price_above_maximum");
            assert_eq!(refused["details"]["price_per_call_usdt"], "499");
            assert_eq!(refused["details"]["max_price_per_call_usdt"], FEE.to_string());
        }
        let after = payer.balance().await;
        assert_eq!((after.available, after.held), (before.available, Usdt::ZERO));
        let own = payer.caller.chat(&question("per-call")).send().await;
        assert_eq!(own.status, 200, "the payer's own project: {}", own.text());
    }
    assert_eq!(
        app.upstream.count(),
        asked + 10,
        "no refused call reached the provider"
    );
}

/// Finding 3: a public project is called only by organizations that accepted it, by every route.
#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_was_not_accepted_is_refused_by_every_route_and_the_acceptance_acts_at_once() {
    let app = App::start().await;
    let payer = app.funded("Payer", Usdt::whole(2)).await;
    payer.enable(haithe_tests::app::models::VECTORS).await;
    let seller = Tenant::found(&app.chain, app.wallet(2).await, "Seller").await;
    seller.publish(FEE).await;
    let caller = payer.calling(&seller);
    let embeddings = json!({"model": "vectors", "input": "hello"});
    let ways = |key: Option<&str>| {
        let caller = match key {
            Some(key) => caller.with("idempotency-key", key),
            None => caller.clone(),
        };
        vec![
            caller.chat(&question("per-call")),
            caller.chat(&streamed_question("per-call")),
            caller.post("/v1beta/openai/embeddings").json(&embeddings),
        ]
    };
    for ask in ways(None)
        .into_iter()
        .chain([caller.with("idempotency-key", "once").chat(&question("per-call"))])
    {
        let refused = error(&ask.send().await, 403, "project_not_accepted");
        assert_eq!(
            refused["details"]["price_per_call_usdt"],
            FEE.to_string(),
            "{refused}"
        );
    }
    assert_eq!(app.upstream.count(), 0);
    assert_eq!(payer.balance().await.available, Usdt::whole(2));

    let accepted = payer.accept(&seller, FEE).await;
    assert_eq!(usdt(&accepted["max_price_per_call_usdt"]), FEE);
    let once = caller
        .with("idempotency-key", "once")
        .chat(&question("per-call"))
        .send()
        .await;
    assert_eq!(once.status, 200, "{}", once.text());
    let path = format!("/v1/orgs/{}/accepted-projects", payer.org_id);
    let listed = payer.owner.client.get(&path).data().await;
    assert_eq!(listed[0]["project_uid"], seller.project_uid);

    let one = format!("{path}/{}", seller.project_uid);
    payer.owner.client.delete(&one).data().await;
    let refused = caller.chat(&question("per-call")).send().await;
    error(&refused, 403, "project_not_accepted");
    payer.owner.client.delete(&one).refused(404, "not_found").await;
    let audited = format!("/v1/orgs/{}/audit?action=accepted_project.added", payer.org_id);
    let audited = payer.owner.client.get(&audited).data().await;
    assert_eq!(audited[0]["after"], format!("max_price_per_call_usdt={FEE}"));
}

/// Finding 3: what cannot be accepted is refused, without a difference between private and missing projects.
#[tokio::test(flavor = "multi_thread")]
async fn only_public_projects_of_others_are_accepted() {
    let app = App::start().await;
    let payer = app.funded("Payer", Usdt::ZERO).await;
    let seller = Tenant::found(&app.chain, app.wallet(2).await, "Seller").await;
    let put = |uid: &str, maximum: &str| {
        let path = format!("/v1/orgs/{}/accepted-projects/{uid}", payer.org_id);
        let body = json!({"max_price_per_call_usdt": maximum});
        payer.owner.client.put(&path).json(&body)
    };
    let private = put(&seller.project_uid, "1").refused(404, "not_found").await;
    let missing = put("01900000000070008000000000000000", "1")
        .refused(404, "not_found")
        .await;
    assert_eq!(private, missing);
    put(&payer.project_uid, "1").refused(409, "own_project").await;
    seller.publish(Usdt::ZERO).await;
    put(&seller.project_uid, "-1")
        .refused(400, "invalid_setting")
        .await;
    for malformed in ["", "1e3", "0.0000000001"] {
        let answer = put(&seller.project_uid, malformed).send().await;
        assert_eq!(answer.status, 400, "{malformed}");
    }
}

/// Finding 3: the header Haithe-Max-Cost bounds the whole call, the model included.
#[tokio::test(flavor = "multi_thread")]
async fn the_header_bounds_the_whole_call_and_only_lowers() {
    let app = App::start().await;
    let payer = app.funded("Payer", Usdt::whole(2)).await;
    let seller = Tenant::found(&app.chain, app.wallet(2).await, "Seller").await;
    seller.publish(FEE).await;
    payer.accept(&seller, FEE).await;
    let limited = |maximum: &str| payer.calling(&seller).with("haithe-max-cost", maximum);
    let refused = limited("0.149").chat(&question("per-call")).send().await;
    let refused = error(&refused, 402, "max_cost_exceeded");
    assert_eq!(
        refused["details"],
        json!({"least_cost_usdt": "0.15", "max_cost_usdt": "0.149"})
    );
    for malformed in ["", "-1", "a", "0.0000000001"] {
        let refused = limited(malformed).chat(&question("per-call")).send().await;
        error(&refused, 400, "invalid_max_cost");
    }
    let twice = limited("1")
        .with("haithe-max-cost", "1")
        .chat(&question("per-call"))
        .send()
        .await;
    error(&twice, 400, "invalid_max_cost");
    assert_eq!(app.upstream.count(), 0);

    let answer = limited("0.15").chat(&question("per-call")).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = limited("0.06").chat(&streamed_question("per-token")).send().await;
    let most: u128 = answer
        .header("x-haithe-cost-limit")
        .expect("a limit")
        .parse()
        .expect("a number");
    assert!(most <= 60_000_000_000_000_000, "{most}");

    // The same key with another limit is another request.
    let keyed = |maximum: &str| limited(maximum).with("idempotency-key", "limited");
    let first = keyed("0.15").chat(&question("per-call")).send().await;
    assert_eq!(first.status, 200, "{}", first.text());
    let other = keyed("0.16").chat(&question("per-call")).send().await;
    error(&other, 422, "idempotency_key_reused");
}
