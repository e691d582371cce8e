//! Failures that an operator must act on: readiness and metrics expose each, and recovery clears it.

use alloy::primitives::U256;
use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, PROVIDER_KEY, Setup, Surroundings, on_sqlite, question},
    client::Client,
    eventually,
    program::free_port,
    upstream::Script,
    wallets::Wallet,
};
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};
use std::path::Path;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

/// The status and the body of readiness.
async fn ready(app: &App) -> (u16, Value) {
    let answer = app.anonymous().get("//health/ready").send().await;
    (answer.status.as_u16(), answer.json())
}

/// The warning with this code, if readiness has it.
fn warning<'v>(view: &'v Value, code: &str) -> Option<&'v Value> {
    let warnings = view["warnings"].as_array().expect("a list");
    warnings.iter().find(|warning| warning["code"] == code)
}

/// Waits until readiness is 200 with this warning; returns the warning.
async fn degraded(app: &App, code: &str) -> Value {
    eventually(&format!("readiness warns of {code}"), async || {
        let (status, view) = ready(app).await;
        let warning = warning(&view, code)?;
        assert_eq!((status, &view["status"]), (200, &json!("degraded")), "{view}");
        assert_eq!(warning["severity"], "degraded");
        assert!(!warning["remedy"].as_str().expect("text").is_empty());
        let since = warning["since"].as_str().expect("a time");
        OffsetDateTime::parse(since, &Rfc3339).expect("an RFC 3339 time");
        Some(warning.clone())
    })
    .await
}

/// Waits until readiness is `ready` and warns of nothing.
async fn well(app: &App) {
    eventually("all is well", async || {
        let (status, view) = ready(app).await;
        let well = status == 200 && view["status"] == "ready" && view["warnings"] == json!([]);
        well.then_some(())
    })
    .await;
}

