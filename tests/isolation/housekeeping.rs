//! Stored rows are bounded, and one broken row does not stop the others.

use alloy::primitives::U256;
use haithe_kernel::Usdt;
use haithe_tests::app::App;
use serde_json::{Value, json};

/// Finding 19: names and addresses that can deceive are refused where they come in over the API.
#[tokio::test(flavor = "multi_thread")]
async fn deceptive_names_are_refused_by_the_api() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let owner = &tenant.owner.client;
    let project = format!("/v1/projects/{}", tenant.project_id);
    let org = format!("/v1/orgs/{}", tenant.org_id);
    for (name, reason) in [
        ("Ac\u{200b}me", "U+200B"),
        ("Acme\u{feff}", "U+FEFF"),
        ("\u{202e}emcA", "U+202E"),
        ("p\u{0430}ypal", "mixes Latin and Cyrillic"),
    ] {
        for asked in [
            owner.patch(&org).json(&json!({"name": name})),
            owner.patch(&project).json(&json!({"name": name})),
            owner
                .post("/v1/projects")
                .json(&json!({"org_id": tenant.org_id, "name": name})),
            owner.post("/v1/orgs").json(&json!({"name": name})),
        ] {
            let message = asked.refused(400, "invalid_name").await;
            assert!(message.contains(reason), "{message}");
        }
        let uri = format!("https://{name}.example");
        let register = json!({"uri": uri, "pub_key": "04ab"});
        let message = owner.post("/v1/creator").json(&register);
        let message = message.refused(400, "invalid_text").await;
        assert!(message.contains(reason), "{message}");
    }
    for honest in ["Агент", "東京Tower", "Acme Москва", "École ❤\u{fe0f}"] {
        let renamed = owner.patch(&project).json(&json!({"name": honest})).data().await;
        assert_eq!(renamed["name"], honest);
    }
}

/// Finding 19: names that stand on chain, where nobody can refuse them, are flagged wherever they are listed.
#[tokio::test(flavor = "multi_thread")]
async fn deceptive_names_on_chain_are_flagged_in_listings() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let owner = &tenant.owner;
    app.chain
        .create_organization(&owner.wallet, "p\u{0430}ypal")
        .await;
    owner.client.post("/v1/orgs").data().await;
    let orgs = owner.client.get("/v1/me/orgs").data().await;
    let warning = |list: &Value, name: &str| {
        let found = list.as_array().unwrap().iter().find(|one| one["name"] == name);
        found
            .unwrap_or_else(|| panic!("{name}: {list}"))
            .get("name_warning")
            .cloned()
    };
    let warned = warning(&orgs, "p\u{0430}ypal").unwrap();
    assert!(
        warned.as_str().unwrap().contains("mixes Latin and Cyrillic"),
        "{warned}"
    );
    assert_eq!(warning(&orgs, "Acme"), None);

    let creator = app.wallet(2).await;
    let register = json!({"uri": "https://creator.example", "pub_key": "04ab"});
    creator.client.post("/v1/creator").json(&register).data().await;
    for name in ["Best\u{200b} prompts", "Best prompts"] {
        app.chain
            .add_product(&creator.wallet, name, "promptset", U256::ZERO)
            .await;
    }
    creator.client.post("/v1/products").data().await;
    let listed = app.anonymous().get("/v1/products").data().await;
    let warned = warning(&listed["products"], "Best\u{200b} prompts").unwrap();
    assert!(warned.as_str().unwrap().contains("U+200B"), "{warned}");
    assert_eq!(warning(&listed["products"], "Best prompts"), None);
}
