//! Whose keys are used: the chain's public demo accounts, and secrets made once per state folder.

use anyhow::{Context, bail};
use std::{fs, path::Path, process::Command};

/// A funded account of the development chain. Its key is public.
pub struct Account {
    /// The address.
    pub address: String,
    /// The private key, hex.
    pub key: String,
}

/// Reads the accounts out of the chain's greeting: lines of index, address, key.
pub fn accounts(greeting: &[String]) -> anyhow::Result<Vec<Account>> {
    let account = |line: &String| {
        let mut words = line.split_whitespace();
        words.next()?.parse::<usize>().ok()?;
        let (address, key) = (words.next()?, words.next()?);
        (address.starts_with("0x") && key.starts_with("0x")).then(|| Account {
            address: address.into(),
            key: key.into(),
        })
    };
    let accounts: Vec<Account> = greeting.iter().filter_map(account).collect();
    if accounts.len() < 3 {
        bail!("the development chain shows no accounts; is it of another version?");
    }
    Ok(accounts)
}

/// What must stay the same between runs.
pub struct Secrets {
    /// Signs session tokens.
    pub jwt: String,
    /// Signs API keys.
    pub api_keys: String,
}

impl Secrets {
    /// Those of an earlier run, or fresh ones from `haithe keygen`.
    pub fn kept(folder: &Path, haithe: &Path) -> anyhow::Result<Self> {
        let path = folder.join("secrets.env");
        if !path.exists() {
            let output = Command::new(haithe)
                .arg("keygen")
                .output()
                .context("haithe keygen did not start")?;
            if !output.status.success() {
                bail!(
                    "haithe keygen failed: {}",
                    String::from_utf8_lossy(&output.stderr)
                );
            }
            fs::write(&path, &output.stdout).with_context(|| format!("writing {}", path.display()))?;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let value = |name: &str| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.map(str::to_owned)
                .with_context(|| format!("{} has no {name}", path.display()))
        };
        Ok(Self {
            jwt: value("JWT_SECRET")?,
            api_keys: value("API_KEY_SIGNING_KEY")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greeting_s_accounts_are_found_among_its_other_lines() {
        let mut greeting = vec!["chain id 1, block 0".to_owned(), String::new()];
        greeting.extend((0..10).map(|index| format!("  {index}  0xa{index}  0xb{index}")));
        let accounts = accounts(&greeting).unwrap();
        assert_eq!(accounts.len(), 10);
        assert_eq!(
            (accounts[2].address.as_str(), accounts[2].key.as_str()),
            ("0xa2", "0xb2")
        );
    }

    #[test]
    fn a_greeting_without_accounts_is_an_error() {
        assert!(accounts(&["hello".to_owned()]).is_err());
    }
}
