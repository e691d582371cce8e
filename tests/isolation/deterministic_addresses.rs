//! Addresses of organizations and products survive a reorganization of the chain.

use alloy::{eips::Encodable2718, primitives::Bytes, providers::Provider};
use haithe_devchain::{DEMO_BALANCE, ReorgTxs};
use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Setup, User},
    eventually,
};
use serde_json::Value;

/// The raw transactions of the newest blocks, the oldest block first.
async fn newest_transactions(app: &App, blocks: u64) -> Vec<Bytes> {
    let head = app.chain.dev.head().number;
    let mut raw = Vec::new();
    for number in head + 1 - blocks..=head {
        let block = app.chain.provider.get_block_by_number(number.into()).full().await;
        let block = block.expect("the node answers").expect("the block is there");
        let transactions = block.transactions.into_transactions();
        raw.extend(transactions.map(|tx| tx.into_inner().encoded_2718().into()));
    }
    raw
}

/// Gives the wallets coin that a reorganization does not take back.
fn endow(app: &App, users: &[&User]) {
    for user in users {
        let address = user.wallet.address();
        app.chain
            .dev
            .set_balance(address, DEMO_BALANCE)
            .expect("the chain keeps accounts");
    }
    app.chain.dev.mine(1);
}

/// The wallet's organization of this name.
async fn organization(user: &User, name: &str) -> Option<Value> {
    let all = user.client.get("/v1/me/orgs").data().await;
    let all = all.as_array().expect("a list").clone();
    all.into_iter().find(|org| org["name"] == name)
}

/// Finding 17: an organization's published address stays its owner's when a reorganization mines another wallet's
/// creation first, and money sent there before is its owner's.
#[tokio::test(flavor = "multi_thread")]
async fn a_reorganization_does_not_give_a_published_address_to_another_owner() {
    let app = App::with(
        Setup::default()
            .set("chain.confirmations", 3)
            .set("chain.finality", 6),
    )
    .await;
    let (victim, rival) = (app.wallet(1).await, app.wallet(2).await);
    endow(&app, &[&victim, &rival]);
    app.chain.create_organization(&victim.wallet, "Acme").await;
    app.chain.create_organization(&rival.wallet, "Rival").await;
    let published = victim.client.post("/v1/orgs").data().await;
    let address = published["address"].as_str().expect("an address").to_owned();

    let mut transactions = newest_transactions(&app, 2).await;
    assert_eq!(transactions.len(), 2);
    transactions.reverse();
    app.chain
        .dev
        .reorg(2, ReorgTxs::Exactly(vec![transactions, Vec::new()]))
        .expect("two blocks back");
    app.chain.dev.mine(1);
    // The rival's creation now comes first.
    eventually("the index follows", async || {
        let org = organization(&rival, "Rival").await?;
        (org["orchestrator_idx"] == 1).then_some(())
    })
    .await;

    let rivals = organization(&rival, "Rival")
        .await
        .expect("the rival's organization");
    assert_ne!(rivals["address"], address.as_str());
    app.chain
        .deposit(address.parse().expect("an address"), Usdt::whole(7))
        .await;
    app.chain.dev.mine(6);
    let acme = eventually("the victim's creation comes second", async || {
        let org = organization(&victim, "Acme").await?;
        (org["orchestrator_idx"] == 2).then_some(org)
    })
    .await;
    assert_eq!(acme["address"], address.as_str());
    eventually("the deposit is the victim's", async || {
        let path = format!("/v1/orgs/{}/balance", acme["id"]);
        let balance = victim.client.get(&path).data().await;
        (balance["available_usdt"] == "7").then_some(())
    })
    .await;
    assert_eq!(published["confirmed"], false, "shown at once, and not final");
    eventually("the victim's organization is confirmed", async || {
        let org = organization(&victim, "Acme").await?;
        (org["confirmed"] == true).then_some(())
    })
    .await;
    let around = app.stop().await;
    assert!(around.run(&["ledger", "check"], None).await.success());
}

/// Finding 17: a deposit that a reorganization moves before the organization's creation counts once. This held
/// before the addresses were deterministic, and must stay so.
#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_that_is_mined_before_the_organization_counts_once() {
    let app = App::with(
        Setup::default()
            .set("chain.confirmations", 3)
            .set("chain.finality", 6),
    )
    .await;
    let owner = app.wallet(1).await;
    endow(&app, &[&owner]);
    let contract = app.chain.create_organization(&owner.wallet, "Acme").await;
    app.chain.deposit(contract, Usdt::whole(3)).await;
    owner.client.post("/v1/orgs").data().await;
    // The creation, the minting of the operator's tokens, the deposit.
    let mut transactions = newest_transactions(&app, 3).await;
    assert_eq!(transactions.len(), 3);
    let created = transactions.remove(0);
    app.chain
        .dev
        .reorg(
            3,
            ReorgTxs::Exactly(vec![transactions, Vec::new(), vec![created]]),
        )
        .expect("three blocks back");
    app.chain.dev.mine(8);
    eventually("the deposit is there", async || {
        let org = organization(&owner, "Acme").await?;
        let path = format!("/v1/orgs/{}/balance", org["id"]);
        let balance = owner.client.get(&path).data().await;
        (balance["available_usdt"] == "3").then_some(())
    })
    .await;
    let around = app.stop().await;
    assert!(around.run(&["ledger", "check"], None).await.success());
}
