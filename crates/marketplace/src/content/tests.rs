//! Creators' content and models' arguments, good and hostile.

use super::*;
use haithe_kernel::{FetchMethod, Redirects};
use proptest::prelude::*;
use serde_json::{Value, json};

fn tool(spec: &Value) -> Result<RpcTool, ContentError> {
    RpcTool::parse(spec.to_string().as_bytes())
}

fn spec() -> Value {
    json!({
        "name": "weather",
        "description": "The weather of a city.",
        "method": "POST",
        "url": "https://api.example/v1/{country}/{city}.json?units=metric",
        "headers": {"X-Api-Key": "5ecret"},
        "parameters": [
            {"name": "country", "in": "path", "type": "string", "required": true},
            {"name": "city", "in": "path", "type": "string", "required": true, "description": "In English."},
            {"name": "days", "in": "query", "type": "integer"},
            {"name": "x-trace", "in": "header", "type": "boolean"},
            {"name": "options", "in": "body", "type": "object"},
            {"name": "tags", "in": "body", "type": "array"},
            {"name": "limit", "in": "body", "type": "number"},
        ],
    })
}

fn with(change: impl FnOnce(&mut Value)) -> Result<RpcTool, ContentError> {
    let mut spec = spec();
    change(&mut spec);
    tool(&spec)
}

fn problem(change: impl FnOnce(&mut Value)) -> &'static str {
    match with(change) {
        Err(ContentError::Rule { field, .. }) => field,
        Err(ContentError::Form { .. }) => "form",
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_model_sees_a_schema_and_neither_address_nor_headers() {
    let tool = tool(&spec()).unwrap();
    let schema = tool.schema();
    assert_eq!(
        schema["properties"]["city"],
        json!({"type": "string", "description": "In English."})
    );
    assert_eq!(schema["properties"]["tags"], json!({"type": "array"}));
    assert_eq!(schema["required"], json!(["country", "city"]));
    assert_eq!(schema["additionalProperties"], false);
    let shown = format!("{schema} {tool:?}");
    assert!(
        !shown.contains("api.example") && !shown.contains("5ecret"),
        "{shown}"
    );
}

#[test]
fn arguments_land_where_the_creator_says() {
    let arguments = json!({
        "country": "DE", "city": "Bad Homburg/H?x=#%2e&", "days": 3, "x-trace": true,
        "options": {"a": [1, null]}, "tags": ["x"], "limit": 1.5,
    });
    let request = tool(&spec()).unwrap().request(&arguments.to_string()).unwrap();
    assert_eq!(request.method, FetchMethod::Post);
    assert_eq!(request.redirects, Redirects::Refused);
    assert_eq!(
        request.url,
        "https://api.example/v1/DE/Bad%20Homburg%2FH%3Fx%3D%23%252e%26.json?units=metric&days=3"
    );
    let headers: Vec<(&str, &str)> = request
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        headers,
        [
            ("X-Api-Key", "5ecret"),
            ("x-trace", "true"),
            ("content-type", "application/json")
        ]
    );
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(
        body,
        json!({"options": {"a": [1, null]}, "tags": ["x"], "limit": 1.5})
    );
}

