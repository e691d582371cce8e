//! The models that exist, their providers and their prices.
//!
//! Built once at start from [`file::CatalogueFile`]; everything in it has been checked, so that no
//! later step meets an unknown provider, a price out of range or a fallback that leads nowhere.

mod check;
pub mod file;
mod filter;

use crate::routing::{CircuitPolicy, RetryPolicy};
use haithe_kernel::{ModelId, Usdt};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

pub use check::CatalogueError;
pub use file::CatalogueFile;
pub use filter::{Capability, ModelFilter, UnknownCapability};

/// A price per token: **nano-USDT per million tokens**, so that any real price list is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct PerMillion(pub u64);

/// What a model costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Price {
    /// Due once a content byte was delivered.
    pub per_call: Usdt,
    /// Input tokens that were not read from a cache.
    pub input: PerMillion,
    /// Input tokens read from a cache.
    pub cached: PerMillion,
    /// Output tokens other than reasoning.
    pub output: PerMillion,
    /// Output tokens of reasoning.
    pub reasoning: PerMillion,
}

impl Price {
    /// Whether tokens cost anything.
    pub const fn per_token(&self) -> bool {
        self.input.0 > 0 || self.cached.0 > 0 || self.output.0 > 0 || self.reasoning.0 > 0
    }
}

/// What a model can do, as far as the gateway must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Capabilities {
    pub streaming: bool,
    pub tools: bool,
    pub vision: bool,
    pub reasoning: bool,
    pub embeddings: bool,
}

/// The request field by which a provider bounds output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutputField {
    /// `max_tokens`, which most providers read.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`, which OpenAI's newer models insist on.
    MaxCompletionTokens,
}

impl OutputField {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

/// How a model's provider turns text into tokens, as far as the gateway can count them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tokenizer {
    /// OpenAI's `o200k_base`: tokens can be counted here, with a margin for the prompt's format.
    O200k,
    /// Any other tokenizer. Only the bytes of the text bound its tokens: no byte-level tokenizer makes
    /// more tokens than bytes.
    #[default]
    Bytes,
}

impl Tokenizer {
    /// Names of models, without their vendor, that use `o200k_base`: these alone, or with a suffix
    /// after `-` or `.`.
    const O200K: &[&str] = &[
        "gpt-4o",
        "chatgpt-4o",
        "gpt-4.1",
        "gpt-4.5",
        "gpt-5",
        "gpt-oss",
        "o1",
        "o3",
        "o4",
    ];

    /// The tokenizer of a model that its provider calls by this name.
    pub fn of_family(upstream_name: &str) -> Self {
        let name = upstream_name.rsplit('/').next().unwrap_or(upstream_name);
        let is_of = |family: &&&str| {
            name.strip_prefix(**family)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
        };
        if Self::O200K.iter().any(|family| is_of(&family)) {
            Self::O200k
        } else {
            Self::Bytes
        }
    }
}

/// A model of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Its number on the REST wire.
    pub id: ModelId,
    /// The name callers use.
    pub name: String,
    /// Other names callers may use.
    pub aliases: Vec<String>,
    /// The name people read.
    pub display_name: String,
    /// Its provider's key in the catalogue.
    pub provider: String,
    /// The name the provider uses: plain characters that need no escaping in JSON.
    pub upstream_name: String,
    /// Offered at all? Its provider is active too.
    pub active: bool,
    /// What it costs.
    pub price: Price,
    /// Tokens of context.
    pub context: u32,
    /// Tokens of output at most.
    pub max_output: u32,
    /// Tokens that the provider itself adds to every prompt, beyond what a request's bytes cover.
    pub prompt_overhead: u32,
    /// What counts the tokens of its input: [`Tokenizer::Bytes`] unless it and all its fallbacks use the
    /// same known one.
    pub tokenizer: Tokenizer,
    /// The most tokens one image can count for; `None` when that is not known, and then a request
    /// with images is bounded by the whole context.
    pub image_tokens: Option<u32>,
    /// How its provider is told the bound on output.
    pub output_field: OutputField,
    /// What it can do.
    pub capabilities: Capabilities,
    /// Models tried, in order, when this one's provider fails before the first byte.
    pub fallbacks: Vec<String>,
}

