//! The house's rules about who may depend on whom, checked on what Cargo itself says.

use anyhow::{Context, bail};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Normal dependencies between our crates. What is not listed fails the check.
fn allowed() -> BTreeMap<&'static str, &'static [&'static str]> {
    BTreeMap::from([
        ("haithe-kernel", &[][..]),
        ("haithe-identity", &["haithe-kernel"][..]),
        ("haithe-orgs", &["haithe-kernel", "haithe-identity"][..]),
        (
            "haithe-billing",
            &["haithe-kernel", "haithe-identity", "haithe-orgs"][..],
        ),
        (
            "haithe-marketplace",
            &["haithe-kernel", "haithe-identity", "haithe-orgs"][..],
        ),
        ("haithe-inference", DOMAINS_BELOW_INFERENCE),
        ("haithe-stores", DOMAINS),
        ("haithe-encryption", &[][..]),
        ("haithe-retrieval", &["haithe-kernel", "haithe-marketplace"][..]),
        ("haithe-sqlite", DATABASE),
        ("haithe-postgres", DATABASE),
        ("haithe-evm", DOMAINS),
        ("haithe-llm-providers", DOMAINS),
        ("haithe-egress", DOMAINS),
        ("haithe-documents", DOMAINS),
        ("haithe-enclave", DOMAINS),
        ("haithe-mcp", DOMAINS),
        ("haithe-devchain", &[][..]),
        (
            "haithe-fuzz",
            &[
                "haithe-kernel",
                "haithe-identity",
                "haithe-marketplace",
                "haithe-inference",
            ][..],
        ),
        (
            "haithe-simulation",
            &[
                "haithe-kernel",
                "haithe-identity",
                "haithe-orgs",
                "haithe-billing",
            ][..],
        ),
        ("xtask", &[][..]),
    ])
}

const DOMAINS_BELOW_INFERENCE: &[&str] = &[
    "haithe-kernel",
    "haithe-identity",
    "haithe-orgs",
    "haithe-marketplace",
    "haithe-billing",
];

const DOMAINS: &[&str] = &[
    "haithe-kernel",
    "haithe-identity",
    "haithe-orgs",
    "haithe-marketplace",
    "haithe-billing",
    "haithe-inference",
];

/// What a database adapter may depend on.
const DATABASE: &[&str] = &[
    "haithe-kernel",
    "haithe-identity",
    "haithe-orgs",
    "haithe-marketplace",
    "haithe-billing",
    "haithe-inference",
    "haithe-stores",
    "haithe-encryption",
];

/// May depend on every crate.
const OUTERMOST: &[&str] = &["haithe-server", "haithe-tests"];

/// Outside libraries with one owner each; a domain may name none of them.
fn owners() -> BTreeMap<&'static str, &'static [&'static str]> {
    BTreeMap::from([
        (
            "sqlx",
            &["haithe-sqlite", "haithe-postgres", "haithe-retrieval"][..],
        ),
        ("alloy", &["haithe-evm", "haithe-devchain"][..]),
        ("revm", &["haithe-devchain"][..]),
        ("async-openai", &["haithe-llm-providers"][..]),
        ("axum", &["haithe-server"][..]),
        ("tower-http", &["haithe-server"][..]),
        (
            "reqwest",
            &["haithe-llm-providers", "haithe-egress", "haithe-enclave"][..],
        ),
        ("hyper", &["haithe-server", "haithe-devchain"][..]),
        ("pdf-extract", &["haithe-documents"][..]),
        ("dom_smoothie", &["haithe-documents"][..]),
        ("rmcp", &["haithe-mcp"][..]),
        ("csv", &["haithe-documents", "haithe-server"][..]),
    ])
}

/// What a domain crate must not know at all.
const RUNTIME: &[&str] = &["tokio", "tokio-util", "hyper-util", "http", "anyhow", "tower"];

/// Only these files of the server name an adapter's types.
const WIRING: &[&str] = &["wiring", "cli"];

/// Databases, and the only file of the server that names them.
const DATABASES: &[&str] = &["haithe_sqlite", "haithe_postgres"];
const DATABASE_CHOICE: &str = "wiring/database.rs";

