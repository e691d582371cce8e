//! What a creator and a customer do before a call: register, seal, host, publish, accept, enable.

use crate::{
    app::{App, Tenant, User},
    eventually,
    sealed::Sealed,
};
use alloy::primitives::{Address, U256};
use haithe_kernel::WalletAddress;
use haithe_marketplace::sealing::EnclavePublicKey;
use serde_json::{Value, json};

/// This many thousandths of a USDT, in base units of a token of 18 decimals.
pub fn thousandths(count: u64) -> U256 {
    U256::from(count) * U256::from(10u64).pow(U256::from(15u64))
}

/// A wallet that is registered as a creator, and is one for every later request.
pub async fn creator(app: &App, number: u32) -> User {
    let user = app.wallet(number).await;
    let body = json!({"uri": "https://creator.example/me", "pub_key": "04ab"});
    user.client.post("/v1/creator").json(&body).data().await;
    eventually("the creator is indexed", async || {
        let shown = app.anonymous().get(&format!("/v1/creator/{}", user.address()));
        shown.send().await.status.is_success().then_some(())
    })
    .await;
    user
}

/// Content sealed for the service's enclave.
pub async fn seal(app: &App, maker: &User, content: &[u8]) -> Sealed {
    let shown = app.anonymous().get("/v1/tee/pub-key").data().await;
    let enclave: EnclavePublicKey = shown["tee_pubkey"]
        .as_str()
        .expect("a key")
        .parse()
        .expect("a key");
    let address: WalletAddress = maker.address().parse().expect("an address");
    Sealed::for_creator(&enclave, address, content)
}

/// As [`sell`], of content that its creator never hosts: it cannot be loaded, and could be later.
pub async fn sell_unhosted(app: &App, maker: &User, tenant: &Tenant, product: (&str, &str, U256)) -> i64 {
    let content = b"[\"Be kind.\"]";
    offer(app, maker, tenant, product, content, Kept::Nowhere)
        .await
        .id
}

/// As [`sell`], to a project that follows updates; then the creator publishes other content.
pub async fn sell_updated(
    app: &App,
    maker: &User,
    tenant: &Tenant,
    product: (&str, &str, U256),
    (first, then): (&[u8], &[u8]),
) -> i64 {
    let offered = offer(app, maker, tenant, product, first, Kept::Followed).await;
    let sealed = offered.sealed.resealed(then);
    host(maker, &sealed).await;
    app.chain
        .set_uri(&maker.wallet, offered.contract, &sealed.hosted_uri())
        .await;
    let products = format!("/v1/projects/{}/products", tenant.project_id);
    let digest = sealed.digest.to_string();
    eventually("the other content is indexed", async || {
        let listed = tenant.owner.client.get(&products).data().await;
        let mut listed = listed["products"].as_array().expect("a list").iter();
        listed
            .any(|product| product["content_sha256"] == digest.as_str())
            .then_some(())
    })
    .await;
    offered.id
}

/// Whether content is hosted here, and whether the project uses what is published later.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Nowhere,
    Pinned,
    Followed,
}

struct Offered {
    id: i64,
    contract: Address,
    sealed: Sealed,
}

async fn host(maker: &User, sealed: &Sealed) {
    let put = maker.client.put("/v1/content").body(sealed.bytes.clone());
    put.header("content-type", "application/octet-stream")
        .data()
        .await;
}

/// Seals, hosts, publishes at this price, and enables for the tenant's project; gives the product's
/// number.
pub async fn sell(
    app: &App,
    maker: &User,
    tenant: &Tenant,
    product: (&str, &str, U256),
    content: &[u8],
) -> i64 {
    offer(app, maker, tenant, product, content, Kept::Pinned).await.id
}

async fn offer(
    app: &App,
    maker: &User,
    tenant: &Tenant,
    (name, category, price): (&str, &str, U256),
    content: &[u8],
    kept: Kept,
) -> Offered {
    let sealed = seal(app, maker, content).await;
    if kept != Kept::Nowhere {
        host(maker, &sealed).await;
    }
    let uri = format!("haithe:sha256:{}", sealed.digest);
    let contract = app
        .chain
        .add_product_at(
            &maker.wallet,
            (name, category),
            (&uri, &sealed.wrapped_key),
            price,
        )
        .await;
    let id = eventually("the product is indexed", async || {
        let synced = maker.client.post("/v1/products").data().await;
        let product = &synced["product"];
        (product["name"] == name).then(|| product["id"].as_i64().expect("a number"))
    })
    .await;
    app.chain
        .enable_product(&tenant.owner.wallet, tenant.contract, contract, price)
        .await;
    let project = tenant.project_id.to_string();
    let follow = if kept == Kept::Followed { "true" } else { "false" };
    let enable = format!("/v1/products/{id}/enable");
    eventually("the contract's acceptance is indexed", async || {
        let asked = tenant
            .owner
            .client
            .post(&enable)
            .query(&[("project_id", project.as_str()), ("follow_updates", follow)]);
        asked.send().await.status.is_success().then_some(())
    })
    .await;
    Offered { id, contract, sealed }
}

/// The texts of a request's messages of this role.
pub fn texts<'a>(request: &'a Value, role: &str) -> Vec<&'a str> {
    let messages = request["messages"].as_array().expect("a list").iter();
    let of_role = messages.filter(|message| message["role"] == role);
    of_role
        .filter_map(|message| message["content"].as_str())
        .collect()
}
