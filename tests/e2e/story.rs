//! The main job, from a wallet's first login to a receipt that anybody can check.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Setup, Tenant, question, streamed_question, usdt},
    eventually,
    upstream::Script,
};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_funds_an_organization_and_its_agent_answers_charged_once_and_settled_on_chain() {
    let app = App::with(Setup::default().set("settlement.max_calls", 4)).await;
    app.upstream.always(Script::tokens(100, 20));

    // A wallet logs in, founds an organization with its own transaction, and deposits.
    let owner = app.wallet(1).await;
    let me = owner.client.get("/v1/me").data().await;
    assert_eq!(me["address"], owner.address());
    let tenant = Tenant::found(&app.chain, owner, "Acme").await;
    assert_eq!(tenant.balance().await.available, Usdt::ZERO);
    tenant.deposit(&app.chain, Usdt::whole(10)).await;

    // A program asks with a key of the project: no context headers needed.
    let program = app.anonymous().bearer(&tenant.project_key().await);
    let listed = program.get("/v1beta/openai/models").send().await.json();
    let names: Vec<&Value> = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| &model["id"])
        .collect();
    assert!(names.contains(&&json!("per-token")), "{listed}");

    // JSON from a real HTTP upstream: 100 × 1,000 + 20 × 3,000 nano.
    let answer = program.chat(&question("per-token")).send().await;
    let body = answer.json();
    assert_eq!(answer.status, 200, "{body}");
    assert_eq!(body["usage"]["completion_tokens"], 20);
    let cost = Usdt::from_nano(160_000);
    assert_eq!(body["usage"]["total_cost"].as_u64(), Some(160_000_000_000_000));
    assert_eq!(body["usage"]["expense_till_now"], 0);
    let call = answer.header("x-haithe-call").unwrap().to_owned();

    // The same as a stream, and both over the sandbox.
    let mut stream = program.chat(&streamed_question("per-token")).stream().await;
    assert_eq!(stream.status, 200);
    assert_eq!(stream.rest().await.unwrap().last().unwrap(), "[DONE]");
    assert_eq!(tenant.expenditure().await, Usdt::from_nano(320_000));
    let sandbox = program.chat(&question("sandbox")).send().await.json();
    let said = sandbox["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(
        said.to_lowercase().contains("sandbox"),
        "it says what it is: {said}"
    );
    let mut stream = program.chat(&streamed_question("sandbox")).stream().await;
    assert_eq!(stream.rest().await.unwrap().last().unwrap(), "[DONE]");
    assert_eq!(app.upstream.count(), 2);

    // Four charges make a batch, which is settled on chain.
    let spent = tenant.expenditure().await;
    assert!(spent > Usdt::from_nano(320_000));
    let receipt = eventually("the receipt's batch is final", async || {
        let receipt = tenant.receipt(&call).await;
        (receipt["settlement"]["state"] == "final").then_some(receipt)
    })
    .await;
    assert_eq!(usdt(&receipt["charged_usdt"]), cost);
    assert!(receipt["settlement"]["transaction_hash"].is_string(), "{receipt}");
    assert_eq!(app.chain.next_batch().await, 1);
    let balance = tenant.balance().await;
    let left = Usdt::whole(10).nano() - spent.nano();
    assert_eq!((balance.available.nano(), balance.unsettled.nano()), (left, 0));
    assert_eq!(
        app.chain.token_balance(tenant.contract).await,
        u128::try_from(left).unwrap() * 1_000_000_000
    );
    assert_eq!(
        app.chain.platform_funds().await,
        u128::try_from(spent.nano()).unwrap() * 1_000_000_000
    );

    // Anyone can check the receipt: with the contract, and with our command.
    assert!(crate::settlement::proves_itself(&app.chain, &receipt).await);
    let forged = crate::settlement::with_another_leaf(&receipt);
    assert!(!crate::settlement::proves_itself(&app.chain, &forged).await);
    let verified = app.run(&["receipt", "verify", "-"], Some(&receipt)).await;
    assert!(verified.success(), "{verified:?}");

    // And the books add up, compared with the chain itself.
    let around = app.stop().await;
    let checked = around.run(&["ledger", "check"], None).await;
    assert!(checked.success(), "{checked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_deploys_an_organization_for_a_wallet_without_gas() {
    let app = App::start().await;
    let owner = app.wallet(1).await;
    let made = owner
        .client
        .post("/v1/orgs")
        .json(&json!({"name": "Gasless"}))
        .data()
        .await;
    assert_eq!(made["owner"], owner.address());
    assert_eq!(made["name"], "Gasless");
    let mine = owner.client.get("/v1/me/orgs").data().await;
    assert_eq!(mine[0]["organization_uid"], made["organization_uid"]);
    let again = owner
        .client
        .post("/v1/orgs")
        .json(&json!({"name": "Gasless"}))
        .data()
        .await;
    assert_eq!(
        again["organization_uid"], made["organization_uid"],
        "the same name again finds it"
    );
    let other = app.wallet(2).await;
    other
        .client
        .post("/v1/orgs")
        .json(&json!({"name": "Gasless"}))
        .refused(409, "organization_name_taken")
        .await;
}
