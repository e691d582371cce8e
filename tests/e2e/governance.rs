//! Roles on chain and off, ownership, settings, and who did what.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Setup, Tenant, User, question},
    client::Client,
    eventually,
};
use serde_json::{Value, json};

fn org(tenant: &Tenant, rest: &str) -> String {
    format!("/v1/orgs/{}{rest}", tenant.org_id)
}

/// Signs and sends what an answer says has to be signed.
async fn sign(app: &App, user: &User, transaction: &Value) {
    app.chain.sign(&user.wallet, transaction).await;
}

async fn members(owner: &Client, tenant: &Tenant) -> Vec<(String, String, String)> {
    let members = owner.get(&org(tenant, "/members")).data().await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let member = |m: &Value| {
        (
            text(&m["wallet_address"]),
            text(&m["role"]),
            text(&m["on_chain_role"]),
        )
    };
    members.as_array().unwrap().iter().map(member).collect()
}

/// Waits until the one member is listed so.
async fn listed(tenant: &Tenant, expected: Option<(&User, &str, &str)>) {
    let expected: Vec<_> = expected
        .map(|(user, role, chain)| (user.address(), role.to_owned(), chain.to_owned()))
        .into_iter()
        .collect();
    eventually(&format!("the members are {expected:?}"), async || {
        (members(&tenant.owner.client, tenant).await == expected).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_mirrors_members_and_the_owner_signs_administrators() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::ZERO).await;
    let (owner, alice) = (&tenant.owner, app.wallet(2).await);
    let path = org(&tenant, "/members");
    let body = |role: &str| json!({"wallet_address": alice.address(), "role": role});
    let added = owner.client.post(&path).json(&body("member")).data().await;
    assert_eq!(added["on_chain_role"], "none");
    assert_eq!(added.get("transaction"), None, "the server sees to it");
    listed(&tenant, Some((&alice, "member", "member"))).await;

    let made = owner.client.patch(&path).json(&body("admin")).data().await;
    assert_eq!(
        (&made["role"], &made["on_chain_role"]),
        (&json!("admin"), &json!("member"))
    );
    listed(&tenant, Some((&alice, "admin", "member"))).await;
    sign(&app, owner, &made["transaction"]).await;
    listed(&tenant, Some((&alice, "admin", "admin"))).await;

    let removed = owner
        .client
        .delete(&path)
        .json(&json!({"wallet_address": body("admin")["wallet_address"]}))
        .data()
        .await;
    assert!(members(&owner.client, &tenant).await.is_empty(), "at once");
    sign(&app, owner, &removed["transaction"]).await;
    tenant.balance().await; // lets the index catch up
    // The owner's own word on chain, not asked for here, counts as well; and the server follows a
    // change of mind.
    owner.client.post(&path).json(&body("member")).data().await;
    listed(&tenant, Some((&alice, "member", "member"))).await;
    let alice_only = json!({"wallet_address": alice.address()});
    owner.client.delete(&path).json(&alice_only).data().await;
    owner.client.post(&path).json(&body("member")).data().await;
    owner.client.delete(&path).json(&alice_only).data().await;
    let settled = async || {
        let role = app.chain.role(tenant.contract, alice.wallet.address()).await;
        (role == 0).then_some(())
    };
    eventually("the contract has forgotten the member", settled).await;
    assert!(members(&owner.client, &tenant).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_between_loses_no_role_and_doubles_none() {
    use haithe_devchain::Mining;
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::ZERO).await;
    let alice = app.wallet(2).await;
    app.chain.dev.set_mining(Mining::Manual);
    let body = json!({"wallet_address": alice.address(), "role": "member"});
    tenant
        .owner
        .client
        .post(&org(&tenant, "/members"))
        .json(&body)
        .data()
        .await;
    let app = app.restarted().await;
    let tenant = tenant.at(&app.base);
    app.chain.dev.set_mining(Mining::Instant);
    app.chain.dev.mine(1);
    listed(&tenant, Some((&alice, "member", "member"))).await;
    let server = app.chain.server.address();
    let sent = app.chain.transactions_of(server).await;
    assert_eq!(sent, 1, "one transaction for one change");
}

#[tokio::test(flavor = "multi_thread")]
async fn ownership_changes_on_chain_only() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::ZERO).await;
    let (owner, alice) = (&tenant.owner, app.wallet(2).await);
    let path = org(&tenant, "/ownership");
    alice.client.get(&path).refused(404, "not_found").await;
    let body = json!({"new_owner": alice.address()});
    let offer = owner.client.post(&path).json(&body).data().await;
    assert_eq!(
        (&offer["owner"], &offer["pending_owner"]),
        (&json!(owner.address()), &Value::Null)
    );
    sign(&app, owner, &offer["transaction"]).await;
    // The pending owner has no role, and sees and may accept all the same.
    let pending = eventually("the offer is indexed", async || {
        let answer = alice.client.get(&path).send().await;
        answer.status.is_success().then(|| answer.data())
    })
    .await;
    assert_eq!(pending["pending_owner"], alice.address());
    alice
        .client
        .get(&org(&tenant, ""))
        .refused(404, "not_found")
        .await;
    let accept = alice.client.post(&path).json(&body).data().await;
    assert_eq!(accept["owner"], owner.address(), "REST changes nothing itself");
    sign(&app, &alice, &accept["transaction"]).await;
    eventually("the new owner is indexed", async || {
        let answer = alice.client.get(&path).send().await;
        (answer.status.is_success() && answer.data()["owner"] == json!(alice.address())).then_some(())
    })
    .await;
    owner.client.get(&path).refused(404, "not_found").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowlist_binds_calls_at_once_and_never_the_administration() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let (owner, path) = (&tenant.owner.client, org(&tenant, "/settings"));
    assert_eq!(tenant.caller.chat(&question("free")).send().await.status, 200);
    let far = json!({"ip_allowlist": ["203.0.113.0/24"]});
    let changed = owner.patch(&path).json(&far).data().await;
    assert_eq!(changed["ip_allowlist"], json!(["203.0.113.0/24"]));
    let refused = tenant.caller.chat(&question("free"));
    refused.openai_refused(403, "ip_not_allowed").await;
    let near = json!({"ip_allowlist": ["203.0.113.0/24", "127.0.0.0/8"]});
    owner.patch(&path).json(&near).data().await;
    assert_eq!(tenant.caller.chat(&question("free")).send().await.status, 200);
    for body in [
        json!({"ip_allowlist": ["nowhere"]}),
        json!({"default_model_id": 4_711}),
    ] {
        owner
            .patch(&path)
            .json(&body)
            .refused(400, "invalid_parameter")
            .await;
    }
    owner
        .patch(&path)
        .json(&json!({}))
        .refused(400, "nothing_to_change")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_model_of_an_organization_is_what_projects_begin_with() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::ZERO).await;
    let owner = &tenant.owner.client;
    let settings = json!({"default_model_id": 2});
    owner
        .patch(&org(&tenant, "/settings"))
        .json(&settings)
        .data()
        .await;
    let body = json!({"org_id": tenant.org_id, "name": "second"});
    let project = owner.post("/v1/projects").json(&body).data().await;
    assert_eq!(project["default_model_id"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_is_in_the_audit_with_its_request() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::ZERO).await;
    let (owner, alice) = (&tenant.owner, app.wallet(2).await);
    let body = json!({"wallet_address": alice.address(), "role": "admin"});
    let named = owner.client.with("x-request-id", "the-request");
    named.post(&org(&tenant, "/members")).json(&body).data().await;
    let path = org(&tenant, "/audit");
    let lines = alice
        .client
        .get(&path)
        .query(&[("action", "member.added")])
        .data()
        .await;
    let line = &lines[0];
    assert_eq!(lines.as_array().unwrap().len(), 1);
    assert_eq!(line["actor"], owner.address());
    assert_eq!(
        (&line["subject"], &line["after"]),
        (&json!(alice.address()), &json!("admin"))
    );
    assert_eq!(
        (&line["request_id"], &line["ip"]),
        (&json!("the-request"), &json!("127.0.0.1"))
    );
    let all = owner.client.get(&path).query(&[("limit", "1")]).send().await;
    assert_eq!(all.data()[0]["action"], "member.added", "newest first");
    assert!(all.header("x-total-count").unwrap().parse::<u64>().unwrap() > 3);
    app.wallet(3)
        .await
        .client
        .get(&path)
        .refused(404, "not_found")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_change_acts_on_the_next_call_also_through_a_key() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let (owner, alice) = (&tenant.owner.client, app.wallet(2).await);
    let path = format!("/v1/projects/{}/members", tenant.project_id);
    let body = |role: &str| json!({"wallet_address": alice.address(), "role": role});
    owner.post(&path).json(&body("developer")).data().await;
    let key = json!({"name": "k", "project_id": tenant.project_id});
    let key = alice.client.post("/v1/me/api-keys").json(&key).data().await;
    let calling = app.anonymous().bearer(key["api_key"].as_str().unwrap());
    let ask = || calling.chat(&question("free"));
    assert_eq!(ask().send().await.status, 200);
    owner.patch(&path).json(&body("viewer")).data().await;
    ask().openai_refused(403, "forbidden").await;
    owner.patch(&path).json(&body("developer")).data().await;
    assert_eq!(ask().send().await.status, 200);
    let wallet = json!({"wallet_address": body("developer")["wallet_address"]});
    owner.delete(&path).json(&wallet).data().await;
    ask().openai_refused(404, "not_found").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_budget_does_not_cover_waits() {
    let app = App::with(Setup::default().set("chain.role_changes_per_wallet", 1)).await;
    let tenant = app.funded("Acme", Usdt::ZERO).await;
    let owner = &tenant.owner.client;
    let path = org(&tenant, "/members");
    for number in [2, 3] {
        let address = app.wallet(number).await.address();
        let body = json!({"wallet_address": address, "role": "member"});
        owner.post(&path).json(&body).data().await;
    }
    eventually("one of the two is on chain", async || {
        let members = members(owner, &tenant).await;
        let told = members.iter().filter(|(_, _, chain)| chain == "member");
        (told.count() == 1).then_some(())
    })
    .await;
    assert_eq!(app.chain.transactions_of(app.chain.server.address()).await, 1);
}
