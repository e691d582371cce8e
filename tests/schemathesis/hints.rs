//! Things that exist, by operation: what `hooks.py` puts into some of the requests.
//!
//! `path` and `body` give choices; a body is merged into the generated one, or replaces it where it
//! is `whole`. `bytes` are bodies in hexadecimal digits. Operations that destroy get things made to be destroyed.

use alloy::primitives::U256;
use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Tenant, User, models, question},
    sealed::Sealed,
    wallets::Wallet,
};
use serde_json::{Value, json};

/// As many things to destroy as an operation gets.
const SPARES: usize = 12;

/// The hints for a tenant.
pub async fn of(app: &App, tenant: &Tenant) -> Value {
    let owner = &tenant.owner.client;
    let (org, project) = (tenant.org_id, tenant.project_id);
    let answer = tenant.caller.chat(&question("per-call")).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let call = tenant.at_rest().await.into_keys().next().expect("a receipt");
    let somebody = Wallet::named("somebody").wallet_address().to_string();
    let mut spare_projects = Vec::new();
    let mut spare_keys = Vec::new();
    for number in 0..SPARES {
        let body = json!({"org_id": org, "name": format!("Spare {number}")});
        let made = owner.post("/v1/projects").json(&body).data().await;
        spare_projects.push(made["id"].clone());
        let body = json!({"name": "Spare"});
        let made = owner.post("/v1/me/api-keys").json(&body).data().await;
        spare_keys.push(made["id"].clone());
    }
    let spare_org = Tenant::found(&app.chain, tenant.owner.clone(), "Spare")
        .await
        .org_id;
    let leaving = app.funded("Leaving", Usdt::whole(1)).await;
    leaving.announce_withdrawal(&app.chain).await;
    let leaving = json!({"path": {"id": [leaving.org_id]}});
    register(tenant).await;
    let product = publish(app, tenant, "facts").await;
    // No operation takes this one away from the project.
    let kept = publish(app, tenant, "kept").await;
    let enable = owner.post(&format!("/v1/products/{kept}/enable"));
    enable.json(&json!({"project_id": project})).data().await;
    announce_payout(app, tenant, &somebody).await;
    let vectors = models::VECTORS.0.to_string();
    let enable = owner.post(&format!("/v1/orgs/{org}/models"));
    enable.query(&[("model_id", &vectors)]).data().await;
    let creator = tenant.owner.address();
    let conversations = spare_conversations(tenant).await;
    let hooks = spare_webhooks(tenant).await;
    let of_hooks = |which: &[Value]| {
        let ids: Vec<_> = which.iter().map(|hook| hook["id"].clone()).collect();
        json!({"id": [project], "webhook_id": ids})
    };
    let bot = format!("12345:{}", "a".repeat(35));
    let contents = spare_contents(tenant).await;
    let in_project = json!({"path": {"id": [product]}, "body": {"project_id": [project]}});
    let members = |role: &str, of: i64| json!({"path": {"id": [of]}, "body": {"wallet_address": [somebody], "role": [role]}});
    let member = |of: i64| json!({"path": {"id": [of]}, "whole": [{"wallet_address": somebody}]});
    let other = Tenant::found(&app.chain, app.wallet(90).await, "Public").await;
    other.publish(Usdt::ZERO).await;
    let accepted = json!({"id": [org], "project_uid": [other.project_uid]});
    let models = |number: i64| json!({"path": {"id": [org]}, "body": {"model_id": [number]}});
    json!({
        "context": {
            "Haithe-Organization": format!("org-{}", tenant.org_uid),
            "Haithe-Project": format!("proj-{}", tenant.project_uid),
        },
        "path": {
            "/api/v1/orgs/{id}": [org],
            "/api/v1/projects/{id}": [project],
        },
        "operations": {
            "GET /api/v1/creator/{address}": {"path": {"address": [creator]}},
            "GET /api/v1/creator/{address}/products": {"path": {"address": [creator]}},
            "GET /api/v1/creator/{address}/earnings": {"path": {"address": [creator]}},
            "GET /api/v1/creator/{address}/payout-address": {"path": {"address": [creator]}},
            "POST /api/v1/creator/{address}/payout-address": {"path": {"address": [creator]}, "whole": [{"payout_address": somebody}]},
            "DELETE /api/v1/creator/{address}/payout-address": {"path": {"address": [creator]}},
            "GET /api/v1/products/{id}": {"path": {"id": [product]}},
            "PATCH /api/v1/products/{id}": {"path": {"id": [product]}, "whole": [{"description": "Facts."}]},
            "GET /api/v1/products/{id}/content": {"path": {"id": [product]}},
            "PUT /api/v1/content": {"bytes": [hex::encode(Sealed::anything(10))]},
            "GET /api/v1/content/{sha256}": {"path": {"sha256": contents[..1]}},
            "DELETE /api/v1/content/{sha256}": {"path": {"sha256": contents[1..]}},
            "POST /api/v1/products/{id}/enable": in_project,
            "DELETE /api/v1/products/{id}/disable": in_project,
            "POST /api/v1/auth/waitlist": {"whole": (0..SPARES).map(|n| json!({"email": format!("{n}@example.com")})).collect::<Vec<_>>()},
            "GET /api/v1beta/chat/conversations/{id}": {"path": {"id": conversations[..4]}},
            "PATCH /api/v1beta/chat/conversations/{id}": {"path": {"id": conversations[..4]}, "whole": [{"title": "Renamed"}]},
            "DELETE /api/v1beta/chat/conversations/{id}": {"path": {"id": conversations[4..]}},
            "GET /api/v1beta/chat/conversations/{id}/messages": {"path": {"id": conversations[..4]}},
            "POST /api/v1beta/chat/conversations/{id}/messages": {"path": {"id": conversations[..4]}, "whole": [{"message": "hello", "sender": "user"}]},
            "POST /api/v1beta/openai/embeddings": {"whole": [{"model": "vectors", "input": "x"}]},
            "GET /docs/{file}": {"path": {"file": ["index.html"]}},
            "POST /api/v1/auth/login": {"whole": logins(app).await},
            "DELETE /api/v1/me/api-keys/{id}": {"path": {"id": spare_keys[..4]}},
            "GET /api/v1/me/api-keys/{id}": {"path": {"id": spare_keys}},
            "PATCH /api/v1/me/api-keys/{id}": {"path": {"id": spare_keys[4..8]}, "whole": [{"name": "Changed"}]},
            "POST /api/v1/me/api-keys/{id}/rotate": {"path": {"id": spare_keys[8..]}},
            "DELETE /api/v1/me/sessions/{id}": {"path": {"id": spare_sessions(app, tenant).await}},
            "POST /api/v1/me/api-keys": {"whole": [{"name": "One"}, {"name": "Two", "org_id": org, "project_id": project, "models": ["free"]}]},
            "POST /api/v1/orgs": {"whole": [{}]},
            "PATCH /api/v1/orgs/{id}": {"body": {"name": ["Acme"]}},
            "DELETE /api/v1/orgs/{id}": {"path": {"id": [spare_org]}},
            "POST /api/v1/orgs/{id}/members": members("member", org),
            "PATCH /api/v1/orgs/{id}/members": members("admin", org),
            "DELETE /api/v1/orgs/{id}/members": member(org),
            "POST /api/v1/orgs/{id}/models": models(3),
            "DELETE /api/v1/orgs/{id}/models": models(3),
            "PUT /api/v1/orgs/{id}/accepted-projects/{project_uid}": {"path": accepted, "whole": [{"max_price_per_call_usdt": "0.05"}]},
            "DELETE /api/v1/orgs/{id}/accepted-projects/{project_uid}": {"path": accepted},
            "POST /api/v1/products/check": {"whole": [{"category": "promptset", "uri": format!("haithe:sha256:{}", "0".repeat(64)), "encrypted_key": "00"}]},
            "POST /api/v1/orgs/transaction": {"whole": [{"name": "By itself"}]},
            "POST /api/v1/creator/transaction": {"whole": [{"uri": "https://creator.example", "pub_key": "04ab"}]},
            "POST /api/v1/products/{id}/accept-content": {"path": {"id": [kept]}, "whole": [{"project_id": project}]},
            "POST /api/v1/projects": {"whole": (0..40).map(|n| json!({"org_id": org, "name": format!("More {n}")})).collect::<Vec<_>>()},
            "PATCH /api/v1/projects/{id}": {"body": {"default_model_id": [1, 4], "name": ["agent"]}},
            "DELETE /api/v1/projects/{id}": {"path": {"id": spare_projects}},
            "POST /api/v1/projects/{id}/members": members("viewer", project),
            "PATCH /api/v1/projects/{id}/members": members("developer", project),
            "DELETE /api/v1/projects/{id}/members": member(project),
            "PUT /api/v1/projects/{id}/telegram": {"whole": [{"teloxide_token": bot}, {"teloxide_token": null}]},
            "PUT /api/v1/projects/{id}/discord": {"whole": [{"discord_token": null}]},
            "POST /api/v1/projects/{id}/webhooks": {"whole": [{"name": "One more"}]},
            "GET /api/v1/projects/{id}/webhooks/{webhook_id}": {"path": of_hooks(&hooks[..4])},
            "GET /api/v1/projects/{id}/webhooks/{webhook_id}/messages": {"path": of_hooks(&hooks[..4])},
            "PATCH /api/v1/projects/{id}/webhooks/{webhook_id}": {"path": of_hooks(&hooks[1..4]), "whole": [{"name": "Changed"}]},
            "DELETE /api/v1/projects/{id}/webhooks/{webhook_id}": {"path": of_hooks(&hooks[4..])},
            "POST /api/v1/projects/{id}/webhooks/{webhook_id}/rotate": {"path": of_hooks(&hooks[1..4])},
            "POST /api/v1beta/webhook/{id}": {"path": {"id": [hooks[0]["id"]]}, "signed": hooks[0]["secret"]},
            "POST /api/v1/orgs/{id}/withdrawals": {"whole": [{"amount": 1, "confirm_small": true}, {"amount_usdt": "0.01"}]},
            "POST /api/v1/orgs/{id}/withdrawals/execute": leaving.clone(),
            "POST /api/v1/orgs/{id}/withdrawals/cancel": leaving,
            "POST /api/v1/orgs/{id}/daily-cap": {"whole": [{"daily_cap": 1, "confirm_small": true}, {"daily_cap_usdt": "1"}, {"daily_cap": null}]},
            "GET /api/v1/receipts/{id}": {"path": {"id": [call]}},
            "GET /api/v1beta/openai/models/{id}": {"path": {"id": ["free", "per-call"]}},
            "POST /api/v1beta/openai/chat/completions": {"whole": [question("free"), question("per-call")]},
        },
    })
}

