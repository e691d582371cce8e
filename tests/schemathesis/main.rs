//! Schemathesis over the document that the server gives: whatever it sends, every answer is one that
//! the document has, of the form that the document says, and none is a failure of the server.
//!
//! `HAITHE_TEST_SEED` chooses another run. `hooks.py` puts numbers of things that exist into some of
//! the requests, so that not all of them end at 404, and counts the answers.

#![recursion_limit = "256"]

mod hints;

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Setup, Tenant},
    packages::{python, run},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use tokio::process::Command;

/// Examples per operation.
const EXAMPLES: &str = "100";
/// What would end the run's own session or its keys.
const EXCLUDED: [&str; 4] = [
    "POST /api/v1/auth/logout",
    "POST /api/v1/me/api-key/disable",
    "DELETE /api/v1/me/sessions",
    // A wallet registers once and waits for a block; the matrix and the stories play it.
    "POST /api/v1/creator",
];
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance";

/// What this owner cannot succeed with, because it is a creator already. `isolation::gas_budgets` covers it.
const ELSEWHERE: [&str; 1] = ["POST /api/v1/creator/transaction"];

/// As whom it is run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Persona {
    Owner,
    Viewer,
    Anonymous,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_holds_for_an_owner() {
    let Some(answers) = explore(Persona::Owner).await else {
        return;
    };
    let never: Vec<_> = answers
        .iter()
        .filter(|(operation, statuses)| {
            !ELSEWHERE.contains(&operation.as_str())
                && !statuses
                    .keys()
                    .any(|status| matches!(status.as_bytes(), [b'2' | b'3', ..]))
        })
        .collect();
    assert!(never.is_empty(), "an owner never succeeded with {never:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_holds_for_a_viewer() {
    explore(Persona::Viewer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_holds_for_somebody_without_a_session() {
    explore(Persona::Anonymous).await;
}

/// Runs it; gives how often each operation answered with each status.
async fn explore(persona: Persona) -> Option<BTreeMap<String, BTreeMap<String, u64>>> {
    let here = haithe_tests::here().join("schemathesis");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis");
    let python = python(folder, &here.join("requirements.txt")).await?;
    // Deploying waits for a block, and answers 503 when a loaded machine does not make one in time.
    let setup = Setup::default().set("chain.deployments_per_wallet", 0);
    let app = App::with(setup.set("chain.faucet", true)).await;
    app.chain.fill_faucet(Usdt::whole(1_000)).await;
    let tenant = app.funded("Acme", Usdt::whole(1_000)).await;
    let token = credential(&app, &tenant, persona).await;
    let work = app.dir();
    let hints = work.join("hints.json");
    let answers = work.join("answers.json");
    let values = hints::of(&app, &tenant).await;
    std::fs::write(&hints, values.to_string()).expect("a writable folder");

    // From a file: Schemathesis spares the address that it read the document from.
    let document = app.anonymous().get("//api/openapi.json").send().await;
    std::fs::write(work.join("openapi.json"), &document.body).expect("a writable folder");

    let mut command = command(&python, &app, token.as_deref());
    command.current_dir(&work).envs([
        ("SCHEMATHESIS_HOOKS", here.join("hooks.py").as_os_str()),
        ("HAITHE_HINTS", hints.as_os_str()),
        ("HAITHE_ANSWERS", answers.as_os_str()),
        ("PYTHONDONTWRITEBYTECODE", "1".as_ref()),
    ]);
    match run(&mut command).await {
        Ok(text) => println!("{text}"),
        Err(trouble) => panic!("{trouble}"),
    }
    let counted = std::fs::read(answers).expect("the hooks have counted");
    let counted: BTreeMap<String, BTreeMap<String, u64>> = serde_json::from_slice(&counted).expect("counts");
    let mut operations = operations(&document.json());
    operations.retain(|operation| !EXCLUDED.contains(&operation.as_str()));
    let untried = operations
        .iter()
        .filter(|operation| !counted.contains_key(*operation));
    let untried: Vec<_> = untried.collect();
    assert!(
        untried.is_empty(),
        "never tried: {untried:#?} of {:#?}",
        counted.keys()
    );
    Some(counted)
}

async fn credential(app: &App, tenant: &Tenant, persona: Persona) -> Option<String> {
    match persona {
        Persona::Owner => Some(tenant.owner.token.clone()),
        Persona::Anonymous => None,
        Persona::Viewer => {
            let viewer = app.wallet(2).await;
            let members = format!("/v1/projects/{}/members", tenant.project_id);
            let body = serde_json::json!({"wallet_address": viewer.address(), "role": "viewer"});
            tenant.owner.client.post(&members).json(&body).data().await;
            Some(viewer.token)
        }
    }
}

fn command(python: &Path, app: &App, token: Option<&str>) -> Command {
    let site = app.base.trim_end_matches("/api");
    let seed = std::env::var("HAITHE_TEST_SEED").unwrap_or_else(|_| "1".into());
    let program: PathBuf = python.join("bin/schemathesis");
    let mut command = Command::new(program);
    command
        .args(["run", "openapi.json", "--url", site])
        .args(["--checks", CHECKS, "--max-examples", EXAMPLES, "--seed", &seed])
        .args(["--phases", "examples,coverage,fuzzing", "--workers", "1"])
        .args([
            "--generation-database",
            "none",
            "--continue-on-failure",
            "--no-shrink",
        ])
        .args([
            "--suppress-health-check",
            "all",
            "--warnings",
            "off",
            "--no-color",
        ])
        .args(EXCLUDED.iter().flat_map(|name| ["--exclude-name", name]))
        .env("HAITHE_SEED", &seed);
    if let Some(token) = token {
        command.args(["-H", &format!("Authorization: Bearer {token}")]);
    }
    command
}

/// Every operation as Schemathesis names it.
fn operations(document: &Value) -> Vec<String> {
    let paths = document["paths"].as_object().expect("paths");
    let each = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().expect("operations").keys();
        methods.map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    each.collect()
}
