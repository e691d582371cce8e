//! The OpenAPI document: everything that is named somewhere is in it, and programs can be made of it.

use haithe_tests::app::App;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Method and path of everything that the existing frontend calls and that the guide names. A copy by
/// hand: a route that is renamed or lost is missed here.
const NAMED: &str = "
GET    /health
GET    /api/v1/auth/nonce
POST   /api/v1/auth/login
POST   /api/v1/auth/logout
POST   /api/v1/auth/waitlist
GET    /api/v1/me
GET    /api/v1/me/orgs
GET    /api/v1/me/projects
GET    /api/v1/me/api-key
GET    /api/v1/me/api-key/last-issued
POST   /api/v1/me/api-key/disable
GET    /api/v1/me/api-keys
POST   /api/v1/me/api-keys
GET    /api/v1/me/faucet
POST   /api/v1/me/faucet
GET    /api/v1/models
GET    /api/v1/config
GET    /api/v1/stats
POST   /api/v1/orgs
GET    /api/v1/orgs/{id}
PATCH  /api/v1/orgs/{id}
DELETE /api/v1/orgs/{id}
GET    /api/v1/orgs/{id}/projects
GET    /api/v1/orgs/{id}/members
POST   /api/v1/orgs/{id}/members
PATCH  /api/v1/orgs/{id}/members
DELETE /api/v1/orgs/{id}/members
GET    /api/v1/orgs/{id}/models
POST   /api/v1/orgs/{id}/models
DELETE /api/v1/orgs/{id}/models
GET    /api/v1/orgs/{id}/balance
GET    /api/v1/orgs/{id}/expenditure
POST   /api/v1/projects
GET    /api/v1/projects/{id}
PATCH  /api/v1/projects/{id}
DELETE /api/v1/projects/{id}
GET    /api/v1/projects/{id}/members
POST   /api/v1/projects/{id}/members
PATCH  /api/v1/projects/{id}/members
DELETE /api/v1/projects/{id}/members
GET    /api/v1/projects/{id}/products
GET    /api/v1/projects/{id}/telegram
PUT    /api/v1/projects/{id}/telegram
GET    /api/v1/projects/{id}/discord
PUT    /api/v1/projects/{id}/discord
GET    /api/v1/projects/{id}/price-per-call
GET    /api/v1/creator
POST   /api/v1/creator
GET    /api/v1/creator/{address}
GET    /api/v1/creator/{address}/products
GET    /api/v1/products
POST   /api/v1/products
GET    /api/v1/products/{id}
PATCH  /api/v1/products/{id}
POST   /api/v1/products/{id}/enable
DELETE /api/v1/products/{id}/disable
GET    /api/v1/receipts/{id}
GET    /api/v1beta/chat/conversations
POST   /api/v1beta/chat/conversations
GET    /api/v1beta/chat/conversations/{id}
PATCH  /api/v1beta/chat/conversations/{id}
DELETE /api/v1beta/chat/conversations/{id}
GET    /api/v1beta/chat/conversations/{id}/messages
POST   /api/v1beta/chat/conversations/{id}/messages
GET    /api/v1beta/openai/models
GET    /api/v1beta/openai/models/{id}
POST   /api/v1beta/openai/chat/completions
POST   /api/v1beta/openai/embeddings
GET    /api/openapi.json
GET    /docs
";

async fn document() -> Value {
    let app = App::start().await;
    app.anonymous().get("//api/openapi.json").send().await.json()
}

/// Every operation by method and path.
fn operations(document: &Value) -> BTreeMap<String, &Value> {
    let paths = document["paths"].as_object().expect("paths").iter();
    let each = paths.flat_map(|(path, item)| {
        let operations = item.as_object().expect("operations").iter();
        operations.map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
    });
    each.collect()
}

#[test]
fn the_checked_in_copy_is_what_the_routes_are() {
    let made = haithe_server::openapi::text().expect("a document");
    let copy = include_str!("../../docs/openapi.json");
    assert!(
        made.trim_end() == copy.trim_end(),
        "docs/openapi.json is not what the routes are; run `cargo xtask openapi` and look at the difference"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_named_is_there() {
    let document = document().await;
    let operations = operations(&document);
    let named = NAMED.lines().filter(|line| !line.is_empty());
    let named = named.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let named: BTreeSet<String> = named.collect();
    assert!(named.len() > 60);
    let absent: Vec<_> = named
        .iter()
        .filter(|operation| !operations.contains_key(*operation))
        .collect();
    assert!(absent.is_empty(), "named and not there: {absent:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_fit_for_the_code_of_clients() {
    let document = document().await;
    let mut ids = BTreeSet::new();
    for (operation, said) in operations(&document) {
        let id = said["operationId"].as_str().expect("an id");
        assert!(ids.insert(id.to_owned()), "{operation}: {id} is another's, too");
        let plain = id.chars().all(|c| c.is_ascii_alphanumeric());
        assert!(
            plain && id.starts_with(|c: char| c.is_ascii_lowercase()),
            "{operation}: {id}"
        );
        let summary = said["summary"].as_str().unwrap_or_default();
        assert!(!summary.is_empty(), "{operation} says what it does");
        let tags = said["tags"].as_array().expect("tags");
        assert_eq!(tags.len(), 1, "{operation}");
    }
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    for name in schemas.keys() {
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        assert!(
            plain && name.starts_with(|c: char| c.is_ascii_uppercase()),
            "{name}"
        );
        assert!(
            !name.split('_').any(|word| word.ends_with("View")),
            "{name} is ours, not the wire's"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reference_leads_somewhere_and_every_schema_is_used() {
    let document = document().await;
    let mut referred = BTreeSet::new();
    gather(&document, &mut referred);
    assert!(referred.len() > 50);
    for reference in &referred {
        let pointer = reference.strip_prefix('#').expect("within the document");
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let unused: Vec<_> = schemas
        .keys()
        .filter(|name| !referred.contains(&format!("#/components/schemas/{name}")))
        .collect();
    assert!(unused.is_empty(), "{unused:?}");
}

fn gather(value: &Value, referred: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                referred.insert(reference.clone());
            }
            fields.values().for_each(|value| gather(value, referred));
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, referred)),
        _ => {}
    }
}
