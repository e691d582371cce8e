//! Providers of models, behind inference's ports, and of vectors, behind marketplace's.
//!
//! [`OpenAiCompatible`] forwards bytes to any service that speaks OpenAI's dialect and reads nothing
//! of them but errors; [`Sandbox`] is a model in the process that says what it is; [`Tiktoken`]
//! counts tokens; [`OpenAiEmbedder`] asks a provider for vectors of texts. [`Providers`] makes one of
//! each provider of the catalogue. Adding one that speaks the dialect is a block in
//! `config/models.toml`; another dialect is a file here.
//!
//! This crate owns the HTTP client for configured upstreams: callers choose neither its addresses
//! nor its keys. It must never know of prices, holds or tables, never retries, and never logs a
//! body or a key. Of async-openai it uses the types, in tests: its client drops what it does not know.

mod client;
mod embedder;
mod guard;
mod openai;
mod registry;
mod sandbox;
mod tiktoken;

pub use embedder::{EmbedderSettings, OpenAiEmbedder};
pub use openai::{OpenAiCompatible, SetupError};
pub use registry::{Keys, ProviderError, Providers};
pub use sandbox::Sandbox;
pub use tiktoken::{CountingLimits, Tiktoken};
