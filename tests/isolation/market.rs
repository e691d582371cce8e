//! What creators do before a call uses their products: register, seal, host, publish.

use alloy::primitives::U256;
use haithe_kernel::WalletAddress;
use haithe_marketplace::sealing::EnclavePublicKey;
use haithe_tests::{
    app::{App, Tenant, User},
    eventually,
    sealed::Sealed,
};
use serde_json::json;

/// This many thousandths of a USDT, in base units.
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

/// Seals, hosts, publishes at this price, and enables for the tenant's project; gives the product's
/// number.
pub async fn sell(
    app: &App,
    maker: &User,
    tenant: &Tenant,
    (name, category, price): (&str, &str, U256),
    content: &[u8],
) -> i64 {
    let sealed = seal(app, maker, content).await;
    let put = maker.client.put("/v1/content").body(sealed.bytes.clone());
    put.header("content-type", "application/octet-stream")
        .data()
        .await;
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