/// The other adapters.
const ADAPTERS: &[&str] = &[
    "haithe_evm",
    "haithe_llm_providers",
    "haithe_egress",
    "haithe_enclave",
    "haithe_documents",
    "haithe_mcp",
    "haithe_retrieval",
];

/// How axum makes routes that utoipa does not see.
const UNDOCUMENTED: &[&str] = &[
    ".route(",
    ".route_service(",
    ".nest(",
    ".nest_service(",
    ".fallback_service(",
];

/// What stands at the top of the repository, beside dot-entries.
const CARD: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "LICENSE",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "crates",
    "migrations",
    "abi",
    "config",
    "xtask",
    "tests",
    "docs",
];

/// Fails with every edge, import and folder that breaks the house's rules.
pub fn check(root: &Path) -> anyhow::Result<()> {
    let mut broken = dependencies(&metadata(root)?);
    broken.extend(imports(root)?);
    broken.extend(routes(root)?);
    broken.extend(top_level(root)?);
    if broken.is_empty() {
        println!("edges: every dependency points inward");
        return Ok(());
    }
    for line in &broken {
        eprintln!("edges: {line}");
    }
    bail!(
        "{} broken rule(s) of the house; docs/ARCHITECTURE.md explains them",
        broken.len()
    )
}

fn metadata(root: &Path) -> anyhow::Result<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--locked"])
        .current_dir(root)
        .output()
        .context("cargo metadata did not start")?;
    if !output.status.success() {
        bail!(
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    serde_json::from_slice(&output.stdout).context("cargo metadata printed no JSON")
}

/// Every normal or build dependency that the tables forbid. Development dependencies are free.
fn dependencies(metadata: &Value) -> Vec<String> {
    let allowed = allowed();
    let owners = owners();
    let mut broken = Vec::new();
    for package in array(metadata, "packages") {
        let name = text(package, "name");
        if OUTERMOST.contains(&name) {
            if name == "haithe-server" {
                for dependency in normal(package) {
                    if owners
                        .get(dependency)
                        .is_some_and(|owners| !owners.contains(&name))
                    {
                        broken.push(format!("{name} must not use {dependency} directly"));
                    }
                }
            }
            continue;
        }
        let Some(inner) = allowed.get(name) else {
            broken.push(format!(
                "{name} is not in the table of allowed edges (xtask/src/edges.rs)"
            ));
            continue;
        };
        for dependency in normal(package) {
            let ours = dependency.starts_with("haithe-");
            if ours && !inner.contains(&dependency) {
                broken.push(format!("{name} must not depend on {dependency}"));
            }
            if owners
                .get(dependency)
                .is_some_and(|owners| !owners.contains(&name))
            {
                broken.push(format!(
                    "{name} must not use {dependency}: it belongs to another crate"
                ));
            }
            let domain = DOMAINS.contains(&name);
            if domain && RUNTIME.contains(&dependency) {
                broken.push(format!("{name} is a domain crate and must not know {dependency}"));
            }
        }
    }
    broken
}

fn normal(package: &Value) -> impl Iterator<Item = &str> {
    array(package, "dependencies")
        .filter(|dependency| dependency["kind"] != "dev")
        .map(|dependency| text(dependency, "name"))
}

fn array<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Adapter types named in the server outside its wiring.
fn imports(root: &Path) -> anyhow::Result<Vec<String>> {
    let server = root.join("crates/server/src");
    let mut broken = Vec::new();
    for file in rust_files(&server)? {
        let inside = file.strip_prefix(&server).unwrap_or(&file);
        let source = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        for (number, line) in source.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if let Some((named, owner)) = misplaced(inside, code) {
                let place = inside.display();
                broken.push(format!(
                    "server/src/{place}:{}: only {owner} names {named}",
                    number + 1
                ));
            }
        }
    }
    Ok(broken)
}

