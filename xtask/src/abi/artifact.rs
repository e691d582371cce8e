//! An artifact: what one contract compiles to, as a file that `alloy::sol!`, viem and ethers read as it is.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde_json::Value;

use super::sources::Sources;

/// One compiled contract.
pub struct Artifact {
    /// The contract's name.
    pub contract_name: String,
    source_name: String,
    compiler: String,
    source_hash: String,
    abi: Vec<Value>,
    bytecode: String,
    deployed_bytecode: String,
}

impl Artifact {
    /// Where the artifact is checked in.
    pub fn path(&self, root: &Path) -> PathBuf {
        path(root, &self.source_name, &self.contract_name)
    }

    /// Size of the code on the chain, in bytes.
    pub fn code_size(&self) -> usize {
        self.deployed_bytecode.len().saturating_sub(2) / 2
    }

    /// The file's text, with one line per entry of the ABI so that a diff shows what changed.
    pub fn to_json(&self) -> anyhow::Result<String> {
        let mut text = String::from("{\n");
        for (key, value) in [
            ("contractName", &self.contract_name),
            ("sourceName", &self.source_name),
            ("compiler", &self.compiler),
            ("sourceHash", &self.source_hash),
        ] {
            writeln!(text, "  \"{key}\": {},", serde_json::to_string(value)?)?;
        }
        text.push_str("  \"abi\": [");
        for (i, entry) in self.abi.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(text, "{comma}\n    {}", serde_json::to_string(entry)?)?;
        }
        writeln!(text, "\n  ],")?;
        writeln!(text, "  \"bytecode\": \"{}\",", self.bytecode)?;
        writeln!(text, "  \"deployedBytecode\": \"{}\"\n}}", self.deployed_bytecode)?;
        Ok(text)
    }
}

/// Where the artifact of a contract belongs: `abi/<Contract>.json`, in `abi/test/` if it serves tests only.
pub fn path(root: &Path, source_name: &str, contract_name: &str) -> PathBuf {
    let folder = if source_name.starts_with("test/") {
        "abi/test"
    } else {
        "abi"
    };
    root.join(folder).join(format!("{contract_name}.json"))
}

/// All artifacts there are.
pub fn files(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in ["abi", "abi/test"] {
        let Ok(entries) = fs::read_dir(root.join(folder)) else {
            continue;
        };
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                files.push(path);
            }
        }
    }
    Ok(files)
}

/// The source hash that an artifact's text carries.
pub fn stored_hash(text: &str) -> anyhow::Result<String> {
    let artifact: Value = serde_json::from_str(text)?;
    string(&artifact, "sourceHash")
}

/// Reads what `compile.mjs` printed.
pub fn from_compiler(output: &[u8], sources: &Sources) -> anyhow::Result<Vec<Artifact>> {
    let output: Value = serde_json::from_slice(output).context("the compiler's answer is not JSON")?;
    let compiler = string(&output, "compiler")?;
    let read = |contract: &Value| {
        let source_name = string(contract, "sourceName")?;
        anyhow::Ok(Artifact {
            contract_name: string(contract, "contractName")?,
            compiler: compiler.clone(),
            source_hash: sources.hash(&source_name)?,
            abi: list(contract, "abi")?,
            bytecode: string(contract, "bytecode")?,
            deployed_bytecode: string(contract, "deployedBytecode")?,
            source_name,
        })
    };
    list(&output, "contracts")?.iter().map(read).collect()
}

fn string(value: &Value, key: &str) -> anyhow::Result<String> {
    let text = value.get(key).and_then(Value::as_str);
    text.map(str::to_owned)
        .with_context(|| format!("`{key}` is missing or not a string"))
}

fn list(value: &Value, key: &str) -> anyhow::Result<Vec<Value>> {
    let list = value.get(key).and_then(Value::as_array);
    list.cloned()
        .with_context(|| format!("`{key}` is missing or not a list"))
}
