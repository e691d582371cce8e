//! The models that exist, their providers and their prices.

use haithe_kernel::{ModelId, Usdt};

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
    /// Output tokens, reasoning included.
    pub output: PerMillion,
}

/// What a model can do, as far as the gateway must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Capabilities {
    pub streaming: bool,
    pub tools: bool,
    pub vision: bool,
    pub reasoning: bool,
}

/// A model of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Its number on the REST wire.
    pub id: ModelId,
    /// The name callers use.
    pub name: String,
    /// The name people read.
    pub display_name: String,
    /// Its provider's key in the catalogue.
    pub provider: String,
    /// The name the provider uses.
    pub upstream_name: String,
    /// Offered at all?
    pub active: bool,
    /// What it costs.
    pub price: Price,
    /// Tokens of context.
    pub context: u32,
    /// Tokens of output at most.
    pub max_output: u32,
    /// What it can do.
    pub capabilities: Capabilities,
    /// Models tried, in order, when this one's provider fails before the first byte.
    pub fallbacks: Vec<String>,
}
