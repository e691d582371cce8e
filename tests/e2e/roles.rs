//! What the table of roles does not say; `tests/authz` plays the table itself.

use haithe_kernel::Usdt;
use haithe_tests::app::App;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn everybody_but_the_owner_may_leave() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let owner = &tenant.owner;
    let org = format!("/v1/orgs/{}/members", tenant.org_id);
    let project = format!("/v1/projects/{}/members", tenant.project_id);
    for (number, members, role) in [
        (2, &org, "admin"),
        (3, &org, "member"),
        (4, &project, "admin"),
        (5, &project, "developer"),
        (6, &project, "viewer"),
    ] {
        let person = app.wallet(number).await;
        let body = json!({"wallet_address": person.address(), "role": role});
        owner.client.post(members).json(&body).data().await;
        let own = json!({"wallet_address": person.address()});
        let left = person.client.delete(members).json(&own).data().await;
        assert_eq!(left["role"], role);
        person.client.get(members).refused(404, "not_found").await;
    }
    let own = json!({"wallet_address": owner.address()});
    let leave = owner.client.delete(&org).json(&own);
    leave.refused(409, "owner_is_on_chain").await;
}
