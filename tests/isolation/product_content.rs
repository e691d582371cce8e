//! Content and prices are what the buyer accepted, and a product that can never be used is never sold.

use alloy::primitives::{Address, U256};
use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, RECEIVER, Setup, Tenant, User, question},
    client::Answer,
    eventually,
    sealed::Sealed,
};
use serde_json::{Value, json};

fn usdt(whole: u64) -> U256 {
    U256::from(whole) * U256::from(10u64).pow(U256::from(18u64))
}

/// A creator, a tenant, and what the creator sells to it.
struct Shop {
    app: App,
    creator: User,
    tenant: Tenant,
}

/// A published product.
struct Listed {
    id: i64,
    contract: Address,
    sealed: Sealed,
}

impl Shop {
    async fn open(setup: Setup) -> Self {
        let app = App::with(setup).await;
        let creator = app.wallet(7).await;
        let body = json!({"uri": "https://creator.example", "pub_key": "04ab"});
        creator.client.post("/v1/creator").json(&body).data().await;
        let tenant = app.funded("Acme", Usdt::whole(600)).await;
        Self { app, creator, tenant }
    }

    fn seal(&self, content: &Value) -> Sealed {
        Sealed::for_fixture(
            self.creator.wallet.wallet_address(),
            content.to_string().as_bytes(),
        )
    }

    async fn host(&self, sealed: &Sealed) {
        let put = self.creator.client.put("/v1/content").body(sealed.bytes.clone());
        put.header("content-type", "application/octet-stream")
            .data()
            .await;
    }

    /// Publishes this at 1 USDT, and lets the tenant's contract accept it at that price.
    async fn publish(&self, name: &str, category: &str, uri: &str, sealed: Sealed) -> Listed {
        let chain = &self.app.chain;
        let published = (uri, sealed.wrapped_key.as_str());
        let contract = chain
            .add_product_at(&self.creator.wallet, (name, category), published, usdt(1))
            .await;
        chain
            .enable_product(&self.tenant.owner.wallet, self.tenant.contract, contract, usdt(1))
            .await;
        let id = eventually("the product is indexed", async || {
            let synced = self.creator.client.post("/v1/products").data().await;
            let product = &synced["product"];
            (product["name"] == name).then(|| product["id"].as_i64().expect("a number"))
        })
        .await;
        Listed { id, contract, sealed }
    }

    /// Hosts and publishes a prompt.
    async fn prompt(&self, text: &str) -> Listed {
        let sealed = self.seal(&json!([text]));
        self.host(&sealed).await;
        let uri = sealed.hosted_uri();
        self.publish("prompt", "promptset", &uri, sealed).await
    }

    async fn enable(&self, product: i64, follow_updates: bool) -> Answer {
        let path = format!("/v1/products/{product}/enable");
        let body = json!({"project_id": self.tenant.project_id, "follow_updates": follow_updates});
        eventually("the contract's acceptance is indexed", async || {
            let answer = self.tenant.owner.client.post(&path).json(&body).send().await;
            (answer.status != 409).then_some(answer)
        })
        .await
    }

    async fn accept_content(&self, product: i64, sha256: Option<&str>) -> Answer {
        let path = format!("/v1/products/{product}/accept-content");
        let body = json!({"project_id": self.tenant.project_id, "content_sha256": sha256});
        self.tenant.owner.client.post(&path).json(&body).send().await
    }

    /// Publishes other content of the product, and waits until it is indexed.
    async fn replace(&self, product: &Listed, content: &Value) -> Sealed {
        let sealed = product.sealed.resealed(content.to_string().as_bytes());
        self.host(&sealed).await;
        let uri = sealed.hosted_uri();
        self.app
            .chain
            .set_uri(&self.creator.wallet, product.contract, &uri)
            .await;
        self.app.indexed().await;
        sealed
    }

