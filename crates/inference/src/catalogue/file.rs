//! How a catalogue is written down (`config/models.toml`). Unknown keys are refused.

use serde::Deserialize;
use std::collections::BTreeMap;

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogueFile {
    /// Providers, by the key that models name.
    #[serde(default)]
    pub providers: BTreeMap<String, ProviderEntry>,
    /// Models.
    #[serde(default)]
    pub models: Vec<ModelEntry>,
}

/// A provider as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderEntry {
    /// What speaks for it.
    #[serde(default)]
    pub kind: KindEntry,
    /// `http://…` or `https://…`, up to but not including `/chat/completions`.
    #[serde(default)]
    pub base_url: String,
    /// The environment variable that holds its key.
    #[serde(default)]
    pub api_key_env: Option<String>,
    /// Offered at all?
    #[serde(default = "yes")]
    pub active: bool,
    /// `max_tokens` or `max_completion_tokens`.
    #[serde(default)]
    pub output_field: FieldEntry,
    /// Milliseconds to accept a connection.
    #[serde(default = "connect")]
    pub connect_timeout_ms: u64,
    /// Milliseconds until a streamed answer begins.
    #[serde(default = "first_byte")]
    pub first_byte_timeout_ms: u64,
    /// Milliseconds between two pieces of an answer.
    #[serde(default = "idle")]
    pub idle_timeout_ms: u64,
    /// Milliseconds until an answer that is not streamed begins.
    #[serde(default = "answer")]
    pub answer_timeout_ms: u64,
    /// Tries after the first, before the first byte.
    #[serde(default = "retries")]
    pub retries: u32,
    /// Milliseconds before the second try; doubled before each further one, less some chance.
    #[serde(default = "retry_delay")]
    pub retry_delay_ms: u64,
    /// Milliseconds since the call began after which nothing is tried again; a longer `Retry-After`
    /// is not waited for.
    #[serde(default = "retry_within")]
    pub retry_within_ms: u64,
    /// Faults in a row after which a model is left alone; 0: never.
    #[serde(default = "circuit_faults")]
    pub circuit_faults: u32,
    /// Milliseconds it is left alone before one call finds out whether it recovered.
    #[serde(default = "circuit_pause")]
    pub circuit_pause_ms: u64,
}

/// What speaks for a provider, as written.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "documented on ProviderKind")]
pub enum KindEntry {
    #[default]
    OpenAi,
    Sandbox,
}

/// A provider's field for the bound on output, as written.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "documented on OutputField")]
pub enum FieldEntry {
    #[default]
    MaxTokens,
    MaxCompletionTokens,
}

/// A model as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "documented on Model")]
pub struct ModelEntry {
    pub id: i64,
    pub name: String,
    #[serde(default)]
    pub aliases: Vec<String>,
    pub display_name: String,
    pub provider: String,
    /// The provider's name for it; the public name when absent.
    #[serde(default)]
    pub upstream_name: Option<String>,
    #[serde(default = "yes")]
    pub active: bool,
    pub price: PriceEntry,
    pub context: u32,
    pub max_output: u32,
    #[serde(default)]
    pub prompt_overhead: u32,
    /// `o200k` or `bytes`; by the upstream name when absent.
    #[serde(default)]
    pub tokenizer: Option<TokenizerEntry>,
    #[serde(default)]
    pub image_tokens: Option<u32>,
    #[serde(default)]
    pub capabilities: Vec<CapabilityEntry>,
    #[serde(default)]
    pub fallbacks: Vec<String>,
}

/// A model's tokenizer, as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "documented on Tokenizer")]
pub enum TokenizerEntry {
    O200k,
    Bytes,
}

/// A price as written: decimal numbers of USDT in quotes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceEntry {
    /// Per call.
    #[serde(default)]
    pub per_call: Option<String>,
    /// Per million input tokens.
    #[serde(default)]
    pub input: Option<String>,
    /// Per million input tokens read from a cache; the price of input when absent.
    #[serde(default)]
    pub cached: Option<String>,
    /// Per million output tokens.
    #[serde(default)]
    pub output: Option<String>,
    /// Per million output tokens of reasoning; the price of output when absent.
    #[serde(default)]
    pub reasoning: Option<String>,
}

/// Something a model can do, as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "documented on Capabilities")]
pub enum CapabilityEntry {
    Streaming,
    Tools,
    Vision,
    Reasoning,
    Embeddings,
}

const fn yes() -> bool {
    true
}
const fn connect() -> u64 {
    5_000
}
const fn first_byte() -> u64 {
    60_000
}
const fn idle() -> u64 {
    60_000
}
const fn answer() -> u64 {
    600_000
}
const fn retries() -> u32 {
    2
}
const fn retry_delay() -> u64 {
    100
}
const fn retry_within() -> u64 {
    10_000
}
const fn circuit_faults() -> u32 {
    5
}
const fn circuit_pause() -> u64 {
    10_000
}
