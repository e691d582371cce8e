//! A wallet proves itself once per challenge, and nobody else does.

use futures::future::join_all;
use haithe_kernel::Clock;
use haithe_tests::{
    app::{App, Setup, User},
    client::Client,
    wallets::Wallet,
};
use serde_json::{Value, json};
use std::time::Duration;

async fn challenge(client: &Client, wallet: &Wallet) -> Value {
    let address = wallet.address().to_string();
    client
        .get("/v1/auth/nonce")
        .query(&[("address", &address)])
        .data()
        .await
}

fn text(challenge: &Value) -> &str {
    challenge["nonce"].as_str().unwrap()
}

async fn log_in(client: &Client, wallet: &Wallet, signature: &str) -> haithe_tests::client::Answer {
    let address = wallet.address().to_string();
    let body = json!({"address": address, "signature": signature});
    client.post("/v1/auth/login").json(&body).send().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nonce_is_a_whole_message_bound_to_site_chain_and_address() {
    let app = App::start().await;
    let wallet = Wallet::number(1);
    let challenge = challenge(&app.anonymous(), &wallet).await;
    let text = text(&challenge);
    let checksummed = wallet.wallet_address().checksummed();
    assert!(
        text.starts_with("localhost:3000 wants you to sign in with your Ethereum account:\n"),
        "{text}"
    );
    assert!(text.contains(&format!("\n{checksummed}\n")), "{text}");
    assert!(
        text.contains(&format!("Chain ID: {}", app.chain.deployment.chain_id)),
        "{text}"
    );
    assert!(text.contains("Expiration Time: "), "{text}");
    for part in [
        "domain",
        "address",
        "uri",
        "nonce",
        "issued_at",
        "expiration_time",
    ] {
        let part = challenge["siwe"][part].as_str().unwrap();
        assert!(text.contains(part), "{part} is in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_way_of_logging_in_opens_a_session() {
    let app = App::start().await;
    let client = app.anonymous();
    let wallet = Wallet::number(1);
    let address = wallet.address().to_string();
    for way in ["query", "body", "message", "upper case", "no 0x", "v 0 or 1"] {
        let challenge = challenge(&client, &wallet).await;
        let signature = wallet.sign(text(&challenge));
        let ask = client.post("/v1/auth/login");
        let ask = match way {
            "query" => ask.query(&[("address", &address), ("signature", &signature)]),
            "message" => ask.json(&json!({"message": text(&challenge), "signature": signature})),
            "upper case" => ask.json(
                &json!({"address": address.to_uppercase().replace("0X", "0x"), "signature": signature}),
            ),
            "no 0x" => ask.json(&json!({"address": &address[2..], "signature": signature})),
            "v 0 or 1" => {
                let low = if signature.ends_with("1b") { "00" } else { "01" };
                let signature = format!("{}{low}", &signature[..130]);
                ask.json(&json!({"address": address, "signature": signature}))
            }
            _ => ask.json(&json!({"address": address, "signature": signature})),
        };
        let data = ask.data().await;
        assert_eq!(data["address"], wallet.wallet_address().to_string(), "{way}");
        let me = client
            .bearer(data["token"].as_str().unwrap())
            .get("/v1/me")
            .data()
            .await;
        assert_eq!(me["address"], wallet.wallet_address().to_string(), "{way}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_that_fits_no_live_challenge_is_refused_in_one_way() {
    let app = App::start().await;
    let client = app.anonymous();
    let (mine, other) = (Wallet::number(1), Wallet::number(2));
    let fresh = challenge(&client, &mine).await;
    let text = text(&fresh);
    let foreign = challenge(&client, &other).await;
    let foreign = foreign["nonce"].as_str().unwrap();
    for (why, signature) in [
        ("another wallet's signature", other.sign(text)),
        ("another wallet's challenge", mine.sign(foreign)),
        ("another text", mine.sign("hello")),
        ("a text with a line break more", mine.sign(&format!("{text}\n"))),
        ("the twin with a high s", mine.sign_high_s(text)),
        ("zeros", format!("0x{}", "00".repeat(65))),
        ("ones", format!("0x{}", "ff".repeat(64) + "1b")),
    ] {
        let refused = log_in(&client, &mine, &signature).await;
        assert!(
            matches!(refused.status.as_u16(), 400 | 401),
            "{why}: {} {}",
            refused.status,
            refused.text()
        );
        refused.rest_failure();
    }
    let wrong = log_in(&client, &mine, &other.sign(text)).await;
    wrong.refused(401, "login_refused");
    let accepted = log_in(&client, &mine, &mine.sign(text)).await;
    accepted.data();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_works_once_even_for_sixty_four_at_the_same_moment() {
    let app = App::start().await;
    let client = app.anonymous();
    let wallet = Wallet::number(1);
    let challenge = challenge(&client, &wallet).await;
    let signature = wallet.sign(text(&challenge));
    let logins = join_all((0..64).map(|_| log_in(&client, &wallet, &signature))).await;
    let (accepted, refused): (Vec<_>, Vec<_>) = logins.iter().partition(|login| login.status.is_success());
    assert_eq!((accepted.len(), refused.len()), (1, 63));
    for login in refused {
        login.refused(401, "login_refused");
    }
    log_in(&client, &wallet, &signature)
        .await
        .refused(401, "login_refused");
    let message = json!({"message": text(&challenge), "signature": signature});
    client
        .post("/v1/auth/login")
        .json(&message)
        .refused(401, "login_refused")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_logins_say_what_is_wrong() {
    let app = App::start().await;
    let client = app.anonymous();
    let wallet = Wallet::number(1);
    let address = wallet.address().to_string();
    let good = wallet.sign("anything");
    for body in [
        json!({}),
        json!({"address": address}),
        json!({"signature": good}),
        json!({"address": "0x12", "signature": good}),
        json!({"address": 7, "signature": good}),
        json!({"address": null, "signature": good}),
        json!({"address": address, "signature": ""}),
        json!({"address": address, "signature": "0x"}),
        json!({"address": address, "signature": "0xzz"}),
        json!({"address": address, "signature": [1, 2]}),
        json!({"message": "not a sign-in message", "signature": good}),
        json!({"message": "x\n0x12\n", "signature": good}),
    ] {
        let refused = client.post("/v1/auth/login").json(&body).send().await;
        assert_eq!(refused.status, 400, "{body} {}", refused.text());
        let (_, message) = refused.rest_failure();
        assert!(message.len() > 10, "{message}");
    }
    // Without a credential a body has 64 KiB at most.
    let large = json!({"address": address, "signature": format!("0x{}", "ab".repeat(200_000))});
    let refused = client.post("/v1/auth/login").json(&large).send().await;
    assert_eq!(refused.status, 413, "{}", refused.text());
    for query in [
        &[][..],
        &[("address", "")],
        &[("address", "0x1")],
        &[("address", "vitalik.eth")],
    ] {
        let refused = client.get("/v1/auth/nonce").query(query).send().await;
        assert_eq!(refused.status, 400, "{query:?}");
        refused.rest_failure();
    }
    let misspelt = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD";
    let refused = client
        .get("/v1/auth/nonce")
        .query(&[("address", misspelt)])
        .send()
        .await;
    assert!(
        refused.rest_failure().1.contains("checksum"),
        "{}",
        refused.text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_is_not_ours_gets_no_challenge() {
    let app = App::start().await;
    let address = Wallet::number(1).address().to_string();
    let ask = || {
        app.anonymous()
            .get("/v1/auth/nonce")
            .query(&[("address", &address)])
    };
    ask()
        .header("origin", "https://evil.example")
        .refused(403, "site_not_allowed")
        .await;
    ask().header("origin", "http://localhost:3000").data().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_end_one_by_one_and_survive_a_restart() {
    let app = App::start().await;
    let (first, second) = (app.wallet(1).await, app.wallet(1).await);
    let other = app.wallet(2).await;
    assert_eq!(first.client.post("/v1/auth/logout").data().await, json!({}));
    first.client.get("/v1/me").refused(401, "invalid_token").await;
    second.client.get("/v1/me").data().await;
    let app = app.restarted().await;
    let again = |user: &User| app.anonymous().bearer(&user.token);
    again(&first).get("/v1/me").refused(401, "invalid_token").await;
    again(&second).get("/v1/me").data().await;
    again(&other).get("/v1/me").data().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_we_did_not_sign_are_refused() {
    let app = App::start().await;
    let user = app.wallet(1).await;
    let parts: Vec<&str> = user.token.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        panic!("a JWT")
    };
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let swapped: String = signature.chars().rev().collect();
    for token in [
        String::new(),
        "null".into(),
        "x".repeat(10_000),
        format!("{none}.{claims}."),
        format!("{header}.{claims}"),
        format!("{header}.{claims}.{swapped}"),
        format!("{header}.{}.{signature}", &claims[1..]),
        format!("{}.{claims}.{signature}", &header[1..]),
    ] {
        let refused = app.anonymous().bearer(&token).get("/v1/me").send().await;
        assert_eq!(refused.status, 401, "{token}");
        refused.rest_failure();
    }
    for header in ["", "Bearer", "Basic abc", "bearer\t"] {
        let refused = app
            .anonymous()
            .with("authorization", header)
            .get("/v1/me")
            .send()
            .await;
        assert_eq!(refused.status, 401, "{header:?}");
    }
    app.anonymous()
        .get("/v1/me")
        .refused(401, "authentication_required")
        .await;
    let twice = user.client.bearer(&user.token).get("/v1/me").send().await;
    assert_eq!(twice.status, 401, "two Authorization headers are none");
    user.client.get("/v1/me").data().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn public_routes_ignore_a_stale_token() {
    let app = App::start().await;
    for token in ["null", "stale"] {
        let client = app.anonymous().bearer(token);
        client.get("/v1/models").data().await;
        client.get("/v1/config").data().await;
        User::log_in(&app.anonymous(), Wallet::number(3)).await;
        let address = Wallet::number(1).address().to_string();
        client
            .get("/v1/auth/nonce")
            .query(&[("address", &address)])
            .data()
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn challenges_sessions_and_keys_end_when_their_time_is_over() {
    let (setup, clock) = Setup::on_a_clock();
    let app = App::with(setup).await;
    let client = app.anonymous();
    let wallet = Wallet::number(1);
    let old = challenge(&client, &wallet).await;
    let signature = wallet.sign(text(&old));
    clock.advance(Duration::from_secs(5 * 60 + 1));
    log_in(&client, &wallet, &signature)
        .await
        .refused(401, "login_refused");
    let user = app.wallet(1).await;
    let expires_at = clock.now().plus(Duration::from_secs(3_600)).rfc3339();
    let body = json!({"name": "short-lived", "expires_at": expires_at});
    let key = user.client.post("/v1/me/api-keys").json(&body).data().await;
    let program = client.bearer(key["api_key"].as_str().unwrap());
    let models = "/v1beta/openai/models";
    program.get(models).openai_refused(400, "context_missing").await;
    clock.advance(Duration::from_secs(3_601));
    program.get(models).openai_refused(401, "invalid_api_key").await;
    user.client.get("/v1/me").data().await;
    clock.advance(Duration::from_secs(3 * 86_400));
    user.client.get("/v1/me").refused(401, "invalid_token").await;
    app.wallet(1).await.client.get("/v1/me").data().await;
}
