//! A payee that cannot be paid blocks nobody: its credits go to escrow and are paid out later.

use alloy::{
    primitives::{Address, U256, keccak256},
    providers::Provider,
    sol,
    sol_types::SolValue,
};
use haithe_kernel::{Usdt, WalletAddress};
use haithe_marketplace::sealing::EnclavePublicKey;
use haithe_tests::{
    app::{App, Setup, Tenant, User, question, usdt},
    chain::Chain,
    eventually,
    sealed::Sealed,
    wallets::Wallet,
};
use serde_json::{Value, json};
use std::time::Duration;

sol! {
    /// The part of the orchestrator that this test reads.
    #[sol(rpc)]
    interface Creators {
        function creators(address creator) external view returns (uint256);
        function platformFunds() external view returns (uint256);
    }
}

/// The orchestrator's storage slot that makes this account a creator, and what is in it.
async fn creator_slot(chain: &Chain, creator: Address) -> (U256, U256) {
    let contract = Creators::new(chain.orchestrator(), chain.provider.clone());
    let set = |slot, value| {
        chain
            .dev
            .set_storage(chain.orchestrator(), slot, value)
            .expect("the chain keeps storage");
    };
    for base in 0u64..64 {
        let slot: U256 = keccak256((creator, U256::from(base)).abi_encode()).into();
        let value = chain.provider.get_storage_at(chain.orchestrator(), slot).await;
        let value = value.expect("the node answers");
        if value.is_zero() {
            continue;
        }
        set(slot, U256::ZERO);
        let id = contract.creators(creator).call().await.expect("the node answers");
        set(slot, value);
        if id.is_zero() {
            return (slot, value);
        }
    }
    panic!("the orchestrator keeps creators in a mapping");
}

/// One call of the tenant; gives its number.
async fn call(tenant: &Tenant) -> String {
    let answer = tenant.caller.chat(&question("per-call")).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-haithe-call").expect("a call").to_owned()
}

/// Finding 13: a creator that the contract does not know blocks its payer's line three times, then its
/// credit is settled as the platform's share and kept in escrow; once the contract knows it again, it
/// is paid. The payer is served all the time.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_payee_goes_to_escrow_after_three_skips_and_is_paid_later() {
    let (setup, clock) = Setup::on_a_clock();
    let app = App::with(setup.set("settlement.max_age_seconds", 60)).await;
    let payer = app.funded("Payer", Usdt::whole(5)).await;
    let maker = app.wallet(7).await;
    let price = Usdt::from_nano(250_000_000);
    product(&app, &maker, &payer, price).await;
    let unsettled = async || payer.balance().await.unsettled;
    let (slot, known) = creator_slot(&app.chain, maker.wallet.address()).await;
    let set = |value: U256| {
        app.chain
            .dev
            .set_storage(app.chain.orchestrator(), slot, value)
            .expect("the chain keeps storage");
    };

    set(U256::ZERO);
    call(&payer).await;
    let due = unsettled().await;
    for batches in 1..=3 {
        clock.advance(Duration::from_secs(601));
        eventually("a batch skips the line", async || {
            (app.chain.next_batch().await == batches).then_some(())
        })
        .await;
        eventually("the skip is indexed", async || {
            app.chain.dev.mine(1);
            (unsettled().await == due).then_some(())
        })
        .await;
    }
    // The payer is not suspended, and nobody waits for it.
    call(&payer).await;
    clock.advance(Duration::from_secs(601));
    eventually("the rest of the line is settled", async || {
        clock.advance(Duration::from_secs(60));
        app.chain.dev.mine(1);
        (unsettled().await == Usdt::ZERO).then_some(())
    })
    .await;
    let path = format!("/v1/creator/{}/earnings", maker.address());
    let earnings = async || maker.client.get(&path).data().await;
    assert_eq!(
        usdt(&earnings().await["settled_usdt"]),
        Usdt::ZERO,
        "it is in escrow"
    );
    withdraw_platform_share(&app, app.chain.units(price).get() * 2).await;

    set(known);
    // A payee that was tried is tried again after a day.
    clock.advance(Duration::from_secs(25 * 3_600));
    eventually("the escrow is paid out", async || {
        clock.advance(Duration::from_secs(61));
        app.chain.dev.mine(1);
        let earnings = earnings().await;
        (usdt(&earnings["settled_usdt"]).nano() == 2 * price.nano()).then_some(())
    })
    .await;
    call(&payer).await;
    let around = app.stop().await;
    let checked = around.run(&["ledger", "check"], None).await;
    assert!(checked.success(), "{checked:?}");
}