/// Makes the owner a creator.
async fn register(tenant: &Tenant) {
    let body = json!({"uri": "https://creator.example", "pub_key": "04ab"});
    tenant.owner.client.post("/v1/creator").json(&body).data().await;
}

/// A product of the owner with hosted content, which the organization accepts; gives its number.
async fn publish(app: &App, tenant: &Tenant, name: &str) -> i64 {
    let owner = &tenant.owner;
    let price = U256::from(10u64).pow(U256::from(18u64));
    let sealed = Sealed::for_fixture(owner.wallet.wallet_address(), b"Facts.");
    let put = owner.client.put("/v1/content").body(sealed.bytes.clone());
    put.data().await;
    let uri = format!("haithe:sha256:{}", sealed.digest);
    let product = app
        .chain
        .add_product_at(
            &owner.wallet,
            (name, "knowledge:text"),
            (&uri, &sealed.wrapped_key),
            price,
        )
        .await;
    app.chain
        .enable_product(&owner.wallet, tenant.contract, product, price)
        .await;
    haithe_tests::eventually("the product is indexed", async || {
        let synced = owner.client.post("/v1/products").data().await;
        let newest = &synced["product"];
        newest["id"].as_i64().filter(|_| newest["name"] == name)
    })
    .await
}

/// Announces a second payout address on chain, so that there is one to take back.
async fn announce_payout(app: &App, tenant: &Tenant, to: &str) {
    let owner = &tenant.owner;
    let path = format!("/v1/creator/{}/payout-address", owner.address());
    let asked = haithe_tests::eventually("the creator is indexed", async || {
        let answer = owner
            .client
            .post(&path)
            .json(&json!({"payout_address": to}))
            .send()
            .await;
        answer.status.is_success().then(|| answer.data())
    })
    .await;
    app.chain.sign(&owner.wallet, &asked["transaction"]).await;
    haithe_tests::eventually("the payout address is indexed", async || {
        let shown = owner.client.get(&path).data().await;
        shown["next_payout_address"].is_string().then_some(())
    })
    .await;
}

