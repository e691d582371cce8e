//! Projects, their members and configuration.

use super::orgs::member;
use crate::{
    row::{Given, NO_NUMBER, NO_UID, Row, Stage, of},
    table::{Action::*, Object, Rule},
};
use serde_json::{Value, json};

pub fn rows() -> Vec<Row> {
    let change = "PATCH /api/v1/projects/{id}";
    let mut rows = vec![
        of("POST /api/v1/projects", ManageModelsAndProjects).body(|stage| {
            let org = stage.tenant().map(|tenant| json!(tenant.org_id));
            let org = org.unwrap_or_else(|| NO_NUMBER.parse().expect("a number"));
            json!({"org_id": org, "name": format!("One more {}", uuid::Uuid::new_v4().simple())})
        }),
        of("GET /api/v1/projects/{id}", ReadProject),
        of(change, ConfigureProject)
            .note("configuration")
            .body(|_| json!({"memory_window": 30})),
        of(change, ManageProject)
            .note("price")
            .body(|_| json!({"price_per_call": 0})),
        of(change, ManageProject)
            .note("public flag")
            .body(|_| json!({"public": false})),
        of("GET /api/v1/projects/{id}/receipts", ReadProjectMoney),
        of("GET /api/v1/projects/{id}/usage", ReadProjectMoney),
        of("DELETE /api/v1/projects/{id}", ManageProject).given(async |stage| Given::id(spare(&stage).await)),
    ];
    rows.extend(members());
    rows.extend(webhooks());
    rows.extend([
        of("GET /api/v1/projects/{id}/telegram", ConfigureProject),
        of("GET /api/v1/projects/{id}/discord", ConfigureProject),
        of("PUT /api/v1/projects/{id}/telegram", ConfigureProject)
            .body(|_| json!({"teloxide_token": format!("12345:{}", "a".repeat(35))})),
        of("PUT /api/v1/projects/{id}/discord", ConfigureProject).body(|_| json!({"discord_token": null})),
    ]);
    rows.push(
        Row::new("GET /api/v1/receipts/{id}", Rule::Hidden(ReadProjectMoney)).given(async |stage: Stage| {
            Given::id(match stage.object {
                Object::Foreign => stage.world.foreign_call.clone(),
                Object::Missing => uuid::Uuid::now_v7().to_string(),
                _ => stage.world.own_call.clone(),
            })
        }),
    );
    rows
}

fn members() -> [Row; 4] {
    [
        of("GET /api/v1/projects/{id}/members", ReadProject),
        of("POST /api/v1/projects/{id}/members", ManageProject)
            .body(|stage| member(&stage.world.somebody(), "viewer")),
        of("PATCH /api/v1/projects/{id}/members", ManageProject)
            .given(async |stage| existing(&stage).await.role("developer")),
        of("DELETE /api/v1/projects/{id}/members", ManageProject).given(async |stage| existing(&stage).await),
    ]
}

fn webhooks() -> [Row; 7] {
    [
        of(
            "GET /api/v1/projects/{id}/webhooks/{webhook_id}/messages",
            ConfigureProject,
        )
        .given(async |stage| webhook(&stage).await),
        of("GET /api/v1/projects/{id}/webhooks", ConfigureProject),
        of("POST /api/v1/projects/{id}/webhooks", ConfigureProject).body(|_| json!({"name": "One"})),
        of(
            "GET /api/v1/projects/{id}/webhooks/{webhook_id}",
            ConfigureProject,
        )
        .given(async |stage| webhook(&stage).await),
        of(
            "PATCH /api/v1/projects/{id}/webhooks/{webhook_id}",
            ConfigureProject,
        )
        .given(async |stage| webhook(&stage).await.and_body(json!({"enabled": false}))),
        of(
            "DELETE /api/v1/projects/{id}/webhooks/{webhook_id}",
            ConfigureProject,
        )
        .given(async |stage| webhook(&stage).await),
        of(
            "POST /api/v1/projects/{id}/webhooks/{webhook_id}/rotate",
            ConfigureProject,
        )
        .given(async |stage| webhook(&stage).await),
    ]
}

/// A webhook of the project that the request may do anything to.
async fn webhook(stage: &Stage) -> Given {
    let made = stage
        .as_owner(|owner, tenant| {
            owner
                .post(&format!("/v1/projects/{}/webhooks", tenant.project_id))
                .json(&json!({"name": format!("Spare {}", uuid::Uuid::new_v4().simple())}))
        })
        .await;
    let id = made.as_ref().and_then(|made| made["id"].as_str());
    let project = stage
        .tenant()
        .map_or_else(|| NO_NUMBER.to_owned(), |tenant| tenant.project_id.to_string());
    Given {
        inner: Some(id.unwrap_or(NO_UID).to_owned()),
        ..Given::id(project)
    }
}

/// A project with the callers' roles that the request may delete.
async fn spare(stage: &Stage) -> String {
    let prepared = stage
        .as_owner(|owner, tenant| {
            let body =
                json!({"org_id": tenant.org_id, "name": format!("Spare {}", uuid::Uuid::new_v4().simple())});
            owner.post("/v1/projects").json(&body)
        })
        .await;
    if let (Some(project), Some(tenant), Object::Own) = (&prepared, stage.tenant(), stage.object) {
        let id = project["id"].as_i64().expect("a number");
        stage.world.give_project_roles(tenant, id).await;
    }
    Stage::number_of(prepared.as_ref())
}

/// Names a member of the project who was added for it.
async fn existing(stage: &Stage) -> Given {
    let address = stage.world.somebody();
    let body: Value = member(&address, "viewer");
    stage
        .as_owner(|owner, tenant| {
            owner
                .post(&format!("/v1/projects/{}/members", tenant.project_id))
                .json(&body)
        })
        .await;
    let id = stage
        .tenant()
        .map_or_else(|| NO_NUMBER.to_owned(), |tenant| tenant.project_id.to_string());
    Given::id(id).and_body(json!({"wallet_address": address}))
}
