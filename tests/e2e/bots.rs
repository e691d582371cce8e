//! Bots: who configures them, and that their tokens are seen nowhere.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Setup, Surroundings, Tenant, User, on_sqlite},
    program::free_port,
    wallets::Wallet,
};
use serde_json::{Value, json};
use std::path::Path;

const TELEGRAM: &str = "7101202303:AAFm2Kx9_qT-4vWbZ0yR8sLdHnJc1UeXoPg";
const DISCORD: &str = "MTE5ODYyMjQ4MzQ3MTkyNTI0OA.GkY2Zq.tP7xW3vN_9fRmC-hJ5sLbQ8dYzK1aUoEiXg0Tw";

fn path(tenant: &Tenant, rest: &str) -> String {
    format!("/v1/projects/{}{rest}", tenant.project_id)
}

async fn project(tenant: &Tenant) -> Value {
    tenant.owner.client.get(&path(tenant, "")).data().await
}

/// What the audit says of actions on bots, newest first: action, subject, and whether it says more.
async fn audit(tenant: &Tenant) -> Vec<(String, String)> {
    let lines = tenant
        .owner
        .client
        .get(&format!("/v1/orgs/{}/audit", tenant.org_id))
        .data()
        .await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of_bots = |line: &&Value| text(&line["action"]).starts_with("bot.");
    let lines = lines.as_array().unwrap().iter().filter(of_bots);
    lines
        .map(|line| {
            assert_eq!((&line["before"], &line["after"]), (&Value::Null, &Value::Null));
            (text(&line["action"]), text(&line["subject"]))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_set_shown_as_set_and_taken_away() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::ZERO).await;
    let owner = &tenant.owner.client;
    let expected = |configured: bool| {
        json!({
            "configured": configured, "running": false, "me": null,
            "org_uid": tenant.org_uid, "project_uid": tenant.project_uid,
        })
    };
    for (platform, field, token) in [
        ("telegram", "teloxide_token", TELEGRAM),
        ("discord", "discord_token", DISCORD),
    ] {
        let bot = path(&tenant, &format!("/{platform}"));
        assert_eq!(owner.get(&bot).data().await, expected(false));
        assert_eq!(project(&tenant).await[field], Value::Null);
        let put = |token: Value| owner.put(&bot).json(&json!({ field: token }));
        assert_eq!(put(json!(token)).data().await, json!({}));
        assert_eq!(owner.get(&bot).data().await, expected(true));
        assert_eq!(project(&tenant).await[field], "set");
        assert_eq!(put(Value::Null).data().await, json!({}));
        assert_eq!(owner.get(&bot).data().await, expected(false));
        assert_eq!(project(&tenant).await[field], Value::Null);
        // Nothing is left to take away: no second line in the audit.
        assert_eq!(put(Value::Null).data().await, json!({}));
        put(json!(token)).data().await;
    }
    let line = |action: &str, platform: &str| (action.to_owned(), platform.to_owned());
    let of = |platform| {
        [
            line("bot.configured", platform),
            line("bot.removed", platform),
            line("bot.configured", platform),
        ]
    };
    assert_eq!(audit(&tenant).await, [of("discord"), of("telegram")].concat());
    let listed = owner
        .get(&format!("/v1/orgs/{}/projects", tenant.org_id))
        .data()
        .await;
    assert_eq!(listed[0]["discord_token"], "set");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_token_is_refused_with_help_and_without_an_echo() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::ZERO).await;
    let owner = &tenant.owner.client;
    for (platform, field, wrong, help) in [
        ("telegram", "teloxide_token", DISCORD, "@BotFather"),
        ("telegram", "teloxide_token", "7101202303:AAFm2Kx9", "35"),
        ("telegram", "teloxide_token", "secret-of-mine", "colon"),
        ("discord", "discord_token", TELEGRAM, "three parts"),
        (
            "discord",
            "discord_token",
            "Bot MTE5ODYyMjQ4MzQ3MTkyNTI0OA.GkY2Zq.tP7xW3vN",
            "portal",
        ),
        ("discord", "discord_token", "secret-of-mine", "dots"),
    ] {
        let bot = path(&tenant, &format!("/{platform}"));
        let put = owner.put(&bot).json(&json!({ field: wrong }));
        let told = put.refused(400, "invalid_token").await;
        assert!(told.contains(help) && !told.contains(wrong), "{told}");
        assert_eq!(owner.get(&bot).data().await["configured"], false);
        let missing = owner.put(&bot).json(&json!({}));
        missing.refused(400, "missing_parameter").await;
        let nested = owner.put(&bot).json(&json!({ field: [wrong] }));
        let told = nested.refused(400, "invalid_parameter").await;
        assert!(!told.contains(wrong), "{told}");
        // An address is written into logs on its way.
        let in_query = owner.put(&bot).query(&[(field, wrong)]);
        let told = in_query.refused(400, "invalid_query").await;
        assert!(!told.contains(wrong), "{told}");
    }
    assert_eq!(audit(&tenant).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_project_has_no_bot() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::ZERO).await;
    let owner = &tenant.owner.client;
    let bot = path(&tenant, "/telegram");
    let put = json!({"teloxide_token": TELEGRAM});
    owner.put(&bot).json(&put).data().await;
    let deleted = owner.delete(&path(&tenant, "")).data().await;
    assert_eq!(deleted["teloxide_token"], Value::Null, "its token went with it");
    owner.get(&bot).refused(404, "not_found").await;
    owner.put(&bot).json(&put).refused(404, "not_found").await;
}

