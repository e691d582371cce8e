//! Official SDKs and the frameworks over them, against a running server, with only the base URL and the
//! key changed. What each script asks of the gateway stands in the script. Beside them, sealing
//! in a browser's language.

mod sealing;

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Tenant, models},
    packages::{installed, python, run},
};
use serde_json::json;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// A folder in the build's own.
fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn scripts(language: &str) -> PathBuf {
    haithe_tests::here().join("sdk").join(language)
}

/// Runs a script against a server where one organization has money and another has none.
async fn content(program: &Path, script: &Path) {
    let app = App::start().await;
    let rich = app.funded("Rich", Usdt::whole(100)).await;
    for model in [models::VECTORS, models::SIGHTED] {
        rich.enable(model).await;
    }
    let limited = json!({"project_id": rich.project_id, "requests_per_minute": 1});
    let poor = Tenant::found(&app.chain, app.wallet(2).await, "Poor").await;
    let mut command = Command::new(program);
    command.arg(script).envs([
        ("BASE_URL", format!("{}/v1beta/openai", app.base)),
        ("UPSTREAM_URL", app.upstream.base_url()),
        ("API_KEY", rich.project_key().await),
        ("LIMITED_API_KEY", rich.api_key(limited).await),
        ("POOR_API_KEY", poor.project_key().await),
        ("PYTHONDONTWRITEBYTECODE", "1".into()),
    ]);
    match run(&mut command).await {
        Ok(text) => assert!(text.contains("is content"), "{text}"),
        Err(trouble) => panic!("{trouble}"),
    }
    rich.at_rest().await;
    let around = app.stop().await;
    assert!(around.run(&["ledger", "check"], None).await.success());
}

async fn python_script(name: &str) {
    let here = scripts("python");
    if let Some(folder) = python(folder("sdk-python"), &here.join("requirements.txt")).await {
        content(&folder.join("bin/python"), &here.join(name)).await;
    }
}

/// A folder with the packages that `package.json` names, for scripts to be copied into.
async fn node_packages(folder: PathBuf, here: &Path) -> Option<PathBuf> {
    let package = std::fs::read_to_string(here.join("package.json")).unwrap();
    let install = async |folder: &Path| {
        std::fs::write(folder.join("package.json"), &package).map_err(|error| error.to_string())?;
        let npm = [
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--silent",
        ];
        run(Command::new("npm").args(npm).current_dir(folder)).await
    };
    installed(folder, &package, install).await
}

async fn node_script(name: &str) {
    let here = scripts("node");
    if let Some(folder) = node_packages(folder("sdk-node"), &here).await {
        // Node looks for packages beside the script or above it.
        let beside = folder.join(name.trim_end_matches(".mjs"));
        std::fs::create_dir_all(&beside).unwrap();
        for script in ["stage.mjs", name] {
            std::fs::copy(here.join(script), beside.join(script)).unwrap();
        }
        content(Path::new("node"), &beside.join(name)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_sdk_is_content() {
    python_script("chat.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_sdk_is_content_with_tools() {
    python_script("tools.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_sdk_is_content_with_errors() {
    python_script("errors.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn langchain_is_content() {
    python_script("langchain_suite.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_sdk_is_content() {
    node_script("chat.mjs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_sdk_is_content_with_errors() {
    node_script("errors.mjs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ai_sdk_is_content() {
    node_script("ai-sdk.mjs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn langchain_for_javascript_is_content() {
    node_script("langchain.mjs").await;
}
