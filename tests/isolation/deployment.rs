//! A production deployment has a daily cap, a guardian and a separate owner.

use alloy::{primitives::U256, sol};
use haithe_kernel::{TokenUnits, Usdt, WalletAddress};
use haithe_tests::{
    app::{App, Setup, Surroundings, question},
    chain::{ChainSetup, address},
    eventually,
    program::Ran,
    wallets::Wallet,
};
use serde_json::{Value, json};

sol! {
    /// The part of the orchestrator that says who governs it.
    #[sol(rpc)]
    interface Governed {
        function owner() external view returns (address);
        function server() external view returns (address);
        function guardian() external view returns (address);
        function initialDailyCap() external view returns (uint256);
        function setGuardian(address newGuardian) external;
    }
}

/// A public network's id.
const MAINNET: u64 = 1;

fn on_mainnet() -> Setup {
    Setup {
        chain: ChainSetup {
            chain_id: MAINNET,
            decimals: 6,
            ..ChainSetup::default()
        },
        ..Setup::default()
    }
}

async fn deploy(around: &Surroundings, chain_id: u64, options: &[&str]) -> Ran {
    let (rpc, id, key) = (
        around.chain.rpc_url(),
        chain_id.to_string(),
        around.chain.operator.key_hex(),
    );
    let server = Wallet::named("hot").wallet_address().to_string();
    let mut arguments = vec![
        "chain",
        "deploy",
        "--rpc",
        &rpc,
        "--chain-id",
        &id,
        "--key",
        &key,
        "--server",
        &server,
    ];
    arguments.extend(options);
    around.run(&arguments, None).await
}

/// Finding 4: `chain deploy` as it was documented left every tenant's whole balance to the server key.
#[tokio::test(flavor = "multi_thread")]
async fn chain_deploy_refuses_a_deployment_without_safeguards_and_names_all_of_them() {
    let around = Surroundings::prepare(on_mainnet()).await;
    let deployer = around.chain.operator.address();
    let before = around.chain.transactions_of(deployer).await;
    let bare = deploy(&around, MAINNET, &[]).await;
    assert!(!bare.success(), "{bare:?}");
    for option in ["--token", "--test-token", "--daily-cap", "--guardian", "--owner"] {
        assert!(bare.stderr.contains(option), "{option}: {}", bare.stderr);
    }
    assert!(bare.stderr.contains("nothing was sent"), "{}", bare.stderr);

    let server = Wallet::named("hot").wallet_address().to_string();
    let token = around.chain.deployment.usdt.to_string();
    let server_governs = [
        "--token",
        &token,
        "--daily-cap",
        "100000000",
        "--guardian",
        &server,
        "--owner",
        &server,
    ];
    let refused = deploy(&around, MAINNET, &server_governs).await;
    assert!(!refused.success(), "{refused:?}");
    assert!(
        refused.stderr.contains("the owner is the server"),
        "{}",
        refused.stderr
    );
    assert!(
        refused.stderr.contains("the guardian is the server"),
        "{}",
        refused.stderr
    );

    let (owner, guardian) = (Wallet::named("cold"), Wallet::named("guard"));
    let (owner, guardian) = (
        owner.wallet_address().to_string(),
        guardian.wallet_address().to_string(),
    );
    let wrong_unit = [
        "--token",
        &token,
        "--daily-cap",
        "100",
        "--guardian",
        &guardian,
        "--owner",
        &owner,
    ];
    let refused = deploy(&around, MAINNET, &wrong_unit).await;
    assert!(!refused.success(), "{refused:?}");
    assert!(refused.stderr.contains("0.0001 USDT"), "{}", refused.stderr);
    assert_eq!(around.chain.transactions_of(deployer).await, before);
}

/// Finding 4: with every safeguard it deploys, and says what unit the token counts in before that.
#[tokio::test(flavor = "multi_thread")]
async fn chain_deploy_with_every_safeguard_shows_the_decimals_and_deploys_them() {
    let around = Surroundings::prepare(on_mainnet()).await;
    let token = around.chain.deployment.usdt.to_string();
    let (owner, guardian) = (Wallet::named("cold"), Wallet::named("guard"));
    let safe = [
        "--token",
        &token,
        "--daily-cap",
        "100000000",
        "--guardian",
        &guardian.wallet_address().to_string(),
        "--owner",
        &owner.wallet_address().to_string(),
    ];
    let ran = deploy(&around, MAINNET, &safe).await;
    assert!(ran.success(), "{ran:?}");
    assert!(ran.stderr.contains("6 decimals"), "{}", ran.stderr);
    assert!(ran.stderr.contains("which is 100 USDT"), "{}", ran.stderr);
    let deployment: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(deployment["usdt"], token);
    assert_eq!(deployment["decimals"], 6);
    let orchestrator: WalletAddress = serde_json::from_value(deployment["orchestrator"].clone()).unwrap();
    let contract = Governed::new(address(orchestrator), around.chain.provider.clone());
    assert_eq!(contract.owner().call().await.unwrap(), owner.address());
    assert_eq!(contract.guardian().call().await.unwrap(), guardian.address());
    assert_eq!(
        contract.initialDailyCap().call().await.unwrap(),
        U256::from(100_000_000)
    );
}

/// Finding 4: the development chain keeps its one-command deployment. This held before the finding was fixed
/// and must stay so.
#[tokio::test(flavor = "multi_thread")]
async fn chain_deploy_on_a_development_chain_needs_no_safeguards() {
    let around = Surroundings::prepare(Setup::default()).await;
    let ran = deploy(&around, around.chain.deployment.chain_id, &[]).await;
    assert!(ran.success(), "{ran:?}");
    let app = App::over(around).await;
    let indexed = eventually("the index runs", async || {
        let ready = app.anonymous().get("//health/ready").send().await.json();
        (ready["chain"]["ok"] == true).then_some(ready)
    })
    .await;
    assert_eq!(indexed["warnings"], json!([]));
}

