//! Wallets that are contracts (ERC-1271), and those that are not there yet (ERC-6492), over HTTP.

use alloy::{
    network::TransactionBuilder,
    primitives::{Address, B256, Bytes},
    providers::Provider,
    rpc::types::TransactionRequest,
    sol,
    sol_types::{SolCall, SolValue},
};
use futures::future::join_all;
use haithe_devchain::RpcError;
use haithe_tests::{
    app::{App, User},
    client::Answer,
    wallets::Wallet,
};
use serde_json::json;
use std::time::{Duration, Instant};

sol!(
    #[sol(rpc)]
    ContractWalletFactory,
    "../abi/test/ContractWalletFactory.json"
);

/// A factory of wallets on the app's chain.
async fn factory(app: &App) -> Address {
    let deploy = TransactionRequest::default().with_deploy_code(ContractWalletFactory::BYTECODE.clone());
    let code = app.chain.provider.call(deploy).await.unwrap();
    let address = Address::repeat_byte(0xfa);
    app.chain.dev.set_code(address, code).unwrap();
    address
}

async fn predict(app: &App, factory: Address, owner: &Wallet, salt: u8) -> Address {
    let factory = ContractWalletFactory::new(factory, app.chain.provider.clone());
    let predict = factory.predict(owner.address(), B256::repeat_byte(salt));
    predict.call().await.unwrap()
}

fn create(owner: &Wallet, salt: u8) -> Vec<u8> {
    ContractWalletFactory::createCall {
        owner: owner.address(),
        salt: B256::repeat_byte(salt),
    }
    .abi_encode()
}

/// A wallet of this owner that is deployed.
async fn deployed(app: &App, owner: &Wallet, salt: u8) -> Address {
    let factory = factory(app).await;
    app.chain.send(owner, factory, create(owner, salt)).await;
    predict(app, factory, owner, salt).await
}

/// What ERC-6492 puts around the signature of a wallet that is not there yet.
fn wrapped(factory: Address, call: Vec<u8>, signature: &str) -> String {
    let inner = Bytes::from(hex::decode(&signature[2..]).unwrap());
    let mut bytes = (factory, Bytes::from(call), inner).abi_encode_params();
    bytes.extend([0x64, 0x92].repeat(16));
    format!("0x{}", hex::encode(bytes))
}

async fn challenge(app: &App, address: Address) -> String {
    let ask = app.anonymous().get("/v1/auth/nonce");
    let challenge = ask.query(&[("address", &address.to_string())]).data().await;
    challenge["nonce"].as_str().unwrap().to_owned()
}

