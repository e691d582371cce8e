//! What a creator and a customer do before a call: seal, host, publish, accept, enable.

use alloy::primitives::U256;
use haithe_kernel::WalletAddress;
use haithe_marketplace::sealing::EnclavePublicKey;
use haithe_tests::{
    app::{App, Tenant, User},
    eventually,
    sealed::Sealed,
};
use serde_json::Value;

/// As [`sell`], of content that its creator never hosts: it cannot be loaded, and could be later.
pub async fn sell_unhosted(app: &App, maker: &User, tenant: &Tenant, product: (&str, &str, U256)) -> i64 {
    offer(app, maker, tenant, product, b"[\"Be kind.\"]", false).await
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
    offer(app, maker, tenant, product, content, true).await
}

async fn offer(
    app: &App,
    maker: &User,
    tenant: &Tenant,
    (name, category, price): (&str, &str, U256),
    content: &[u8],
    hosted: bool,
) -> i64 {
    let shown = app.anonymous().get("/v1/tee/pub-key").data().await;
    let enclave: EnclavePublicKey = shown["tee_pubkey"]
        .as_str()
        .expect("a key")
        .parse()
        .expect("a key");
    let address: WalletAddress = maker.address().parse().expect("an address");
    let sealed = Sealed::for_creator(&enclave, address, content);
    if hosted {
        let put = maker.client.put("/v1/content").body(sealed.bytes.clone());
        put.header("content-type", "application/octet-stream")
            .data()
            .await;
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
    let enable = format!("/v1/products/{id}/enable");
    eventually("the contract's acceptance is indexed", async || {
        let asked = tenant
            .owner
            .client
            .post(&enable)
            .query(&[("project_id", project.as_str())]);
        asked.send().await.status.is_success().then_some(())
    })
    .await;
    id
}

/// The texts of a request's messages of this role.
pub fn texts<'a>(request: &'a Value, role: &str) -> Vec<&'a str> {
    let messages = request["messages"].as_array().expect("a list").iter();
    let of_role = messages.filter(|message| message["role"] == role);
    of_role
        .filter_map(|message| message["content"].as_str())
        .collect()
}