async fn warnings(app: &App, wanted: &[&str]) -> Value {
    eventually("the deployment was read", async || {
        let ready = app.anonymous().get("//health/ready").send().await.json();
        let codes: Vec<&str> = ready["warnings"]
            .as_array()?
            .iter()
            .filter_map(|warning| warning["code"].as_str())
            .collect();
        // Warnings do not stop the service: it becomes ready beside them.
        (codes == wanted && ready["status"] == "ready").then(|| ready.clone())
    })
    .await
}

/// Finding 4: a service over a deployment without safeguards warns in its health and in its log.
#[tokio::test(flavor = "multi_thread")]
async fn the_service_warns_about_a_deployment_without_safeguards() {
    let mut setup = on_mainnet();
    setup.chain.plan = |plan| {
        plan.owner = plan.server;
        plan.guardian = WalletAddress::new([0; 20]);
    };
    let app = App::with(setup).await;
    let weak = [
        "test_token",
        "no_daily_cap",
        "no_guardian",
        "owner_is_server",
        "local_sites",
    ];
    let ready = warnings(&app, &weak).await;
    for warning in ready["warnings"].as_array().unwrap() {
        assert!(!warning["remedy"].as_str().unwrap().is_empty(), "{warning}");
    }
    // The program says the same in its log.
    let around = app.stop().await;
    let server = around.serve(haithe_tests::program::free_port()).await;
    eventually("the log names each weakness", async || {
        let log = server.log();
        weak.iter().all(|code| log.contains(code)).then_some(())
    })
    .await;
    server.kill().await;
}

/// Finding 4: the deployer is recognised as the owner, and a correction on chain ends the warning.
#[tokio::test(flavor = "multi_thread")]
async fn the_service_recognises_an_owner_that_deployed_and_a_safe_deployment() {
    let mut setup = on_mainnet();
    setup.chain.plan = |plan| plan.initial_daily_cap = Some(TokenUnits::new(100_000_000));
    let app = App::with(setup).await;
    warnings(&app, &["test_token", "owner_is_deployer", "local_sites"]).await;

    let mut setup = on_mainnet().set(
        "auth.sites",
        vec![toml::Value::from(toml::Table::from_iter([
            ("domain".to_owned(), "app.example".into()),
            ("uri".to_owned(), "https://app.example/".into()),
            ("origin".to_owned(), "https://app.example".into()),
        ]))],
    );
    setup.chain.plan = |plan| {
        plan.initial_daily_cap = Some(TokenUnits::new(100_000_000));
        plan.owner = Wallet::named("cold").wallet_address();
    };
    let app = App::with(setup).await;
    warnings(&app, &["test_token"]).await;
}

/// Finding 4: a forgotten budget left a new key the organization's whole balance.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_gets_the_default_budget_of_the_organization() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let owner = &tenant.owner.client;
    let path = format!("/v1/orgs/{}/settings", tenant.org_id);
    assert_eq!(owner.get(&path).data().await["default_key_budget"], Value::Null);
    let budget = json!({"limit_usdt": "0.3", "window": "day"});
    let change = json!({"default_key_budget": budget});
    let changed = owner.patch(&path).json(&change).data().await;
    assert_eq!(changed["default_key_budget"], budget);
    let audit = owner
        .get(&format!("/v1/orgs/{}/audit", tenant.org_id))
        .data()
        .await;
    assert_eq!(audit[0]["action"], "settings.changed");
    assert_eq!(audit[0]["after"], "default_key_budget=0.3/day");

    let new = async |body: Value| owner.post("/v1/me/api-keys").json(&body).data().await;
    let bound = new(json!({"name": "bound", "project_id": tenant.project_id})).await;
    assert_eq!(bound["budget"], budget);
    let free = new(json!({"name": "free"})).await;
    assert_eq!(
        free["budget"], budget,
        "a key for every organization is not a way around it"
    );
    let own = json!({"limit_usdt": "0.5", "window": "total"});
    let chosen = new(json!({"name": "own", "project_id": tenant.project_id, "budget": own})).await;
    assert_eq!(chosen["budget"], own);
    owner.get("/v1/me/api-key").data().await;
    let keys = owner.get("/v1/me/api-keys").data().await;
    let default = keys
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["is_default"] == true);
    assert_eq!(default.unwrap()["budget"], budget);

    // It binds: three calls of 0.1 USDT fit, a fourth does not.
    let program = app.anonymous().bearer(bound["api_key"].as_str().unwrap());
    for _ in 0..3 {
        assert_eq!(program.chat(&question("per-call")).send().await.status, 200);
    }
    program
        .chat(&question("per-call"))
        .openai_refused(402, "budget_exceeded")
        .await;

    owner
        .patch(&path)
        .json(&json!({"default_key_budget": null}))
        .data()
        .await;
    let later = new(json!({"name": "later", "project_id": tenant.project_id})).await;
    assert_eq!(later["budget"], Value::Null);
    for wrong in [
        json!({"limit_usdt": "-1", "window": "day"}),
        json!({"limit_usdt": "1", "window": "year"}),
    ] {
        let change = json!({"default_key_budget": wrong});
        let refused = owner.patch(&path).json(&change).send().await;
        assert_eq!(refused.status, 400, "{}", refused.text());
    }
}
