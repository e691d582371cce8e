//! Logins of smart wallets are checked on the node; one client cannot take all of its places.

use crate::relay::Relay;
use alloy::primitives::Address;
use haithe_tests::{
    app::{App, Setup},
    client::Client,
    eventually,
    wallets::Wallet,
};
use serde_json::json;

/// Checks of contract signatures that run at once, in all.
const PLACES: usize = 8;

/// Code that answers every question with the magic value of ERC-1271.
fn agreeable() -> Vec<u8> {
    let mut code = vec![0x63, 0x16, 0x26, 0xba, 0x7e];
    code.extend([0x60, 224, 0x1b, 0x5f, 0x52, 0x60, 32, 0x5f, 0xf3]);
    code
}

async fn log_in(client: Client, wallet: Address) -> u16 {
    let challenge = client.get("/v1/auth/nonce");
    let challenge = challenge.query(&[("address", &wallet.to_string())]).data().await;
    let signature = Wallet::number(9).sign(challenge["nonce"].as_str().unwrap());
    let body = json!({"address": wallet.to_string(), "signature": signature});
    let answer = client.post("/v1/auth/login").json(&body).send().await;
    answer.status.as_u16()
}

/// Finding 19: eight logins with a slow contract took every place, and other smart wallets had to wait until
/// the attacker's checks timed out.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_slow_contracts_does_not_keep_another_clients_smart_wallet_from_logging_in() {
    let setup = Setup::default().set(
        "server.trusted_proxies",
        vec![toml::Value::from("127.0.0.0/8"), toml::Value::from("::1")],
    );
    let (around, relay) = Relay::around(setup).await;
    let app = App::over(around).await;
    let from = |address: &str| app.anonymous().with("x-forwarded-for", address);
    let wallet = |number: u8| {
        let address = Address::repeat_byte(number);
        app.chain.dev.set_code(address, agreeable().into()).unwrap();
        address
    };
    // The node keeps every question about the attacker's contracts.
    let slow = wallet(0xa1);
    let victim = wallet(0x77);
    let held = "a1a1a1a1";
    relay.hold(Some(held));
    let attack: Vec<_> = (0..16)
        .map(|_| {
            let client = from("198.51.100.7");
            tokio::spawn(async move {
                loop {
                    let status = log_in(client.clone(), slow).await;
                    assert!(matches!(status, 200 | 401 | 429 | 503), "{status}");
                }
            })
        })
        .collect();
    eventually("the attacker holds its places", async || {
        (relay.count(held) >= 2).then_some(())
    })
    .await;
    // The attacker's other logins arrive meanwhile.
    for _ in 0..20 {
        app.anonymous().get("//health").send().await;
    }
    assert_eq!(log_in(from("203.0.113.9"), victim).await, 200);
    assert_eq!(log_in(from("2001:db8:7::9"), victim).await, 200);
    // A client network has a quarter of the places. Had the attacker taken all of them, the victim would have
    // logged in only after one of at least `PLACES` checks timed out.
    let asked = relay.count(held);
    assert!(
        asked < PLACES,
        "the node received {asked} checks of the attacker's contract before the victim was logged in"
    );
    assert!(
        attack.iter().all(|login| !login.is_finished()),
        "the attack went on all the time"
    );
    for login in attack {
        login.abort();
    }
}
