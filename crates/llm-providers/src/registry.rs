//! From the catalogue to the things that answer.

use crate::{OpenAiCompatible, Sandbox, openai::SetupError};
use haithe_inference::{
    catalogue::{Catalogue, CatalogueFile, ProviderKind},
    ports::ChatModel,
};
use haithe_kernel::Clock;
use secrecy::SecretString;
use std::{collections::HashMap, fmt, sync::Arc};

/// The providers' keys, by the name of the environment variable that holds each.
#[derive(Default, Clone)]
pub struct Keys(HashMap<String, SecretString>);

impl Keys {
    /// Looks up every key that the catalogue names; an empty value counts as none.
    pub fn read(file: &CatalogueFile, look_up: impl Fn(&str) -> Option<String>) -> Self {
        let named = file
            .providers
            .values()
            .filter_map(|provider| provider.api_key_env.clone());
        let found = named.filter_map(|name| {
            let key = look_up(&name).filter(|key| !key.trim().is_empty())?;
            Some((name, SecretString::from(key)))
        });
        Self(found.collect())
    }

    /// Takes the providers whose key is missing out of service, with their models, and names them.
    pub fn deactivate_keyless(&self, file: &mut CatalogueFile) -> Vec<String> {
        let mut keyless = Vec::new();
        for (name, provider) in &mut file.providers {
            let missing = provider
                .api_key_env
                .as_ref()
                .is_some_and(|key| !self.0.contains_key(key));
            if provider.active && missing {
                provider.active = false;
                keyless.push(name.clone());
            }
        }
        keyless
    }
}

impl fmt::Debug for Keys {
    /// The names only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A provider that cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("the provider {provider:?} cannot be used: {source}")]
pub struct ProviderError {
    provider: String,
    #[source]
    source: SetupError,
}

/// Every active provider, ready to be asked.
pub struct Providers {
    models: HashMap<String, Arc<dyn ChatModel>>,
}

impl Providers {
    /// Sets up the active providers of the catalogue.
    ///
    /// # Errors
    /// [`ProviderError`] names the provider and what is wrong with its settings.
    pub fn from_catalogue(
        catalogue: &Catalogue,
        keys: &Keys,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, ProviderError> {
        let mut models: HashMap<String, Arc<dyn ChatModel>> = HashMap::new();
        for settings in catalogue.providers().filter(|settings| settings.active) {
            let model: Arc<dyn ChatModel> = match settings.kind {
                ProviderKind::Sandbox => Arc::new(Sandbox::new(Arc::clone(clock))),
                ProviderKind::OpenAi => {
                    let key = settings.api_key_env.as_ref().and_then(|name| keys.0.get(name));
                    let model = OpenAiCompatible::new(settings, key);
                    Arc::new(model.map_err(|source| ProviderError {
                        provider: settings.name.clone(),
                        source,
                    })?)
                }
            };
            models.insert(settings.name.clone(), model);
        }
        Ok(Self { models })
    }

    /// The providers by their key in the catalogue, as inference wants them.
    pub fn into_models(self) -> HashMap<String, Arc<dyn ChatModel>> {
        self.models
    }
}

impl fmt::Debug for Providers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.models.keys()).finish()
    }
}

#[cfg(test)]
mod tests;
