//! A whole story, told to the log in every detail: no secret of anybody is in what the program writes.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{PROVIDER_KEY, Setup, Surroundings, Tenant, User, models, question, streamed_question},
    client::Client,
    eventually,
    program::{Server, free_port},
    upstream::{Ending, Script},
    wallets::Wallet,
};
use serde_json::{Value, json};

const PROMPT: &str = "prompt-9f2c-nobody-else-s-business";
const NODE_KEY: &str = "node-access-key-1c6a7f";
/// Not one of any known form: nothing but knowing it keeps it out.
const BASIC: &str = "dXNlcjpodW50ZXIyLWluLWJhc2ljLWZvcm0";

/// What must not be written, by what it is.
#[derive(Default)]
struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    fn add(&mut self, what: &'static str, secret: impl Into<String>) {
        let secret = secret.into();
        assert!(secret.len() >= 8, "{what} is too short to be looked for");
        self.0.push((what, secret));
    }

    /// An API key: also its last part alone, which is what makes it one.
    fn add_key(&mut self, what: &'static str, key: &Value) -> String {
        let key = key["api_key"].as_str().expect("a key").to_owned();
        let signature = key.rsplit('.').next().expect("a signature").to_owned();
        self.add(what, key.clone());
        self.add(what, signature);
        key
    }

    /// A session's token: also its signature, and its payload.
    fn add_token(&mut self, what: &'static str, token: &str) {
        self.add(what, token);
        for part in token.split('.').skip(1) {
            self.add(what, part);
        }
    }

    fn expect_absent(&self, text: &str) {
        for (what, secret) in &self.0 {
            let Some(at) = text.find(secret.as_str()) else {
                continue;
            };
            let line = text.lines().find(|line| line.contains(secret.as_str()));
            panic!("{what} is in the log at byte {at}: {line:?}");
        }
    }
}

/// The settings' own secrets.
fn of_the_settings(around: &Surroundings, secrets: &mut Secrets) {
    secrets.add("the JWT secret", "a secret of tests that is long enough");
    secrets.add("the API keys' key", Wallet::named("api keys").key_hex());
    secrets.add("the database's key", Wallet::named("database").key_hex());
    secrets.add("the chain's key", around.chain.server.key_hex());
    secrets.add("the provider's key", PROVIDER_KEY);
    secrets.add("the node's key", NODE_KEY);
}

/// Challenges, a login that is refused and one that is not; tokens that are none.
async fn logins(anonymous: &Client, wallet: &Wallet, secrets: &mut Secrets) -> User {
    let address = wallet.address().to_string();
    let challenge = anonymous
        .get("/v1/auth/nonce")
        .query(&[("address", &address)])
        .data()
        .await;
    let text = challenge["nonce"].as_str().expect("a text");
    secrets.add(
        "a challenge's nonce",
        challenge["siwe"]["nonce"].as_str().expect("a nonce"),
    );
    for signer in [&Wallet::named("somebody else"), wallet] {
        let signature = signer.sign(text);
        secrets.add("a wallet's signature", &signature[2..]);
        let body = json!({"address": address, "signature": signature});
        anonymous.post("/v1/auth/login").json(&body).send().await;
    }
    let user = User::log_in(anonymous, wallet.clone()).await;
    secrets.add_token("a session's token", &user.token);
    secrets.add("a wallet's key", wallet.key_hex());

    let mut forged = user.token.clone();
    forged.push('x');
    for bad in [
        forged.as_str(),
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.",
        "hunter2-hunter2",
    ] {
        secrets.add("a bad token", bad);
        let answer = anonymous.bearer(bad).get("/v1/me").send().await;
        assert_eq!(answer.status, 401);
    }
    secrets.add("a password", BASIC);
    let basic = anonymous.with("authorization", format!("Basic {BASIC}"));
    assert_eq!(basic.get("/v1/me").send().await.status, 401);
    user
}

