//! Conversations as the frontend keeps them: private to a wallet, a project and a payer.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Setup, Tenant},
    client::Client,
};
use serde_json::{Value, json};

const PATH: &str = "/v1beta/chat/conversations";

async fn begin(caller: &Client) -> i64 {
    let begun = caller.post(PATH).header("content-type", "application/json");
    begun.data().await["id"].as_i64().expect("a number")
}

fn item(id: i64) -> String {
    format!("{PATH}/{id}")
}

fn messages(id: i64) -> String {
    format!("{PATH}/{id}/messages")
}

async fn say(caller: &Client, id: i64, text: &str) -> Value {
    let body = json!({"message": text, "sender": "user"});
    caller.post(&messages(id)).json(&body).data().await
}

fn column<'a>(rows: &'a Value, name: &str) -> Vec<&'a str> {
    let rows = rows.as_array().expect("a list").iter();
    rows.map(|row| row[name].as_str().expect("a text")).collect()
}

fn is_time(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.len() == 19 && text.as_bytes()[10] == b' ' && text.starts_with("20")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_lives_as_the_frontend_expects() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::ZERO).await;
    let caller = &tenant.caller;
    assert_eq!(caller.get(PATH).data().await, json!([]));
    let begun = caller.post(PATH).header("content-type", "application/json");
    let begun = begun.data().await;
    let title = begun["title"].as_str().expect("a title");
    let chance = title.strip_prefix("New Conversation ").expect("the usual title");
    assert!(chance.len() == 8 && chance.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert!(
        is_time(&begun["created_at"]) && is_time(&begun["updated_at"]),
        "{begun}"
    );
    let id = begun["id"].as_i64().expect("a number");
    assert_eq!(caller.get(&item(id)).data().await, begun);
    assert_eq!(caller.get(PATH).data().await, json!([begun]));

    let renamed = caller
        .patch(&item(id))
        .json(&json!({"title": "Plans"}))
        .data()
        .await;
    assert_eq!(renamed["title"], "Plans");
    assert_eq!(caller.get(&messages(id)).data().await, json!([]));
    let question = say(caller, id, "how are you?\n").await;
    let answer = json!({"message": "fine", "sender": "ai"});
    let answer = caller.post(&messages(id)).json(&answer).data().await;
    assert_eq!(question["message"], "how are you?\n");
    assert_eq!(
        (&question["sender"], &answer["sender"]),
        (&json!("user"), &json!("ai"))
    );
    assert!(is_time(&question["created_at"]), "{question}");
    assert_eq!(caller.get(&messages(id)).data().await, json!([question, answer]));

    let deleted = caller.delete(&item(id)).data().await;
    assert_eq!(deleted, json!({"rows_affected": 1}));
    for gone in [
        caller.get(&item(id)),
        caller.delete(&item(id)),
        caller.get(&messages(id)),
        caller.patch(&item(id)).json(&json!({"title": "x"})),
        caller
            .post(&messages(id))
            .json(&json!({"message": "x", "sender": "user"})),
    ] {
        gone.refused(404, "not_found").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_and_a_session_of_one_wallet_see_the_same() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::ZERO).await;
    let id = begin(&tenant.caller).await;
    let key = app.anonymous().bearer(&tenant.project_key().await);
    say(&key, id, "said with a key").await;
    let shown = tenant.caller.get(&messages(id)).data().await;
    assert_eq!(column(&shown, "message"), ["said with a key"]);
    app.anonymous()
        .get(PATH)
        .refused(401, "authentication_required")
        .await;
    tenant
        .owner
        .client
        .get(PATH)
        .refused(400, "context_missing")
        .await;
}

