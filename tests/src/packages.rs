//! Programs of other ecosystems that suites need, installed once from their registries into the
//! build's own folder.
//!
//! Where that cannot be done, a suite says so and passes, unless `HAITHE_REQUIRE_SDKS` is set, as it
//! is in CI.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::process::Command;

/// Runs a command to its end; its output.
///
/// # Errors
/// What it said, if it failed or did not start.
pub async fn run(command: &mut Command) -> Result<String, String> {
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

/// A folder made by `install`, unless an earlier run has made it from the same `stamp`.
pub async fn installed(
    folder: PathBuf,
    stamp: &str,
    install: impl AsyncFnOnce(&Path) -> Result<String, String>,
) -> Option<PathBuf> {
    let done = folder.join("installed");
    std::fs::create_dir_all(&folder).expect("a writable folder");
    let lock = std::fs::File::create(folder.join("lock")).expect("a writable folder");
    // Tests run in processes of their own; one installs, the others wait.
    let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock));
    let _lock = lock.await.expect("the lock's thread ends").expect("a lock");
    if std::fs::read_to_string(&done).is_ok_and(|found| found == stamp) {
        return Some(folder);
    }
    match install(&folder).await {
        Ok(_) => {
            std::fs::write(done, stamp).expect("a writable folder");
            Some(folder)
        }
        Err(trouble) if std::env::var_os("HAITHE_REQUIRE_SDKS").is_some() => panic!("{trouble}"),
        Err(trouble) => {
            println!("skipped: {trouble}");
            None
        }
    }
}

/// A Python environment with the packages that the file lists.
pub async fn python(folder: PathBuf, requirements: &Path) -> Option<PathBuf> {
    let stamp = std::fs::read_to_string(requirements).expect("the list of packages");
    let install = async |folder: &Path| {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder)).await?;
        let mut pip = Command::new(folder.join("bin/python"));
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
        ]);
        run(pip.arg(requirements)).await
    };
    installed(folder, &stamp, install).await
}