async fn log_in(app: &App, address: Address, signature: &str) -> Answer {
    let body = json!({"address": address.to_string(), "signature": signature});
    app.anonymous().post("/v1/auth/login").json(&body).send().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployed_wallet_logs_in_by_its_owners_signature_in_both_ways() {
    let app = App::start().await;
    let (owner, thief) = (Wallet::number(1), Wallet::number(2));
    let smart = deployed(&app, &owner, 1).await;
    let text = challenge(&app, smart).await;
    let theft = log_in(&app, smart, &thief.sign(&text)).await;
    theft.refused(401, "login_refused");
    // Several challenges wait; the right one is found.
    challenge(&app, smart).await;
    let accepted = log_in(&app, smart, &owner.sign(&text)).await.data();
    assert_eq!(accepted["address"], smart.to_string().to_lowercase());
    let session = app.anonymous().bearer(accepted["token"].as_str().unwrap());
    assert_eq!(session.get("/v1/me").data().await["address"], accepted["address"]);
    let text = challenge(&app, smart).await;
    let own = text.replace("This costs nothing", "Own words");
    let body = json!({"message": own, "signature": owner.sign(&own)});
    app.anonymous().post("/v1/auth/login").json(&body).data().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_is_not_deployed_yet_logs_in_and_stays_undeployed() {
    let app = App::start().await;
    let (owner, thief) = (Wallet::number(1), Wallet::number(2));
    let factory = factory(&app).await;
    let smart = predict(&app, factory, &owner, 7).await;
    let text = challenge(&app, smart).await;
    let bare = log_in(&app, smart, &owner.sign(&text)).await;
    bare.refused(401, "login_refused");
    for (signer, call) in [
        (&thief, create(&owner, 7)),
        (&owner, create(&owner, 8)),
        (&thief, create(&thief, 7)),
    ] {
        let wrong = wrapped(factory, call, &signer.sign(&text));
        log_in(&app, smart, &wrong).await.refused(401, "login_refused");
    }
    let good = wrapped(factory, create(&owner, 7), &owner.sign(&text));
    log_in(&app, smart, &good).await.data();
    assert!(app.chain.provider.get_code_at(smart).await.unwrap().is_empty());
    log_in(&app, smart, &good).await.refused(401, "login_refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_for_one_account_opens_no_other_of_the_same_owner() {
    let app = App::start().await;
    let owner = Wallet::number(1);
    let (first, second) = (deployed(&app, &owner, 1).await, deployed(&app, &owner, 2).await);
    let text = challenge(&app, first).await;
    challenge(&app, second).await;
    challenge(&app, owner.address()).await;
    let signature = owner.sign(&text);
    for replayed in [second, owner.address()] {
        log_in(&app, replayed, &signature)
            .await
            .refused(401, "login_refused");
        let checksummed = replayed.to_checksum(None);
        let moved = text.replace(&first.to_checksum(None), &checksummed);
        let body = json!({"message": moved, "signature": signature});
        let login = app.anonymous().post("/v1/auth/login").json(&body);
        login.refused(401, "login_refused").await;
    }
    log_in(&app, first, &signature).await.data();
}

/// Code that puts the ERC-1271 magic value into a word and returns that many of its bytes.
fn answers(magic: u32, shift: u8, length: u8) -> Vec<u8> {
    let mut code = vec![0x63];
    code.extend(magic.to_be_bytes());
    code.extend([0x60, shift, 0x1b, 0x5f, 0x52, 0x60, length, 0x5f, 0xf3]);
    code
}

#[tokio::test(flavor = "multi_thread")]
async fn wallets_that_mean_harm_are_refused_in_time() {
    const MAGIC: u32 = 0x1626_ba7e;
    let app = App::start().await;
    let owner = Wallet::number(1);
    let mut reverting = answers(MAGIC, 224, 32);
    *reverting.last_mut().unwrap() = 0xfd;
    let strangers: Vec<(&str, Vec<u8>, bool)> = vec![
        ("answers rightly", answers(MAGIC, 224, 32), true),
        ("answers another value", answers(0xffff_ffff, 224, 32), false),
        ("answers nearly the value", answers(MAGIC + 1, 224, 32), false),
        ("puts the value at the wrong end", answers(MAGIC, 0, 32), false),
        ("answers four bytes", answers(MAGIC, 224, 4), false),
        ("answers a byte too few", answers(MAGIC, 224, 31), false),
        ("answers nothing", vec![0x00], false),
        ("reverts", vec![0x5f, 0x5f, 0xfd], false),
        ("reverts with the value", reverting, false),
        ("burns all its gas", vec![0x5b, 0x5f, 0x56], false),
        ("is no valid code", vec![0xfe], false),
        ("returns a megabyte", vec![0x62, 0x10, 0, 0, 0x5f, 0xf3], false),
    ];
    for (number, (what, code, accepted)) in (1u8..).zip(strangers) {
        let stranger = Address::repeat_byte(number);
        app.chain.dev.set_code(stranger, code.into()).unwrap();
        let text = challenge(&app, stranger).await;
        let began = Instant::now();
        let answer = log_in(&app, stranger, &owner.sign(&text)).await;
        assert!(began.elapsed() < Duration::from_secs(3), "a wallet that {what}");
        if accepted {
            answer.data();
        } else {
            assert_eq!(answer.status, 401, "a wallet that {what}: {}", answer.text());
            answer.refused(401, "login_refused");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_burn_gas_at_once_keep_no_plain_wallet_waiting() {
    let app = App::start().await;
    let bomb = Address::repeat_byte(1);
    app.chain
        .dev
        .set_code(bomb, vec![0x5b, 0x5f, 0x56].into())
        .unwrap();
    let text = challenge(&app, bomb).await;
    let signature = Wallet::number(2).sign(&text);
    let bombs = join_all((0..40).map(|_| log_in(&app, bomb, &signature)));
    let plain = async {
        let began = Instant::now();
        for number in 10..20 {
            app.wallet(number).await.client.get("/v1/me").data().await;
        }
        began.elapsed()
    };
    let (bombs, took) = futures::join!(bombs, plain);
    assert!(took < Duration::from_secs(10), "{took:?}");
    for answer in bombs {
        // Either its turn came, or the queue was too long for it.
        assert!(
            matches!(answer.status.as_u16(), 401 | 429 | 503),
            "{}",
            answer.text()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_chain_is_said_to_smart_wallets_and_unseen_by_plain_ones() {
    let app = App::start().await;
    let owner = Wallet::number(1);
    let smart = deployed(&app, &owner, 1).await;
    let text = challenge(&app, smart).await;
    let signature = owner.sign(&text);
    let down = RpcError::new(-32603, "internal error");
    app.chain.dev.fail_next("eth_call", u32::MAX, down);
    let refused = log_in(&app, smart, &signature).await;
    refused.refused(503, "chain_unavailable");
    assert!(refused.header("retry-after").is_some());
    User::log_in(&app.anonymous(), Wallet::number(3)).await;
    app.chain.dev.clear_faults();
    log_in(&app, smart, &signature).await.data();
}
