//! The program from the outside: what stops its start, how it ends, and checks that can fail.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Setup, Surroundings, Tenant, User, on_sqlite, question},
    eventually,
    program::free_port,
    wallets::Wallet,
};
use serde_json::json;
use sqlx::{Connection, SqliteConnection};

/// Runs SQL on the database behind the service's back, past the triggers that forbid it.
async fn tamper(around: &Surroundings, sql: &'static str) {
    let url = format!("sqlite://{}/haithe.db", around.dir().display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger'";
    let triggers: Vec<String> = sqlx::query_scalar(triggers)
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert!(!triggers.is_empty(), "the ledger is append-only");
    for trigger in triggers {
        let drop = sqlx::AssertSqlSafe(format!("DROP TRIGGER {trigger}"));
        sqlx::query(drop).execute(&mut connection).await.unwrap();
    }
    let changed = sqlx::query(sql).execute(&mut connection).await.unwrap();
    assert!(changed.rows_affected() > 0, "{sql} changed nothing");
    connection.close().await.unwrap();
}

/// A database with a charge in it, and no server.
async fn used() -> (Surroundings, Tenant, String) {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let answer = tenant.caller.chat(&question("per-call")).send().await;
    let call = answer.header("x-haithe-call").unwrap().to_owned();
    tenant.receipt(&call).await;
    (app.stop().await, tenant, call)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_finds_what_does_not_add_up() {
    if !on_sqlite() {
        return;
    }
    for (sql, word) in [
        (
            "UPDATE ledger_accounts SET balance = balance + 1 WHERE name LIKE 'org/%/available'",
            "available",
        ),
        (
            "UPDATE ledger_accounts SET balance = balance - 1 WHERE name = 'platform'",
            "platform",
        ),
        ("UPDATE ledger_transfers SET amount = amount + 1", ""),
        ("UPDATE usage_records SET charged = charged + 1", "receipt"),
    ] {
        let (around, _, _) = used().await;
        let before = around.run(&["ledger", "check"], None).await;
        assert!(before.success(), "{before:?}");
        tamper(&around, sql).await;
        let after = around.run(&["ledger", "check"], None).await;
        assert!(!after.success(), "{sql}: {after:?}");
        let said = format!("{}{}", after.stdout, after.stderr);
        assert!(said.contains(word), "{sql}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_finds_money_that_left_the_chain_unnoticed() {
    let (around, tenant, _) = used().await;
    // The token's own storage says less than the ledger knows of: nobody may shrug at that.
    let slot = around.chain.balance_slot(tenant.contract);
    let token = haithe_tests::chain::address(around.chain.deployment.usdt);
    let one = alloy::primitives::U256::from(1u64);
    around.chain.dev.set_storage(token, slot, one).unwrap();
    around.chain.dev.mine(1);
    assert_eq!(around.chain.token_balance(tenant.contract).await, 1);
    let app = App::over(around).await;
    eventually("the index has passed the block", async || {
        let head = app.chain.dev.head().number;
        let ready = app.anonymous().get("//health/ready").send().await;
        (head > 0 && !ready.text().is_empty()).then_some(())
    })
    .await;
    let around = app.stop().await;
    let checked = around.run(&["ledger", "check"], None).await;
    assert!(!checked.success(), "{checked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn books_that_do_not_add_up_stop_the_start() {
    if !on_sqlite() {
        return;
    }
    let (around, _, _) = used().await;
    tamper(
        &around,
        "UPDATE ledger_accounts SET balance = balance + 1 WHERE name = 'platform'",
    )
    .await;
    let served = around.run(&["serve"], None).await;
    assert!(!served.success());
    assert!(
        served.stderr.contains("ledger check"),
        "it says what to do: {}",
        served.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_receipt_does_not_verify() {
    let app = App::with(Setup::default().set("settlement.max_calls", 1)).await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let answer = tenant.caller.chat(&question("per-call")).send().await;
    let call = answer.header("x-haithe-call").unwrap().to_owned();
    let receipt = eventually("the receipt's batch is final", async || {
        let receipt = tenant.receipt(&call).await;
        (receipt["settlement"]["state"] == "final").then_some(receipt)
    })
    .await;
    let verify =
        async |receipt: &serde_json::Value| app.run(&["receipt", "verify", "-"], Some(receipt)).await;
    assert!(verify(&receipt).await.success());
    let mut cheaper = receipt.clone();
    cheaper["document"]["charged"] = json!("0.000000001");
    let mut other_batch = receipt.clone();
    other_batch["settlement"]["batch"] = json!(7);
    let mut other_line = receipt.clone();
    other_line["settlement"]["line"] = json!(1);
    let mut other_proof = receipt.clone();
    other_proof["settlement"]["proof"] = json!([format!("0x{}", "ab".repeat(32))]);
    for forged in [
        cheaper,
        other_batch,
        other_line,
        other_proof,
        json!({}),
        json!("hello"),
    ] {
        let verified = verify(&forged).await;
        assert!(!verified.success(), "{forged}: {verified:?}");
    }
    let audited = app
        .run(&["receipt", "audit", "--org", &tenant.org_id.to_string()], None)
        .await;
    assert!(audited.success(), "{audited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_cannot_be_used_stop_the_start_and_are_named() {
    let secret = "too short a secret";
    for (path, value, named) in [
        ("auth.jwt_secret", json!(secret), "auth.jwt_secret"),
        (
            "auth.api_key_signing_key",
            json!("abc"),
            "auth.api_key_signing_key",
        ),
        (
            "database.encryption_key",
            json!(secret),
            "database.encryption_key",
        ),
        ("chain.id", json!(1), "chain"),
        ("chain.orchestrator", json!("0x12"), "chain.orchestrator"),
        ("chain.token_decimals", json!(6), "decimals"),
        ("database.url", json!("mysql://localhost/x"), "database.url"),
        ("server.no_such_setting", json!("x"), "server.no_such_setting"),
        (
            "inference.catalogue",
            json!("/nowhere/models.toml"),
            "/nowhere/models.toml",
        ),
    ] {
        let mut around = Surroundings::prepare(Setup::default()).await;
        let value: toml::Value = serde_json::from_value(value).unwrap();
        around.set(path, value);
        let served = around.run(&["serve"], None).await;
        assert!(!served.success(), "{path}: {served:?}");
        let said = format!("{}{}", served.stdout, served.stderr);
        assert!(said.contains(named), "{path}: {said}");
        assert!(
            !said.contains(secret) && !said.contains("panicked"),
            "{path}: {said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_has_one_server() {
    if !on_sqlite() {
        return;
    }
    let around = Surroundings::prepare(Setup::default()).await;
    let first = around.serve(free_port()).await;
    let second = around.run(&["serve"], None).await;
    assert!(!second.success());
    assert!(second.stderr.contains("another server"), "{}", second.stderr);
    first.anonymous().get("//health").send().await;
    let checked = around.run(&["ledger", "check"], None).await;
    assert!(
        checked.success(),
        "a check may look beside a running server: {checked:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_polite_signal_ends_the_program_in_good_order() {
    let around = Surroundings::prepare(Setup::default()).await;
    let server = around.serve(free_port()).await;
    let owner = User::log_in(&server.anonymous(), Wallet::number(1)).await;
    let tenant = Tenant::found(&around.chain, owner, "Acme").await;
    tenant.deposit(&around.chain, Usdt::whole(1)).await;
    around.upstream.always(haithe_tests::upstream::Script {
        wait_ms: 300,
        ..Default::default()
    });
    let caller = tenant.caller.clone();
    let asking = tokio::spawn(async move { caller.chat(&question("per-call")).send().await.status });
    around.upstream.exchange(0).await;
    let log = server.log();
    let ended = server.terminate().await;
    assert!(ended.success(), "{ended:?}");
    assert_eq!(asking.await.unwrap(), 200, "the call under way was answered");
    assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
    let checked = around.run(&["ledger", "check"], None).await;
    assert!(checked.success(), "{checked:?}");
}
