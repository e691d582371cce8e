//! Keys for programs: what they open, and what they don't.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, question},
    client::Client,
};
use serde_json::{Value, json};
use std::time::Duration;

const MODELS: &str = "/v1beta/openai/models";

async fn default_key(client: &Client) -> Value {
    client.get("/v1/me/api-key").data().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_key_verifies_from_its_own_text() {
    let app = App::start().await;
    let user = app.wallet(1).await;
    assert_eq!(
        user.client.get("/v1/me/api-key/last-issued").data().await["issued_at"],
        0
    );
    let issued = user.client.get("/v1/me/api-key").send().await;
    assert_eq!(issued.header("cache-control"), Some("no-store"));
    let issued = issued.data();
    let key = issued["api_key"].as_str().unwrap();
    let parts: Vec<&str> = key.strip_prefix("sk-").unwrap().split('.').collect();
    let [address, nonce, signature] = parts[..] else {
        panic!("three parts: {key}")
    };
    assert_eq!(format!("0x{address}"), user.address());
    assert_eq!(nonce.parse::<uuid::Uuid>().unwrap().get_version_num(), 7);
    assert_eq!(signature.len(), 130);
    let issued_at = issued["issued_at"].as_i64().unwrap();
    let message = format!("{issued_at}.0x{address}.{nonce}");
    assert_eq!(issued["message"], message);
    let bytes: alloy::primitives::Signature = format!("0x{signature}").parse().unwrap();
    let signer = bytes.recover_address_from_msg(message.as_bytes()).unwrap();
    assert_eq!(signer, haithe_tests::wallets::Wallet::named("api keys").address());
    let last = user.client.get("/v1/me/api-key/last-issued").data().await;
    assert_eq!(last["issued_at"], issued_at);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_one_live_default_key_and_disabling_it_is_for_ever() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let owner = &tenant.owner.client;
    let first = default_key(owner).await["api_key"].as_str().unwrap().to_owned();
    owner.get("/v1/me/api-key").refused(409, "api_key_exists").await;
    let by_key = |key: &str| {
        app.anonymous()
            .bearer(key)
            .with("haithe-organization", tenant.org_uid.as_str())
            .with("haithe-project", tenant.project_uid.as_str())
    };
    assert_eq!(by_key(&first).get(MODELS).send().await.status, 200);
    assert_eq!(owner.post("/v1/me/api-key/disable").data().await, json!({}));
    by_key(&first)
        .get(MODELS)
        .openai_refused(401, "invalid_api_key")
        .await;
    let second = default_key(owner).await["api_key"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    assert_eq!(by_key(&second).get(MODELS).send().await.status, 200);
    by_key(&first)
        .get(MODELS)
        .openai_refused(401, "invalid_api_key")
        .await;
    let app = app.restarted().await;
    let after = app.anonymous().bearer(&first).get(MODELS).send().await;
    after.openai_refused(401, "invalid_api_key");
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_ahead_makes_no_key() {
    let app = App::start().await;
    let user = app.wallet(1).await;
    let head = user.client.ask(http::Method::HEAD, "/v1/me/api-key").send().await;
    assert_eq!(head.status, 405);
    for (name, value) in [
        ("sec-purpose", "prefetch"),
        ("purpose", "prefetch"),
        ("x-moz", "prefetch"),
    ] {
        user.client
            .get("/v1/me/api-key")
            .header(name, value)
            .refused(400, "prefetch_refused")
            .await;
    }
    assert_eq!(
        user.client.get("/v1/me/api-key/last-issued").data().await["issued_at"],
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_opens_inference_and_nothing_else() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let program = app.anonymous().bearer(&tenant.project_key().await);
    assert_eq!(program.chat(&question("per-call")).send().await.status, 200);
    for path in [
        "/v1/me",
        "/v1/me/api-keys",
        "/v1/me/orgs",
        "/v1/orgs/1",
        "/v1/projects/1",
    ] {
        let refused = program.get(path).send().await;
        assert!(
            matches!(refused.status.as_u16(), 401 | 403),
            "{path}: {}",
            refused.status
        );
        refused.rest_failure();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_a_project_needs_no_headers_and_tolerates_no_others() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let other = app.funded("Other", Usdt::whole(1)).await;
    let program = app.anonymous().bearer(&tenant.project_key().await);
    assert_eq!(program.get(MODELS).send().await.status, 200);
    let own = program.with("openai-organization", tenant.org_uid.as_str());
    assert_eq!(own.get(MODELS).send().await.status, 200);
    for (header, uid) in [
        ("haithe-organization", &other.org_uid),
        ("haithe-project", &other.project_uid),
    ] {
        program
            .with(header, uid.as_str())
            .get(MODELS)
            .openai_refused(403, "key_scope")
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_may_be_bound_to_models_a_budget_and_a_date() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(5)).await;
    let project = tenant.project_id;
    let by = async |scope: Value| {
        let mut scope = scope;
        scope["project_id"] = json!(project);
        app.anonymous().bearer(&tenant.api_key(scope).await)
    };
    let bound = by(json!({"models": ["per-call"]})).await;
    assert_eq!(bound.chat(&question("per-call")).send().await.status, 200);
    bound
        .chat(&question("both"))
        .openai_refused(403, "key_scope")
        .await;
    let listed = bound.get(MODELS).send().await.json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1, "{listed}");
    let seen = app.upstream.count();
    let thrifty = by(json!({"budget": {"limit_usdt": "0.25", "window": "total"}})).await;
    for _ in 0..2 {
        assert_eq!(thrifty.chat(&question("per-call")).send().await.status, 200);
    }
    thrifty
        .chat(&question("per-call"))
        .openai_refused(402, "budget_exceeded")
        .await;
    assert_eq!(app.upstream.count(), seen + 2);
    let past = json!({"name": "past", "project_id": project, "expires_at": "2020-01-01T00:00:00Z"});
    tenant
        .owner
        .client
        .post("/v1/me/api-keys")
        .json(&past)
        .refused(400, "invalid_expiry")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_survives_a_restart() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(5)).await;
    let scope = json!({"project_id": tenant.project_id, "budget": {"limit_usdt": "0.15", "window": "day"}});
    let key = tenant.api_key(scope).await;
    assert_eq!(
        app.anonymous()
            .bearer(&key)
            .chat(&question("per-call"))
            .send()
            .await
            .status,
        200
    );
    let app = app.restarted().await;
    let program = app.anonymous().bearer(&key);
    program
        .chat(&question("per-call"))
        .openai_refused(402, "budget_exceeded")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_dead_on_the_next_request() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let key = tenant.project_key().await;
    let program = app.anonymous().bearer(&key);
    assert_eq!(program.get(MODELS).send().await.status, 200);
    let listed = tenant.owner.client.get("/v1/me/api-keys").data().await;
    assert!(!listed.to_string().contains(&key), "a key is shown once");
    let id = &listed[0]["id"];
    let stranger = app.wallet(2).await;
    stranger
        .client
        .delete(&format!("/v1/me/api-keys/{id}"))
        .refused(404, "not_found")
        .await;
    tenant
        .owner
        .client
        .delete(&format!("/v1/me/api-keys/{id}"))
        .data()
        .await;
    program.get(MODELS).openai_refused(401, "invalid_api_key").await;
    tenant
        .owner
        .client
        .delete(&format!("/v1/me/api-keys/{id}"))
        .refused(404, "not_found")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_loses_what_its_wallet_loses() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let worker = app.wallet(2).await;
    let members = format!("/v1/projects/{}/members", tenant.project_id);
    let developer = json!({"wallet_address": worker.address(), "role": "developer"});
    tenant.owner.client.post(&members).json(&developer).data().await;
    let body = json!({"name": "mine", "project_id": tenant.project_id});
    let key = worker.client.post("/v1/me/api-keys").json(&body).data().await;
    let program = app.anonymous().bearer(key["api_key"].as_str().unwrap());
    assert_eq!(program.chat(&question("free")).send().await.status, 200);
    let demoted = json!({"wallet_address": worker.address(), "role": "viewer"});
    tenant.owner.client.patch(&members).json(&demoted).data().await;
    program
        .chat(&question("free"))
        .openai_refused(403, "forbidden")
        .await;
    let gone = json!({"wallet_address": worker.address()});
    tenant.owner.client.delete(&members).json(&gone).data().await;
    program
        .chat(&question("free"))
        .openai_refused(404, "not_found")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_makes_a_key_for_what_is_not_theirs() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let stranger = app.wallet(2).await;
    for scope in [
        json!({"project_id": tenant.project_id}),
        json!({"org_id": tenant.org_id}),
    ] {
        let mut body = scope;
        body["name"] = json!("theft");
        stranger
            .client
            .post("/v1/me/api-keys")
            .json(&body)
            .refused(404, "not_found")
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_a_typing_error_is_no_key() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let key = tenant.project_key().await;
    let swapped = |at: usize| {
        let mut bytes = key.clone().into_bytes();
        bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
        String::from_utf8(bytes).unwrap()
    };
    let mut typos: Vec<String> = [3, 10, 44, 60, 82, 150, 200].into_iter().map(swapped).collect();
    typos.extend([
        key[..key.len() - 1].to_owned(),
        format!("{key}0"),
        key.to_uppercase(),
        key.replace("sk-", ""),
        key.replace('.', "_"),
        "sk-..".into(),
        "sk-".into(),
    ]);
    for typo in typos {
        let refused = app.anonymous().bearer(&typo).get(MODELS).send().await;
        refused.openai_refused(401, "invalid_api_key");
        assert!(!refused.text().contains(&typo), "a secret is never repeated");
    }
    assert_eq!(app.anonymous().bearer(&key).get(MODELS).send().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_bound_to_routes_opens_those_and_no_others() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let bound = json!({"project_id": tenant.project_id, "routes": ["models"]});
    let reader = app.anonymous().bearer(&tenant.api_key(bound).await);
    assert_eq!(reader.get(MODELS).send().await.status, 200);
    let one = reader.get("/v1beta/openai/models/free").send().await;
    assert_eq!(one.status, 200, "{}", one.text());
    reader
        .chat(&question("free"))
        .openai_refused(403, "key_scope")
        .await;
    let bound = json!({"project_id": tenant.project_id, "routes": ["chat.completions", "conversations"]});
    let asker = app.anonymous().bearer(&tenant.api_key(bound).await);
    assert_eq!(asker.chat(&question("free")).send().await.status, 200);
    asker.get(MODELS).openai_refused(403, "key_scope").await;
    let owner = &tenant.owner.client;
    for (routes, code) in [
        (json!([]), "invalid_key_scope"),
        (json!(["chat"]), "invalid_parameter"),
        (json!("models"), "invalid_parameter"),
    ] {
        let body = json!({"name": "x", "routes": routes});
        let ask = owner.post("/v1/me/api-keys").json(&body);
        ask.refused(400, code).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_key_has_the_same_authority_and_the_budget_it_had_left() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(5)).await;
    let owner = &tenant.owner.client;
    let scope = json!({
        "project_id": tenant.project_id, "models": ["per-call"], "routes": ["chat.completions"],
        "budget": {"limit_usdt": "0.25", "window": "total"},
    });
    let old = tenant.api_key(scope).await;
    let ask = async |key: &str| {
        let program = app.anonymous().bearer(key);
        program.chat(&question("per-call")).send().await
    };
    assert_eq!(ask(&old).await.status, 200);
    let before = owner.get("/v1/me/api-keys").data().await[0].clone();
    let path = format!("/v1/me/api-keys/{}", before["id"]);
    // A key says the second of its issue: the new one's must be after the call.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let rotated = owner.post(&format!("{path}/rotate")).send().await;
    assert_eq!(rotated.header("cache-control"), Some("no-store"));
    let rotated = rotated.data();
    let new = rotated["api_key"].as_str().unwrap();
    assert_ne!(new, old);
    ask(&old).await.openai_refused(401, "invalid_api_key");
    assert_eq!(ask(new).await.status, 200);
    ask(new).await.openai_refused(402, "budget_exceeded");
    let after = owner.get(&path).data().await;
    for field in ["id", "name", "project_id", "org_id", "models", "routes", "budget"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    assert_eq!(rotated["id"], before["id"]);
    assert!(!after.to_string().contains(new), "a key is shown once");
    let app = app.restarted().await;
    let dead = app.anonymous().bearer(&old).chat(&question("per-call"));
    dead.openai_refused(401, "invalid_api_key").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_key_rotates_and_stays_the_default_key() {
    let app = App::start().await;
    let user = app.wallet(1).await;
    let first = default_key(&user.client).await;
    let id = user.client.get("/v1/me/api-keys").data().await[0]["id"].clone();
    let rotate = user.client.post(&format!("/v1/me/api-keys/{id}/rotate"));
    let rotated = rotate.data().await;
    assert_eq!(rotated["is_default"], true);
    let old = app.anonymous().bearer(first["api_key"].as_str().unwrap());
    old.get(MODELS).openai_refused(401, "invalid_api_key").await;
    user.client
        .get("/v1/me/api-key")
        .refused(409, "api_key_exists")
        .await;
    user.client.post("/v1/me/api-key/disable").data().await;
    let new = app.anonymous().bearer(rotated["api_key"].as_str().unwrap());
    new.get(MODELS).openai_refused(401, "invalid_api_key").await;
    default_key(&user.client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_budget_acts_on_the_next_request_and_a_dead_key_is_not_changed() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(5)).await;
    let owner = &tenant.owner.client;
    let scope = json!({"project_id": tenant.project_id, "budget": {"limit_usdt": "0.15", "window": "total"}});
    let program = app.anonymous().bearer(&tenant.api_key(scope).await);
    let ask = async || program.chat(&question("per-call")).send().await;
    assert_eq!(ask().await.status, 200);
    ask().await.openai_refused(402, "budget_exceeded");
    let id = owner.get("/v1/me/api-keys").data().await[0]["id"].clone();
    let path = format!("/v1/me/api-keys/{id}");
    let more = json!({"budget": {"limit_usdt": "0.25", "window": "total"}, "name": "renamed"});
    let changed = owner.patch(&path).json(&more).data().await;
    assert_eq!(
        (&changed["name"], &changed["budget"]["limit_usdt"]),
        (&json!("renamed"), &json!("0.25"))
    );
    assert_eq!(ask().await.status, 200);
    ask().await.openai_refused(402, "budget_exceeded");
    let free = json!({"budget": null, "requests_per_minute": 600});
    let changed = owner.patch(&path).json(&free).data().await;
    assert_eq!(
        (&changed["budget"], &changed["requests_per_minute"]),
        (&Value::Null, &json!(600))
    );
    assert_eq!(ask().await.status, 200);
    for (body, code) in [
        (json!({}), "nothing_to_change"),
        (json!({"name": ""}), "invalid_key_name"),
        (json!({"requests_per_minute": 0}), "invalid_rate"),
        (json!({"expires_at": "2020-01-01T00:00:00Z"}), "invalid_expiry"),
    ] {
        owner.patch(&path).json(&body).refused(400, code).await;
    }
    let stranger = app.wallet(2).await.client;
    let rename = json!({"name": "mine"});
    stranger.get(&path).refused(404, "not_found").await;
    stranger
        .patch(&path)
        .json(&rename)
        .refused(404, "not_found")
        .await;
    stranger
        .post(&format!("{path}/rotate"))
        .refused(404, "not_found")
        .await;
    owner.delete(&path).data().await;
    owner
        .patch(&path)
        .json(&rename)
        .refused(409, "api_key_not_live")
        .await;
    owner
        .post(&format!("{path}/rotate"))
        .refused(409, "api_key_not_live")
        .await;
    assert!(owner.get(&path).data().await["revoked_at"].is_string());
    ask().await.openai_refused(401, "invalid_api_key");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_listed_in_pages_by_life_and_by_name() {
    let app = App::start().await;
    let owner = app.wallet(1).await.client;
    for name in ["alpha", "beta", "Alphabet"] {
        let body = json!({"name": name});
        owner.post("/v1/me/api-keys").json(&body).data().await;
    }
    let list = async |query: &[(&str, &str)]| {
        let answer = owner.get("/v1/me/api-keys").query(query).send().await;
        let total = answer.header("x-total-count").unwrap().to_owned();
        let names: Vec<String> = answer
            .data()
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key["name"].as_str().unwrap().to_owned())
            .collect();
        (names, total)
    };
    let (names, total) = list(&[]).await;
    assert_eq!(
        (names.join(" "), total.as_str()),
        ("Alphabet beta alpha".into(), "3")
    );
    let (names, total) = list(&[("limit", "1"), ("offset", "1")]).await;
    assert_eq!((names.join(" "), total.as_str()), ("beta".into(), "3"));
    let (names, total) = list(&[("q", "ALPHA")]).await;
    assert_eq!((names.join(" "), total.as_str()), ("Alphabet alpha".into(), "2"));
    let beta = &owner.get("/v1/me/api-keys").data().await[1]["id"];
    owner.delete(&format!("/v1/me/api-keys/{beta}")).data().await;
    assert_eq!(list(&[("live", "true")]).await.0.join(" "), "Alphabet alpha");
    assert_eq!(list(&[("live", "false")]).await.0.join(" "), "beta");
}
