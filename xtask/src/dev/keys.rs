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
    /// Seals what the database keeps secret.
    pub database: String,
    /// Opens sealed content.
    pub enclave: String,
}

/// The names of [`Secrets`], as `haithe keygen` prints them.
const NAMES: [&str; 4] = [
    "JWT_SECRET",
    "API_KEY_SIGNING_KEY",
    "DATABASE_ENCRYPTION_KEY",
    "ENCLAVE_KEY",
];

impl Secrets {
    /// Those of an earlier run; what is missing comes fresh from `haithe keygen` and is kept.
    pub fn kept(folder: &Path, haithe: &Path) -> anyhow::Result<Self> {
        let path = folder.join("secrets.env");
        let mut text = if path.exists() {
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?
        } else {
            String::new()
        };
        if NAMES.iter().any(|name| value(&text, name).is_none()) {
            complete(&mut text, &keygen(haithe)?);
            fs::write(&path, &text).with_context(|| format!("writing {}", path.display()))?;
        }
        let kept = |name: &str| {
            value(&text, name)
                .map(str::to_owned)
                .with_context(|| format!("{} has no {name}", path.display()))
        };
        let [jwt, api_keys, database, enclave] = NAMES;
        Ok(Self {
            jwt: kept(jwt)?,
            api_keys: kept(api_keys)?,
            database: kept(database)?,
            enclave: kept(enclave)?,
        })
    }
}

fn keygen(haithe: &Path) -> anyhow::Result<String> {
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
    String::from_utf8(output.stdout).context("haithe keygen prints text")
}

fn value<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

/// Adds what `kept` lacks of [`NAMES`] and leaves the rest as it is.
fn complete(kept: &mut String, fresh: &str) {
    for name in NAMES {
        if value(kept, name).is_none()
            && let Some(secret) = value(fresh, name)
        {
            if !kept.is_empty() && !kept.ends_with('\n') {
                kept.push('\n');
            }
            kept.push_str(&format!("{name}={secret}\n"));
        }
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

    #[test]
    fn secrets_of_an_earlier_version_stay_and_new_ones_join_them() {
        let mut kept = "JWT_SECRET=old\nAPI_KEY_SIGNING_KEY=old".to_owned();
        let fresh = "JWT_SECRET=new\nAPI_KEY_SIGNING_KEY=new\nDATABASE_ENCRYPTION_KEY=new\nENCLAVE_KEY=new\n";
        complete(&mut kept, fresh);
        let all: Vec<_> = NAMES.iter().map(|name| value(&kept, name)).collect();
        assert_eq!(all, [Some("old"), Some("old"), Some("new"), Some("new")]);
        let complete_already = kept.clone();
        complete(&mut kept, fresh);
        assert_eq!(kept, complete_already);
    }
}
