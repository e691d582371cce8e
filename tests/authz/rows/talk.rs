//! Conversations: a wallet's own, within a project.

use crate::{
    row::{Given, NO_NUMBER, Row, Stage},
    table::{Object, Rule},
};
use haithe_tests::client::Client;
use serde_json::json;

const ALL: &str = "/api/v1beta/chat/conversations";

pub fn rows() -> Vec<Row> {
    vec![
        Row::new("GET /api/v1beta/chat/conversations", Rule::Call),
        Row::new("POST /api/v1beta/chat/conversations", Rule::Call),
        thing("GET /api/v1beta/chat/conversations/{id}", None),
        thing(
            "PATCH /api/v1beta/chat/conversations/{id}",
            Some(json!({"title": "Renamed"})),
        ),
        thing("DELETE /api/v1beta/chat/conversations/{id}", None),
        thing("GET /api/v1beta/chat/conversations/{id}/messages", None),
        thing(
            "POST /api/v1beta/chat/conversations/{id}/messages",
            Some(json!({"message": "hello", "sender": "user"})),
        ),
    ]
}

fn thing(operation: &'static str, body: Option<serde_json::Value>) -> Row {
    Row::new(operation, Rule::MineInProject).given(move |stage: Stage| {
        let body = body.clone();
        async move {
            Given {
                body,
                ..Given::id(conversation(&stage).await)
            }
        }
    })
}

/// A conversation of the caller's own, somebody else's in the same project, or none.
async fn conversation(stage: &Stage) -> String {
    let world = &stage.world;
    let (begins, tenant) = match stage.object {
        Object::Nothing | Object::Own => (world.caller(stage.who).client.clone(), &world.own),
        Object::Foreign => (world.foreign.owner.client.clone(), &world.foreign),
        Object::Missing => return NO_NUMBER.to_owned(),
    };
    let begins: Client = begins
        .with("haithe-organization", format!("org-{}", tenant.org_uid))
        .with("haithe-project", format!("proj-{}", tenant.project_uid));
    let answer = begins.post(ALL.trim_start_matches("/api")).send().await;
    if answer.status.is_success() {
        answer.data()["id"].to_string()
    } else {
        // Who may not begin one asks about the owner's.
        let owner = &world.own.caller;
        let begun = owner.post(ALL.trim_start_matches("/api")).data().await;
        begun["id"].to_string()
    }
}
