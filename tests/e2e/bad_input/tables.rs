//! Every endpoint that reads a body or an id, and what a refusal must look like.

use haithe_tests::{app::PROVIDER_KEY, client::Answer};
use http::Method;
use serde_json::{Value, json};

/// Words that only our insides know.
pub const LEAKS: [&str; 14] = [
    "sqlx",
    "sqlite",
    "panicked",
    "src/",
    ".rs:",
    "RUST_",
    "127.0.0.1",
    "alloy",
    "reqwest",
    "hyper",
    "tokio",
    "haithe.db",
    "constraint",
    "SELECT ",
];

/// Method, path and a body that would do; `{org}` and `{project}` stand for the tenant's.
pub fn endpoints() -> Vec<(Method, &'static str, Value)> {
    let member = json!({"wallet_address": "0x00000000000000000000000000000000000000aa", "role": "member"});
    let viewer = json!({"wallet_address": "0x00000000000000000000000000000000000000aa", "role": "viewer"});
    vec![
        (
            Method::POST,
            "/v1/auth/login",
            json!({"address": "0x00000000000000000000000000000000000000aa", "signature": format!("0x{}1b", "11".repeat(64))}),
        ),
        (Method::POST, "/v1/orgs", json!({"name": "x"})),
        (Method::PATCH, "/v1/orgs/{org}", json!({"name": "x"})),
        (Method::POST, "/v1/orgs/{org}/members", member.clone()),
        (Method::PATCH, "/v1/orgs/{org}/members", member.clone()),
        (Method::DELETE, "/v1/orgs/{org}/members", member),
        (Method::POST, "/v1/orgs/{org}/models", json!({"model_id": 1})),
        (Method::DELETE, "/v1/orgs/{org}/models", json!({"model_id": 3})),
        (Method::POST, "/v1/projects", json!({"org_id": 1, "name": "x"})),
        (
            Method::PATCH,
            "/v1/projects/{project}",
            json!({"name": "x", "price_per_call": 1, "memory_window": 3, "public": false,
            "search_enabled": true, "default_model_id": 1, "memory_retention_days": 3}),
        ),
        (Method::POST, "/v1/projects/{project}/members", viewer.clone()),
        (Method::PATCH, "/v1/projects/{project}/members", viewer.clone()),
        (Method::DELETE, "/v1/projects/{project}/members", viewer),
        (
            Method::POST,
            "/v1/me/api-keys",
            json!({"name": "x", "org_id": 1, "project_id": 1, "models": ["per-call"],
            "expires_at": "2099-01-01T00:00:00Z", "budget": {"limit_usdt": "1", "window": "day"},
            "requests_per_minute": 5, "tokens_per_minute": 5}),
        ),
        (
            Method::POST,
            "/v1beta/openai/chat/completions",
            json!({"model": "per-call", "stream": false, "n": 1, "max_tokens": 5,
            "max_completion_tokens": 5, "temperature": 1, "stop": ["x"], "tools": [], "stream_options": null,
            "messages": [{"role": "user", "content": "x"}]}),
        ),
    ]
}

/// GET routes with something in the path or query to get wrong.
pub const READS: [&str; 12] = [
    "/v1/orgs/{id}",
    "/v1/orgs/{id}/projects",
    "/v1/orgs/{id}/members",
    "/v1/orgs/{id}/models",
    "/v1/orgs/{id}/balance",
    "/v1/orgs/{id}/expenditure",
    "/v1/orgs/{id}/receipts",
    "/v1/projects/{id}",
    "/v1/projects/{id}/members",
    "/v1/receipts/{id}",
    "/v1beta/openai/models/{id}",
    "/v1/me/api-keys/{id}",
];

/// What was found wrong; a table is walked to its end before the test fails.
#[derive(Default)]
pub struct Findings(Vec<String>);

impl Findings {
    /// Expects a 4xx in the right dialect that helps and leaks nothing.
    pub fn expect_refusal(&mut self, answer: &Answer, path: &str, what: &str) {
        let status = answer.status.as_u16();
        let shown: String = answer.text().chars().take(300).collect();
        if !(400..500).contains(&status) {
            self.0.push(format!("{path}, {what}: {status} {shown}"));
            return;
        }
        let openai = path.starts_with("/v1beta/openai");
        let (code, message) = if openai {
            answer.openai_failure()
        } else {
            answer.rest_failure()
        };
        let plain = code
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if message.len() < 8 || !plain {
            self.0
                .push(format!("{path}, {what}: {code:?} {message:?} helps nobody"));
        }
        let text = format!("{:?} {shown}", answer.headers);
        let leaks = LEAKS
            .iter()
            .chain([&PROVIDER_KEY])
            .filter(|leak| text.contains(**leak));
        self.0
            .extend(leaks.map(|leak| format!("{path}, {what}: {leak} in {text}")));
    }

    /// A success is fine too.
    pub fn expect_no_harm(&mut self, answer: &Answer, path: &str, what: &str) {
        if !answer.status.is_success() {
            self.expect_refusal(answer, path, what);
        }
    }
}

impl Drop for Findings {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.0.is_empty(), "{} findings: {:#?}", self.0.len(), self.0);
        }
    }
}
