//! One definition of a client network: IPv4 address or IPv6 /64, for limits, challenges, sessions and audit.

use haithe_tests::{
    app::{App, Setup, Tenant, User},
    client::Client,
    wallets::Wallet,
};
use serde_json::{Value, json};
use toml::Value::Array;

/// A service behind a proxy on loopback, whose `X-Forwarded-For` it trusts.
fn behind_a_proxy() -> Setup {
    Setup::default().set("server.trusted_proxies", Array(vec!["127.0.0.1".into()]))
}

/// On a clock that does not move, so that no quota comes back during the test.
fn standing_still(setup: Setup) -> Setup {
    let (_, clock) = Setup::on_a_clock();
    Setup {
        clock: Some(clock),
        ..setup
    }
}

fn from(app: &App, hop: &str) -> Client {
    app.anonymous().with("x-forwarded-for", hop)
}

async fn challenge(client: &Client, wallet: &Wallet) -> Value {
    let address = wallet.address().to_string();
    let request = client.get("/v1/auth/nonce");
    request.query(&[("address", &address)]).data().await
}

fn signed(wallet: &Wallet, text: &str) -> Value {
    json!({"address": wallet.address().to_string(), "signature": wallet.sign(text)})
}

/// Finding 12: one client with the 2^64 addresses of its IPv6 network evicts its own challenges, not the victim's.
#[tokio::test(flavor = "multi_thread")]
async fn nine_challenges_from_one_ipv6_network_keep_the_victims_login_alive() {
    let app = App::with(behind_a_proxy()).await;
    let wallet = Wallet::number(1);
    let victim = from(&app, "203.0.113.7:4711");
    let issued = challenge(&victim, &wallet).await;
    for host in 1..=9 {
        challenge(
            &from(&app, &format!("[2001:db8:a:b::{host}]:{}", 50_000 + host)),
            &wallet,
        )
        .await;
    }
    let text = issued["nonce"].as_str().unwrap();
    victim
        .post("/v1/auth/login")
        .json(&signed(&wallet, text))
        .data()
        .await;
}

/// Finding 12: the networks of one IPv6 allocation (/48) give way before anybody else does.
#[tokio::test(flavor = "multi_thread")]
async fn nine_networks_of_one_allocation_keep_the_victims_login_alive() {
    let app = App::with(behind_a_proxy()).await;
    let wallet = Wallet::number(1);
    let victim = from(&app, "2001:db8:77::1");
    let issued = challenge(&victim, &wallet).await;
    for network in 1..=9 {
        challenge(&from(&app, &format!("2001:db8:a:{network}::1")), &wallet).await;
    }
    let text = issued["nonce"].as_str().unwrap();
    victim
        .post("/v1/auth/login")
        .json(&signed(&wallet, text))
        .data()
        .await;
}

/// Finding 12: hops of `X-Forwarded-For` with ports are the same client as without, in every limit.
#[tokio::test(flavor = "multi_thread")]
async fn hops_with_ports_are_counted_as_one_client() {
    let app = App::with(standing_still(behind_a_proxy()).set("limits.requests_per_address", 3)).await;
    for hops in [
        ["198.51.100.4", "198.51.100.4:1", "[::ffff:198.51.100.4]:2"],
        ["2001:db8:1:2::3", "[2001:db8:1:2::4]", "[2001:db8:1:2:ffff::5]:6"],
    ] {
        for hop in hops {
            assert_eq!(
                from(&app, hop).get("/v1/models").send().await.status,
                200,
                "{hop}"
            );
        }
        let fourth = from(&app, hops[1]).get("/v1/models");
        fourth.refused(429, "rate_limited").await;
    }
    // Another client, and the proxy's own address, have quotas of their own.
    assert_eq!(
        from(&app, "198.51.100.5:1").get("/v1/models").send().await.status,
        200
    );
    assert_eq!(app.anonymous().get("/v1/models").send().await.status, 200);
}