/// Every file under `dir`, a database's side files among them.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_in_no_file_no_log_and_no_answer() {
    if !on_sqlite() {
        return;
    }
    let setup = Setup::default().set("log.filter", "trace");
    let around = Surroundings::prepare(setup).await;
    let server = around.serve(free_port()).await;
    let user = User::log_in(&server.anonymous(), Wallet::number(1)).await;
    let tenant = Tenant::found(&around.chain, user, "Acme").await;
    let owner = &tenant.owner.client;
    let (telegram, discord) = (path(&tenant, "/telegram"), path(&tenant, "/discord"));
    let mut said = String::new();
    for (bot, body) in [
        (&telegram, json!({"teloxide_token": TELEGRAM})),
        (&discord, json!({"discord_token": DISCORD})),
        // Refused ones must not be repeated either.
        (&telegram, json!({"teloxide_token": format!("{TELEGRAM}!")})),
        (&discord, json!({"discord_token": format!("{DISCORD}!")})),
    ] {
        said += &owner.put(bot).json(&body).send().await.text();
    }
    let audit = format!("/v1/orgs/{}/audit", tenant.org_id);
    let projects = format!("/v1/orgs/{}/projects", tenant.org_id);
    let own = path(&tenant, "");
    for read in [&telegram, &discord, &own, &audit, &projects] {
        let answer = owner.get(read).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        said += &answer.text();
    }
    let before = files(&around.dir());
    let log = server.log();
    assert!(server.terminate().await.success());
    let secrets = [TELEGRAM, DISCORD].map(|token| token.rsplit([':', '.']).next().unwrap());
    for secret in secrets {
        assert!(!said.contains(secret), "an answer");
        assert!(log.contains("/telegram") && !log.contains(secret), "the log");
        for (file, bytes) in before.iter().chain(&files(&around.dir())) {
            let found = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!found, "{file}");
        }
    }
    let database = |(file, _): &&(String, Vec<u8>)| file.contains("haithe.db");
    assert!(before.iter().filter(database).count() > 1, "the search saw it");

    let again = around.serve(free_port()).await;
    let tenant = tenant.at(&again.base);
    assert_eq!(project(&tenant).await["teloxide_token"], "set");
}
