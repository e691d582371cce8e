//! `cargo xtask abi`: from the Solidity sources in `abi/src` to the artifacts in `abi/`.
//!
//! The artifacts are checked in, so that nobody needs Node to build. Each carries a hash of what it was made of: its
//! source, everything of ours that this imports, the compile script and the npm lock file. [`check_fresh`] compares
//! that in milliseconds; [`check_recompile`] compiles again and compares every byte.

mod artifact;
mod sources;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail};

use artifact::Artifact;
use sources::Sources;

/// The most code a contract can have on a chain, in bytes (EIP-170).
const CODE_LIMIT: usize = 24_576;

/// Compiles all sources and writes the artifacts; removes those whose contract is gone.
///
/// # Errors
/// If Node or npm is missing, a source does not compile or gives too much code, or a file cannot be written.
pub fn generate(root: &Path) -> anyhow::Result<()> {
    let wanted = compile(root)?;
    if let Some(artifact) = wanted.iter().find(|artifact| artifact.code_size() > CODE_LIMIT) {
        bail!(
            "{} has {} bytes of code; a chain takes {CODE_LIMIT}",
            artifact.contract_name,
            artifact.code_size()
        );
    }
    for path in artifact::files(root)? {
        if !wanted.iter().any(|artifact| artifact.path(root) == path) {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    for artifact in &wanted {
        let path = artifact.path(root);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        fs::write(&path, artifact.to_json()?).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{:<24} {:>6} bytes", artifact.contract_name, artifact.code_size());
    }
    Ok(())
}

/// Compiles all sources and compares the result with the artifacts, byte by byte.
///
/// # Errors
/// As [`check_fresh`] and [`generate`], and if an artifact differs.
pub fn check_recompile(root: &Path) -> anyhow::Result<()> {
    check_fresh(root)?;
    let mut problems = Vec::new();
    for artifact in &compile(root)? {
        let path = artifact.path(root);
        match fs::read_to_string(&path) {
            Ok(text) if text == artifact.to_json()? => {}
            Ok(_) => problems.push(format!("{} differs", path.display())),
            Err(_) => problems.push(format!("{} is missing", path.display())),
        }
    }
    report(&problems)
}

/// Compares the hashes in the artifacts with the sources. Needs no Node.
///
/// # Errors
/// If a file cannot be read, or an artifact is missing, left over or made of other sources.
pub fn check_fresh(root: &Path) -> anyhow::Result<()> {
    let sources = Sources::read(root)?;
    let mut expected = Vec::new();
    let mut problems = Vec::new();
    for (source_name, contract_name) in &sources.contracts() {
        let path = artifact::path(root, source_name, contract_name);
        match fs::read_to_string(&path) {
            Ok(text) => {
                let stored =
                    artifact::stored_hash(&text).with_context(|| format!("in {}", path.display()))?;
                if stored != sources.hash(source_name)? {
                    problems.push(format!("{} is older than its sources", path.display()));
                }
            }
            Err(_) => problems.push(format!("{} is missing", path.display())),
        }
        expected.push(path);
    }
    let leftovers = artifact::files(root)?
        .into_iter()
        .filter(|path| !expected.contains(path));
    problems.extend(leftovers.map(|path| format!("{} belongs to no contract", path.display())));
    report(&problems)
}

fn report(problems: &[String]) -> anyhow::Result<()> {
    if problems.is_empty() {
        return Ok(());
    }
    bail!(
        "the contracts' artifacts are out of date; run `cargo xtask abi`:\n  {}",
        problems.join("\n  ")
    );
}

fn compile(root: &Path) -> anyhow::Result<Vec<Artifact>> {
    let tool = root.join("xtask/solidity");
    install(&tool)?;
    let output = Command::new("node")
        .arg(tool.join("compile.mjs"))
        .arg(root.join("abi/src"))
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run node; compiling the contracts takes Node 20 or newer")?;
    if !output.status.success() {
        bail!("the contracts do not compile");
    }
    artifact::from_compiler(&output.stdout, &Sources::read(root)?)
}

/// Installs solc and OpenZeppelin as the lock file says, unless they are there already.
fn install(tool: &Path) -> anyhow::Result<()> {
    let modified = |path: PathBuf| fs::metadata(path).and_then(|data| data.modified());
    let locked =
        modified(tool.join("package-lock.json")).context("xtask/solidity/package-lock.json is missing")?;
    if modified(tool.join("node_modules/.package-lock.json")).is_ok_and(|installed| installed >= locked) {
        return Ok(());
    }
    let status = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(tool)
        .stdout(Stdio::null())
        .status()
        .context("cannot run npm; compiling the contracts takes Node 20 or newer")?;
    if !status.success() {
        bail!("npm could not install the compiler");
    }
    Ok(())
}
