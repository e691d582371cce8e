//! `docs/openapi.json`: the checked-in copy of the document that the server makes of its routes. A test
//! compares them (`tests/e2e/document.rs`).

use crate::run::cargo;
use anyhow::{Context, bail};
use std::{fs, path::Path};

const COPY: &str = "docs/openapi.json";

/// Writes the copy.
pub fn generate(root: &Path) -> anyhow::Result<()> {
    fs::write(root.join(COPY), document(root)?).with_context(|| format!("writing {COPY}"))?;
    println!("openapi: {COPY} is what the routes are");
    Ok(())
}

/// What the server prints. It needs no configuration for that.
fn document(root: &Path) -> anyhow::Result<Vec<u8>> {
    let output = cargo(root)
        .args([
            "run",
            "--quiet",
            "--locked",
            "-p",
            "haithe-server",
            "--bin",
            "haithe",
            "--",
            "openapi",
        ])
        .output()
        .context("the server did not start")?;
    if !output.status.success() {
        bail!(
            "`haithe openapi` failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(output.stdout)
}
