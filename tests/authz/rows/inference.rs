//! Calls on behalf of a project.

use crate::{
    row::{Given, Row},
    table::Rule,
};
use haithe_tests::app::question;
use serde_json::json;

pub fn rows() -> Vec<Row> {
    vec![
        Row::new("GET /api/v1beta/openai/models", Rule::Call),
        Row::new("GET /api/v1beta/openai/models/{id}", Rule::Call).given(async |_| Given::id("free")),
        Row::new("POST /api/v1beta/openai/chat/completions", Rule::Call)
            .given(async |_| Given::body(question("free"))),
        Row::new("POST /api/v1beta/openai/embeddings", Rule::Call)
            .given(async |_| Given::body(json!({"model": "vectors", "input": "x"}))),
    ]
}