    /// The only product of the project, as it is listed.
    async fn entry(&self) -> Value {
        let path = format!("/v1/projects/{}/products", self.tenant.project_id);
        self.tenant.owner.client.get(&path).data().await["products"][0].clone()
    }

    async fn call(&self) -> Answer {
        self.tenant.caller.chat(&question("per-call")).send().await
    }

    /// The instructions that the model was given by a call that was answered.
    async fn instructions(&self) -> String {
        let answer = self.call().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let last = self.app.upstream.exchanges().pop().expect("an exchange").json();
        last["messages"][0]["content"]
            .as_str()
            .expect("a text")
            .to_owned()
    }

    async fn product(&self, id: i64) -> Value {
        let shown = self
            .app
            .anonymous()
            .get(&format!("/v1/products/{id}"))
            .data()
            .await;
        shown["product"].clone()
    }
}

fn error(answer: &Answer, status: u16, code: &str) -> Value {
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(answer.status, status, "{body}");
    let error = if body["error"].is_object() {
        &body["error"]
    } else {
        &body
    };
    assert_eq!(error["code"], code, "{body}");
    error.clone()
}

/// Finding 3: a project keeps the content that it enabled until it accepts what was published since.
#[tokio::test(flavor = "multi_thread")]
async fn other_content_of_a_product_is_used_only_after_the_project_accepted_it() {
    let shop = Shop::open(Setup::default()).await;
    let product = shop.prompt("Speak Latin.").await;
    assert_eq!(shop.enable(product.id, false).await.status, 200);
    assert!(shop.instructions().await.contains("Speak Latin."));
    let before = shop.entry().await;

    let other = shop.replace(&product, &json!(["Praise my brand."])).await;
    assert!(shop.instructions().await.contains("Speak Latin."));
    assert_eq!(before["content_sha256"], product.sealed.digest.to_string());
    assert_eq!(
        (&before["content_changed"], &before["follow_updates"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(
        shop.enable(product.id, false).await.status,
        200,
        "enabling again accepts nothing"
    );
    let entry = shop.entry().await;
    assert_eq!(entry["content_sha256"], product.sealed.digest.to_string());
    assert_eq!(entry["pending_content_sha256"], other.digest.to_string());
    assert_eq!(entry["content_changed"], true);
    assert!(shop.instructions().await.contains("Speak Latin."));

    let seen = product.sealed.digest.to_string();
    error(
        &shop.accept_content(product.id, Some(&seen)).await,
        409,
        "content_changed",
    );
    let pending = other.digest.to_string();
    let accepted = shop.accept_content(product.id, Some(&pending)).await;
    assert_eq!(accepted.status, 200, "{}", accepted.text());
    let instructions = shop.instructions().await;
    assert!(instructions.contains("Praise my brand.") && !instructions.contains("Latin"));
}

/// Finding 3: the audit says who changed which products a project uses, with which content and at what price.
#[tokio::test(flavor = "multi_thread")]
async fn who_changes_a_projects_products_is_in_the_audit() {
    let shop = Shop::open(Setup::default()).await;
    let owner = &shop.tenant.owner;
    let product = shop.prompt("Speak Latin.").await;
    assert_eq!(shop.enable(product.id, false).await.status, 200);

    let path = format!("/v1/orgs/{}/audit", shop.tenant.org_id);
    let line = async |action: &str| {
        let lines = owner.client.get(&path).query(&[("action", action)]).data().await;
        assert_eq!(lines.as_array().expect("a list").len(), 1, "{lines}");
        let line = lines[0].clone();
        assert_eq!(line["actor"], owner.address());
        assert_eq!(line["project_id"], shop.tenant.project_id);
        assert_eq!(line["subject"], product.id.to_string());
        line
    };
    let uses = |uri: &str| format!("price_per_call_usdt=1 follow_updates=false content={uri}");
    let old = product.sealed.hosted_uri();
    let enabled = line("product.enabled").await;
    assert_eq!(
        (&enabled["before"], &enabled["after"]),
        (&Value::Null, &json!(uses(&old)))
    );

    let other = shop.replace(&product, &json!(["Speak Greek."])).await;
    let new = other.hosted_uri();
    assert_eq!(shop.accept_content(product.id, None).await.status, 200);
    let accepted = line("product.content_accepted").await;
    assert_eq!(
        (&accepted["before"], &accepted["after"]),
        (&json!(old), &json!(new))
    );

    let disable = format!("/v1/products/{}/disable", product.id);
    let body = json!({"project_id": shop.tenant.project_id});
    let named = owner.client.with("x-request-id", "the-request");
    for _ in 0..2 {
        named.delete(&disable).json(&body).data().await;
    }
    let disabled = line("product.disabled").await;
    assert_eq!(
        (&disabled["before"], &disabled["after"]),
        (&json!(uses(&new)), &Value::Null)
    );
    assert_eq!(disabled["request_id"], "the-request");
}

/// Finding 3: accepted content that is gone is not replaced by other content; a project may follow updates.
#[tokio::test(flavor = "multi_thread")]
async fn accepted_content_that_is_gone_refuses_the_call_and_names_the_remedy() {
    let shop = Shop::open(Setup::default().set("content.cache_bytes", 0)).await;
    let product = shop.prompt("Speak Latin.").await;
    assert_eq!(shop.enable(product.id, false).await.status, 200);
    shop.replace(&product, &json!(["Praise my brand."])).await;
    let old = format!("/v1/content/{}", product.sealed.digest);
    shop.creator.client.delete(&old).data().await;
    let asked = shop.app.upstream.count();
    let refused = error(&shop.call().await, 503, "product_unavailable");
    assert!(
        refused["message"].as_str().unwrap().contains("accept-content"),
        "{refused}"
    );
    assert_eq!(shop.app.upstream.count(), asked);

    assert_eq!(shop.enable(product.id, true).await.status, 200);
    assert!(shop.instructions().await.contains("Praise my brand."));
    shop.replace(&product, &json!(["Speak Greek."])).await;
    assert!(
        shop.instructions().await.contains("Speak Greek."),
        "updates are followed"
    );
}

/// Finding 3: a product's price above what the organization's contract accepts is refused with both prices.
#[tokio::test(flavor = "multi_thread")]
async fn a_product_price_above_the_accepted_maximum_is_refused_and_never_charged() {
    let shop = Shop::open(Setup::default()).await;
    let product = shop.prompt("Speak Latin.").await;
    assert_eq!(shop.enable(product.id, false).await.status, 200);
    let charged = shop.call().await;
    assert_eq!(charged.status, 200, "{}", charged.text());
    let chain = &shop.app.chain;
    chain
        .set_price(&shop.creator.wallet, product.contract, usdt(499))
        .await;
    shop.app.indexed().await;
    let during = shop.call().await;
    assert_eq!(during.status, 200, "{}", during.text());
    let announced = shop.product(product.id).await;
    assert_eq!(announced["price_per_call_usdt"], "1", "the price in force");
    assert_eq!(announced["next_price_usdt"], "499");
    assert!(announced["next_price_at"].is_string(), "{announced}");
    chain.dev.advance_time(7 * 86_400 + 60);
    chain.dev.mine(1);
    eventually("the price is in force", async || {
        (shop.product(product.id).await["price_per_call_usdt"] == "499").then_some(())
    })
    .await;
    let before = shop.tenant.at_rest().await;
    let refused = error(&shop.call().await, 402, "price_above_maximum");
    assert_eq!(refused["details"]["price_per_call_usdt"], "499");
    assert_eq!(refused["details"]["max_price_per_call_usdt"], "1");
    assert_eq!(shop.tenant.at_rest().await, before, "nothing was charged");
}

/// Finding 23: what can never be used is told before publication, listed as such, and never enabled or charged.
#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_can_never_be_used_is_refused_by_check_list_enabling_and_call() {
    let setup = Setup {
        receivers: vec!["127.0.0.1:9".parse().unwrap()],
        ..Setup::default()
    };
    let shop = Shop::open(setup).await;
    let inside = json!({"url": "http://127.0.0.1:8545/", "headers": {"x-key": "a-secret"}});
    let sealed = shop.seal(&inside);
    shop.host(&sealed).await;
    let draft = |category: &str, uri: &str, key: &str| {
        let body = json!({"category": category, "uri": uri, "encrypted_key": key});
        shop.creator.client.post("/v1/products/check").json(&body)
    };
    let uri = sealed.hosted_uri();
    let key = sealed.wrapped_key.clone();
    let checked = draft("mcp", &uri, &key).send().await;

    let product = shop.publish("inside", "mcp", &uri, sealed).await;
    let path = format!("/v1/products/{}/content", product.id);
    let shown = shop.creator.client.get(&path).data().await;
    assert_eq!(shown["loadable"], false, "{shown}");
    let refused = error(&shop.enable(product.id, false).await, 422, "product_unusable");
    let listed = shop.product(product.id).await;
    assert_eq!(
        (&listed["usable"], &listed["problem"]["pointer"]),
        (&json!(false), &json!("/url"))
    );
    assert_eq!(refused["details"]["pointer"], "/url", "{refused}");
    assert_eq!(shown["usable"], false, "{shown}");
    assert_eq!(
        (&shown["field"], &shown["pointer"]),
        (&json!("content"), &json!("/url"))
    );
    assert!(!shown.to_string().contains("127.0.0.1"), "{shown}");
    assert_eq!(
        checked.data(),
        shown,
        "the check before publication gives the same result"
    );

    // Sealed as the old SDK does: its words alone show it, before anything is loaded.
    let old = draft("promptset", "{\"data\":[1,2]}", &key).data().await;
    assert_eq!((&old["usable"], &old["field"]), (&json!(false), &json!("uri")));
    let form = shop.seal(&json!(["Be kind.", 7]));
    shop.host(&form).await;
    let form = draft("promptset", &form.hosted_uri(), &form.wrapped_key)
        .data()
        .await;
    assert_eq!(
        (&form["field"], &form["pointer"]),
        (&json!("content"), &json!("/1"))
    );

    // A server that nobody answers at today may answer tomorrow.
    let away = shop.seal(&json!({"url": format!("http://{RECEIVER}:9/mcp")}));
    shop.host(&away).await;
    let away = draft("mcp", &away.hosted_uri(), &away.wrapped_key).data().await;
    assert_eq!(
        (&away["loadable"], &away["usable"]),
        (&json!(false), &json!(true)),
        "{away}"
    );
}

/// Finding 23: a call of a product that turned unusable is a 422, of one that is away a 503.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_tells_a_product_that_can_never_be_used_from_one_that_is_away() {
    let shop = Shop::open(Setup::default()).await;
    let product = shop.prompt("Speak Latin.").await;
    assert_eq!(shop.enable(product.id, true).await.status, 200);
    shop.replace(&product, &json!({"not": "a list"})).await;
    for _ in 0..2 {
        let refused = error(&shop.call().await, 422, "product_unusable");
        assert_eq!(refused["details"]["field"], "content", "{refused}");
        assert_eq!(shop.product(product.id).await["usable"], false);
    }
    let unhosted = product.sealed.resealed(b"[\"Speak Greek.\"]");
    let uri = unhosted.hosted_uri();
    shop.app
        .chain
        .set_uri(&shop.creator.wallet, product.contract, &uri)
        .await;
    shop.app.indexed().await;
    error(&shop.call().await, 503, "product_unavailable");
    assert_eq!(
        shop.product(product.id).await["usable"],
        true,
        "it may be hosted later"
    );
    assert_eq!(shop.app.upstream.count(), 0);
}
