//! The Solidity sources: which contracts they define, and a hash per file of all that goes into it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

/// All of `abi/src`, and the toolchain that compiles it.
pub struct Sources {
    /// Path below `abi/src`, with forward slashes, and text.
    files: BTreeMap<String, String>,
    toolchain: Vec<u8>,
}

impl Sources {
    /// Reads `abi/src` and the files of `xtask/solidity` that determine the output.
    pub fn read(root: &Path) -> anyhow::Result<Self> {
        let folder = root.join("abi/src");
        let mut files = BTreeMap::new();
        collect(&folder, "", &mut files).with_context(|| format!("cannot read {}", folder.display()))?;
        let mut toolchain = Vec::new();
        for name in ["compile.mjs", "package-lock.json"] {
            let path = root.join("xtask/solidity").join(name);
            let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            absorb(&mut toolchain, name, &text);
        }
        Ok(Self { files, toolchain })
    }

    /// Every contract that has code of its own, as (source file, contract).
    pub fn contracts(&self) -> Vec<(String, String)> {
        let in_file = |(path, text): (&String, &String)| {
            text.lines()
                .filter_map(|line| line.strip_prefix("contract "))
                .filter_map(|rest| rest.split_whitespace().next())
                .map(|name| (path.clone(), name.to_owned()))
                .collect::<Vec<_>>()
        };
        self.files.iter().flat_map(in_file).collect()
    }

    /// Hash of a file, of all files it imports directly or indirectly, and of the toolchain, as hex.
    pub fn hash(&self, file: &str) -> anyhow::Result<String> {
        let mut seen = BTreeSet::new();
        self.closure(file, &mut seen)?;
        let mut input = self.toolchain.clone();
        for path in &seen {
            absorb(&mut input, path, self.text(path)?.as_bytes());
        }
        Ok(Sha256::digest(&input)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect())
    }

    fn closure(&self, file: &str, seen: &mut BTreeSet<String>) -> anyhow::Result<()> {
        if !seen.insert(file.to_owned()) {
            return Ok(());
        }
        for import in imports(self.text(file)?) {
            self.closure(&resolve(file, import)?, seen)?;
        }
        Ok(())
    }

    fn text(&self, file: &str) -> anyhow::Result<&str> {
        self.files
            .get(file)
            .map(String::as_str)
            .with_context(|| format!("abi/src/{file} does not exist"))
    }
}

fn collect(folder: &Path, prefix: &str, files: &mut BTreeMap<String, String>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{name}/"), files)?;
        } else if name.ends_with(".sol") {
            files.insert(name, fs::read_to_string(entry.path())?);
        }
    }
    Ok(())
}

/// Our own files that `text` imports. Packages are pinned by the lock file.
fn imports(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| line.starts_with("import "))
        .filter_map(|line| line.split('"').nth(1))
        .filter(|path| path.starts_with('.'))
}

/// The path below `abi/src` that `import`, relative to `file`, means.
fn resolve(file: &str, import: &str) -> anyhow::Result<String> {
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in import.split('/') {
        match part {
            "." => {}
            ".." if parts.pop().is_none() => bail!("abi/src/{file} imports {import} from outside abi/src"),
            ".." => {}
            name => parts.push(name),
        }
    }
    Ok(parts.join("/"))
}

/// Adds a named text so that no two lists of texts give the same bytes.
fn absorb(input: &mut Vec<u8>, name: &str, text: &[u8]) {
    for part in [name.as_bytes(), text] {
        input.extend_from_slice(&(part.len() as u64).to_be_bytes());
        input.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(files: &[(&str, &str)]) -> Sources {
        let files = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect();
        Sources {
            files,
            toolchain: Vec::new(),
        }
    }

    #[test]
    fn a_hash_changes_with_an_import_of_an_import_and_with_nothing_else() {
        let a = "import {B} from \"./base/B.sol\";\ncontract A is B {}";
        let b = "import {C} from \"../C.sol\";\nabstract contract B is C {}";
        let hash = |c: &str, other: &str| {
            sources(&[
                ("A.sol", a),
                ("base/B.sol", b),
                ("C.sol", c),
                ("Other.sol", other),
            ])
            .hash("A.sol")
            .unwrap()
        };
        let before = hash("contract C {}", "contract Other {}");
        assert_ne!(before, hash("contract C { uint256 x; }", "contract Other {}"));
        assert_eq!(before, hash("contract C {}", "contract Other { uint256 x; }"));
    }

    #[test]
    fn only_contracts_with_code_are_expected_to_have_artifacts() {
        let text = "interface I {}\nabstract contract B {}\ncontract A is B {}\nlibrary L {}\n";
        assert_eq!(
            sources(&[("A.sol", text)]).contracts(),
            [("A.sol".to_owned(), "A".to_owned())]
        );
    }

    #[test]
    fn an_import_that_does_not_exist_is_an_error() {
        assert!(
            sources(&[("A.sol", "import {B} from \"./B.sol\";")])
                .hash("A.sol")
                .is_err()
        );
        assert!(
            sources(&[("A.sol", "import {B} from \"../B.sol\";")])
                .hash("A.sol")
                .is_err()
        );
    }
}
