//! The models on offer: the catalogue's file, the providers' keys, the sandbox.

use super::WiringError;
use crate::Config;
use haithe_inference::{Catalogue, CatalogueError, CatalogueFile, ports::ChatModel};
use haithe_kernel::{Clock, ModelId};
use haithe_llm_providers::{Keys, Providers};
use secrecy::ExposeSecret;
use std::{collections::HashMap, io, path::PathBuf, sync::Arc};

/// `config/models.toml`, compiled in.
const DEFAULT_CATALOGUE: &str = include_str!("../../../../config/models.toml");
/// The provider in the process, by its key in the catalogue.
const SANDBOX: &str = "sandbox";

/// Why there is no catalogue.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueLoadError {
    /// The file cannot be read.
    #[error("setting `inference.catalogue`: cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be understood.
    #[error("the model catalogue {place} is refused: {problem}")]
    Form {
        /// The file.
        place: String,
        /// What is wrong, with its place in the file.
        problem: String,
    },
    /// An entry breaks a rule.
    #[error(transparent)]
    Entry(#[from] CatalogueError),
    /// The sandbox is wanted and not there.
    #[error("setting `inference.sandbox`: the catalogue has no provider \"sandbox\" to turn on")]
    NoSandbox,
}

/// What can be asked.
pub(super) struct Offer {
    pub catalogue: Arc<Catalogue>,
    pub providers: HashMap<String, Arc<dyn ChatModel>>,
    /// The first active model, which new organizations and projects begin with.
    pub default_model: ModelId,
}

/// Reads and checks the catalogue, and sets up its providers.
pub(super) fn load(config: &Config, clock: &Arc<dyn Clock>) -> Result<Offer, WiringError> {
    let mut file = read(config)?;
    if config.inference.sandbox {
        let sandbox = file.providers.get_mut(SANDBOX);
        sandbox.ok_or(CatalogueLoadError::NoSandbox)?.active = true;
    }
    let secret = |name: &str| Some(config.environment.secret(name)?.expose_secret().to_owned());
    let keys = Keys::read(&file, secret);
    for provider in keys.deactivate_keyless(&mut file) {
        tracing::info!(provider, "left out: its key is not in the environment");
    }
    let catalogue = Arc::new(Catalogue::new(file).map_err(CatalogueLoadError::from)?);
    let first = catalogue.models().iter().find(|model| model.active);
    if first.is_none() {
        tracing::warn!("no model is on offer: give a provider's key, or turn on inference.sandbox");
    }
    Ok(Offer {
        default_model: first.map_or(ModelId(1), |model| model.id),
        providers: Providers::from_catalogue(&catalogue, &keys, clock)?.into_models(),
        catalogue,
    })
}

fn read(config: &Config) -> Result<CatalogueFile, CatalogueLoadError> {
    let beside = config.dir.as_ref().map(|dir| dir.join("models.toml"));
    let path = match config.inference.catalogue.as_str() {
        "" => beside.filter(|path| path.exists()),
        path => Some(PathBuf::from(path)),
    };
    let (text, place) = match path {
        None => (
            DEFAULT_CATALOGUE.to_owned(),
            "models.toml (compiled in)".to_owned(),
        ),
        Some(path) => match std::fs::read_to_string(&path) {
            Ok(text) => (text, path.display().to_string()),
            Err(source) => return Err(CatalogueLoadError::File { path, source }),
        },
    };
    toml::from_str(&text).map_err(|error| CatalogueLoadError::Form {
        place,
        problem: error.to_string().trim_end().to_owned(),
    })
}