/// The metric of a condition.
async fn metric(address: &str, code: &str) -> String {
    let text = Client::new(format!("http://{address}"));
    let text = text.get("//metrics").send().await.text();
    let series = format!("haithe_condition{{name=\"{code}\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&series));
    value.expect("every condition has a series").to_owned()
}

async fn connect(file: &Path) -> SqliteConnection {
    let url = format!("sqlite://{}", file.display());
    SqliteConnection::connect(&url)
        .await
        .expect("the server's database")
}

fn database(around: &Surroundings) -> std::path::PathBuf {
    around.dir().join("haithe.db")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_written_answers_503_until_it_can() {
    if !on_sqlite() {
        return;
    }
    let address = format!("127.0.0.1:{}", free_port());
    let app = App::with(Setup::default().set("metrics.address", address.clone())).await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    well(&app).await;
    assert_eq!(metric(&address, "database_unwritable").await, "0");

    // Another process locks the database: every write fails as it does on a full disk.
    let mut other = connect(&database(&app)).await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let view = eventually("a write has failed", async || {
        let (status, view) = ready(&app).await;
        (status == 503).then_some(view)
    })
    .await;
    assert_eq!(
        (&view["status"], &view["database"]),
        (&json!("unready"), &json!(false))
    );
    let unwritable = warning(&view, "database_unwritable").expect("the reason");
    assert_eq!(unwritable["severity"], "unready");
    assert_eq!(metric(&address, "database_unwritable").await, "1");
    let refused = tenant.caller.chat(&question("per-call")).send().await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(app.upstream.count(), 0, "no provider was asked");

    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    well(&app).await;
    assert_eq!(metric(&address, "database_unwritable").await, "0");
    assert_eq!(tenant.caller.chat(&question("per-call")).send().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_provider_credentials_name_the_environment_variable_and_not_the_key() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    well(&app).await;
    for status in [401, 403] {
        app.upstream.always(Script::status(
            status,
            r#"{"error": {"message": "Incorrect API key provided"}}"#,
        ));
        assert_eq!(tenant.caller.chat(&question("per-call")).send().await.status, 502);
        let rejected = degraded(&app, "provider_credentials_rejected").await;
        assert_eq!(rejected["subject"], "test");
        let message = rejected["message"].as_str().expect("text");
        assert!(message.contains("TEST_PROVIDER_KEY"), "{message}");
        assert!(!rejected.to_string().contains(PROVIDER_KEY));

        app.upstream.always(Script::default());
        assert_eq!(tenant.caller.chat(&question("per-call")).send().await.status, 200);
        well(&app).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settling_key_that_is_not_the_orchestrators_server_is_reported_with_both_addresses() {
    let impostor = Wallet::named("impostor");
    let app = App::with(Setup::default().set("chain.server_key", impostor.key_hex())).await;
    let mismatch = degraded(&app, "settling_key_mismatch").await;
    let message = mismatch["message"].as_str().expect("text");
    for address in [impostor.wallet_address(), app.chain.server.wallet_address()] {
        assert!(message.contains(&address.to_string()), "{message}");
    }
    assert!(!mismatch.to_string().contains(&impostor.key_hex()));

    let mut around = app.stop().await;
    let key = around.chain.server.key_hex();
    around.set("chain.server_key", key);
    well(&App::over(around).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encryption_key_that_opens_nothing_that_is_stored_is_reported() {
    const TOKEN: &str = "7101202303:AAFm2Kx9_qT-4vWbZ0yR8sLdHnJc1UeXoPg";
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::ZERO).await;
    let owner = &tenant.owner.client;
    let bot = format!("/v1/projects/{}/telegram", tenant.project_id);
    owner
        .put(&bot)
        .json(&json!({"teloxide_token": TOKEN}))
        .data()
        .await;
    well(&app).await;

    let mut around = app.stop().await;
    let other = Wallet::named("another database").key_hex();
    around.set("database.encryption_key", other.clone());
    let app = App::over(around).await;
    let mismatch = degraded(&app, "encryption_key_mismatch").await;
    let message = mismatch["message"].as_str().expect("text");
    assert!(message.contains("bot tokens"), "{message}");
    assert!(
        !message.contains("webhook"),
        "nothing of that kind is stored: {message}"
    );
    assert!(!mismatch.to_string().contains(&other));

    let mut around = app.stop().await;
    around.set("database.encryption_key", Wallet::named("database").key_hex());
    well(&App::over(around).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_backup_is_reported_until_a_newer_one_is_recorded() {
    if !on_sqlite() {
        return;
    }
    let app = App::with(Setup::default().set("backup.max_age_hours", 24)).await;
    let never = degraded(&app, "backup_stale").await;
    let message = never["message"].as_str().expect("text");
    assert!(message.contains("no backup was ever recorded"), "{message}");

    let marker = app.dir().join("haithe.db.last-backup");
    let record = |at: OffsetDateTime| {
        let at = at.format(&Rfc3339).expect("a time");
        std::fs::write(&marker, format!("{at}\n")).expect("a writable folder");
    };
    record(OffsetDateTime::now_utc());
    well(&app).await;
    record(OffsetDateTime::now_utc() - Duration::hours(25));
    degraded(&app, "backup_stale").await;
    record(OffsetDateTime::now_utc() - Duration::hours(23));
    well(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alarms_of_the_index_are_reported_until_they_are_acknowledged() {
    if !on_sqlite() {
        return;
    }
    let around = App::start().await.stop().await;
    let mut connection = connect(&database(&around)).await;
    let alarm =
        "INSERT INTO alarms (kind, detail, block, raised_at) VALUES ('unknown_batch', 'batch 7', 1, 0)";
    sqlx::query(alarm).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let app = App::over(around).await;
    let raised = degraded(&app, "index_alarms").await;
    let message = raised["message"].as_str().expect("text");
    assert!(
        message.contains("1 × unknown_batch (last in block 1)"),
        "{message}"
    );

    let mut around = app.stop().await;
    around.set("chain.alarms_from_block", 2);
    well(&App::over(around).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_difference_is_reported_until_a_comparison_finds_none() {
    let setup = Setup::default().set("settlement.check_seconds", 1);
    let app = App::with(setup).await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    eventually("a comparison is completed", async || {
        let (_, view) = ready(&app).await;
        view["ledger"]["checked_seconds_ago"].is_u64().then_some(())
    })
    .await;
    // The token's own storage says less than the ledger.
    let slot = app.chain.balance_slot(tenant.contract);
    let token = haithe_tests::chain::address(app.chain.deployment.usdt);
    let held = app.chain.token_balance(tenant.contract).await;
    app.chain.dev.set_storage(token, slot, U256::from(1u64)).unwrap();
    app.chain.dev.mine(1);
    degraded(&app, "ledger_difference").await;

    app.chain.dev.set_storage(token, slot, U256::from(held)).unwrap();
    app.chain.dev.mine(1);
    well(&app).await;
}
