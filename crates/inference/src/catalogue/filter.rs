//! Looking for models.

use super::{Capabilities, Catalogue, Model};
use std::{str::FromStr, sync::Arc};

/// Something a model can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "documented on Capabilities")]
pub enum Capability {
    Streaming,
    Tools,
    Vision,
    Reasoning,
    Embeddings,
}

/// A word that names no capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be streaming, tools, vision, reasoning or embeddings")]
pub struct UnknownCapability;

impl Capability {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Streaming,
        Self::Tools,
        Self::Vision,
        Self::Reasoning,
        Self::Embeddings,
    ];

    /// The word on the wire and in the catalogue's file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Streaming => "streaming",
            Self::Tools => "tools",
            Self::Vision => "vision",
            Self::Reasoning => "reasoning",
            Self::Embeddings => "embeddings",
        }
    }
}

impl FromStr for Capability {
    type Err = UnknownCapability;
    fn from_str(text: &str) -> Result<Self, UnknownCapability> {
        let named = |capability: &Self| capability.as_str() == text;
        Self::ALL.into_iter().find(named).ok_or(UnknownCapability)
    }
}

impl Capabilities {
    /// Whether this is one of them.
    pub const fn has(self, capability: Capability) -> bool {
        match capability {
            Capability::Streaming => self.streaming,
            Capability::Tools => self.tools,
            Capability::Vision => self.vision,
            Capability::Reasoning => self.reasoning,
            Capability::Embeddings => self.embeddings,
        }
    }

    /// Those there are.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.into_iter().filter(move |one| self.has(*one))
    }
}

/// Which models; everything that is given must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelFilter {
    /// Of this provider, by its key in the catalogue.
    pub provider: Option<String>,
    /// On offer, or not.
    pub active: Option<bool>,
    /// With this in a name, an alias or the shown name; letters in either case.
    pub text: Option<String>,
    /// That can do this.
    pub capability: Option<Capability>,
}

impl ModelFilter {
    fn fits(&self, model: &Model, text: Option<&str>) -> bool {
        let has = |name: &str, text: &str| name.to_lowercase().contains(text);
        self.provider.as_ref().is_none_or(|name| *name == model.provider)
            && self.active.is_none_or(|active| active == model.active)
            && self
                .capability
                .is_none_or(|capability| model.capabilities.has(capability))
            && text.is_none_or(|text| {
                has(&model.display_name, text) || model.names().any(|name| has(name, text))
            })
    }
}

impl Catalogue {
    /// The models that fit, by number.
    pub fn find(&self, filter: &ModelFilter) -> impl Iterator<Item = &Arc<Model>> {
        let text = filter.text.as_ref().map(|text| text.trim().to_lowercase());
        self.models()
            .iter()
            .filter(move |model| filter.fits(model, text.as_deref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CatalogueFile;

    const FILE: &str = r#"
        [providers.one]
        base_url = "https://one.example/v1"
        [providers.two]
        base_url = "https://two.example/v1"
        active = false

        [[models]]
        id = 1
        name = "alpha-large"
        aliases = ["ALPHA-latest"]
        display_name = "Alpha, the large one"
        provider = "one"
        price = {}
        context = 1000
        max_output = 10
        capabilities = ["streaming", "tools", "vision"]

        [[models]]
        id = 2
        name = "alpha-vectors"
        display_name = "Vectors"
        provider = "one"
        price = {}
        context = 1000
        max_output = 10
        capabilities = ["embeddings"]

        [[models]]
        id = 3
        name = "beta"
        display_name = "Beta"
        provider = "two"
        price = {}
        context = 1000
        max_output = 10
        capabilities = ["streaming", "reasoning"]
    "#;

    fn found(filter: &ModelFilter) -> Vec<i64> {
        let file: CatalogueFile = toml::from_str(FILE).unwrap();
        let catalogue = Catalogue::new(file).unwrap();
        catalogue.find(filter).map(|model| model.id.0).collect()
    }

    fn text(text: &str) -> ModelFilter {
        ModelFilter {
            text: Some(text.into()),
            ..ModelFilter::default()
        }
    }

    #[test]
    fn everything_that_is_given_must_fit() {
        let all = ModelFilter::default();
        assert_eq!(found(&all), [1, 2, 3]);
        let provider = ModelFilter {
            provider: Some("one".into()),
            ..all.clone()
        };
        assert_eq!(found(&provider), [1, 2]);
        let active = |active| ModelFilter {
            active: Some(active),
            ..all.clone()
        };
        assert_eq!(
            (found(&active(true)), found(&active(false))),
            (vec![1, 2], vec![3])
        );
        let capability = ModelFilter {
            capability: Some(Capability::Streaming),
            ..all.clone()
        };
        assert_eq!(found(&capability), [1, 3]);
        let both = ModelFilter {
            capability: Some(Capability::Embeddings),
            ..provider
        };
        assert_eq!(found(&both), [2]);
    }

    #[test]
    fn names_aliases_and_shown_names_are_looked_at_in_either_case() {
        assert_eq!(found(&text("ALPHA")), [1, 2]);
        assert_eq!(found(&text("latest")), [1]);
        assert_eq!(found(&text(" the large ")), [1]);
        assert_eq!(found(&text("gamma")), [0; 0]);
        assert_eq!(found(&text("")), [1, 2, 3], "nothing to look for");
    }

    #[test]
    fn words_are_capabilities_and_back() {
        for capability in Capability::ALL {
            assert_eq!(capability.as_str().parse(), Ok(capability));
        }
        assert_eq!("flying".parse::<Capability>(), Err(UnknownCapability));
    }
}
