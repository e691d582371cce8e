//! A wallet's own account, keys and sessions.

use super::auth::somebody_else;
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
        Row::new("DELETE /api/v1/me/api-keys/{id}", Rule::Mine)
            .given(async |stage| Given::id(key(&stage).await)),
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
