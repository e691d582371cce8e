//! Organizations, their members, models and money.

use crate::{
    row::{Given, NO_NUMBER, Row, Stage, of},
    table::{Action::*, Object, Principal, Rule},
};
use haithe_tests::app::models;
use serde_json::{Value, json};
use tokio::{runtime::Handle, task::block_in_place};

pub fn rows() -> Vec<Row> {
    let mut rows = vec![
        Row::new("POST /api/v1/orgs", Rule::Session).given(async |stage: Stage| {
            // Deploying has a budget per wallet; a wallet's newest organization is found for nothing.
            let owns = matches!(stage.who, Principal::Owner | Principal::OwnerElsewhere);
            let name = format!("Of {:?}", stage.who);
            if owns {
                Given::default()
            } else {
                Given::body(json!({"name": name}))
            }
        }),
        Row::new("POST /api/v1/orgs/transaction", Rule::Session).body(|_| json!({"name": "By itself"})),
        of("GET /api/v1/orgs/{id}", ReadOrg),
        of("PATCH /api/v1/orgs/{id}", ManageOrg).body(|_| json!({"name": "Renamed"})),
        of("DELETE /api/v1/orgs/{id}", ManageOrgAdmins).given(async |stage: Stage| {
            Given::id(match (stage.object, stage.tenant()) {
                (Object::Own, _) => stage.world.doomed.org_id.to_string(),
                (_, Some(tenant)) => tenant.org_id.to_string(),
                _ => NO_NUMBER.into(),
            })
        }),
        of("GET /api/v1/orgs/{id}/projects", ReadOrg),
        of("GET /api/v1/orgs/{id}/models", ReadOrg),
        of("POST /api/v1/orgs/{id}/models", ManageModelsAndProjects).body(|_| json!({"model_id": 1})),
        of("DELETE /api/v1/orgs/{id}/models", ManageModelsAndProjects)
            .body(|_| json!({"model_id": models::BOTH.0})),
        of("GET /api/v1/orgs/{id}/balance", ReadOrgMoney),
        of("GET /api/v1/orgs/{id}/expenditure", ReadOrgMoney),
        of("GET /api/v1/orgs/{id}/receipts", ReadOrgMoney),
        of("GET /api/v1/orgs/{id}/usage", ReadOrgMoney),
        of("GET /api/v1/orgs/{id}/settings", ReadAdministration),
        of("PATCH /api/v1/orgs/{id}/settings", ManageOrg).body(|_| json!({"prompt_log": "none"})),
        of("GET /api/v1/orgs/{id}/audit", ReadAdministration),
        of("GET /api/v1/orgs/{id}/ownership", ReadOrg),
        of("POST /api/v1/orgs/{id}/ownership", MoveOrgMoney)
            .body(|stage| json!({"new_owner": stage.world.somebody()})),
        of("DELETE /api/v1/orgs/{id}/ownership", MoveOrgMoney),
    ];
    rows.extend(members());
    rows.extend(treasury());
    rows.extend(accepted_projects());
    rows
}

/// The public project, and the tenant's organization.
fn public_project(stage: &Stage) -> Given {
    let org = stage
        .tenant()
        .map_or_else(|| NO_NUMBER.to_owned(), |tenant| tenant.org_id.to_string());
    Given {
        inner: Some(stage.world.public_project.clone()),
        ..Given::id(org)
    }
}

/// Public projects of others. The project is the same for every caller, and is accepted before it is withdrawn.
fn accepted_projects() -> [Row; 3] {
    [
        of("GET /api/v1/orgs/{id}/accepted-projects", AcceptProjects),
        of(
            "PUT /api/v1/orgs/{id}/accepted-projects/{project_uid}",
            AcceptProjects,
        )
        .given(async |stage| public_project(&stage).and_body(json!({"max_price_per_call_usdt": "0.05"}))),
        of(
            "DELETE /api/v1/orgs/{id}/accepted-projects/{project_uid}",
            AcceptProjects,
        )
        .given(async |stage| {
            if stage.object == Object::Own {
                stage
                    .as_owner(|owner, tenant| {
                        let uid = &stage.world.public_project;
                        let path = format!("/v1/orgs/{}/accepted-projects/{uid}", tenant.org_id);
                        owner.put(&path).json(&json!({"max_price_per_call_usdt": "1"}))
                    })
                    .await;
            }
            public_project(&stage)
        }),
    ]
}

