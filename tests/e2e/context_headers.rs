//! Who pays and which project is called: said once, without contradiction.

use haithe_kernel::Usdt;
use haithe_tests::app::{App, Tenant, question};
use serde_json::json;

const MODELS: &str = "/v1beta/openai/models";

#[tokio::test(flavor = "multi_thread")]
async fn both_families_of_headers_work_with_and_without_prefix() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::ZERO).await;
    let (org, project) = (&tenant.org_uid, &tenant.project_uid);
    for (org_header, project_header) in [
        ("Haithe-Organization", "Haithe-Project"),
        ("OpenAI-Organization", "OpenAI-Project"),
        ("Haithe-Organization", "OpenAI-Project"),
    ] {
        for (org, project) in [
            (org.clone(), project.clone()),
            (format!("org-{org}"), format!("proj-{project}")),
            (org.to_uppercase(), project.clone()),
        ] {
            let caller = tenant
                .owner
                .client
                .with(org_header, org)
                .with(project_header, project);
            assert_eq!(caller.get(MODELS).send().await.status, 200);
        }
    }
    let agreeing = tenant.caller.with("openai-organization", org.as_str());
    assert_eq!(agreeing.get(MODELS).send().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_repeated_contradicting_and_malformed_headers_are_refused() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::ZERO).await;
    let other = app.funded("Other", Usdt::ZERO).await;
    let owner = &tenant.owner.client;
    owner.get(MODELS).openai_refused(400, "context_missing").await;
    let only_org = owner.with("haithe-organization", tenant.org_uid.as_str());
    only_org.get(MODELS).openai_refused(400, "context_missing").await;
    let twice = tenant.caller.with("haithe-project", tenant.project_uid.as_str());
    twice.get(MODELS).openai_refused(400, "context_conflict").await;
    let contradicting = tenant.caller.with("openai-organization", other.org_uid.as_str());
    contradicting
        .get(MODELS)
        .openai_refused(400, "context_conflict")
        .await;
    for malformed in [
        "",
        "org-",
        "proj-1",
        "0190a0b0-c0d0-e0f0-0102-030405060708",
        "../../etc",
    ] {
        let caller = owner
            .with("haithe-organization", malformed)
            .with("haithe-project", malformed);
        caller.get(MODELS).openai_refused(400, "context_malformed").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_missing_objects_are_answered_alike() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::ZERO).await;
    let stranger = app.wallet(2).await;
    let unknown = "0190a0b0c0d0e0f00102030405060708";
    let mut answers = Vec::new();
    for (org, project) in [
        (tenant.org_uid.as_str(), tenant.project_uid.as_str()),
        (unknown, tenant.project_uid.as_str()),
        (tenant.org_uid.as_str(), unknown),
        (unknown, unknown),
    ] {
        let caller = stranger
            .client
            .with("haithe-organization", org)
            .with("haithe-project", project);
        answers.push(caller.get(MODELS).openai_refused(404, "not_found").await);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_project_of_another_organization_is_paid_by_the_callers_own() {
    let app = App::start().await;
    let seller = app.funded("Seller", Usdt::ZERO).await;
    let buyer = Tenant::found(&app.chain, app.wallet(2).await, "Buyer").await;
    buyer.deposit(&app.chain, Usdt::whole(1)).await;
    let caller = buyer
        .owner
        .client
        .with("haithe-organization", buyer.org_uid.as_str())
        .with("haithe-project", seller.project_uid.as_str());
    caller
        .chat(&question("per-call"))
        .openai_refused(404, "not_found")
        .await;
    seller.publish(Usdt::from_nano(50_000_000)).await;
    buyer.accept(&seller, Usdt::from_nano(50_000_000)).await;
    let answer = caller.chat(&question("per-call")).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        buyer.expenditure().await,
        Usdt::from_nano(150_000_000),
        "the model's price and the project's"
    );
    assert_eq!(
        seller.balance().await.available,
        Usdt::ZERO,
        "earned, not yet settled"
    );
    let receipt = buyer.receipt(answer.header("x-haithe-call").unwrap()).await;
    assert_eq!(receipt["charged_usdt"], "0.15");
    let seller_as_payer = buyer
        .owner
        .client
        .with("haithe-organization", seller.org_uid.as_str())
        .with("haithe-project", seller.project_uid.as_str());
    seller_as_payer
        .chat(&question("per-call"))
        .openai_refused(404, "not_found")
        .await;
    let member = app.wallet(3).await;
    let body = json!({"wallet_address": member.address(), "role": "member"});
    buyer
        .owner
        .client
        .post(&format!("/v1/orgs/{}/members", buyer.org_id))
        .json(&body)
        .data()
        .await;
    let as_member = member
        .client
        .with("haithe-organization", buyer.org_uid.as_str())
        .with("haithe-project", seller.project_uid.as_str());
    as_member
        .chat(&question("per-call"))
        .openai_refused(404, "not_found")
        .await;
}
