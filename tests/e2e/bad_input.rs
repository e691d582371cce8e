//! Whatever is thrown at it, the service says what is wrong, in the dialect of the path.
//!
//! Every endpoint meets every kind of nonsense; none of it may cause a 5xx, a dropped connection,
//! a wrong dialect, or a word about our insides.

mod tables;

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Tenant},
    client::Client,
};
use http::Method;
use serde_json::json;
use tables::{Findings, READS, endpoints};

struct Probe {
    app: App,
    tenant: Tenant,
}

impl Probe {
    async fn start() -> Self {
        let app = App::start().await;
        let tenant = app.funded("Acme", Usdt::whole(1)).await;
        Self { app, tenant }
    }

    fn path(&self, path: &str) -> String {
        path.replace("{org}", &self.tenant.org_id.to_string())
            .replace("{project}", &self.tenant.project_id.to_string())
    }

    fn caller(&self) -> &Client {
        &self.tenant.caller
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_json_object_are_refused_everywhere() {
    let probe = Probe::start().await;
    let mut found = Findings::default();
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_object = format!("{}1{}", "{\"a\":".repeat(50_000), "}".repeat(50_000));
    let twice = r#"{"name":"a","name":"b","model":"per-call","model":"both","messages":[],"messages":[]}"#;
    let bodies: [(&str, Vec<u8>); 16] = [
        ("half an object", b"{\"name\":".to_vec()),
        ("a text", b"hello".to_vec()),
        ("a JSON text", b"\"hello\"".to_vec()),
        ("a number", b"7".to_vec()),
        ("an array", b"[1,2]".to_vec()),
        ("null", b"null".to_vec()),
        (
            "bad UTF-8",
            b"{\"name\":\"\xff\xfe\",\"model\":\"\xff\"}".to_vec(),
        ),
        ("a NUL", b"{\"name\":\"\x00\"}".to_vec()),
        ("only NULs", vec![0; 100]),
        ("trailing garbage", b"{\"name\":\"x\"} tail".to_vec()),
        ("comments", b"{/* */\"name\":\"x\"}".to_vec()),
        ("a deep array", deep.into_bytes()),
        ("a deep object", deep_object.into_bytes()),
        ("every name twice", twice.as_bytes().to_vec()),
        ("a byte order mark", b"\xef\xbb\xbf{\"name\":\"x\"}".to_vec()),
        ("NaN", b"{\"name\":NaN}".to_vec()),
    ];
    for (method, path, _) in endpoints() {
        for (what, body) in &bodies {
            let ask = probe.caller().ask(method.clone(), &probe.path(path));
            let answer = ask
                .header("content-type", "application/json")
                .body(body.clone())
                .send()
                .await;
            // REST routes refuse the unknown field; the dialects pass it on, and the chat dialect bounds the
            // depth.
            if *what == "a deep object" {
                found.expect_no_harm(&answer, path, what);
            } else {
                found.expect_refusal(&answer, path, what);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_of_wrong_types_and_sizes_are_refused_everywhere() {
    let probe = Probe::start().await;
    let mut found = Findings::default();
    let huge = "9".repeat(400);
    let values: Vec<(&str, String)> = vec![
        ("null", "null".into()),
        ("true", "true".into()),
        ("a number", "12".into()),
        ("minus one", "-1".into()),
        ("a fraction", "1.5".into()),
        ("an exponent", "1e400".into()),
        ("beyond 64 bits", "18446744073709551616".into()),
        ("the smallest", "-9223372036854775808".into()),
        ("400 digits", huge),
        ("an empty text", "\"\"".into()),
        ("blanks", "\"   \"".into()),
        ("a control character", "\"a\\u0000b\\u001b[2J\"".into()),
        ("a lone surrogate", "\"\\ud800\"".into()),
        ("a right-to-left override", "\"\\u202e\"".into()),
        ("a long text", format!("\"{}\"", "x".repeat(100_000))),
        ("SQL", "\"'; drop table organization; --\"".into()),
        ("HTML", "\"<script>alert(1)</script>\"".into()),
        ("an array", "[]".into()),
        ("an array of things", "[null, {}, -1, \"x\"]".into()),
        ("an object", "{}".into()),
        ("an object of things", "{\"a\": {\"b\": []}}".into()),
    ];
    for (method, path, good) in endpoints() {
        let fields: Vec<String> = good.as_object().unwrap().keys().cloned().collect();
        for field in &fields {
            for (what, value) in &values {
                // Built by hand: several of the values are none that serde_json would write.
                let others = fields.iter().filter(|name| *name != field);
                let mut body: Vec<String> = others.map(|name| format!("\"{name}\":{}", good[name])).collect();
                body.push(format!("\"{field}\":{value}"));
                let body = format!("{{{}}}", body.join(","));
                let ask = probe.caller().ask(method.clone(), &probe.path(path));
                let answer = ask
                    .header("content-type", "application/json")
                    .body(body)
                    .send()
                    .await;
                found.expect_no_harm(&answer, path, &format!("{field} = {what}"));
            }
        }
    }
    let around = probe.app.stop().await;
    assert!(around.run(&["ledger", "check"], None).await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_fields_are_named() {
    let probe = Probe::start().await;
    for (method, path, required) in [
        (Method::POST, "/v1/auth/login", vec!["address", "signature"]),
        (
            Method::POST,
            "/v1/orgs/{org}/members",
            vec!["wallet_address", "role"],
        ),
        (Method::POST, "/v1/orgs/{org}/models", vec!["model_id"]),
        (Method::POST, "/v1/projects", vec!["org_id", "name"]),
        (Method::POST, "/v1/me/api-keys", vec!["name"]),
        (Method::POST, "/v1beta/openai/chat/completions", vec!["messages"]),
    ] {
        let good = endpoints()
            .into_iter()
            .find(|(m, p, _)| *m == method && *p == path)
            .unwrap()
            .2;
        for field in required {
            let mut body = good.clone();
            body.as_object_mut().unwrap().remove(field);
            let answer = probe
                .caller()
                .ask(method.clone(), &probe.path(path))
                .json(&body)
                .send()
                .await;
            assert_eq!(answer.status, 400, "{path} without {field}: {}", answer.text());
            assert!(
                answer.text().contains(field),
                "{path} without {field}: {}",
                answer.text()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_are_none_are_refused_or_not_found() {
    let probe = Probe::start().await;
    let mut found = Findings::default();
    let ids = [
        "0",
        "-1",
        "999999999",
        "9223372036854775807",
        "9223372036854775808",
        "1.5",
        "abc",
        "%00",
        "%ff",
        "1%20",
        "..%2f1",
        "%27%20or%201=1",
        "0190a0b0-c0d0-7000-8000-0102030405ff",
        "%E2%80%AE",
        "null",
        "[]",
        "+1",
        "0x1",
    ];
    for path in READS {
        for id in ids {
            let method = if path.contains("api-keys") {
                Method::DELETE
            } else {
                Method::GET
            };
            let answer = probe.caller().ask(method, &path.replace("{id}", id)).send().await;
            found.expect_refusal(&answer, path, id);
        }
        let long = path.replace("{id}", &"9".repeat(5_000));
        let method = if path.contains("api-keys") {
            Method::DELETE
        } else {
            Method::GET
        };
        let answer = probe.caller().ask(method, &long).send().await;
        found.expect_refusal(&answer, path, "5,000 digits");
    }
    let receipts = format!("/v1/orgs/{}/receipts", probe.tenant.org_id);
    for (name, value) in [
        ("limit", "0"),
        ("limit", "201"),
        ("limit", "-1"),
        ("limit", "x"),
        ("after", "x"),
        ("after", ""),
    ] {
        let answer = probe.caller().get(&receipts).query(&[(name, value)]).send().await;
        found.expect_refusal(&answer, &receipts, &format!("{name}={value}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_methods_and_paths_answer_in_their_dialect() {
    let probe = Probe::start().await;
    let mut found = Findings::default();
    for (path, allowed) in [
        ("/v1/auth/nonce", "GET"),
        ("/v1/auth/login", "POST"),
        ("/v1/me", "GET"),
        ("/v1/models", "GET"),
        ("/v1/orgs", "POST"),
        ("/v1/projects", "POST"),
        ("/v1beta/openai/models", "GET"),
        ("/v1beta/openai/chat/completions", "POST"),
    ] {
        for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::TRACE] {
            let answer = probe.caller().ask(method.clone(), path).send().await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert!(answer.header("allow").unwrap().contains(allowed), "{path}");
            found.expect_refusal(&answer, path, method.as_str());
        }
    }
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v1/nothing",
        "/v2/me",
        "/v1/me/",
        "//",
        "/v1/orgs/1/nothing",
        "/v1beta/openai",
        "/v1beta/openai/",
        "/v1beta/openai/nothing",
        "/v1beta/openai/chat",
        "/v1/%2e%2e/%2e%2e/etc/passwd",
        "/v1beta/nothing",
    ] {
        let answer = probe.caller().get(path).send().await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
        found.expect_refusal(&answer, path, "GET");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_too_large_or_of_another_type_are_refused() {
    let probe = Probe::start().await;
    let mut found = Findings::default();
    for (method, path, _) in endpoints() {
        let path = probe.path(path);
        let vast = format!("{{\"name\":\"{}\"}}", "x".repeat(5 * 1024 * 1024));
        let ask = probe
            .caller()
            .ask(method.clone(), &path)
            .header("content-type", "application/json");
        // The answer may come before the body is read to its end, which some clients take for a break.
        if let Ok(answer) = ask.body(vast).try_send().await {
            assert_eq!(answer.status, 413, "{path}");
            found.expect_refusal(&answer, &path, "5 MiB");
        }
        for content_type in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "application/xml",
            "x",
            "",
        ] {
            let ask = probe
                .caller()
                .ask(method.clone(), &path)
                .header("content-type", content_type);
            let answer = ask.body("{\"name\":\"x\"}").send().await;
            assert_eq!(answer.status, 415, "{path} {content_type:?}: {}", answer.text());
            found.expect_refusal(&answer, &path, content_type);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_headers_hurt_nobody() {
    let probe = Probe::start().await;
    let mut found = Findings::default();
    let many = |client: &Client| {
        (0..80).fold(client.clone(), |client, n| {
            client.with(&format!("x-many-{n}"), "y")
        })
    };
    for path in ["/v1/me", "/v1/models", "/v1beta/openai/models"] {
        for (name, value) in [
            ("authorization", &b"Bearer \xff\xfe"[..]),
            ("haithe-organization", b"\xff"),
            ("user-agent", b"\xff\xfe\xfd"),
            ("origin", b"\xff"),
            ("x-request-id", b"\xff"),
            ("x-forwarded-for", b"not, an, address"),
            ("accept", b"text/html"),
            ("content-length", b"0"),
            ("expect", b"200-maybe"),
            ("range", b"bytes=0-1"),
            ("if-none-match", b"*"),
        ] {
            let answer = probe.caller().get(path).header_bytes(name, value).send().await;
            found.expect_no_harm(&answer, path, name);
        }
        let answer = many(probe.caller()).get(path).send().await;
        found.expect_no_harm(&answer, path, "80 headers");
        let vast = probe
            .caller()
            .with("x-vast", "y".repeat(60_000))
            .get(path)
            .try_send()
            .await;
        if let Ok(answer) = vast {
            assert!(answer.status.is_client_error(), "{path}: {}", answer.status);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chat_requests_that_make_no_sense_are_refused_before_money_moves() {
    let probe = Probe::start().await;
    let mut found = Findings::default();
    let hi = json!([{"role": "user", "content": "hi"}]);
    for body in [
        json!({}),
        json!({"model": "per-call"}),
        json!({"model": "per-call", "messages": []}),
        json!({"model": "per-call", "messages": "hi"}),
        json!({"model": "per-call", "messages": {"role": "user"}}),
        json!({"model": "per-call", "messages": [null]}),
        json!({"model": "per-call", "messages": ["hi"]}),
        json!({"model": "per-call", "messages": [{"content": "no role"}]}),
        json!({"model": "per-call", "messages": [{"role": 7, "content": "hi"}]}),
        json!({"model": 7, "messages": hi}),
        json!({"model": "", "messages": hi}),
        json!({"model": "x".repeat(10_000), "messages": hi}),
        json!({"model": "per-call\u{0}", "messages": hi}),
        json!({"model": "per-call", "messages": hi, "n": 0}),
        json!({"model": "per-call", "messages": hi, "n": -1}),
        json!({"model": "per-call", "messages": hi, "n": 1.5}),
        json!({"model": "per-call", "messages": hi, "n": "2"}),
        json!({"model": "per-call", "messages": hi, "n": 1_000_000}),
        json!({"model": "per-call", "messages": hi, "stream": "yes"}),
        json!({"model": "per-call", "messages": hi, "stream": 1}),
        json!({"model": "per-call", "messages": hi, "max_tokens": 0}),
        json!({"model": "per-call", "messages": hi, "max_tokens": -5}),
        json!({"model": "per-call", "messages": hi, "max_tokens": "many"}),
        json!({"model": "per-call", "messages": hi, "max_completion_tokens": 1.5}),
        json!({"model": "per-call", "messages": hi, "stream": true, "stream_options": 7}),
        json!({"model": "per-call", "messages": hi, "stream": true, "stream_options": {"include_usage": "yes"}}),
        json!({"model": "per-token", "messages": [{"role": "user", "content": "x".repeat(3_000_000)}]}),
    ] {
        let answer = probe.caller().chat(&body).send().await;
        let shown: String = body.to_string().chars().take(200).collect();
        found.expect_refusal(&answer, "/v1beta/openai/chat/completions", &shown);
    }
    assert_eq!(probe.app.upstream.count(), 0);
    assert_eq!(probe.tenant.expenditure().await, Usdt::ZERO);
    assert_eq!(probe.tenant.balance().await.held, Usdt::ZERO);
}
