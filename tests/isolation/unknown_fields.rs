//! Inputs fail closed: a name that a route does not know is refused, not dropped.

use haithe_kernel::Usdt;
use haithe_tests::app::{App, Setup, Tenant, question};
use http::Method;
use serde_json::{Value, json};

/// Whether a route refuses unknown names.
fn is_checked(path: &str) -> bool {
    (path.starts_with("/api/v1/") || path.starts_with("/api/v1beta/"))
        && !path.starts_with("/api/v1beta/openai/")
}

/// The path with values that its segments accept.
fn filled(path: &str, operation: &Value) -> String {
    let mut path = path.trim_start_matches("/api").to_owned();
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    for parameter in parameters.iter().filter(|parameter| parameter["in"] == "path") {
        let name = parameter["name"].as_str().unwrap();
        let value = match name {
            "address" => "0x70997970c51812dc3a010c7d01b50e0d17dc79c8".to_owned(),
            "sha256" => "ab".repeat(32),
            "session" | "project_uid" => "0".repeat(32),
            _ if parameter["schema"]["format"] == "uuid" => "0190a0b0-c0d0-7e0f-8010-203040506070".to_owned(),
            _ => "1".to_owned(),
        };
        path = path.replace(&format!("{{{name}}}"), &value);
    }
    path
}

/// With a faucet, whose routes are not there otherwise.
async fn start() -> App {
    App::with(Setup::default().set("chain.faucet", true)).await
}

/// Every checked operation: method, path, document.
async fn operations(app: &App) -> Vec<(Method, String, Value)> {
    let document = app.anonymous().get("/openapi.json").send().await.json();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if is_checked(path) {
                let method = method.to_uppercase().parse().unwrap();
                all.push((method, path.clone(), operation.clone()));
            }
        }
    }
    all
}

/// A caller that every route authenticates.
async fn caller(app: &App) -> Tenant {
    app.funded("Acme", Usdt::whole(1)).await
}