/// Keys made, turned over, misplaced and misused.
async fn keys(tenant: &Tenant, anonymous: &Client, secrets: &mut Secrets) -> String {
    let client = &tenant.owner.client;
    let body = json!({"name": "k", "project_id": tenant.project_id});
    let made = client.post("/v1/me/api-keys").json(&body).data().await;
    let old = secrets.add_key("a key", &made);
    let path = format!("/v1/me/api-keys/{}/rotate", made["id"]);
    let key = secrets.add_key("a key turned over", &client.post(&path).data().await);
    let default = client.get("/v1/me/api-key").data().await;
    secrets.add_key("the default key", &default);

    assert_eq!(
        anonymous
            .bearer(&old)
            .get("/v1beta/openai/models")
            .send()
            .await
            .status,
        401
    );
    let forged = format!("{}{}", &key[..key.len() - 4], "beef");
    secrets.add("a forged key", forged.clone());
    let program = anonymous.bearer(&forged);
    assert_eq!(program.chat(&question(models::FREE.1)).send().await.status, 401);

    // Where no credential belongs: in paths, queries, fields of other sorts.
    let token = &tenant.owner.token;
    for misplaced in [key.as_str(), token] {
        anonymous.get(&format!("/v1/receipts/{misplaced}")).send().await;
        client.get(&format!("/v1/me/api-keys/{misplaced}")).send().await;
        client
            .get(&format!("/v1beta/openai/models/{misplaced}"))
            .send()
            .await;
        anonymous
            .get("/v1/me")
            .query(&[("token", misplaced)])
            .send()
            .await;
        anonymous
            .get("/v1/auth/nonce")
            .query(&[("address", misplaced)])
            .send()
            .await;
        let body = json!({"address": misplaced, "signature": misplaced});
        anonymous.post("/v1/auth/login").json(&body).send().await;
        let body = json!({"name": 1, "project_id": misplaced});
        client.post("/v1/me/api-keys").json(&body).send().await;
        let broken = format!("{{\"name\": \"{misplaced}");
        client
            .post("/v1/projects")
            .header("content-type", "application/json")
            .body(broken)
            .send()
            .await;
        let context = client.with("haithe-organization", misplaced);
        context.chat(&question(models::FREE.1)).send().await;
    }
    key
}

