//! What the service says of itself.

use crate::{
    row::{Given, Row},
    table::{Object, Rule},
};

pub fn rows() -> Vec<Row> {
    vec![
        Row::new("GET /health", Rule::Public),
        Row::new("GET /health/ready", Rule::Public),
        Row::new("GET /api/openapi.json", Rule::Public),
        Row::new("GET /docs", Rule::Public),
        Row::new("GET /docs/{file}", Rule::PublicThing).given(async |stage| {
            Given::id(match stage.object {
                Object::Missing => "no-such-file.js",
                _ => "index.html",
            })
        }),
        Row::new("GET /api/v1/config", Rule::Public),
        Row::new("GET /api/v1/tee/pub-key", Rule::Public),
        Row::new("GET /api/v1/tee/attest", Rule::Public),
        Row::new("GET /api/v1/models", Rule::Public),
    ]
}
