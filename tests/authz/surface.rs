//! What the server serves is what its document says, no more and no less.

use haithe_tests::app::App;
use http::Method;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Every operation of the document that the server gives: whether it says that it is public, by
/// method and path.
pub async fn operations(app: &App) -> BTreeMap<String, bool> {
    let document = document(app).await;
    let paths = document["paths"].as_object().expect("paths");
    let each = paths.iter().flat_map(|(path, item)| {
        let operations = item.as_object().expect("operations").iter();
        operations.map(move |(method, operation)| {
            let public = operation["security"].as_array().is_some_and(Vec::is_empty);
            (format!("{} {path}", method.to_uppercase()), public)
        })
    });
    each.collect()
}

async fn document(app: &App) -> Value {
    app.anonymous().get("//api/openapi.json").send().await.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_is_not_in_the_document_is_not_served() {
    let app = App::start().await;
    let operations = operations(&app).await;
    let paths: BTreeSet<&str> = operations
        .keys()
        .map(|operation| operation.split_once(' ').expect("method and path").1)
        .collect();
    let mut served = Vec::new();
    for path in paths {
        for method in [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ] {
            if operations.contains_key(&format!("{method} {path}")) {
                continue;
            }
            let concrete = path.replace(['{', '}'], "");
            let answer = app
                .anonymous()
                .ask(method.clone(), &format!("/{concrete}"))
                .send()
                .await;
            if answer.status != 405 {
                served.push(format!("{method} {path}: {}", answer.status));
            }
        }
    }
    assert!(served.is_empty(), "{served:#?}");
}