/// Tokens of bots, taken and refused.
async fn bots(tenant: &Tenant, secrets: &mut Secrets) {
    let good = "7101202303:AAFm2Kx9_qT-4vWbZ0yR8sLdHnJc1UeXoPg";
    let bad = "7101202303:not-of-the-right-form";
    let path = format!("/v1/projects/{}/telegram", tenant.project_id);
    for (token, status) in [(good, 200), (bad, 400)] {
        secrets.add("a bot's token", token);
        let put = tenant.owner.client.put(&path);
        let answer = put.json(&json!({"teloxide_token": token})).send().await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
}

/// Answers, whole and streamed, and a provider that fails and says its key while it does.
async fn calls(around: &Surroundings, program: &Client, secrets: &mut Secrets) {
    secrets.add("a prompt", PROMPT);
    let ask = |streamed: bool| {
        let mut body = if streamed {
            streamed_question(models::PER_CALL.1)
        } else {
            question(models::PER_CALL.1)
        };
        body["messages"][0]["content"] = json!(PROMPT);
        program.chat(&body)
    };
    assert_eq!(ask(false).send().await.status, 200);
    assert_eq!(ask(true).send().await.status, 200);
    let said = json!({"error": {
        "message": format!("Incorrect API key provided: {PROVIDER_KEY}."),
        "type": "invalid_request_error", "code": PROVIDER_KEY, "param": PROVIDER_KEY,
    }})
    .to_string();
    for status in [400, 401, 403, 404, 422, 429, 500, 503] {
        for streamed in [false, true] {
            around.upstream.next([Script::status(status, &said)]);
            let answer = ask(streamed).send().await;
            assert!(answer.status.as_u16() >= 400);
            assert!(
                !answer.text().contains(PROVIDER_KEY),
                "{status}: {}",
                answer.text()
            );
        }
    }
    let event = format!("data: {said}\n\n");
    for script in [
        Script::verbatim(200, "text/event-stream", &event),
        Script::verbatim(200, "application/json", &said),
        Script::verbatim(200, "text/html", PROVIDER_KEY),
        Script::default().ending(Ending::GarbageAfter(1)),
        Script::default().ending(Ending::CloseAfter(1)),
        Script::reset(),
        Script::hang(),
    ] {
        around.upstream.next([script]);
        let answer = ask(true).send().await;
        assert!(!answer.text().contains(PROVIDER_KEY), "{}", answer.text());
    }
}

async fn story(format: &str) -> (String, Secrets) {
    let setup = Setup::default()
        .set("log.filter", "info,haithe=trace")
        .set("log.format", format)
        .set("log.slow_milliseconds", 10)
        .set("settlement.max_calls", 1);
    let mut around = Surroundings::prepare(setup).await;
    let node = format!("{}/{NODE_KEY}", around.chain.rpc_url().trim_end_matches('/'));
    around.set("chain.rpc_url", node);
    let mut secrets = Secrets::default();
    of_the_settings(&around, &mut secrets);

    let server: Server = around.serve(free_port()).await;
    let anonymous = server.anonymous();
    let owner = logins(&anonymous, &Wallet::named("the owner of secrets"), &mut secrets).await;
    let tenant = Tenant::found(&around.chain, owner, "Acme").await;
    tenant.deposit(&around.chain, Usdt::whole(5)).await;
    let key = keys(&tenant, &anonymous, &mut secrets).await;
    bots(&tenant, &mut secrets).await;
    calls(&around, &anonymous.bearer(&key), &mut secrets).await;
    eventually("a batch is on the chain", async || {
        (around.chain.next_batch().await > 1).then_some(())
    })
    .await;
    tenant.owner.client.post("/v1/auth/logout").send().await;
    assert!(server.terminate().await.success());

    // The node goes away, with its address in every error, and comes as another chain.
    around.set("chain.rpc_url", format!("http://127.0.0.1:9/{NODE_KEY}"));
    let server = around.serve(free_port()).await;
    let log = eventually("the outage is told", async || {
        let log = server.log();
        log.contains("could not be indexed").then_some(log)
    })
    .await;
    assert!(server.terminate().await.success());

    // Settings that are refused are named and not repeated.
    let mut all = log;
    for path in [
        "auth.jwt_secret",
        "auth.api_key_signing_key",
        "chain.server_key",
        "database.encryption_key",
        "chain.rpc_url",
    ] {
        let name = format!("HAITHE__{}", path.to_uppercase().replace('.', "__"));
        let variables = around.variables();
        let good = variables.iter().rfind(|(known, _)| *known == name);
        let good = good.expect("a setting of the fixture").1.clone();
        around.set(path, "short-secret");
        let ran = around.run(&["serve"], None).await;
        assert!(!ran.success(), "{path}");
        all.push_str(&ran.stdout);
        all.push_str(&ran.stderr);
        assert!(ran.stderr.contains(path), "{path}: {}", ran.stderr);
        around.set(path, good);
    }
    secrets.add("a refused secret", "short-secret");
    (all, secrets)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_what_the_program_writes() {
    for format in ["json", "pretty"] {
        let (log, secrets) = story(format).await;
        // The story was told at all, and in detail.
        for word in [
            "haithe::request",
            "haithe::security",
            "haithe::failure",
            "a provider gave no answer",
            "a transaction was mined",
            "[concealed]",
        ] {
            assert!(log.contains(word), "{word} is not in the log of {format}");
        }
        secrets.expect_absent(&log);
    }
}