/// Finding 12: only a trusted proxy names its client. This held before the finding was fixed and must stay so.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_no_trusted_proxy_cannot_choose_its_network() {
    let app = App::with(standing_still(Setup::default()).set("limits.requests_per_address", 3)).await;
    for number in 1..=3 {
        let client = from(&app, &format!("198.51.100.{number}:80"));
        assert_eq!(client.get("/v1/models").send().await.status, 200);
    }
    let fourth = from(&app, "198.51.100.4:80").get("/v1/models");
    fourth.refused(429, "rate_limited").await;
}

/// Finding 12: a login with its challenge counts as one login.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_counts_once_and_not_again_for_its_challenge() {
    let app = App::with(standing_still(Setup::default()).set("limits.logins_per_address", 3)).await;
    for number in 1..=3 {
        app.wallet(number).await;
    }
    let client = app.anonymous();
    let address = Wallet::number(4).address().to_string();
    let fourth = client.get("/v1/auth/nonce").query(&[("address", &address)]);
    fourth.refused(429, "rate_limited").await;
    let body = json!({"address": address, "signature": "0x00"});
    let fourth = client.post("/v1/auth/login").json(&body);
    fourth.refused(429, "rate_limited").await;
}

/// Finding 12: logging out needs no part of the quota of logins.
#[tokio::test(flavor = "multi_thread")]
async fn logging_out_works_when_the_quota_of_logins_is_used_up() {
    let app = App::with(standing_still(Setup::default()).set("limits.logins_per_address", 1)).await;
    let user = app.wallet(1).await;
    user.client.post("/v1/auth/logout").data().await;
}

/// Finding 12: sessions and the audit log name the client by the same network.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_audit_show_the_client_network() {
    let app = App::with(behind_a_proxy()).await;
    let hop = "[2001:db8:1:2:3:4:5:6]:7";
    let user = User::log_in(&from(&app, hop), Wallet::number(1)).await;
    let sessions = user.client.get("/v1/me/sessions").data().await;
    let session = &sessions[0];
    assert_eq!(
        (&session["ip"], &session["network"]),
        (&json!("2001:db8:1:2:3:4:5:6"), &json!("2001:db8:1:2::/64"))
    );
    let tenant = Tenant::found(&app.chain, user, "Acme").await;
    let path = format!("/v1/orgs/{}", tenant.org_id);
    let client = &tenant.owner.client;
    let settings = client.patch(&format!("{path}/settings"));
    settings.json(&json!({"prompt_log": "metadata"})).data().await;
    let audit = client.get(&format!("{path}/audit")).data().await;
    let line = &audit[0];
    assert_eq!(
        (&line["ip"], &line["network"]),
        (&json!("2001:db8:1:2:3:4:5:6"), &json!("2001:db8:1:2::/64"))
    );
}

/// Finding 12: a refused login says what the signed text itself shows.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_names_a_wrong_chain_and_an_expired_message() {
    let (setup, clock) = Setup::on_a_clock();
    let app = App::with(setup).await;
    let client = app.anonymous();
    let wallet = Wallet::number(1);
    let issued = challenge(&client, &wallet).await;
    let text = issued["nonce"].as_str().unwrap();
    let log_in = |text: String| {
        let body = json!({"message": text, "signature": wallet.sign(&text)});
        client.post("/v1/auth/login").json(&body)
    };
    let own = issued["siwe"]["chain_id"].as_u64().unwrap();
    let wrong = text.replacen(&format!("Chain ID: {own}"), "Chain ID: 1", 1);
    let refused = log_in(wrong).refused(401, "login_refused").await;
    assert!(
        refused.contains("chain ID 1,") && refused.contains(&own.to_string()),
        "{refused}"
    );
    clock.advance(std::time::Duration::from_secs(300));
    let refused = log_in(text.to_owned()).refused(401, "login_refused").await;
    let until = issued["siwe"]["expiration_time"].as_str().unwrap();
    assert!(
        refused.contains("expired") && refused.contains(until),
        "{refused}"
    );
}