async fn add(tenant: &Tenant, number: u32, app: &App, role: &str) -> Client {
    let user = app.wallet(number).await;
    let path = format!("/v1/projects/{}/members", tenant.project_id);
    let body = json!({"wallet_address": user.address(), "role": role});
    tenant.owner.client.post(&path).json(&body).data().await;
    user.client
        .with("haithe-organization", tenant.org_uid.as_str())
        .with("haithe-project", tenant.project_uid.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_finds_a_conversation_not_even_the_owner_of_the_organization() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::ZERO).await;
    let developer = add(&tenant, 2, &app, "developer").await;
    let viewer = add(&tenant, 3, &app, "viewer").await;
    let id = begin(&developer).await;
    say(&developer, id, "confidential").await;
    viewer.get(PATH).refused(403, "forbidden").await;

    let body = json!({"org_id": tenant.org_id, "name": "second"});
    let second = tenant.owner.client.post("/v1/projects").json(&body).data().await;
    let elsewhere = tenant
        .owner
        .client
        .with("haithe-organization", tenant.org_uid.as_str())
        .with("haithe-project", second["project_uid"].as_str().expect("a uid"));
    let missing = developer.get(&item(999_999)).refused(404, "not_found").await;
    for other in [&tenant.caller, &elsewhere] {
        assert_eq!(other.get(PATH).data().await, json!([]));
        let found = other.get(PATH).query(&[("q", "confidential")]).data().await;
        assert_eq!(found, json!([]));
        for ask in [
            other.get(&item(id)),
            other.delete(&item(id)),
            other.get(&messages(id)),
            other.patch(&item(id)).json(&json!({"title": "mine now"})),
            other
                .post(&messages(id))
                .json(&json!({"message": "x", "sender": "ai"})),
        ] {
            assert_eq!(ask.refused(404, "not_found").await, missing);
        }
    }
    assert_eq!(
        column(&developer.get(&messages(id)).data().await, "message"),
        ["confidential"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_paged_and_searched() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::ZERO).await;
    let caller = &tenant.caller;
    let id = begin(caller).await;
    let mut ids = Vec::new();
    for number in 0..5 {
        let said = say(caller, id, &format!("message {number} about café")).await;
        ids.push(said["id"].to_string());
    }
    let path = messages(id);
    let ask = async |query: &[(&str, &str)]| {
        let answer = caller.get(&path).query(query).send().await;
        let total = answer.header("x-total-count").expect("a total").to_owned();
        let shown: Vec<String> = column(&answer.data(), "message")
            .iter()
            .map(|text| text[8..9].to_owned())
            .collect();
        (shown.concat(), total)
    };
    let is = |shown: &str, total: &str| (shown.to_owned(), total.to_owned());
    assert_eq!(ask(&[]).await, is("01234", "5"));
    assert_eq!(ask(&[("limit", "2")]).await, is("34", "5"));
    assert_eq!(ask(&[("limit", "2"), ("offset", "2")]).await, is("12", "5"));
    assert_eq!(ask(&[("after", &ids[2])]).await, is("34", "2"));
    assert_eq!(ask(&[("before", &ids[2]), ("limit", "1")]).await, is("1", "2"));
    assert_eq!(ask(&[("q", "CAFE 3")]).await, is("3", "1"));
    assert_eq!(ask(&[("q", "\"3\" OR (*")]).await, is("", "0"));

    let titled = caller.post(PATH).json(&json!({"title": "Holidays"})).data().await;
    let found = caller.get(PATH).query(&[("q", "holi")]).data().await;
    assert_eq!(found, json!([titled]));
    let found = caller.get(PATH).query(&[("q", "café")]).data().await;
    assert_eq!(found[0]["id"], id);
    assert_eq!(found.as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_long_too_much_or_nonsense_is_refused_clearly() {
    let setup = Setup::default()
        .set("conversations.max_per_wallet", 2)
        .set("conversations.max_bytes_per_wallet", 300_000);
    let app = App::with(setup).await;
    let tenant = app.funded("Acme", Usdt::ZERO).await;
    let caller = &tenant.caller;
    let id = begin(caller).await;
    for title in ["", "  ", "a\nb", &"x".repeat(201)] {
        let patch = caller.patch(&item(id)).json(&json!({"title": title}));
        patch.refused(400, "invalid_title").await;
        let post = caller.post(PATH).json(&json!({"title": title}));
        post.refused(400, "invalid_title").await;
    }
    let say = |message: &str, sender: &str| {
        caller
            .post(&messages(id))
            .json(&json!({"message": message, "sender": sender}))
    };
    say("", "user").refused(400, "empty_message").await;
    say("hello", "nobody").refused(400, "invalid_parameter").await;
    say(&"x".repeat(262_145), "user")
        .refused(413, "message_too_large")
        .await;
    say(&"x".repeat(262_144), "user").data().await;
    say(&"x".repeat(40_000), "user")
        .refused(409, "conversations_full")
        .await;
    begin(caller).await;
    caller.post(PATH).refused(409, "too_many_conversations").await;
    let long = "x".repeat(257);
    let search = caller.get(PATH).query(&[("q", &long)]);
    search.refused(400, "search_too_long").await;
    caller
        .get(&format!("{PATH}/abc"))
        .refused(400, "invalid_path")
        .await;
}
