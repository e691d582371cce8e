//! Where settings come from, and how layers lie on each other.

use super::Config;
use secrecy::SecretString;

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
};
use toml::{Table, Value};

/// `config/default.toml`, compiled in. Every setting is in it, so it is also the list of what exists.
const DEFAULTS: &str = include_str!("../../../../config/default.toml");

/// Settings of the environment begin like this; `__` stands for the dots of the path.
const PREFIX: &str = "HAITHE__";

/// Short names from the environment, and the settings they set.
const SHORT_NAMES: [(&str, &str); 9] = [
    ("PORT", "server.port"),
    ("RUST_LOG", "log.filter"),
    ("DATABASE_URL", "database.url"),
    ("DATABASE_ENCRYPTION_KEY", "database.encryption_key"),
    ("JWT_SECRET", "auth.jwt_secret"),
    ("API_KEY_SIGNING_KEY", "auth.api_key_signing_key"),
    ("ENCLAVE_KEY", "enclave.key"),
    ("BLOCKCHAIN_PROVIDER_URL", "chain.rpc_url"),
    ("SERVER_PVT_KEY", "chain.server_key"),
];

/// The environment, as captured once. Does not print.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The process's own, without what is no text.
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(std::env::vars_os().filter_map(text).collect())
    }

    /// A variable that is set and not empty.
    pub fn secret(&self, name: &str) -> Option<SecretString> {
        let value = self.0.get(name).filter(|value| !value.is_empty())?;
        Some(SecretString::from(value.clone()))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let owned = |(name, value): (N, V)| (name.into(), value.into());
        Self(variables.into_iter().map(owned).collect())
    }
}

impl Extend<(String, String)> for Environment {
    fn extend<I: IntoIterator<Item = (String, String)>>(&mut self, variables: I) {
        self.0.extend(variables);
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({} variables)", self.0.len())
    }
}

/// Where settings come from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The folder of `default.toml` and `{profile}.toml`.
    pub dir: Option<PathBuf>,
    /// The profile, whose file must be there.
    pub profile: Option<String>,
    /// The environment.
    pub environment: Environment,
    /// Above all else: (dotted path, value).
    pub overrides: Vec<(String, Value)>,
}

