//! How much products are used: what browsers sort by, and what anybody may know of a creator.

use crate::{
    market::{creator, publish, whole},
    selling::sell,
};
use alloy::primitives::U256;
use haithe_kernel::Usdt;
use haithe_tests::app::{App, question, usdt};
use serde_json::{Value, json};

async fn sorted(app: &App, by: &str) -> Vec<(String, u64, u64)> {
    let asked = app.anonymous().get("/v1/products").query(&[("sort", by)]);
    let found = asked.data().await;
    let of = |product: &Value| {
        let count = |name: &str| product[name].as_u64().expect("a number");
        let name = product["name"].as_str().expect("a name").to_owned();
        (name, count("calls"), count("projects"))
    };
    found["products"]
        .as_array()
        .expect("a list")
        .iter()
        .map(of)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_and_projects_are_counted_and_sorted_by_and_revenue_is_the_creators_own() {
    let app = App::start().await;
    let maker = creator(&app, 7).await;
    let tenant = app.funded("Acme", Usdt::whole(20)).await;
    let at = |name, price| (name, "promptset", price);
    let (busy, busy_price) = (at("busy", whole(1)), Usdt::whole(1));
    let busy = sell(&app, &maker, &tenant, busy, br#"["Be brief."]"#).await;
    for _ in 0..2 {
        assert_eq!(tenant.caller.chat(&question("per-call")).send().await.status, 200);
    }
    let free = sell(&app, &maker, &tenant, at("free", U256::ZERO), br#"["Rhyme."]"#).await;
    assert_eq!(tenant.caller.chat(&question("per-call")).send().await.status, 200);
    publish(&app, &maker, ("idle", "promptset"), whole(2)).await;
    tenant.at_rest().await;
    let row = |name: &str, calls, projects| (name.to_owned(), calls, projects);
    let (busy_row, free_row, idle_row) = (row("busy", 3, 1), row("free", 1, 1), row("idle", 0, 0));
    let all = [&busy_row, &free_row, &idle_row].map(Clone::clone);
    assert_eq!(sorted(&app, "calls").await, all);
    let newest = [&idle_row, &free_row, &busy_row].map(Clone::clone);
    assert_eq!(sorted(&app, "newest").await, newest);
    let cheapest = [&free_row, &busy_row, &idle_row].map(Clone::clone);
    assert_eq!(sorted(&app, "price").await, cheapest);

    let path = format!("/v1/creator/{}/statistics", maker.address());
    let expected = json!({"wallet_address": maker.address(), "products": 3, "calls": 4, "projects": 1});
    assert_eq!(app.anonymous().get(&path).data().await, expected);
    let nobody = format!("/v1/creator/{}/statistics", tenant.owner.address());
    app.anonymous().get(&nobody).refused(404, "not_found").await;

    // What it earned is nobody else's to know.
    let path = format!("/v1/creator/{}/earnings", maker.address());
    tenant.owner.client.get(&path).refused(404, "not_found").await;
    let earned = maker.client.get(&path).data().await;
    assert_eq!(usdt(&earned["earned_usdt"]).nano(), 3 * busy_price.nano());

    let project = tenant.project_id.to_string();
    let disable = tenant
        .owner
        .client
        .delete(&format!("/v1/products/{free}/disable"));
    disable.query(&[("project_id", &project)]).data().await;
    let shown = app.anonymous().get(&format!("/v1/products/{free}")).data().await;
    assert_eq!(
        (&shown["product"]["calls"], &shown["product"]["projects"]),
        (&json!(1), &json!(0))
    );
    tenant
        .owner
        .client
        .delete(&format!("/v1/projects/{project}"))
        .data()
        .await;
    let shown = app.anonymous().get(&format!("/v1/products/{busy}")).data().await;
    assert_eq!(
        (&shown["product"]["calls"], &shown["product"]["projects"]),
        (&json!(3), &json!(0))
    );
}