impl Model {
    /// The name and the aliases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.aliases.iter().map(String::as_str))
    }

    /// Whether callers may call it so.
    pub fn answers_to(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }
}

/// What speaks for a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderKind {
    /// A service that speaks OpenAI's dialect over HTTP.
    OpenAi,
    /// The deterministic model inside the server, for trying things out.
    Sandbox,
}

/// How long a provider may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To accept a connection.
    pub connect: Duration,
    /// To begin a streamed answer.
    pub first_byte: Duration,
    /// Between two pieces of an answer.
    pub idle: Duration,
    /// To begin an answer that is not streamed, which is when it is complete.
    pub answer: Duration,
}

/// A provider of models, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderSettings {
    /// Its key in the catalogue.
    pub name: String,
    /// What speaks for it.
    pub kind: ProviderKind,
    /// Where it is, without a trailing slash; empty for the sandbox.
    pub base_url: String,
    /// The environment variable that holds its key; `None` when it needs none.
    pub api_key_env: Option<String>,
    /// Offered at all?
    pub active: bool,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// How often and when it is asked again.
    pub retry: RetryPolicy,
    /// When it is left alone. Each of its models has a circuit of its own.
    pub circuit: CircuitPolicy,
}

/// Every model and provider there is, checked.
#[derive(Debug, Default)]
pub struct Catalogue {
    models: Vec<Arc<Model>>,
    by_name: HashMap<String, Arc<Model>>,
    by_id: HashMap<ModelId, Arc<Model>>,
    providers: BTreeMap<String, ProviderSettings>,
}

impl Catalogue {
    /// Checks a catalogue and indexes it.
    ///
    /// # Errors
    /// The first rule that an entry breaks, naming the entry.
    pub fn new(file: CatalogueFile) -> Result<Self, CatalogueError> {
        let (models, providers) = check::check(file)?;
        let models: Vec<Arc<Model>> = models.into_iter().map(Arc::new).collect();
        let by_name = models
            .iter()
            .flat_map(|model| model.names().map(|name| (name.to_owned(), Arc::clone(model))))
            .collect();
        let by_id = models.iter().map(|model| (model.id, Arc::clone(model))).collect();
        Ok(Self {
            models,
            by_name,
            by_id,
            providers,
        })
    }

    /// Every model, active or not, by number.
    pub fn models(&self) -> &[Arc<Model>] {
        &self.models
    }

    /// The provider of this key.
    pub fn provider(&self, name: &str) -> Option<&ProviderSettings> {
        self.providers.get(name)
    }

    /// The model that callers know by this name, or by this alias.
    pub fn by_name(&self, name: &str) -> Option<&Arc<Model>> {
        self.by_name.get(name)
    }

    /// The model of this number.
    pub fn by_id(&self, id: ModelId) -> Option<&Arc<Model>> {
        self.by_id.get(&id)
    }

    /// Every provider, by name.
    pub fn providers(&self) -> impl Iterator<Item = &ProviderSettings> {
        self.providers.values()
    }

    /// The model itself and then its active fallbacks, in order, each once.
    pub fn route(&self, model: &Arc<Model>) -> Vec<Arc<Model>> {
        let mut route = vec![Arc::clone(model)];
        let fallbacks = model.fallbacks.iter().filter_map(|name| self.by_name.get(name));
        for fallback in fallbacks.filter(|fallback| fallback.active) {
            if !route.iter().any(|seen| seen.id == fallback.id) {
                route.push(Arc::clone(fallback));
            }
        }
        route
    }
}

#[cfg(test)]
mod tests;