/// What the owner signs. The steps of one withdrawal follow one another.
fn treasury() -> [Row; 6] {
    [
        of("GET /api/v1/orgs/{id}/daily-cap", ReadOrgMoney),
        of("POST /api/v1/orgs/{id}/daily-cap", MoveOrgMoney).body(|_| json!({"daily_cap": null})),
        of("GET /api/v1/orgs/{id}/withdrawals", ReadOrgMoney),
        of("POST /api/v1/orgs/{id}/withdrawals", MoveOrgMoney)
            .body(|_| json!({"amount": 1, "confirm_small": true}))
            .alone(),
        of("POST /api/v1/orgs/{id}/withdrawals/execute", MoveOrgMoney)
            .given(async |stage: Stage| announced(&stage))
            .alone(),
        of("POST /api/v1/orgs/{id}/withdrawals/cancel", MoveOrgMoney)
            .given(async |stage: Stage| announced(&stage))
            .alone(),
    ]
}

/// The tenant's organization; its owner has announced a withdrawal there, whose delay has passed.
fn announced(stage: &Stage) -> Given {
    let Some(tenant) = stage.tenant() else {
        return Given::id(NO_NUMBER);
    };
    if stage.who == Principal::Owner && stage.object == Object::Own {
        // Its borrows are no `Send` that the row's future could show.
        let announcing = tenant.announce_withdrawal(&stage.world.app.chain);
        block_in_place(|| Handle::current().block_on(announcing));
    }
    Given::id(tenant.org_id)
}

fn members() -> [Row; 7] {
    let path = "POST /api/v1/orgs/{id}/members";
    let change = "PATCH /api/v1/orgs/{id}/members";
    let remove = "DELETE /api/v1/orgs/{id}/members";
    [
        of("GET /api/v1/orgs/{id}/members", ReadOrg),
        of(path, ManageOrgMembers)
            .note("a member")
            .body(|stage| member(&stage.world.somebody(), "member")),
        of(path, ManageOrgAdmins)
            .note("an admin")
            .body(|stage| member(&stage.world.somebody(), "admin")),
        of(change, ManageOrgMembers)
            .note("a member")
            .given(async |stage| existing(&stage, "member").await.role("member")),
        of(change, ManageOrgAdmins)
            .note("an admin")
            .given(async |stage| existing(&stage, "admin").await.role("member")),
        of(remove, ManageOrgMembers)
            .note("a member")
            .given(async |stage| existing(&stage, "member").await),
        of(remove, ManageOrgAdmins)
            .note("an admin")
            .given(async |stage| existing(&stage, "admin").await),
    ]
}

pub fn member(address: &str, role: &str) -> Value {
    json!({"wallet_address": address, "role": role})
}

/// Names a member of the organization who was added for it.
async fn existing(stage: &Stage, role: &str) -> Given {
    let address = stage.world.somebody();
    let body = member(&address, role);
    stage
        .as_owner(|owner, tenant| {
            owner
                .post(&format!("/v1/orgs/{}/members", tenant.org_id))
                .json(&body)
        })
        .await;
    let id = stage
        .tenant()
        .map_or_else(|| NO_NUMBER.to_owned(), |tenant| tenant.org_id.to_string());
    Given::id(id).and_body(json!({"wallet_address": address}))
}

impl Given {
    /// With a role in the body.
    pub fn role(mut self, role: &str) -> Self {
        if let Some(body) = &mut self.body {
            body["role"] = json!(role);
        }
        self
    }
}
