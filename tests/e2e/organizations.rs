//! Organizations, projects, members and models over REST.

use haithe_kernel::Usdt;
use haithe_tests::{app::App, eventually};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_made_on_chain_is_found_by_asking_for_it() {
    let app = App::start().await;
    let owner = app.wallet(1).await;
    owner
        .client
        .post("/v1/orgs")
        .refused(404, "organization_not_indexed")
        .await;
    let contract = app.chain.create_organization(&owner.wallet, "Acme").await;
    let org = owner.client.post("/v1/orgs").data().await;
    assert_eq!(org["address"], contract.to_string().to_lowercase());
    assert_eq!((&org["name"], &org["count"]), (&json!("Acme"), &json!(1)));
    assert_eq!(org["orchestrator_idx"], 1);
    let again = owner.client.post("/v1/orgs").data().await;
    assert_eq!(again["id"], org["id"], "asking again changes nothing");
    let models = owner
        .client
        .get(&format!("/v1/orgs/{}/models", org["id"]))
        .data()
        .await;
    assert_eq!(models[0]["id"], 1, "model 1 is enabled from the start");
    app.chain.create_organization(&owner.wallet, "Second").await;
    let second = owner.client.post("/v1/orgs").data().await;
    assert_eq!((&second["name"], &second["count"]), (&json!("Second"), &json!(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_appears_without_anybody_asking() {
    let app = App::start().await;
    let owner = app.wallet(1).await;
    app.chain.create_organization(&owner.wallet, "Acme").await;
    eventually("the index has seen it", async || {
        let mine = owner.client.get("/v1/me/orgs").data().await;
        (mine[0]["name"] == "Acme").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deposits_count_to_the_base_unit_and_dust_stays_outside() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::ZERO).await;
    let units = haithe_kernel::TokenUnits::new(1_500_000_000_000_000_000 + 7);
    app.chain.deposit_units(tenant.contract, units).await;
    let path = format!("/v1/orgs/{}/balance", tenant.org_id);
    let answer = eventually("the deposit is indexed", async || {
        let answer = tenant.owner.client.get(&path).send().await;
        (answer.data()["available_usdt"] == "1.5").then_some(answer)
    })
    .await;
    let text = answer.text();
    assert!(
        text.contains("\"available\":1500000000000000000,"),
        "an integer of base units: {text}"
    );
    assert_eq!(tenant.balance().await.held, Usdt::ZERO);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_made_read_changed_and_deleted() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::ZERO).await;
    let owner = &tenant.owner.client;
    let made = owner
        .post("/v1/projects")
        .query(&[("org_id", &tenant.org_id.to_string()), ("name", "Second")])
        .data()
        .await;
    let path = format!("/v1/projects/{}", made["id"]);
    assert_eq!(owner.get(&path).data().await, made);
    let change = owner
        .patch(&path)
        .query(&[("name", "Renamed"), ("search_enabled", "true")]);
    let changed = change.data().await;
    assert_eq!(
        (&changed["name"], &changed["search_enabled"]),
        (&json!("Renamed"), &json!(true))
    );
    let body = json!({"memory_enabled": true, "memory_window": 5, "default_model_id": 2, "public": true,
        "price_per_call": 1_000_000_000u64, "memory_retention_days": 30});
    let changed = owner.patch(&path).json(&body).data().await;
    assert_eq!(changed["price_per_call_usdt"], "0.000000001");
    assert_eq!(
        (&changed["memory_window"], &changed["memory_retention_days"]),
        (&json!(5), &json!(30))
    );
    let cleared = owner
        .patch(&path)
        .json(&json!({"memory_retention_days": null}))
        .data()
        .await;
    assert_eq!(cleared["memory_retention_days"], Value::Null);
    assert_eq!(cleared["name"], "Renamed");
    let listed = owner
        .get(&format!("/v1/orgs/{}/projects", tenant.org_id))
        .data()
        .await;
    assert_eq!(listed[0]["id"], made["id"], "newest first");
    let deleted = owner.delete(&path).data().await;
    assert_eq!(deleted["name"], "Renamed");
    owner.get(&path).refused(404, "not_found").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_come_change_and_go() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::ZERO).await;
    let owner = &tenant.owner.client;
    let member = app.wallet(2).await;
    let path = format!("/v1/orgs/{}/members", tenant.org_id);
    let address = member.address();
    let added = owner
        .post(&path)
        .query(&[("wallet_address", &address), ("role", "member")])
        .data()
        .await;
    assert_eq!(
        (&added["wallet_address"], &added["role"]),
        (&json!(address), &json!("member"))
    );
    let body = json!({"wallet_address": address, "role": "admin"});
    owner
        .post(&path)
        .json(&body)
        .refused(409, "already_a_member")
        .await;
    assert_eq!(owner.patch(&path).json(&body).data().await["role"], "admin");
    assert_eq!(member.client.get(&path).data().await[0]["role"], "admin");
    let own = json!({"wallet_address": tenant.owner.address(), "role": "member"});
    owner
        .post(&path)
        .json(&own)
        .refused(409, "owner_is_on_chain")
        .await;
    let gone = owner
        .delete(&path)
        .query(&[("wallet_address", &address)])
        .data()
        .await;
    assert_eq!(gone["role"], "admin", "with the role it had");
    member.client.get(&path).refused(404, "not_found").await;
    owner
        .delete(&path)
        .query(&[("wallet_address", &address)])
        .refused(404, "not_a_member")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_enabled_and_disabled() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let owner = &tenant.owner.client;
    let path = format!("/v1/orgs/{}/models", tenant.org_id);
    let question = haithe_tests::app::question("per-call");
    assert_eq!(tenant.caller.chat(&question).send().await.status, 200);
    owner.delete(&path).query(&[("model_id", "1")]).data().await;
    tenant
        .caller
        .chat(&question)
        .openai_refused(403, "model_not_enabled")
        .await;
    let enabled = owner.post(&path).json(&json!({"model_id": 1})).data().await;
    assert_eq!(enabled["name"], "per-call");
    assert_eq!(tenant.caller.chat(&question).send().await.status, 200);
    owner
        .post(&path)
        .json(&json!({"model_id": 4711}))
        .send()
        .await
        .rest_failure();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_owner_on_chain_is_the_new_owner_here() {
    use alloy::sol_types::SolCall;
    use haithe_tests::chain::OrganizationContract;
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::ZERO).await;
    let heir = app.wallet(2).await;
    let offer = OrganizationContract::transferOwnershipCall {
        newOwner: heir.wallet.address(),
    };
    app.chain
        .send(&tenant.owner.wallet, tenant.contract, offer.abi_encode())
        .await;
    let accept = OrganizationContract::acceptOwnershipCall {}.abi_encode();
    app.chain.send(&heir.wallet, tenant.contract, accept).await;
    let path = format!("/v1/orgs/{}", tenant.org_id);
    eventually("the index has seen the new owner", async || {
        let seen = heir.client.get(&path).send().await;
        seen.status
            .is_success()
            .then(|| assert_eq!(seen.data()["owner"], heir.address()))
    })
    .await;
    tenant.owner.client.get(&path).refused(404, "not_found").await;
    tenant
        .caller
        .get("/v1beta/openai/models")
        .openai_refused(404, "not_found")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_organization_takes_no_calls_and_settles_what_it_owes() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let question = haithe_tests::app::question("per-call");
    assert_eq!(tenant.caller.chat(&question).send().await.status, 200);
    let path = format!("/v1/orgs/{}", tenant.org_id);
    let stranger = app.wallet(2).await;
    stranger.client.delete(&path).refused(404, "not_found").await;
    assert_eq!(tenant.owner.client.delete(&path).data().await["name"], "Acme");
    tenant.owner.client.get(&path).refused(404, "not_found").await;
    tenant
        .caller
        .chat(&question)
        .openai_refused(404, "not_found")
        .await;
    let mut around = app.stop().await;
    around.set("settlement.max_calls", 1);
    let app = App::over(around).await;
    eventually("the charge is settled", async || {
        (app.chain.next_batch().await == 1).then_some(())
    })
    .await;
    let around = app.stop().await;
    assert!(around.run(&["ledger", "check"], None).await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_survives_a_restart() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let question = haithe_tests::app::question("per-call");
    assert_eq!(tenant.caller.chat(&question).send().await.status, 200);
    let before = (tenant.balance().await, tenant.expenditure().await);
    let app = app.restarted().await;
    let again = tenant.at(&app.base);
    assert_eq!((again.balance().await, again.expenditure().await), before);
    assert_eq!(again.caller.chat(&question).send().await.status, 200);
}
