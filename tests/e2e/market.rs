//! Creators publish, browsers look, projects use: over REST, with the real contracts.

use alloy::primitives::U256;
use haithe_kernel::Usdt;
use haithe_tests::app::{App, Tenant, User};
use serde_json::{Value, json};

pub fn whole(usdt: u64) -> U256 {
    U256::from(usdt) * U256::from(10u64).pow(U256::from(18u64))
}

pub async fn creator(app: &App, number: u32) -> User {
    let user = app.wallet(number).await;
    let body = json!({"uri": "https://creator.example/me", "pub_key": "04ab", "pvt_key_seed": "ignored"});
    let registered = user.client.post("/v1/creator").json(&body).data().await;
    assert_eq!(registered["wallet_address"], user.address());
    let seed = registered["pvt_key_seed"].as_str().expect("a seed");
    assert!(seed.starts_with("0x") && seed.len() == 66, "{seed}");
    user
}

/// Publishes and waits until the index has it; gives its number and its contract.
pub async fn publish(
    app: &App,
    creator: &User,
    (name, category): (&str, &str),
    price: U256,
) -> (i64, alloy::primitives::Address) {
    let contract = app
        .chain
        .add_product(&creator.wallet, name, category, price)
        .await;
    let id = haithe_tests::eventually("the product is indexed", async || {
        let synced = creator.client.post("/v1/products").data().await;
        let product = &synced["product"];
        (product["name"] == name).then(|| product["id"].as_i64().expect("a number"))
    })
    .await;
    (id, contract)
}

fn names(products: &Value) -> Vec<&str> {
    let products = products["products"].as_array().expect("a list");
    products
        .iter()
        .map(|product| product["name"].as_str().expect("a name"))
        .collect()
}

#[tokio::test]
async fn a_wallet_becomes_a_creator_once_and_everybody_sees_it() {
    let app = App::start().await;
    let user = creator(&app, 7).await;
    let anonymous = app.anonymous();
    let shown = haithe_tests::eventually("the creator is indexed", async || {
        let answer = anonymous
            .get(&format!("/v1/creator/{}", user.address()))
            .send()
            .await;
        answer.status.is_success().then(|| answer.data())
    })
    .await;
    assert_eq!(shown["creator"]["uri"], "https://creator.example/me");
    let upper = user.address().to_uppercase().replace("0X", "0x");
    let again = anonymous.get(&format!("/v1/creator/{upper}")).data().await;
    assert_eq!(again["creator"]["wallet_address"], user.address());
    let all = anonymous.get("/v1/creator").send().await;
    assert_eq!(all.headers["x-total-count"], "1");
    assert_eq!(all.data()["creators"].as_array().map(Vec::len), Some(1));
    let body = json!({"uri": "https://creator.example/me", "pub_key": "04ab"});
    user.client
        .post("/v1/creator")
        .json(&body)
        .refused(409, "already_a_creator")
        .await;
    anonymous
        .get(&format!("/v1/creator/0x{}", "1".repeat(40)))
        .refused(404, "not_found")
        .await;
    let odd = app.wallet(8).await;
    for body in [
        json!({"uri": "", "pub_key": "x"}),
        json!({"uri": "a\nb", "pub_key": "x"}),
    ] {
        odd.client
            .post("/v1/creator")
            .json(&body)
            .refused(400, "invalid_text")
            .await;
    }
}

