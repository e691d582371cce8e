//! The official SDKs against a running server, with only `base_url` and `api_key` changed.
//!
//! They are installed from their registries into the build's own folder, once. Where that cannot be
//! done, the tests say so and pass, unless `HAITHE_REQUIRE_SDKS` is set, as it is in CI.

use haithe_kernel::Usdt;
use haithe_tests::app::{App, Tenant};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::process::Command;

/// Runs a command to its end; its output if it failed.
async fn run(command: &mut Command) -> Result<String, String> {
    let name = format!("{:?}", command.as_std());
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.map_err(|error| format!("{name}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let trouble = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        Ok(text)
    } else {
        Err(format!("{name}: {}\n{text}\n{trouble}", output.status))
    }
}

/// A folder of this name in the build's own, made by `install` unless an earlier run has.
async fn installed(
    name: &str,
    stamp: &str,
    install: impl AsyncFnOnce(&Path) -> Result<String, String>,
) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let done = folder.join("installed");
    if std::fs::read_to_string(&done).is_ok_and(|found| found == stamp) {
        return Some(folder);
    }
    std::fs::create_dir_all(&folder).unwrap();
    match install(&folder).await {
        Ok(_) => {
            std::fs::write(done, stamp).unwrap();
            Some(folder)
        }
        Err(trouble) if std::env::var_os("HAITHE_REQUIRE_SDKS").is_some() => panic!("{trouble}"),
        Err(trouble) => {
            println!("skipped: {trouble}");
            None
        }
    }
}

/// Runs a script against a server where one organization has money and another has none.
async fn content(program: PathBuf, script: &Path) {
    let app = App::start().await;
    let rich = app.funded("Rich", Usdt::whole(100)).await;
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
    let stamp = std::fs::read_to_string(&requirements).unwrap();
    let install = async |folder: &Path| {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder)).await?;
        let pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
        ];
        run(Command::new(folder.join("bin/python"))
            .args(pip)
            .arg(&requirements))
        .await
    };
    if let Some(folder) = installed("sdk-python", &stamp, install).await {
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
    if let Some(folder) = installed("sdk-node", &package, install).await {
        // Node looks for packages beside the script.
        let script = folder.join("chat.mjs");
        std::fs::copy(here.join("chat.mjs"), &script).unwrap();
        content("node".into(), &script).await;
    }
}