/// The platform's share leaves the orchestrator by the command line, and the escrow stays.
async fn withdraw_platform_share(app: &App, escrow: u128) {
    let contract = Creators::new(app.chain.orchestrator(), app.chain.provider.clone());
    let funds = async || {
        let funds = contract.platformFunds().call().await.expect("the node answers");
        u128::try_from(funds).expect("a small amount")
    };
    let vault = Wallet::named("vault");
    let to = vault.wallet_address().to_string();
    let withdraw = async |more: &[&str]| {
        let command = ["chain", "withdraw-platform", "--to", &to];
        app.run(&[command.as_slice(), more].concat(), None).await
    };
    let own = funds().await - escrow;
    assert!(own > 0, "the platform earned something");
    for (more, said) in [
        (["--amount-usdt", "1000"], "can be withdrawn"),
        (["--amount-usdt", "0.5"], "can be withdrawn"),
        (["--key", &vault.key_hex()], "the orchestrator's owner is"),
    ] {
        let refused = withdraw(&more).await;
        assert!(!refused.success() && refused.stderr.contains(said), "{refused:?}");
    }
    let shown = withdraw(&[]).await;
    assert!(shown.success(), "{shown:?}");
    let unsigned: Value = serde_json::from_str(&shown.stdout).expect("JSON");
    assert_eq!(unsigned["from"], app.chain.operator.wallet_address().to_string());
    assert_eq!(unsigned["to"], app.chain.deployment.orchestrator.to_string());
    assert!(
        unsigned["summary"]
            .as_str()
            .is_some_and(|text| text.contains(&to))
    );
    assert_eq!(funds().await, own + escrow, "nothing was sent");

    let sent = withdraw(&["--key", &app.chain.operator.key_hex()]).await;
    assert!(sent.success(), "{sent:?}");
    assert_eq!(funds().await, escrow);
    assert_eq!(app.chain.token_balance(vault.address()).await, own);
    let again = withdraw(&[]).await;
    assert!(
        !again.success() && again.stderr.contains("nothing to withdraw"),
        "{again:?}"
    );
}

/// A creator's prompt set at this price, accepted by the tenant's contract.
async fn product(app: &App, maker: &User, tenant: &Tenant, price: Usdt) -> i64 {
    let body = json!({"uri": "https://creator.example/me", "pub_key": "04ab"});
    maker.client.post("/v1/creator").json(&body).data().await;
    let shown = app.anonymous().get("/v1/tee/pub-key").data().await;
    let enclave: EnclavePublicKey = shown["tee_pubkey"]
        .as_str()
        .expect("a key")
        .parse()
        .expect("a key");
    let address: WalletAddress = maker.address().parse().expect("an address");
    let sealed = Sealed::for_creator(&enclave, address, json!(["Be brief."]).to_string().as_bytes());
    let put = maker.client.put("/v1/content").body(sealed.bytes.clone());
    put.header("content-type", "application/octet-stream")
        .data()
        .await;
    let uri = format!("haithe:sha256:{}", sealed.digest);
    let price = U256::from(app.chain.units(price).get());
    let product = ("brief", "promptset");
    let contract = app
        .chain
        .add_product_at(&maker.wallet, product, (&uri, &sealed.wrapped_key), price)
        .await;
    let id = eventually("the product is indexed", async || {
        let synced = maker.client.post("/v1/products").data().await;
        synced["product"]["id"].as_i64()
    })
    .await;
    app.chain
        .enable_product(&tenant.owner.wallet, tenant.contract, contract, price)
        .await;
    let project = tenant.project_id.to_string();
    eventually("the contract's acceptance is indexed", async || {
        let ask = tenant.owner.client.post(&format!("/v1/products/{id}/enable"));
        let answer = ask.query(&[("project_id", project.as_str())]).send().await;
        answer.status.is_success().then_some(())
    })
    .await;
    id
}
