//! The official SDKs against a running server, with only `base_url` and `api_key` changed.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Tenant},
    packages::{installed, python, run},
};
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// A folder in the build's own.
fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Runs a script against a server where one organization has money and another has none.
async fn content(program: PathBuf, script: &Path) {
    let app = App::start().await;
    let rich = app.funded("Rich", Usdt::whole(100)).await;
    rich.enable(haithe_tests::app::models::VECTORS).await;
    let poor = Tenant::found(&app.chain, app.wallet(2).await, "Poor").await;
    let mut command = Command::new(program);
    command.arg(script).envs([
        ("BASE_URL", format!("{}/v1beta/openai", app.base)),
        ("API_KEY", rich.project_key().await),
        ("POOR_API_KEY", poor.project_key().await),
        ("PYTHONDONTWRITEBYTECODE", "1".into()),
    ]);
    match run(&mut command).await {
        Ok(text) => assert!(text.contains("is content"), "{text}"),
        Err(trouble) => panic!("{trouble}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_sdk_is_content() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk");
    let requirements = here.join("requirements.txt");
    if let Some(folder) = python(folder("sdk-python"), &requirements).await {
        content(folder.join("bin/python"), &here.join("chat.py")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_sdk_is_content() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk");
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
    if let Some(folder) = installed(folder("sdk-node"), &package, install).await {
        // Node looks for packages beside the script.
        let script = folder.join("chat.mjs");
        std::fs::copy(here.join("chat.mjs"), &script).unwrap();
        content("node".into(), &script).await;
    }
}