#[tokio::test]
async fn products_are_browsed_filtered_searched_and_described() {
    let app = App::start().await;
    let user = creator(&app, 7).await;
    let (facts, _) = publish(&app, &user, ("Facts of 100% truth", "knowledge:text"), whole(3)).await;
    publish(&app, &user, ("prompts_one", "promptset"), whole(1)).await;
    publish(&app, &user, ("../../etc/passwd", "tool:odd"), U256::MAX).await;
    let get = |path: &str| app.anonymous().get(path);
    let newest = get("/v1/products").data().await;
    assert_eq!(
        names(&newest),
        ["../../etc/passwd", "prompts_one", "Facts of 100% truth"]
    );
    assert_eq!(newest["products"][0]["usable"], false);
    assert_eq!(newest["products"][0]["price_per_call"], 0);
    assert_eq!(
        newest["products"][2]["price_per_call"].to_string(),
        "3000000000000000000"
    );
    assert_eq!(newest["products"][2]["description"], Value::Null);
    let of = |query: &'static [(&str, &str)]| async {
        let found = app.anonymous().get("/v1/products").query(query).data().await;
        names(&found).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(of(&[("category", "promptset")]).await, ["prompts_one"]);
    assert_eq!(of(&[("q", "FACTS")]).await, ["Facts of 100% truth"]);
    assert_eq!(of(&[("q", "100%")]).await, ["Facts of 100% truth"]);
    assert_eq!(of(&[("q", "s_o")]).await, ["prompts_one"]);
    assert_eq!(of(&[("q", "' OR 1=1 --")]).await, [""; 0]);
    assert_eq!(of(&[("sort", "price"), ("limit", "1")]).await, ["prompts_one"]);
    assert_eq!(
        of(&[("creator", "0x1111111111111111111111111111111111111111")]).await,
        [""; 0]
    );
    let page = get("/v1/products")
        .query(&[("limit", "1"), ("offset", "1")])
        .send()
        .await;
    assert_eq!(page.headers["x-total-count"], "3");
    assert_eq!(names(&page.data()), ["prompts_one"]);

    let path = format!("/v1/products/{facts}");
    let body = json!({"description": "All of it.", "photo_url": "https://p.example/a.png"});
    let described = user.client.patch(&path).json(&body).data().await;
    assert_eq!(described["product"]["description"], "All of it.");
    let cleared = user
        .client
        .patch(&path)
        .json(&json!({"photo_url": null}))
        .data()
        .await;
    assert_eq!(cleared["product"]["photo_url"], Value::Null);
    assert_eq!(cleared["product"]["description"], "All of it.");
    let other = app.wallet(8).await;
    other
        .client
        .patch(&path)
        .json(&body)
        .refused(403, "forbidden")
        .await;
    let bad = json!({"photo_url": "javascript:alert(1)"});
    user.client
        .patch(&path)
        .json(&bad)
        .refused(400, "invalid_photo_url")
        .await;
    get("/v1/products/999").refused(404, "not_found").await;
}

#[tokio::test]
async fn a_project_uses_a_product_that_its_organization_accepted_on_chain() {
    let app = App::start().await;
    let user = creator(&app, 7).await;
    let tenant: Tenant = app.funded("acme", Usdt::ZERO).await;
    let (facts, contract) = publish(&app, &user, ("facts", "knowledge:text"), whole(2)).await;
    let (odd, _) = publish(&app, &user, ("odd", "tool:odd"), whole(1)).await;
    let project = tenant.project_id.to_string();
    let query = [("project_id", project.as_str())];
    let owner = &tenant.owner.client;
    let enable = |id: i64| owner.post(&format!("/v1/products/{id}/enable")).query(&query);
    enable(facts).refused(409, "product_not_enabled_on_chain").await;
    enable(odd).refused(422, "product_unusable").await;
    enable(999).refused(404, "not_found").await;
    app.chain
        .enable_product(&tenant.owner.wallet, tenant.contract, contract, whole(2))
        .await;
    haithe_tests::eventually("the contract's acceptance is indexed", async || {
        enable(facts).send().await.status.is_success().then_some(())
    })
    .await;
    let products = format!("/v1/projects/{project}/products");
    assert_eq!(owner.get(&products).data().await["product_ids"], json!([facts]));
    let price = owner
        .get(&format!("/v1/projects/{project}/price-per-call"))
        .data()
        .await;
    assert_eq!(price["total_price_per_call_usdt"], "2");
    assert_eq!(price["total_price_per_call"].to_string(), "2000000000000000000");
    assert_eq!(price["lines"][0]["product_id"], facts);
    assert_eq!(price["lines"][0]["creator"], user.address());
    let disable = owner
        .delete(&format!("/v1/products/{facts}/disable"))
        .query(&query);
    assert_eq!(disable.data().await, json!({}));
    assert_eq!(owner.get(&products).data().await["product_ids"], json!([]));
}

#[tokio::test]
async fn the_waitlist_takes_an_address_once() {
    let app = App::start().await;
    let join = |email: &str| {
        app.anonymous()
            .post("/v1/auth/waitlist")
            .json(&json!({"email": email}))
    };
    assert_eq!(join("Some.Body@Example.com").data().await, json!({}));
    join("some.body@example.com")
        .refused(400, "already_registered")
        .await;
    for email in ["", "nobody", "@", "a b@c"] {
        join(email).refused(400, "invalid_parameter").await;
    }
}

#[tokio::test]
async fn statistics_count_what_the_index_has_seen() {
    let app = App::start().await;
    let user = creator(&app, 7).await;
    publish(&app, &user, ("facts", "knowledge:text"), whole(1)).await;
    let stats = app.anonymous().get("/v1/stats").data().await;
    assert_eq!(stats["contracts"][0]["type"], "HaitheOrchestrator");
    assert_eq!(
        stats["server"]["address"],
        app.chain.server.wallet_address().to_string()
    );
    assert_eq!(stats["server"]["transactionsCount"], 1);
    assert!(stats["transactionCount"].as_u64() >= Some(2), "{stats}");
}
