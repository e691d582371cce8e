//! The rest of the existing SDK's calls, one test per part of it: each request as the SDK sends it (JSON
//! declared, body or not; parameters in the query), each `data` by its fields and their types.

use crate::{
    market::{creator, publish, whole},
    sdk_wire::sdk,
    shape::{CONVERSATION, CREATOR, MESSAGE, MODEL, ORGANIZATION, PRODUCT, PROJECT, assert_shape},
};
use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Setup, Tenant},
    client::Client,
};
use serde_json::{Value, json};

async fn owner(app: &App) -> (Tenant, Client) {
    let tenant = app.funded("Acme", Usdt::whole(3)).await;
    let sdk = sdk(app, &tenant.owner.token);
    (tenant, sdk)
}

/// The text of a field's value in the answer as it was sent: no JSON library in between.
fn raw<'t>(text: &'t str, field: &str) -> &'t str {
    let name = format!("\"{field}\":");
    let (_, rest) = text
        .split_once(&name)
        .unwrap_or_else(|| panic!("{field} in {text}"));
    let end = rest.find([',', '}']).expect("the object ends");
    &rest[..end]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_reads_what_is_public_with_a_token_that_is_none() {
    let app = App::start().await;
    let user = creator(&app, 7).await;
    let (id, _) = publish(&app, &user, ("facts", "knowledge:text"), whole(2)).await;
    for token in ["null", "", "eyJhbGciOiJIUzI1NiJ9.e30.stale", "sk-stale"] {
        let sdk = sdk(&app, token);
        let models = sdk.get("/v1/models").data().await;
        for model in models.as_array().expect("a list") {
            assert_shape(model, &MODEL);
        }
        let creators = sdk.get("/v1/creator").data().await;
        assert_shape(&creators["creators"][0], &CREATOR);
        let path = format!("/v1/creator/{}", user.address());
        assert_shape(&sdk.get(&path).data().await["creator"], &CREATOR);
        let products = sdk.get(&format!("{path}/products")).data().await;
        assert_shape(&products["products"][0], &PRODUCT);
        let products = sdk.get("/v1/products").data().await;
        assert_shape(&products["products"][0], &PRODUCT);
        let product = sdk.get(&format!("/v1/products/{id}")).data().await;
        assert_shape(&product["product"], &PRODUCT);
        assert_eq!(
            product["product"]["price_per_call"].to_string(),
            "2000000000000000000"
        );
        for absent in ["uri", "encrypted_key"] {
            assert!(product["product"].get(absent).is_none(), "{absent} is not shown");
        }
        let stats = sdk.get("/v1/stats").data().await;
        let fields = [
            ("contracts", "list"),
            ("server", "object"),
            ("transactionCount", "int"),
        ];
        assert_shape(&stats, &fields);
        let fields = [
            ("address", "address"),
            ("type", "text"),
            ("transactionsCount", "int"),
        ];
        assert_shape(&stats["contracts"][0], &fields);
        let fields = [("address", "address"), ("transactionsCount", "int")];
        assert_shape(&stats["server"], &fields);
        let nonce = sdk.get("/v1/auth/nonce").query(&[("address", &user.address())]);
        assert_shape(&nonce.data().await, &[("nonce", "text")]);
    }
    let unknown = sdk(&app, "null");
    let nobody = format!("/v1/creator/0x{}", "1".repeat(40));
    unknown.get(&nobody).refused(404, "not_found").await;
    unknown.get("/v1/products/999").refused(404, "not_found").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_joins_the_waitlist() {
    let app = App::start().await;
    let sdk = sdk(&app, "null");
    let join = |email: &str| {
        sdk.post("/v1/auth/waitlist")
            .body(json!({"email": email}).to_string())
    };
    assert_eq!(join("Some.Body@Example.com").data().await, json!({}));
    assert_eq!(
        join("some.body@example.COM").send().await.status,
        400,
        "lower-cased"
    );
    assert_eq!(join("nobody").send().await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_asks_the_faucet() {
    let app = App::with(Setup::default().set("chain.faucet", true)).await;
    app.chain.fill_faucet(Usdt::whole(1_000)).await;
    let user = app.wallet(7).await;
    let sdk = sdk(&app, &user.token);
    let none = sdk.get("/v1/me/faucet").data().await;
    assert_eq!(none, json!({"last_request": {"id": 0, "requested_at": ""}}));
    let granted = sdk.post("/v1/me/faucet").body("{}").data().await;
    let fields = [
        ("amount", "text"),
        ("token", "text"),
        ("transaction_hash", "text"),
        ("recipient", "address"),
    ];
    assert_shape(&granted, &fields);
    assert_eq!(
        (&granted["amount"], &granted["token"]),
        (&json!("500"), &json!("tUSDT"))
    );
    let last = sdk.get("/v1/me/faucet").data().await;
    assert_shape(&last["last_request"], &[("id", "int"), ("requested_at", "time")]);
    let again = sdk.post("/v1/me/faucet").body(r#"{"product_id":7}"#);
    assert_eq!(again.send().await.status, 400, "within an hour");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_makes_a_default_key_of_the_form_it_takes_apart() {
    let app = App::start().await;
    let (tenant, sdk) = owner(&app).await;
    let key = sdk.get("/v1/me/api-key").data().await;
    let fields = [("api_key", "text"), ("message", "text"), ("issued_at", "int")];
    assert_shape(&key, &fields);
    let text = key["api_key"].as_str().expect("text");
    let parts: Vec<&str> = text.strip_prefix("sk-").expect("a key").split('.').collect();
    let [address, nonce, signature] = parts[..] else {
        panic!("three parts: {text}");
    };
    assert_eq!(format!("0x{address}"), tenant.owner.address());
    assert!(
        nonce.len() == 36 && nonce.matches('-').count() == 4,
        "{nonce} is a UUID"
    );
    assert!(signature.len() == 130 && signature.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let issued_at = key["issued_at"].to_string();
    assert_eq!(key["message"], format!("{issued_at}.0x{address}.{nonce}"));
    let last = sdk.get("/v1/me/api-key/last-issued").data().await;
    assert_eq!(last, json!({"issued_at": key["issued_at"]}));
    assert!(
        !sdk.get("/v1/me/api-key").send().await.status.is_success(),
        "one is live"
    );
    assert_eq!(sdk.post("/v1/me/api-key/disable").data().await, json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_reads_money_of_any_size_as_integers() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1_000_000)).await;
    let sdk = sdk(&app, &tenant.owner.token);
    let org = format!("/v1/orgs/{}", tenant.org_id);
    let balance = sdk.get(&format!("{org}/balance")).send().await.text();
    assert_eq!(
        raw(&balance, "balance"),
        "1000000000000000000000000",
        "beyond 64 bits"
    );
    let spent = sdk.get(&format!("{org}/expenditure")).send().await.text();
    assert_eq!(raw(&spent, "expenditure"), "0");
    let price = format!("/v1/projects/{}/price-per-call", tenant.project_id);
    let price = sdk.get(&price).send().await.text();
    assert_eq!(raw(&price, "total_price_per_call"), "0");
    let user = creator(&app, 7).await;
    publish(&app, &user, ("dear", "promptset"), whole(9_000_000_000)).await;
    let products = sdk.get("/v1/products").send().await.text();
    assert_eq!(raw(&products, "price_per_call"), "9000000000000000000000000000");
    let models = sdk.get("/v1/models").send().await.text();
    let first = raw(&models, "price_per_call");
    assert!(first.bytes().all(|byte| byte.is_ascii_digit()), "{first}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_manages_organizations_projects_and_members() {
    let app = App::start().await;
    let (tenant, sdk) = owner(&app).await;
    let org = format!("/v1/orgs/{}", tenant.org_id);
    let made = sdk.post("/v1/orgs").data().await;
    assert_shape(&made, &ORGANIZATION);
    assert_shape(&made, &[("count", "int")]);
    assert_shape(&sdk.get("/v1/me/orgs").data().await[0], &ORGANIZATION);
    assert_shape(
        &sdk.patch(&org).query(&[("name", "N")]).data().await,
        &ORGANIZATION,
    );
    let member = app.wallet(2).await;
    let wallet = member.address();
    let in_org = [
        ("org_id", "int"),
        ("wallet_address", "address"),
        ("role", "text"),
        ("created_at", "time"),
    ];
    let members = format!("{org}/members");
    let upper = wallet.to_uppercase().replace("0X", "0x");
    let query = |role| [("wallet_address", upper.clone()), ("role", String::from(role))];
    let add = |role| {
        let pairs = query(role);
        let pairs = pairs.each_ref().map(|(name, value)| (*name, value.as_str()));
        sdk.post(&members).query(&pairs)
    };
    let added = add("member").data().await;
    assert_shape(&added, &in_org);
    assert_eq!(added["wallet_address"], wallet, "any case in, lower case out");
    assert_eq!(add("member").send().await.status, 409);
    assert_eq!(add("owner").send().await.status, 400);
    assert_shape(&sdk.get(&members).data().await[0], &in_org);
    let project = sdk.post("/v1/projects");
    let project = project.query(&[("org_id", &tenant.org_id.to_string()), ("name", "P")]);
    let project = project.data().await;
    assert_shape(&project, &PROJECT);
    assert_shape(&sdk.get(&format!("{org}/projects")).data().await[0], &PROJECT);
    let path = format!("/v1/projects/{}", project["id"]);
    let changed = sdk.patch(&path).query(&[("search_enabled", "true")]);
    assert_shape(&changed.data().await, &PROJECT);
    let members = format!("{path}/members");
    let in_project = [
        ("project_id", "int"),
        ("wallet_address", "address"),
        ("role", "text"),
    ];
    let add = sdk
        .post(&members)
        .query(&[("wallet_address", &wallet), ("role", "developer")]);
    assert_shape(&add.data().await, &in_project);
    assert_shape(&sdk.get(&members).data().await[0], &in_project);
    assert_shape(&member.client.get("/v1/me/projects").data().await[0], &PROJECT);
    let removed = sdk.delete(&members).query(&[("wallet_address", &wallet)]);
    assert_shape(&removed.data().await, &in_project);
    for platform in ["telegram", "discord"] {
        let bot = sdk.get(&format!("{path}/{platform}")).data().await;
        let fields = [
            ("configured", "bool"),
            ("running", "bool"),
            ("org_uid", "uid"),
            ("project_uid", "uid"),
            ("me", "null"),
        ];
        assert_shape(&bot, &fields);
    }
    let clear = |field: &str| json!({ field: Value::Null }).to_string();
    let telegram = sdk.put(&format!("{path}/telegram")).body(clear("teloxide_token"));
    assert_eq!(telegram.data().await, json!({}));
    let discord = sdk.put(&format!("{path}/discord")).body(clear("discord_token"));
    assert_eq!(discord.data().await, json!({}));
    assert_shape(&sdk.delete(&path).data().await, &PROJECT);
    assert_shape(&sdk.delete(&org).data().await, &ORGANIZATION);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_registers_a_creator_and_uses_products() {
    let app = App::start().await;
    let (tenant, sdk) = owner(&app).await;
    let body = json!({"uri": "https://c.example", "pvt_key_seed": "0x00", "pub_key": "04ab"});
    let registered = sdk.post("/v1/creator").body(body.to_string()).data().await;
    let fields = [
        ("wallet_address", "address"),
        ("uri", "text"),
        ("pub_key", "text"),
        ("pvt_key_seed", "text"),
    ];
    assert_shape(&registered, &fields);
    let product = ("facts", "knowledge:text");
    let (id, contract) = publish(&app, &tenant.owner, product, whole(2)).await;
    let synced = json!({"name": "n", "url": "u", "encrypted_key": "k", "category": "promptset", "price_per_call": "1"});
    let synced = sdk.post("/v1/products").body(synced.to_string()).data().await;
    assert_eq!(synced["count"], 1, "the body is ignored");
    let page = json!({"description": "All.", "photo_url": "https://p.example/a.png"});
    let described = sdk.patch(&format!("/v1/products/{id}")).body(page.to_string());
    assert_shape(&described.data().await["product"], &PRODUCT);
    app.chain
        .enable_product(&tenant.owner.wallet, tenant.contract, contract, whole(2))
        .await;
    let project = tenant.project_id.to_string();
    let query = [("project_id", project.as_str())];
    let enable = format!("/v1/products/{id}/enable");
    let enabled = haithe_tests::eventually("the contract's acceptance is indexed", async || {
        let answer = sdk.post(&enable).query(&query).send().await;
        answer.status.is_success().then(|| answer.data())
    })
    .await;
    assert_eq!(enabled, json!({}));
    let products = format!("/v1/projects/{project}/products");
    assert_eq!(sdk.get(&products).data().await["product_ids"], json!([id]));
    let price = sdk.get(&format!("/v1/projects/{project}/price-per-call"));
    assert_shape(&price.data().await, &[("total_price_per_call", "int")]);
    let disable = sdk.delete(&format!("/v1/products/{id}/disable")).query(&query);
    assert_eq!(disable.data().await, json!({}));
    assert_eq!(sdk.get(&products).data().await["product_ids"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_keeps_conversations() {
    let app = App::start().await;
    let (tenant, session) = owner(&app).await;
    let key = sdk(
        &app,
        session.get("/v1/me/api-key").data().await["api_key"]
            .as_str()
            .unwrap(),
    );
    for (caller, [org, project]) in [
        (session, ["haithe-organization", "haithe-project"]),
        (key, ["openai-organization", "openai-project"]),
    ] {
        let sdk = caller
            .with(org, format!("org-{}", tenant.org_uid))
            .with(project, tenant.project_uid.as_str());
        let path = "/v1beta/chat/conversations";
        let begun = sdk.post(path).data().await;
        assert_shape(&begun, &CONVERSATION);
        let title = begun["title"].as_str().expect("text");
        assert!(
            title.starts_with("New Conversation ") && title.len() == 25,
            "{title}"
        );
        assert_shape(&sdk.get(path).data().await[0], &CONVERSATION);
        let one = format!("{path}/{}", begun["id"]);
        assert_shape(&sdk.get(&one).data().await, &CONVERSATION);
        let renamed = sdk.patch(&one).body(r#"{"title":"Plans"}"#).data().await;
        assert_shape(&renamed, &CONVERSATION);
        assert_eq!(renamed["title"], "Plans");
        let messages = format!("{one}/messages");
        assert_eq!(sdk.get(&messages).data().await, json!([]));
        for sender in ["user", "ai"] {
            let body = json!({"message": "hello", "sender": sender}).to_string();
            let said = sdk.post(&messages).body(body).data().await;
            assert_shape(&said, &MESSAGE);
            assert_eq!(said["sender"], sender);
        }
        assert_shape(&sdk.get(&messages).data().await[1], &MESSAGE);
        assert_eq!(sdk.delete(&one).data().await, json!({"rows_affected": 1}));
        sdk.get(&one).refused(404, "not_found").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_found_by_what_they_are_and_all_of_them_without_a_question() {
    let app = App::start().await;
    let names = |query: &'static [(&str, &str)]| {
        let ask = app.anonymous().get("/v1/models").query(query);
        async {
            let found = ask.data().await;
            let found = found.as_array().expect("a list").iter();
            let names = found.map(|model| model["name"].as_str().expect("text").to_owned());
            names.collect::<Vec<_>>()
        }
    };
    let all = app.anonymous().get("/v1/models").send().await;
    let count = all.data().as_array().map(Vec::len).expect("a list");
    assert_eq!(all.header("x-total-count"), Some(count.to_string().as_str()));
    assert!(count > 8);
    assert_eq!(names(&[("provider", "sandbox")]).await, ["sandbox"]);
    assert_eq!(names(&[("capability", "embeddings")]).await, ["vectors"]);
    assert!(
        names(&[("active", "false")])
            .await
            .contains(&"inactive".to_owned())
    );
    assert!(
        !names(&[("active", "true")])
            .await
            .contains(&"inactive".to_owned())
    );
    assert_eq!(names(&[("search", "PER-CALL")]).await, ["per-call"]);
    assert_eq!(names(&[("q", "a fixed price")]).await, ["per-call"]);
    assert_eq!(
        names(&[("search", "per-"), ("limit", "1"), ("offset", "1")]).await,
        ["per-token"]
    );
    assert_eq!(
        names(&[("search", "per-"), ("provider", "nobody")]).await,
        [""; 0]
    );
    for wrong in [("capability", "flying"), ("active", "maybe"), ("limit", "0")] {
        let refused = app.anonymous().get("/v1/models").query(&[wrong]).send().await;
        assert_eq!(refused.status, 400, "{wrong:?}");
    }
    let shown = app.anonymous().get("/v1/models").query(&[("search", "vectors")]);
    assert_eq!(shown.data().await[0]["capabilities"], json!(["embeddings"]));
}