/// Finding 20: every operation refuses a query parameter that it does not know, and names it.
#[tokio::test(flavor = "multi_thread")]
async fn every_operation_refuses_an_unknown_query_parameter() {
    let app = start().await;
    let tenant = caller(&app).await;
    let operations = operations(&app).await;
    assert!(operations.len() > 80, "{}", operations.len());
    let mut wrong = Vec::new();
    for (method, path, operation) in operations {
        let asked = tenant.caller.ask(method.clone(), &filled(&path, &operation));
        let answer = asked.query(&[("zzz_unknown", "1")]).send().await;
        let text = answer.text();
        // Secrets are taken from a body alone, whatever the query has.
        let named = text.contains("zzz_unknown") || answer.json()["code"] == "invalid_query";
        if answer.status != 400 || !named {
            wrong.push(format!("{method} {path}: {} {text}", answer.status));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Finding 20: every operation with a JSON body refuses a field that it does not know, and every operation
/// without one refuses a body.
#[tokio::test(flavor = "multi_thread")]
async fn every_operation_refuses_an_unknown_body_field() {
    let app = start().await;
    let tenant = caller(&app).await;
    let mut wrong = Vec::new();
    let mut tried = 0;
    for (method, path, operation) in operations(&app).await {
        let raw = operation["requestBody"]["content"]
            .as_object()
            .is_some_and(|content| !content.contains_key("application/json"));
        if method == Method::GET || raw {
            continue;
        }
        tried += 1;
        let asked = tenant.caller.ask(method.clone(), &filled(&path, &operation));
        let answer = asked.json(&json!({"zzz_unknown": {"deep": [1]}})).send().await;
        let text = answer.text();
        if answer.status != 400 || answer.json()["code"] != "unknown_field" || !text.contains("zzz_unknown") {
            wrong.push(format!("{method} {path}: {} {text}", answer.status));
        }
    }
    assert!(tried > 40, "{tried}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Every object of a body's schema that lists its fields, by its place.
fn objects(document: &Value, schema: &Value, place: &str, found: &mut Vec<(String, Value)>) {
    if let Some(name) = schema["$ref"].as_str() {
        let pointer = name.trim_start_matches('#');
        return objects(
            document,
            document.pointer(pointer).expect("a schema"),
            place,
            found,
        );
    }
    if let Some(fields) = schema["properties"].as_object() {
        found.push((place.to_owned(), schema.clone()));
        for (name, field) in fields {
            objects(document, field, &format!("{place}.{name}"), found);
        }
    }
    objects_of_each(document, schema, place, found);
}

/// The same within alternatives and lists.
fn objects_of_each(document: &Value, schema: &Value, place: &str, found: &mut Vec<(String, Value)>) {
    let alternatives = ["oneOf", "anyOf", "allOf"];
    let alternatives = alternatives.iter().filter_map(|name| schema[*name].as_array());
    for inner in alternatives.flatten().chain(schema.get("items")) {
        objects(document, inner, place, found);
    }
}

/// Finding 20: the document says which bodies refuse unknown fields, at every depth, and still lists the
/// fields that are accepted and ignored.
#[tokio::test(flavor = "multi_thread")]
async fn the_document_closes_the_bodies_that_refuse_unknown_fields() {
    let app = start().await;
    let document = app.anonymous().get("//api/openapi.json").send().await.json();
    let (mut open, mut closed, mut dialects) = (Vec::new(), 0, 0);
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let body = &operation["requestBody"]["content"]["application/json"]["schema"];
            let mut found = Vec::new();
            objects(&document, body, &format!("{method} {path}"), &mut found);
            for (place, schema) in found {
                match (is_checked(path), schema.get("additionalProperties")) {
                    (true, Some(Value::Bool(false))) => closed += 1,
                    (true, _) => open.push(place),
                    (false, said) => {
                        assert_ne!(said, Some(&json!(false)), "{place} passes unknown fields");
                        dialects += 1;
                    }
                }
            }
        }
    }
    assert!(open.is_empty(), "{open:#?}");
    assert!(closed > 40 && dialects > 1, "{closed} {dialects}");
    let schemas = &document["components"]["schemas"];
    for (schema, ignored) in [
        ("CreatorInput", "pvt_key_seed"),
        ("SyncProductsInput", "encrypted_key"),
        ("FaucetInput", "product_id"),
    ] {
        let field = &schemas[schema]["properties"][ignored];
        assert!(!field.is_null(), "{schema}.{ignored} is documented");
    }
}

/// Finding 20: a misspelt restriction creates no unrestricted key, and the message says what was meant.
#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_restriction_creates_no_key() {
    let app = start().await;
    let tenant = caller(&app).await;
    let owner = &tenant.owner.client;
    for (body, near) in [
        (json!({"name": "k", "project": 3}), "did you mean `project_id`?"),
        (json!({"name": "k", "model": ["gpt"]}), "did you mean `models`?"),
        (
            json!({"name": "k", "expires": "2027-01-01T00:00:00Z"}),
            "did you mean `expires_at`?",
        ),
        (
            json!({"name": "k", "budget": {"limit_usdt": "1", "window": "day", "limit": 3}}),
            "did you mean `budget.limit_usdt`?",
        ),
    ] {
        let refused = owner.post("/v1/me/api-keys").json(&body);
        let message = refused.refused(400, "unknown_field").await;
        assert!(message.ends_with(near), "{message}");
    }
    let twice = owner
        .post("/v1/me/api-keys")
        .header("content-type", "application/json");
    let twice = twice.body(r#"{"name":"k","budget":{"limit_usdt":"1","limit_usdt":"9","window":"day"}}"#);
    twice.refused(400, "invalid_parameter").await;
    assert_eq!(owner.get("/v1/me/api-keys").data().await, json!([]));

    let page = owner.get("/v1/me/api-keys").query(&[("page", "2")]);
    let message = page.refused(400, "unknown_parameter").await;
    assert!(
        message.contains("`page`") && message.contains("`offset`"),
        "{message}"
    );
    let twice = owner
        .get("/v1/me/api-keys")
        .query(&[("limit", "1"), ("limit", "1")]);
    twice.refused(400, "conflicting_parameter").await;
}

/// Finding 20: what the existing SDK sends and the service ignores is accepted on its own route alone.
#[tokio::test(flavor = "multi_thread")]
async fn fields_that_the_sdk_sends_are_ignored_on_their_own_routes_only() {
    let app = start().await;
    let tenant = caller(&app).await;
    let owner = &tenant.owner.client;
    let product = json!({"name": "n", "url": "u", "encrypted_key": "k", "category": "promptset",
        "price_per_call": "1"});
    assert_eq!(owner.post("/v1/products").json(&product).data().await["count"], 0);
    let seed = json!({"uri": "https://creator.example", "pub_key": "04ab", "pvt_key_seed": "x"});
    owner.post("/v1/creator").json(&seed).data().await;
    let granted = owner
        .post("/v1/me/faucet")
        .json(&json!({"product_id": 7}))
        .send()
        .await;
    assert_ne!(granted.json()["code"], "unknown_field", "{}", granted.text());

    for (path, body) in [
        ("/v1/products", json!({"pvt_key_seed": "x"})),
        (
            "/v1/creator",
            json!({"uri": "u", "pub_key": "k", "product_id": 7}),
        ),
        ("/v1/me/faucet", json!({"name": "x"})),
    ] {
        owner.post(path).json(&body).refused(400, "unknown_field").await;
    }
    // Where a route takes no body, an empty object is none.
    let key = owner.post("/v1/me/api-key/disable").json(&json!({})).send().await;
    assert_ne!(key.json()["code"], "unexpected_body", "{}", key.text());
    let sessions = owner.post("/v1/me/api-key/disable").json(&json!([]));
    sessions.refused(400, "unexpected_body").await;
}

/// Finding 20: the model dialects pass unknown fields and query parameters on. This held before the other
/// operations refused them, and must stay so.
#[tokio::test(flavor = "multi_thread")]
async fn the_model_dialects_still_take_unknown_names() {
    let app = start().await;
    let tenant = caller(&app).await;
    let mut body = question("per-call");
    body["zzz_unknown"] = json!({"deep": [1]});
    let answer = tenant
        .caller
        .post("/v1beta/openai/chat/completions")
        .query(&[("api-version", "2024-06-01")])
        .json(&body)
        .send()
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let models = tenant
        .caller
        .get("/v1beta/openai/models")
        .query(&[("page", "2")])
        .send()
        .await;
    assert_eq!(models.status, 200);
    let alive = app.anonymous().get("//health").query(&[("t", "1")]).send().await;
    assert_eq!(alive.status, 200);
}
