//! The existing TypeScript SDK's calls, as it sends them: `Content-Type: application/json` on every
//! request, whether there is a body or not, parameters in the query, and `Bearer null` before a login.
//! `wire.rs` has the shapes of the objects; here stand the calls and what the SDK does with `data`.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Tenant, question},
    client::Client,
    wallets::Wallet,
};
use serde_json::{Value, json};

/// The SDK with this token.
pub fn sdk(app: &App, token: &str) -> Client {
    app.anonymous()
        .with("content-type", "application/json")
        .bearer(token)
}

/// A tenant, and the SDK as its owner.
async fn owner(app: &App) -> (Tenant, Client) {
    let tenant = app.funded("Acme", Usdt::whole(3)).await;
    let sdk = sdk(app, &tenant.owner.token);
    (tenant, sdk)
}

fn is_list(data: &Value) -> bool {
    data.is_array()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_logs_in_reads_its_account_and_logs_out() {
    let app = App::start().await;
    let before = sdk(&app, "null");
    let wallet = Wallet::number(1);
    let address = wallet.address().to_string();
    let challenge = before.get("/v1/auth/nonce").query(&[("address", &address)]);
    let challenge = challenge.data().await;
    let signature = wallet.sign(challenge["nonce"].as_str().expect("text"));
    let login = before.post("/v1/auth/login");
    let login = login.query(&[("address", &address), ("signature", &signature)]);
    let login = login.data().await;
    assert_eq!(login["address"], address.to_lowercase());
    let token = login["token"].as_str().expect("a token");
    let sdk = sdk(&app, token);
    let me = sdk.get("/v1/me").data().await;
    assert_eq!(me["address"], address.to_lowercase());
    assert!(me["registered"].is_string());
    assert_eq!(sdk.get("/v1/me/orgs").data().await, json!([]));
    assert_eq!(sdk.get("/v1/me/projects").data().await, json!([]));
    // A public route does not mind a stale token.
    assert!(is_list(&before.get("/v1/models").data().await));
    assert_eq!(sdk.post("/v1/auth/logout").data().await, json!({}));
    sdk.get("/v1/me").refused(401, "invalid_token").await;
    let stale = sdk.get("/v1/auth/nonce").query(&[("address", &address)]);
    assert!(stale.data().await["nonce"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_makes_and_disables_the_default_key() {
    let app = App::start().await;
    let (_, sdk) = owner(&app).await;
    let last = sdk.get("/v1/me/api-key/last-issued").data().await;
    assert_eq!(last, json!({"issued_at": 0}));
    let key = sdk.get("/v1/me/api-key").data().await;
    let message = key["message"].as_str().expect("text");
    let issued_at = key["issued_at"].as_i64().expect("a number");
    assert!(message.starts_with(&format!("{issued_at}.0x")), "{message}");
    let last = sdk.get("/v1/me/api-key/last-issued").data().await;
    assert_eq!(last, json!({"issued_at": issued_at}));
    assert_eq!(sdk.post("/v1/me/api-key/disable").data().await, json!({}));
    assert!(sdk.get("/v1/me/api-key").data().await["api_key"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_manages_an_organization() {
    let app = App::start().await;
    let (tenant, sdk) = owner(&app).await;
    let org = format!("/v1/orgs/{}", tenant.org_id);
    let found = sdk.post("/v1/orgs").data().await;
    assert_eq!(found["id"], tenant.org_id);
    assert!(found["count"].is_u64());
    assert_eq!(sdk.get(&org).data().await["id"], tenant.org_id);
    let renamed = sdk.patch(&org).query(&[("name", "New name")]).data().await;
    assert_eq!(renamed["name"], "New name");
    assert!(is_list(&sdk.get(&format!("{org}/projects")).data().await));

    let members = format!("{org}/members");
    assert_eq!(sdk.get(&members).data().await, json!([]));
    let wallet = app.wallet(2).await.address();
    let as_role = |role| [("wallet_address", wallet.as_str()), ("role", role)];
    let added = sdk.post(&members).query(&as_role("member")).data().await;
    assert_eq!(added["role"], "member");
    let changed = sdk.patch(&members).query(&as_role("admin")).data().await;
    assert_eq!(changed["role"], "admin");
    let removed = sdk.delete(&members).query(&[("wallet_address", &wallet)]);
    assert_eq!(removed.data().await["role"], "admin", "the role it had");

    let models = format!("{org}/models");
    let model = [("model_id", "1")];
    assert_eq!(sdk.post(&models).query(&model).data().await["id"], 1);
    assert!(is_list(&sdk.get(&models).data().await));
    let disabled = sdk.delete(&models).query(&model).data().await;
    assert_eq!(disabled, json!({"id": tenant.org_id}));
    assert!(sdk.get(&format!("{org}/balance")).data().await["balance"].is_number());
    let spent = sdk.get(&format!("{org}/expenditure")).data().await;
    assert_eq!(spent["expenditure"], 0);
    assert_eq!(sdk.delete(&org).data().await["id"], tenant.org_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_manages_a_project() {
    let app = App::start().await;
    let (tenant, sdk) = owner(&app).await;
    let org = tenant.org_id.to_string();
    let made = sdk.post("/v1/projects");
    let made = made.query(&[("org_id", &org), ("name", "One more")]).data().await;
    assert_eq!(made["name"], "One more");
    let project = format!("/v1/projects/{}", made["id"]);
    assert_eq!(sdk.get(&project).data().await["id"], made["id"]);
    for (name, value, read) in [
        ("name", "Other", json!("Other")),
        ("search_enabled", "true", json!(true)),
        ("memory_enabled", "false", json!(false)),
        ("default_model_id", "4", json!(4)),
    ] {
        let changed = sdk.patch(&project).query(&[(name, value)]).data().await;
        assert_eq!(changed[name], read);
    }
    assert_eq!(sdk.patch(&project).send().await.status, 400, "nothing to change");
    let members = format!("{project}/members");
    assert_eq!(sdk.get(&members).data().await, json!([]));
    let wallet = app.wallet(2).await.address();
    let as_role = |role| [("wallet_address", wallet.as_str()), ("role", role)];
    let added = sdk.post(&members).query(&as_role("viewer")).data().await;
    assert_eq!(added["role"], "viewer");
    let changed = sdk.patch(&members).query(&as_role("developer")).data().await;
    assert_eq!(changed["role"], "developer");
    assert!(is_list(&sdk.get(&members).data().await));
    let removed = sdk.delete(&members).query(&[("wallet_address", &wallet)]);
    assert_eq!(removed.data().await["wallet_address"], wallet.as_str());
    assert_eq!(sdk.delete(&project).data().await["id"], made["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_asks_a_model_with_a_session_and_with_a_key() {
    let app = App::start().await;
    let (tenant, session) = owner(&app).await;
    let key = session.get("/v1/me/api-key").data().await;
    let key = sdk(&app, key["api_key"].as_str().expect("a key"));
    for caller in [session, key] {
        let caller = caller
            .with("haithe-organization", format!("org-{}", tenant.org_uid))
            .with("haithe-project", format!("proj-{}", tenant.project_uid));
        let models = caller.get("/v1beta/openai/models").send().await.json();
        assert_eq!(models["object"], "list");
        assert_eq!(models["data"][0]["object"], "model");
        let asked = serde_json::to_vec(&question("per-call")).expect("JSON");
        let answer = caller.post("/v1beta/openai/chat/completions").body(asked);
        let answer = answer.send().await.json();
        assert_eq!(answer["choices"][0]["message"]["role"], "assistant", "{answer}");
        assert!(answer["usage"]["total_cost"].is_number(), "{answer}");
        assert!(answer["usage"]["expense_till_now"].is_number(), "{answer}");
        assert!(answer["usage"]["prompt_tokens"].is_number(), "{answer}");
    }
}
