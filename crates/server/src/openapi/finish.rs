//! What is true of every operation, added to the document in one pass.

use crate::http::idempotency::takes_key;
use serde_json::{Map, Value, json};

/// Refusals that any operation may answer with, and when.
const REFUSALS: &[(&str, &str)] = &[
    ("400", "The request cannot be understood"),
    ("401", "No credential, or one that is not valid"),
    (
        "402",
        "The organization's balance, a cap or a budget does not cover it",
    ),
    ("403", "The caller may not do this"),
    ("404", "No such thing, or none of the caller's business"),
    ("408", "The request did not arrive in time"),
    ("409", "The present state refuses it"),
    ("413", "The request is too large"),
    ("415", "The body is not JSON"),
    ("422", "Understood, and cannot be done as asked"),
    ("429", "Too many requests; `Retry-After` says when to try again"),
    ("500", "A defect of ours; `request_id` leads us to it"),
    ("502", "A provider failed"),
    (
        "503",
        "A part of the service is away; `Retry-After` says when to try again",
    ),
    ("504", "A provider did not answer in time"),
];

const METHODS: &[&str] = &["get", "put", "post", "delete", "patch"];

/// Paths whose requests speak OpenAI's dialect.
const OPENAI: &str = "/api/v1beta/openai";
/// Paths that are called on behalf of an organization and a project.
const ON_BEHALF: &str = "/api/v1beta/";
/// Paths below it whose requests carry a signature instead of a credential and a context.
const SIGNED: &str = "/api/v1beta/webhook/";

/// Operations that call a model.
const CALLS: &[&str] = &[
    "/api/v1beta/openai/chat/completions",
    "/api/v1beta/openai/embeddings",
    SIGNED,
];

pub(super) fn finish(document: &mut Value) {
    add_shared(document);
    let Some(Value::Object(paths)) = document.get_mut("paths") else {
        return;
    };
    let mut finished = Map::new();
    for (path, mut item) in std::mem::take(paths) {
        let path = path.replace("{*", "{");
        for method in METHODS {
            if let Some(Value::Object(operation)) = item.get_mut(*method) {
                finish_operation(&path, method, operation);
            }
        }
        finished.insert(path, item);
    }
    *paths = finished;
}

/// Refusals and headers, which operations refer to.
fn add_shared(document: &mut Value) {
    let Some(Value::Object(components)) = document.get_mut("components") else {
        return;
    };
    let mut responses = Map::new();
    for (dialect, schema) in [("Rest", "RestFailure"), ("OpenAi", "OpenAiFailure")] {
        for (status, description) in REFUSALS {
            let schema = json!({"$ref": format!("#/components/schemas/{schema}")});
            let response =
                json!({"description": description, "content": {"application/json": {"schema": schema}}});
            responses.insert(format!("{dialect}{status}"), response);
        }
    }
    components.insert("responses".into(), Value::Object(responses));
    let header = |name: &str, description: &str| {
        json!({
            "name": name, "in": "header", "required": false, "description": description,
            "schema": {"type": "string"},
        })
    };
    let parameters = json!({
        "Organization": header("Haithe-Organization", "The organization that pays: its uid, `org-` in front or not. `OpenAI-Organization` means the same. Not needed with an API key scoped to a project."),
        "Project": header("Haithe-Project", "The project that is called: its uid, `proj-` in front or not. `OpenAI-Project` means the same. Not needed with an API key scoped to a project."),
        "MaxCost": header("Haithe-Max-Cost", "The most that this call may cost in USDT, the model included, such as `0.05`. It only lowers what is allowed otherwise: the output is shortened to fit, and a call that cannot fit is refused (402 `max_cost_exceeded`) before a provider is asked."),
        "IdempotencyKey": idempotency_key(),
    });
    components.insert("parameters".into(), parameters);
}

fn idempotency_key() -> Value {
    json!({
        "name": "Idempotency-Key", "in": "header", "required": false,
        "description": "The caller's own name for this request, for 72 hours. The same request again is given \
            the first one's answer, with `idempotency-replayed: true`, and neither carried out nor charged again; \
            another request of that name is refused (422 `idempotency_key_reused`), and so is one that comes while \
            the first is under way (409 `idempotency_in_flight`, with `Retry-After`). Answers larger than 1 MiB are \
            not kept (409 `idempotency_answer_too_large`). A request that failed, or that was refused for a reason \
            outside itself (401, 402, 403, 408, 409, 429), may be sent again under the same name.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
    })
}

