//! A challenge works once, however it is used and however many try.

use futures::future::join_all;
use haithe_tests::{
    app::{App, Setup},
    client::Client,
    wallets::Wallet,
};
use serde_json::{Value, json};
use std::time::Duration;

async fn challenge(client: &Client, wallet: &Wallet) -> Value {
    let address = wallet.address().to_string();
    let ask = client.get("/v1/auth/nonce");
    ask.query(&[("address", &address)]).data().await
}

/// The challenge's text in the client's own words.
fn own_words(challenge: &Value) -> String {
    let text = challenge["nonce"].as_str().unwrap();
    let statement = challenge["siwe"]["statement"].as_str().unwrap();
    text.replacen(statement, "My own words.", 1)
}

/// By address, by the text as given, and by a text of the client's own.
fn ways(wallet: &Wallet, challenge: &Value) -> [Value; 3] {
    let text = challenge["nonce"].as_str().unwrap();
    let own = own_words(challenge);
    [
        json!({"address": wallet.address().to_string(), "signature": wallet.sign(text)}),
        json!({"message": text, "signature": wallet.sign(text)}),
        json!({"message": own, "signature": wallet.sign(&own)}),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_logins_on_one_nonce_in_three_ways_exactly_one_succeeds() {
    let app = App::start().await;
    let client = app.anonymous();
    let wallet = Wallet::number(1);
    let challenge = challenge(&client, &wallet).await;
    let ways = ways(&wallet, &challenge);
    let logins = (0..1_000).map(|number| {
        let body = &ways[number % ways.len()];
        client.post("/v1/auth/login").json(body).send()
    });
    let answers = join_all(logins).await;
    let (accepted, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status.is_success());
    assert_eq!((accepted.len(), refused.len()), (1, 999));
    for answer in refused {
        answer.refused(401, "login_refused");
    }
    let token = accepted[0].data()["token"].as_str().unwrap().to_owned();
    let sessions = client.bearer(&token).get("/v1/me/sessions").data().await;
    assert_eq!(sessions.as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_that_was_used_in_one_way_is_used_up_in_every_other() {
    let app = App::start().await;
    let client = app.anonymous();
    let wallet = Wallet::number(1);
    for first in 0..3 {
        let challenge = challenge(&client, &wallet).await;
        let ways = ways(&wallet, &challenge);
        client.post("/v1/auth/login").json(&ways[first]).data().await;
        for way in &ways {
            let again = client.post("/v1/auth/login").json(way);
            again.refused(401, "login_refused").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_does_not_use_a_challenge_up_and_time_does() {
    let (setup, clock) = Setup::on_a_clock();
    let app = App::with(setup).await;
    let client = app.anonymous();
    let wallet = Wallet::number(1);
    let first = challenge(&client, &wallet).await;
    let [by_address, _, own] = ways(&wallet, &first);
    let thief = json!({"message": own["message"], "signature": Wallet::number(2).sign(&own_words(&first))});
    let theft = client.post("/v1/auth/login").json(&thief);
    theft.refused(401, "login_refused").await;
    clock.advance(Duration::from_secs(299));
    client.post("/v1/auth/login").json(&own).data().await;
    let used = client.post("/v1/auth/login").json(&by_address);
    used.refused(401, "login_refused").await;
    let second = challenge(&client, &wallet).await;
    let ways = ways(&wallet, &second);
    clock.advance(Duration::from_secs(300));
    for way in &ways {
        let late = client.post("/v1/auth/login").json(way);
        late.refused(401, "login_refused").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_for_one_site_does_not_answer_a_challenge_of_another() {
    let sites = toml::Value::Array(
        [
            ("one.example", "https://one.example"),
            ("two.example", "https://two.example"),
        ]
        .map(|(domain, origin)| {
            let site = [("domain", domain), ("uri", origin), ("origin", origin)];
            let site = site.map(|(name, value)| (name.to_owned(), value.into()));
            toml::Value::Table(site.into_iter().collect())
        })
        .into(),
    );
    let app = App::with(Setup::default().set("auth.sites", sites)).await;
    let client = app.anonymous();
    let wallet = Wallet::number(1);
    let address = wallet.address().to_string();
    let ask = client.get("/v1/auth/nonce").query(&[("address", &address)]);
    let challenge = ask.header("origin", "https://two.example").data().await;
    let text = challenge["nonce"].as_str().unwrap();
    assert!(text.starts_with("two.example wants"), "{text}");
    let moved = text.replace("two.example", "one.example");
    for (text, accepted) in [(moved.as_str(), false), (text, true)] {
        let body = json!({"message": text, "signature": wallet.sign(text)});
        let answer = client.post("/v1/auth/login").json(&body).send().await;
        assert_eq!(answer.status.is_success(), accepted, "{text}");
    }
}