#[test]
fn a_call_without_parameters_takes_nothing_and_sends_no_body() {
    let ping = json!({"name": "ping", "description": "Pings.", "method": "GET", "url": "http://a.example"});
    let ping = tool(&ping).unwrap();
    for arguments in ["", " ", "{}"] {
        let request = ping.request(arguments).unwrap();
        assert_eq!(
            (request.url.as_str(), request.body.len()),
            ("http://a.example/", 0)
        );
        assert!(request.headers.is_empty());
    }
    assert_eq!(
        ping.request(r#"{"a": 1}"#),
        Err(ArgumentError::Unknown("a".into()))
    );
}

#[test]
fn the_model_is_told_what_it_did_wrong() {
    let tool = tool(&spec()).unwrap();
    let refusal = |change: Value| {
        let mut arguments = json!({"country": "DE", "city": "Bonn"});
        for (name, value) in change.as_object().unwrap() {
            arguments[name] = value.clone();
        }
        tool.request(&arguments.to_string()).unwrap_err()
    };
    let name = |name: &str| name.to_owned();
    assert_eq!(
        refusal(json!({"city": null})),
        ArgumentError::Missing(name("city"))
    );
    for (field, value, expected) in [
        ("city", json!(5), "string"),
        ("days", json!("3"), "integer"),
        ("days", json!(3.5), "integer"),
        ("x-trace", json!("yes"), "boolean"),
        ("options", json!([]), "object"),
        ("tags", json!({}), "array"),
        ("limit", json!("1"), "number"),
    ] {
        let refused = refusal(json!({ field: value }));
        assert_eq!(
            refused,
            ArgumentError::Type {
                name: name(field),
                expected
            }
        );
    }
    for value in ["", ".", ".."] {
        let refused = refusal(json!({"country": value}));
        assert_eq!(refused, ArgumentError::Address, "{value:?}");
    }
    assert_eq!(
        refusal(json!({"city": "x".repeat(3_000)})),
        ArgumentError::Value(name("city"))
    );
    assert_eq!(tool.request("[]"), Err(ArgumentError::Form));
    assert_eq!(tool.request("{\"country\""), Err(ArgumentError::Form));
    let integral = json!({"country": "DE", "city": "Bonn", "days": 3.0});
    assert!(tool.request(&integral.to_string()).is_ok());
}

#[test]
fn a_header_argument_cannot_begin_another_header() {
    let spec = json!({"name": "a", "description": "A.", "method": "GET", "url": "https://a.example/",
        "headers": {"x-a": "fixed"},
        "parameters": [{"name": "X-A", "in": "header", "type": "string"}]});
    let tool = tool(&spec).unwrap();
    for bad in ["a\r\nb: c", "ü", "\u{0}", " a"] {
        let refused = tool.request(&json!({"X-A": bad}).to_string());
        assert_eq!(refused, Err(ArgumentError::Value("X-A".into())));
    }
    let request = tool.request(r#"{"X-A": "given"}"#).unwrap();
    assert_eq!(request.headers, [("X-A".to_owned(), "given".to_owned())]);
}

#[test]
fn a_specification_keeps_to_its_rules() {
    for url in [
        "",
        "ftp://a.example/{country}/{city}",
        "https://{country}.example/{city}",
        "https://a.example:{country}/{city}",
        "https://a.example/{country}?q={city}",
        "https://a.example/{country}#{city}",
        "https://u:p@a.example/{country}/{city}",
        "https://a.example/{country}/../{city}",
        "https://a.example/{country}/{city",
        "https://a.example/{country}/city}",
        "https://a.example/{}/{country}/{city}",
        "https://a.example/{country}",
        "https://a.example/{country}/{city}/{more}",
        "https://a.example/{country}/{city} x",
    ] {
        assert_eq!(problem(|spec| spec["url"] = url.into()), "url", "{url}");
    }
    assert_eq!(problem(|spec| spec["name"] = "get weather".into()), "name");
    assert_eq!(problem(|spec| spec["name"] = "x".repeat(65).into()), "name");
    assert_eq!(problem(|spec| spec["description"] = " ".into()), "description");
    assert_eq!(problem(|spec| spec["method"] = "TRACE".into()), "form");
    assert_eq!(problem(|spec| spec["extra"] = 1.into()), "form");
    assert_eq!(problem(|spec| spec["headers"] = json!({"a b": "c"})), "headers");
    assert_eq!(problem(|spec| spec["headers"] = json!({"a": "b\nc"})), "headers");
    let headers: Value = (0..33)
        .map(|n| (format!("x-{n}"), json!("v")))
        .collect::<serde_json::Map<_, _>>()
        .into();
    assert_eq!(problem(|spec| spec["headers"] = headers), "headers");
    for (field, value) in [
        ("name", json!("country")),
        ("name", json!("a b")),
        ("name", json!("")),
        ("type", json!("array")),
        ("description", json!("a\u{0}")),
    ] {
        let of_days = |spec: &mut Value| spec["parameters"][2][field] = value.clone();
        assert_eq!(problem(of_days), "parameters", "{field} {value}");
    }
    assert_eq!(
        problem(|spec| spec["parameters"][1]["required"] = false.into()),
        "parameters"
    );
    assert_eq!(problem(|spec| spec["method"] = "GET".into()), "parameters");
    assert_eq!(
        problem(|spec| spec["parameters"][2]["in"] = "cookie".into()),
        "form"
    );
}

#[test]
fn a_refusal_never_repeats_content() {
    let secret = "my-5ecret";
    for content in [
        json!({"name": secret}).to_string(),
        json!({"name": 5, "unknown-my-5ecret": secret}).to_string(),
        format!("[\"{secret}\", 5]"),
        format!("\"{secret}\""),
        secret.to_owned(),
    ] {
        for category in [Category::PromptSet, Category::ToolRpc, Category::Mcp] {
            let bytes = Arc::new(Plaintext::new(content.clone().into_bytes()));
            if let Err(error) = ProductContent::read(category, bytes) {
                assert!(!error.to_string().contains("5ecret"), "{error}");
                assert!(!format!("{error:?}").contains("5ecret"), "{error:?}");
            }
        }
    }
}

#[test]
fn prompts_are_a_bounded_array_of_texts() {
    let parse = |value: &Value| PromptSet::parse(value.to_string().as_bytes());
    let prompts = parse(&json!(["Be kind.\n", "Be brief."])).unwrap();
    assert_eq!(prompts.texts(), ["Be kind.\n", "Be brief."]);
    assert_eq!(format!("{prompts:?}"), "PromptSet(2 texts)");
    for bad in [
        json!([]),
        json!({}),
        json!("x"),
        json!([1]),
        json!([""]),
        json!(["a\u{0}"]),
        json!(vec!["x"; 257]),
        json!(["x".repeat(70_000)]),
        json!(vec!["x".repeat(60_000); 5]),
    ] {
        assert!(parse(&bad).is_err());
    }
}

#[test]
fn an_mcp_server_has_an_address_and_maybe_names_its_tools() {
    let parse = |value: &Value| McpEndpoint::parse(value.to_string().as_bytes());
    let all = parse(&json!({"url": "https://mcp.example/sse"})).unwrap();
    assert!(all.offers("anything"));
    let some =
        json!({"url": "https://mcp.example/", "headers": {"authorization": "Bearer x"}, "tools": ["a"]});
    let some = parse(&some).unwrap();
    assert!(some.offers("a") && !some.offers("b"));
    assert_eq!(
        some.headers().iter().collect::<Vec<_>>(),
        [("authorization", "Bearer x")]
    );
    assert_eq!(some.url().as_str(), "https://mcp.example/");
    for bad in [
        json!({}),
        json!({"url": "stdio:x"}),
        json!({"url": "https://a.example/#b"}),
        json!({"url": "https://a.example", "headers": {"": "x"}}),
        json!({"url": "https://a.example", "tools": [""]}),
        json!({"url": "https://a.example", "command": "sh"}),
    ] {
        assert!(parse(&bad).is_err(), "{bad}");
    }
}

#[test]
fn documents_stay_bytes() {
    let bytes = Arc::new(Plaintext::new(vec![0xff, 0]));
    let read = ProductContent::read(Category::KnowledgePdf, bytes).unwrap();
    match &read {
        ProductContent::Knowledge { form, bytes } => {
            assert_eq!((*form, &***bytes), (Category::KnowledgePdf, &[0xff, 0][..]));
        }
        other => panic!("{other:?}"),
    }
    assert!(!format!("{read:?}").contains("255"));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::hash_map("[a-z{}/.]{0,8}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_content_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        field in prop::sample::select(vec!["name", "url", "method", "headers", "parameters", "description"]),
        value in any_json(), url in "https?://[a-z{}/.?#@:%]{0,30}",
    ) {
        for category in Category::ALL {
            let _ = ProductContent::read(*category, Arc::new(Plaintext::new(bytes.clone())));
        }
        let _ = with(|spec| spec[field] = value);
        let _ = with(|spec| spec["url"] = url.into());
    }

    #[test]
    fn no_argument_leaves_its_place(
        country in "\\PC{0,20}|[./%?#\\\\@:]{0,6}", city in "\\PC{0,20}|[./%?#\\\\@:]{0,6}",
        arguments in any_json(),
    ) {
        let tool = tool(&spec()).unwrap();
        let _ = tool.request(&arguments.to_string());
        let given = json!({"country": country, "city": city});
        if let Ok(request) = tool.request(&given.to_string()) {
            let url = Url::parse(&request.url).unwrap();
            prop_assert_eq!(url.host_str(), Some("api.example"));
            prop_assert_eq!(url.query(), Some("units=metric"));
            let segments: Vec<&str> = url.path_segments().unwrap().collect();
            prop_assert_eq!(segments.len(), 3);
            prop_assert_eq!(segments[0], "v1");
            let decode = |text: &str| {
                let pair = format!("x={}", text.replace('+', "%2B"));
                url::form_urlencoded::parse(pair.as_bytes()).next().unwrap().1.into_owned()
            };
            prop_assert_eq!(decode(segments[1]), country);
            prop_assert_eq!(decode(segments[2]), format!("{city}.json"));
        }
    }
}