impl Sources {
    /// Sets one setting above all other sources.
    #[must_use]
    pub fn set(mut self, path: &str, value: impl Into<Value>) -> Self {
        self.overrides.push((path.to_owned(), value.into()));
        self
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is no TOML.
    #[error("{place} is not valid TOML: {message}")]
    Syntax {
        /// The file.
        place: String,
        /// What is wrong, with line and column.
        message: String,
    },
    /// A setting cannot be used.
    #[error("setting `{path}`{from}: {problem}")]
    Setting {
        /// Dotted path.
        path: String,
        /// ` (from …)`, where it is known.
        from: String,
        /// What is allowed.
        problem: String,
    },
}

impl ConfigError {
    pub(super) fn setting(path: &str, problem: &str) -> Self {
        Self::Setting {
            path: path.to_owned(),
            from: String::new(),
            problem: problem.to_owned(),
        }
    }
}

/// Settings on their way, and who set what last.
struct Layers {
    table: Table,
    origins: BTreeMap<String, String>,
}

/// Lays all sources on each other and parses the result.
pub(super) fn merge(sources: &Sources) -> Result<Config, ConfigError> {
    let mut layers = Layers {
        table: parse(DEFAULTS, "the compiled-in default.toml")?,
        origins: BTreeMap::new(),
    };
    if let Some(dir) = &sources.dir {
        layers.file(&dir.join("default.toml"), false)?;
    }
    if let Some(profile) = &sources.profile {
        let dir = sources.dir.clone().unwrap_or_else(|| PathBuf::from("config"));
        layers.file(&dir.join(format!("{profile}.toml")), true)?;
    }
    for (name, path) in SHORT_NAMES {
        if let Some(text) = sources.environment.0.get(name).filter(|text| !text.is_empty()) {
            layers.variable(name, path, text)?;
        }
    }
    for (name, text) in &sources.environment.0 {
        if let Some(path) = name.strip_prefix(PREFIX) {
            layers.variable(name, &path.to_ascii_lowercase().replace("__", "."), text)?;
        }
    }
    for (path, value) in &sources.overrides {
        layers.put(path, value.clone(), "an override")?;
    }
    layers.parsed()
}

fn parse(text: &str, place: &str) -> Result<Table, ConfigError> {
    text.parse().map_err(|error: toml::de::Error| {
        let line = error
            .span()
            .map(|span| text.get(..span.start).unwrap_or_default().lines().count().max(1));
        ConfigError::Syntax {
            place: line.map_or_else(|| place.to_owned(), |line| format!("{place}, line {line},")),
            message: error.message().to_owned(),
        }
    })
}

impl Layers {
    fn file(&mut self, path: &Path, required: bool) -> Result<(), ConfigError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !required => return Ok(()),
            Err(source) => {
                return Err(ConfigError::File {
                    path: path.to_owned(),
                    source,
                });
            }
        };
        let place = path.display().to_string();
        let table = parse(&text, &place)?;
        lay(&mut self.table, table, "", &place, &mut self.origins);
        Ok(())
    }

    /// A variable's text takes the type that the setting has in the defaults.
    fn variable(&mut self, name: &str, path: &str, text: &str) -> Result<(), ConfigError> {
        let refuse = |problem: &str| ConfigError::Setting {
            path: path.to_owned(),
            from: format!(" (from {name})"),
            problem: problem.to_owned(),
        };
        let known = find(&self.table, path).ok_or_else(|| refuse("there is no such setting"))?;
        let value = match known {
            Value::String(_) => Value::String(text.to_owned()),
            Value::Integer(_) => {
                let number = text.trim().parse();
                Value::Integer(number.map_err(|_| refuse("must be a whole number"))?)
            }
            Value::Boolean(_) => {
                let flag = text.trim().parse();
                Value::Boolean(flag.map_err(|_| refuse("must be true or false"))?)
            }
            Value::Table(_) => return Err(refuse("is a section; name one of its settings")),
            _ => {
                let line: Table = format!("value = {text}")
                    .parse()
                    .map_err(|_| refuse("must be a TOML value, such as [\"a\", \"b\"]"))?;
                line.get("value")
                    .cloned()
                    .ok_or_else(|| refuse("must be a TOML value"))?
            }
        };
        self.put(path, value, name)
    }

    fn put(&mut self, path: &str, value: Value, origin: &str) -> Result<(), ConfigError> {
        let slot = find_mut(&mut self.table, path)
            .ok_or_else(|| ConfigError::setting(path, "there is no such setting"))?;
        *slot = value;
        self.origins.insert(path.to_owned(), origin.to_owned());
        Ok(())
    }

    fn parsed(self) -> Result<Config, ConfigError> {
        let Self { table, origins } = self;
        serde_path_to_error::deserialize(Value::Table(table)).map_err(|error| {
            let path = error.path().to_string();
            let from = origins
                .iter()
                .rfind(|(set, _)| path == **set || path.starts_with(&format!("{set}[")))
                .map_or_else(|| invitation(&path), |(_, origin)| format!(" (from {origin})"));
            ConfigError::Setting {
                path,
                from,
                problem: error.into_inner().message().trim().to_owned(),
            }
        })
    }
}

/// How to set what nobody set.
fn invitation(path: &str) -> String {
    let short = SHORT_NAMES.iter().find(|(_, set)| *set == path);
    let name = short.map_or_else(
        || format!("{PREFIX}{}", path.to_ascii_uppercase().replace('.', "__")),
        |(name, _)| (*name).to_owned(),
    );
    format!(" (not set; {name} in the environment sets it)")
}

/// Lays `above` on `below`: tables meet, everything else replaces.
fn lay(below: &mut Table, above: Table, at: &str, place: &str, origins: &mut BTreeMap<String, String>) {
    for (key, value) in above {
        let path = if at.is_empty() {
            key.clone()
        } else {
            format!("{at}.{key}")
        };
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay(below, above, &path, place, origins),
            // What a file merely repeats was not set by it.
            (Some(below), value) if *below == value => {}
            (_, value) => {
                origins.insert(path, place.to_owned());
                below.insert(key, value);
            }
        }
    }
}

fn find<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        None => table.get(path),
        Some((section, rest)) => find(table.get(section)?.as_table()?, rest),
    }
}

fn find_mut<'a>(table: &'a mut Table, path: &str) -> Option<&'a mut Value> {
    match path.split_once('.') {
        None => table.get_mut(path),
        Some((section, rest)) => find_mut(table.get_mut(section)?.as_table_mut()?, rest),
    }
}

/// The compiled-in default of a setting.
#[cfg(test)]
pub(super) fn default_of(path: &str) -> Option<Value> {
    let defaults: Table = DEFAULTS.parse().ok()?;
    find(&defaults, path).cloned()
}

/// The short name in the environment that sets a setting.
#[cfg(test)]
pub(super) fn short_name_of(path: &str) -> Option<&'static str> {
    let (name, _) = SHORT_NAMES.iter().find(|(_, set)| *set == path)?;
    Some(name)
}