/// The adapter that a line of this file must not name, and who may.
fn misplaced(file: &Path, code: &str) -> Option<(&'static str, &'static str)> {
    let named = |adapters: &[&'static str]| adapters.iter().find(|name| code.contains(**name)).copied();
    if let Some(database) = named(DATABASES) {
        return (file != Path::new(DATABASE_CHOICE)).then_some((database, DATABASE_CHOICE));
    }
    let wiring = file.components().any(|part| {
        let part = part.as_os_str().to_string_lossy();
        WIRING.contains(&part.trim_end_matches(".rs"))
    });
    let adapter = named(ADAPTERS)?;
    (!wiring).then_some((adapter, "the wiring"))
}

/// Routes that the OpenAPI document would not know: `routes!` is the only way to make one.
fn routes(root: &Path) -> anyhow::Result<Vec<String>> {
    let server = root.join("crates/server/src");
    let mut broken = Vec::new();
    for file in rust_files(&server.join("api"))? {
        let inside = file.strip_prefix(&server).unwrap_or(&file);
        let source = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        for (number, line) in source.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if let Some(call) = UNDOCUMENTED.iter().find(|call| code.contains(**call)) {
                let place = inside.display();
                broken.push(format!(
                    "server/src/{place}:{}: `{call}` makes a route that the document does not have; use `routes!`",
                    number + 1
                ));
            }
        }
    }
    Ok(broken)
}

/// The Rust files of a folder and of the folders in it, in order.
pub fn rust_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Tracked top-level entries beyond the card.
fn top_level(root: &Path) -> anyhow::Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files"])
        .current_dir(root)
        .output()
        .context("git did not start")?;
    let listing = String::from_utf8_lossy(&output.stdout);
    let mut extra: Vec<&str> = listing
        .lines()
        .filter_map(|path| path.split('/').next())
        .filter(|entry| !entry.starts_with('.') && !CARD.contains(entry))
        .collect();
    extra.dedup();
    Ok(extra
        .into_iter()
        .map(|entry| format!("`{entry}` does not belong at the top of the repository"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Value {
        let dependencies: Vec<Value> = dependencies
            .iter()
            .map(|(name, kind)| json!({ "name": name, "kind": kind }))
            .collect();
        json!({ "packages": [{ "name": name, "dependencies": dependencies }] })
    }

    #[test]
    fn an_inward_edge_passes_and_an_outward_one_fails() {
        assert_eq!(
            dependencies(&package(
                "haithe-sqlite",
                &[("haithe-billing", None), ("sqlx", None)]
            )),
            Vec::<String>::new()
        );
        assert_eq!(
            dependencies(&package("haithe-billing", &[("haithe-sqlite", None)])).len(),
            1
        );
        assert_eq!(
            dependencies(&package("haithe-sqlite", &[("haithe-evm", None)])).len(),
            1
        );
        assert_eq!(
            dependencies(&package("haithe-orgs", &[("haithe-billing", None)])).len(),
            1
        );
    }

    #[test]
    fn a_library_has_one_owner() {
        for (name, library) in [
            ("haithe-server", "sqlx"),
            ("haithe-server", "reqwest"),
            ("haithe-billing", "alloy"),
            ("haithe-kernel", "tokio"),
            ("haithe-inference", "http"),
        ] {
            assert_eq!(
                dependencies(&package(name, &[(library, None)])).len(),
                1,
                "{name} {library}"
            );
        }
    }

    #[test]
    fn one_file_names_the_databases_and_the_wiring_names_other_adapters() {
        let named = |file: &str, code: &str| misplaced(Path::new(file), code).map(|(name, _)| name);
        let database = "use haithe_sqlite::Db;";
        assert_eq!(named("wiring/database.rs", database), None);
        assert_eq!(named("wiring/chain.rs", database), Some("haithe_sqlite"));
        let chain = "use haithe_evm::Node;";
        assert_eq!(named("wiring/chain.rs", chain), None);
        assert_eq!(named("api/orgs.rs", chain), Some("haithe_evm"));
        assert_eq!(named("api/orgs.rs", "use haithe_stores::Stores;"), None);
    }

    #[test]
    fn development_dependencies_are_free() {
        assert_eq!(
            dependencies(&package("haithe-billing", &[("tokio", Some("dev"))])),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_crate_that_the_table_does_not_know_fails() {
        assert_eq!(dependencies(&package("haithe-surprise", &[])).len(), 1);
    }
}
