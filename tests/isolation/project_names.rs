//! A name means one project of an organization.

use futures::future::join_all;
use haithe_kernel::Usdt;
use haithe_tests::app::App;
use serde_json::{Value, json};

/// Finding 24: two projects of one organization never have one name, whatever its case, spaces or form.
#[tokio::test(flavor = "multi_thread")]
async fn projects_of_one_name_are_refused() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let owner = &tenant.owner.client;
    let create = |name: &str| {
        owner
            .post("/v1/projects")
            .json(&json!({"org_id": tenant.org_id, "name": name}))
    };
    let first = create("Caf\u{e9} Agent").data().await;
    for same in [
        "Caf\u{e9} Agent",
        "cafe\u{301} agent",
        "  CAF\u{c9}   AGENT ",
        "Caf\u{e9}\u{a0}Agent",
        "\u{ff23}af\u{e9} Agent",
    ] {
        create(same).refused(409, "project_name_taken").await;
    }
    let second = create("Caf\u{e9} Agents").data().await;

    // Renames are held to the same rule; its own name is never taken.
    let path = |project: &Value| format!("/v1/projects/{}", project["id"]);
    let rename = |project: &Value, name: &str| owner.patch(&path(project)).json(&json!({"name": name}));
    rename(&second, "caf\u{e9} agent")
        .refused(409, "project_name_taken")
        .await;
    assert_eq!(
        rename(&first, "CAF\u{c9} agent").data().await["name"],
        "CAF\u{c9} agent"
    );
    let unchanged = owner.get(&path(&second)).data().await;
    assert_eq!(unchanged["name"], "Caf\u{e9} Agents");

    // Another organization has names of its own, and a deleted project frees its name.
    let other = app.wallet(2).await;
    let other = haithe_tests::app::Tenant::found(&app.chain, other, "Other").await;
    let body = json!({"org_id": other.org_id, "name": "Caf\u{e9} Agent"});
    other.owner.client.post("/v1/projects").json(&body).data().await;
    owner.delete(&path(&first)).data().await;
    create("caf\u{e9} agent").data().await;
    let taken = rename(&second, "caf\u{e9} agent");
    taken.refused(409, "project_name_taken").await;
}

/// Finding 24: of many that create one name at once exactly one succeeds.
#[tokio::test(flavor = "multi_thread")]
async fn of_concurrent_projects_of_one_name_one_is_created() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let owner = &tenant.owner.client;
    let creating = (0..16).map(|number| {
        let name = if number % 2 == 0 { "Twin" } else { "TWIN" };
        owner
            .post("/v1/projects")
            .json(&json!({"org_id": tenant.org_id, "name": name}))
            .send()
    });
    let answers = join_all(creating).await;
    let of = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((of(200), of(409)), (1, 15));
    let search = owner.get(&format!("/v1/orgs/{}/projects", tenant.org_id));
    let found = search.query(&[("q", "twin")]).data().await;
    assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
}
