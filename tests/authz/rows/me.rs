//! A wallet's own account, keys and sessions.

use super::auth::{another_session, somebody_else};
use crate::{
    row::{Given, NO_NUMBER, Row, Stage},
    table::{Object, Rule},
};
use haithe_tests::client::Client;
use serde_json::json;

pub fn rows() -> Vec<Row> {
    vec![
        Row::new("GET /api/v1/me", Rule::Session),
        Row::new("GET /api/v1/me/orgs", Rule::Session),
        Row::new("GET /api/v1/me/projects", Rule::Session),
        Row::new("GET /api/v1/me/api-key", Rule::Session)
            .given(async |stage: Stage| {
                if let Some(client) = session(&stage) {
                    client.post("/v1/me/api-key/disable").data().await;
                }
                Given::default()
            })
            .alone(),
        Row::new("GET /api/v1/me/api-key/last-issued", Rule::Session),
        Row::new("POST /api/v1/me/api-key/disable", Rule::Session).alone(),
        Row::new("GET /api/v1/me/api-keys", Rule::Session),
        Row::new("POST /api/v1/me/api-keys", Rule::Session)
            .given(async |_| Given::body(json!({"name": "another"}))),
        Row::new("GET /api/v1/me/api-keys/{id}", Rule::Mine)
            .given(async |stage| Given::id(key(&stage).await)),
        Row::new("PATCH /api/v1/me/api-keys/{id}", Rule::Mine)
            .given(async |stage| Given::id(key(&stage).await).and_body(json!({"name": "renamed"}))),
        Row::new("POST /api/v1/me/api-keys/{id}/rotate", Rule::Mine)
            .given(async |stage| Given::id(key(&stage).await)),
        Row::new("DELETE /api/v1/me/api-keys/{id}", Rule::Mine)
            .given(async |stage| Given::id(key(&stage).await)),
        Row::new("GET /api/v1/me/sessions", Rule::Session),
        Row::new("DELETE /api/v1/me/sessions", Rule::Session)
            .given(async |_| Given {
                query: vec![("others", "true".into())],
                ..Given::default()
            })
            .alone(),
        Row::new("GET /api/v1/me/faucet", Rule::Session),
        Row::new("POST /api/v1/me/faucet", Rule::Session),
        Row::new("DELETE /api/v1/me/sessions/{id}", Rule::Mine)
            .given(async |stage| Given::id(session_id(&stage).await)),
    ]
}

/// The caller's session, if it is one that works.
pub fn session(stage: &Stage) -> Option<Client> {
    let user = stage.world.caller(stage.who).user.as_ref()?;
    Some(user.client.clone())
}

/// The client of the wallet that the object belongs to.
pub async fn holder(stage: &Stage) -> Option<Client> {
    match stage.object {
        Object::Missing => None,
        Object::Foreign => Some(somebody_else(stage).await.client),
        _ => match session(stage) {
            Some(client) => Some(client),
            None => Some(somebody_else(stage).await.client),
        },
    }
}

/// The number of a key of the wallet that the object belongs to.
async fn key(stage: &Stage) -> String {
    let Some(client) = holder(stage).await else {
        return NO_NUMBER.into();
    };
    let body = json!({"name": "to revoke"});
    let key = client.post("/v1/me/api-keys").json(&body).data().await;
    key["id"].to_string()
}

/// The name of a fresh session of the wallet that the object belongs to.
async fn session_id(stage: &Stage) -> String {
    let own = match stage.object {
        Object::Missing => return "0".repeat(64),
        Object::Foreign => None,
        _ => another_session(stage).await,
    };
    let client = match own {
        Some(client) => client,
        None => somebody_else(stage).await.client,
    };
    let sessions = client.get("/v1/me/sessions").data().await;
    let mut sessions = sessions.as_array().expect("a list").iter();
    let current = sessions.find(|session| session["current"] == true);
    let id = current.expect("the one that asks")["id"].as_str();
    id.expect("a name").to_owned()
}
