//! Calls on behalf of a project.

use crate::{
    row::{Given, Row, Stage},
    table::Rule,
};
use haithe_tests::{app::question, signing};
use serde_json::json;

pub fn rows() -> Vec<Row> {
    vec![
        Row::new("GET /api/v1beta/openai/models", Rule::Call),
        Row::new("GET /api/v1beta/openai/models/{id}", Rule::Call).given(async |_| Given::id("free")),
        Row::new("POST /api/v1beta/openai/chat/completions", Rule::Call)
            .given(async |_| Given::body(question("free"))),
        Row::new("POST /api/v1beta/openai/embeddings", Rule::Call)
            .given(async |_| Given::body(json!({"model": "vectors", "input": "x"}))),
        // Whoever has the secret may, whatever else it says of itself.
        Row::new("POST /api/v1beta/webhook/{id}", Rule::Public).given(async |stage| message(&stage).await),
    ]
}

/// A signed message to a webhook of the project.
async fn message(stage: &Stage) -> Given {
    let made = stage
        .as_owner(|owner, tenant| {
            owner
                .post(&format!("/v1/projects/{}/webhooks", tenant.project_id))
                .json(&json!({"name": "Signed"}))
        })
        .await
        .expect("the tenant is there");
    let text = |name: &str| made[name].as_str().expect("text").to_owned();
    let body = json!({"order": 12});
    let secret = text("secret");
    let signed = signing::headers(&secret, "msg_1", stage.world.now, body.to_string().as_bytes());
    let mut client = stage.world.caller(stage.who).client.clone();
    for (name, value) in signed {
        client = client.with(name, value);
    }
    Given {
        client: Some(client),
        ..Given::id(text("id")).and_body(body)
    }
}
