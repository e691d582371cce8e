//! Figures are shown to those who may read them.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Tenant, User, models, question, streamed_question},
    client::Client,
    signing,
};
use serde_json::{Value, json};

/// What the model of the tests costs a call.
const CALL: Usdt = Usdt::from_nano(100_000_000);

/// What a call says was spent before it.
async fn expense(caller: &Client) -> Value {
    let answer = caller.chat(&question("per-call")).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["usage"]["expense_till_now"].clone()
}

/// The same of a streamed call, whose last event has the usage.
async fn streamed_expense(caller: &Client) -> Value {
    let mut body = streamed_question("per-call");
    body["stream_options"] = json!({"include_usage": true});
    let answer = caller.chat(&body).send().await;
    let text = answer.text();
    let usage = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok())
        .find_map(|event| event["usage"].is_object().then(|| event["usage"].clone()));
    usage.unwrap_or_else(|| panic!("no usage: {text}"))["expense_till_now"].clone()
}

fn calls(app: &App, number: i64) -> Value {
    let amount = app.chain.units(Usdt::from_nano(CALL.nano() * number));
    serde_json::from_str(&amount.get().to_string()).unwrap()
}

fn within(user: &User, tenant: &Tenant, project_uid: &str) -> Client {
    user.client
        .with("haithe-organization", format!("org-{}", tenant.org_uid))
        .with("haithe-project", format!("proj-{project_uid}"))
}

fn key_client(app: &App, tenant: &Tenant, key: &str) -> Client {
    app.anonymous()
        .bearer(key)
        .with("haithe-organization", format!("org-{}", tenant.org_uid))
        .with("haithe-project", format!("proj-{}", tenant.project_uid))
}

/// Finding 22: owner and admin see the organization's expenditure, project roles and project keys the
/// project's, a budgeted key its own.
#[tokio::test(flavor = "multi_thread")]
async fn expenditure_is_shown_in_the_scope_that_the_caller_may_read() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(10)).await;
    let owner = &tenant.owner;
    let (admin, developer) = (app.wallet(2).await, app.wallet(3).await);
    let role = json!({"wallet_address": admin.address(), "role": "admin"});
    let members = format!("/v1/orgs/{}/members", tenant.org_id);
    owner.client.post(&members).json(&role).data().await;
    let role = json!({"wallet_address": developer.address(), "role": "developer"});
    let members = format!("/v1/projects/{}/members", tenant.project_id);
    owner.client.post(&members).json(&role).data().await;
    let other = json!({"org_id": tenant.org_id, "name": "other"});
    let other = owner.client.post("/v1/projects").json(&other).data().await;
    let other = other["project_uid"].as_str().unwrap();

    // Two calls in another project, which are none of the developer's business.
    let elsewhere = within(owner, &tenant, other);
    assert_eq!(expense(&elsewhere).await, calls(&app, 0));
    assert_eq!(expense(&elsewhere).await, calls(&app, 1));

    let of_developer = within(&developer, &tenant, &tenant.project_uid);
    assert_eq!(expense(&of_developer).await, calls(&app, 0), "the project's");
    assert_eq!(
        streamed_expense(&of_developer).await,
        calls(&app, 1),
        "the project's, streamed"
    );
    assert_eq!(
        expense(&tenant.caller).await,
        calls(&app, 4),
        "the organization's, to its owner"
    );
    let of_admin = within(&admin, &tenant, &tenant.project_uid);
    assert_eq!(
        expense(&of_admin).await,
        calls(&app, 5),
        "the organization's, to its admin"
    );

    let plain = tenant.api_key(json!({})).await;
    let of_key = key_client(&app, &tenant, &plain);
    assert_eq!(
        expense(&of_key).await,
        calls(&app, 6),
        "an owner's own unbound key"
    );
    let bound = app.anonymous().bearer(&tenant.project_key().await);
    assert_eq!(
        expense(&bound).await,
        calls(&app, 5),
        "a key bound to the project"
    );
    let budget = json!({"budget": {"limit_usdt": "5", "window": "day"}});
    let budgeted = tenant.api_key(budget).await;
    let budgeted = key_client(&app, &tenant, &budgeted);
    assert_eq!(expense(&budgeted).await, calls(&app, 0), "a budgeted key's own");
    assert_eq!(
        streamed_expense(&budgeted).await,
        calls(&app, 1),
        "a budgeted key's own"
    );
}

/// Finding 22: the sender of a webhook's message is told the project's expenditure, whoever made the webhook.
#[tokio::test(flavor = "multi_thread")]
async fn a_webhooks_answer_shows_the_projects_expenditure() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(10)).await;
    let owner = &tenant.owner;
    tenant
        .change_project(json!({"default_model_id": models::PER_CALL.0}))
        .await;
    let other = json!({"org_id": tenant.org_id, "name": "other"});
    let other = owner.client.post("/v1/projects").json(&other).data().await;
    let elsewhere = within(owner, &tenant, other["project_uid"].as_str().unwrap());
    expense(&elsewhere).await;
    let hooks = format!("/v1/projects/{}/webhooks", tenant.project_id);
    let hook = owner
        .client
        .post(&hooks)
        .json(&json!({"name": "orders"}))
        .data()
        .await;
    let secret = hook["secret"].as_str().unwrap();
    for before in 0..2 {
        let id = format!("msg_{before}");
        let mut message = app
            .anonymous()
            .post(&format!("/v1beta/webhook/{}", hook["id"].as_str().unwrap()))
            .header("content-type", "application/json");
        for (name, value) in signing::headers(secret, &id, signing::now(), b"hello") {
            message = message.header(name, &value);
        }
        let answer = message.body("hello").data().await;
        let told = &answer["completion"]["usage"]["expense_till_now"];
        assert_eq!(*told, calls(&app, before), "{answer}");
    }
}

/// Finding 22: a refusal for lack of money shows the balance to those alone who may read it.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_call_shows_the_balance_only_to_those_who_may_read_it() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::from_nano(77_777_777)).await;
    let developer = app.wallet(3).await;
    let role = json!({"wallet_address": developer.address(), "role": "developer"});
    let members = format!("/v1/projects/{}/members", tenant.project_id);
    tenant.owner.client.post(&members).json(&role).data().await;
    let of_developer = within(&developer, &tenant, &tenant.project_uid);
    let message = of_developer.chat(&question("per-call"));
    let message = message.openai_refused(402, "insufficient_quota").await;
    assert!(!message.contains("0.0777"), "{message}");
    assert!(message.contains("at least 0.1 USDT"), "{message}");
    let message = tenant.caller.chat(&question("per-call"));
    let message = message.openai_refused(402, "insufficient_quota").await;
    assert!(message.contains("0.077777777 USDT"), "{message}");
}