fn finish_operation(path: &str, method: &str, operation: &mut Map<String, Value>) {
    operation.insert("operationId".into(), operation_id(path, method).into());
    operation.insert("tags".into(), json!([tag(path)]));
    let public = secure(path, operation);
    accept_either_place(operation);
    let mut headers = Vec::new();
    if path.starts_with(ON_BEHALF) && !path.starts_with(SIGNED) {
        headers.extend(["Organization", "Project"]);
    }
    if method == "post" && CALLS.iter().any(|call| path.starts_with(call)) {
        headers.push("MaxCost");
    }
    if !public && takes_key(method, path) {
        headers.push("IdempotencyKey");
    }
    if !headers.is_empty() {
        let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
        if let Value::Array(parameters) = parameters {
            let reference = |name| json!({"$ref": format!("#/components/parameters/{name}")});
            parameters.extend(headers.into_iter().map(reference));
        }
    }
    refuse(path, public, operation);
}

/// `getV1OrgsByIdMembers`: unique as long as paths are.
fn operation_id(path: &str, method: &str) -> String {
    let mut id = method.to_owned();
    for segment in path.split('/').filter(|segment| !matches!(*segment, "" | "api")) {
        let parameter = segment.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
        if parameter.is_some() {
            id.push_str("By");
        }
        for word in parameter
            .unwrap_or(segment)
            .split(|c: char| !c.is_ascii_alphanumeric())
        {
            let mut letters = word.chars();
            id.extend(letters.next().map(|first| first.to_ascii_uppercase()));
            id.push_str(letters.as_str());
        }
    }
    id
}

fn tag(path: &str) -> &str {
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    match segments.next() {
        Some("api") => {}
        first => return first.unwrap_or("service"),
    }
    match segments.next() {
        Some("v1" | "v1beta") => segments.next().unwrap_or("service"),
        _ => "service",
    }
}

/// An operation that says nothing wants a session, or an API key where those work. Says whether it
/// is public.
fn secure(path: &str, operation: &mut Map<String, Value>) -> bool {
    if operation.contains_key("security") {
        operation.insert("security".into(), json!([]));
        return true;
    }
    let credentials = if path.starts_with(ON_BEHALF) {
        json!([{"session": []}, {"api_key": []}])
    } else {
        json!([{"session": []}])
    };
    operation.insert("security".into(), credentials);
    false
}

/// Parameters that may come in the query or in the body are required in neither place alone.
fn accept_either_place(operation: &mut Map<String, Value>) {
    let Some(Value::Object(body)) = operation.get_mut("requestBody") else {
        return;
    };
    if body
        .get("content")
        .is_none_or(|content| content.get("application/json").is_none())
    {
        return;
    }
    body.insert("required".into(), false.into());
    let Some(Value::Array(parameters)) = operation.get_mut("parameters") else {
        return;
    };
    for parameter in parameters {
        let in_query = parameter.get("in").is_some_and(|place| place == "query");
        if let (true, Value::Object(parameter)) = (in_query, parameter) {
            parameter.insert("required".into(), false.into());
        }
    }
}

fn refuse(path: &str, public: bool, operation: &mut Map<String, Value>) {
    let dialect = if path.starts_with(OPENAI) {
        "OpenAi"
    } else {
        "Rest"
    };
    let Some(Value::Object(responses)) = operation.get_mut("responses") else {
        return;
    };
    for (status, _) in REFUSALS {
        let models_only = matches!(*status, "402" | "502" | "504");
        let signed = path.starts_with(SIGNED);
        let wanted = match *status {
            "401" | "402" if public && !signed => false,
            _ => dialect == "OpenAi" || signed || !models_only,
        };
        if wanted && !responses.contains_key(*status) {
            let reference = format!("#/components/responses/{dialect}{status}");
            responses.insert((*status).to_owned(), json!({"$ref": reference}));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_named_after_their_method_and_path() {
        assert_eq!(
            operation_id("/api/v1/orgs/{id}/members", "get"),
            "getV1OrgsByIdMembers"
        );
        assert_eq!(
            operation_id("/api/v1/me/api-key/last-issued", "get"),
            "getV1MeApiKeyLastIssued"
        );
        assert_eq!(operation_id("/health", "get"), "getHealth");
    }

    #[test]
    fn exactly_the_operations_that_take_an_idempotency_key_say_so() {
        let document = crate::api::router::document().unwrap();
        let key = json!({"$ref": "#/components/parameters/IdempotencyKey"});
        let mut takers = 0;
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let says = operation["parameters"]
                    .as_array()
                    .is_some_and(|parameters| parameters.contains(&key));
                assert_eq!(says, takes_key(method, path), "{method} {path}");
                takers += usize::from(says);
            }
        }
        assert!(takers > 10, "{takers}");
    }

    #[test]
    fn operations_are_grouped_by_the_first_word_after_the_version() {
        assert_eq!(tag("/api/v1/orgs/{id}"), "orgs");
        assert_eq!(tag("/api/v1beta/openai/models"), "openai");
        assert_eq!(tag("/health/ready"), "health");
        assert_eq!(tag("/api/openapi.json"), "service");
    }
}