/// Webhooks of the project. The first is the one that is asked.
async fn spare_webhooks(tenant: &Tenant) -> Vec<Value> {
    let path = format!("/v1/projects/{}/webhooks", tenant.project_id);
    let mut spares = Vec::new();
    for _ in 0..SPARES {
        let made = tenant.owner.client.post(&path).json(&json!({"name": "Spare"}));
        spares.push(made.data().await);
    }
    spares
}

/// Digests of content that the owner keeps.
async fn spare_contents(tenant: &Tenant) -> Vec<Value> {
    let mut spares = Vec::new();
    for _ in 0..SPARES {
        let put = tenant.owner.client.put("/v1/content").body(Sealed::anything(10));
        spares.push(put.data().await["sha256"].clone());
    }
    spares
}

/// Conversations of the owner.
async fn spare_conversations(tenant: &Tenant) -> Vec<Value> {
    let mut spares = Vec::new();
    for _ in 0..SPARES {
        let begun = tenant.caller.post("/v1beta/chat/conversations").data().await;
        spares.push(begun["id"].clone());
    }
    spares
}

/// Sessions of the owner beside the one that runs.
async fn spare_sessions(app: &App, tenant: &Tenant) -> Vec<Value> {
    for _ in 0..SPARES {
        User::log_in(&app.anonymous(), tenant.owner.wallet.clone()).await;
    }
    let sessions = tenant.owner.client.get("/v1/me/sessions").data().await;
    let sessions = sessions.as_array().expect("a list").iter();
    let others = sessions.filter(|session| session["current"] == false);
    others.map(|session| session["id"].clone()).collect()
}

/// Signed challenges, each good once.
async fn logins(app: &App) -> Vec<Value> {
    let mut logins = Vec::new();
    for number in 0..SPARES {
        let wallet = Wallet::named(&format!("newcomer {number}"));
        let address = wallet.address().to_string();
        let ask = app.anonymous().get("/v1/auth/nonce");
        let challenge = ask.query(&[("address", &address)]).data().await;
        let signature = wallet.sign(challenge["nonce"].as_str().expect("a text"));
        logins.push(json!({"address": address, "signature": signature}));
    }
    logins
}
