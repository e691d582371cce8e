//! Calls of models: admitted, priced, forwarded, metered, charged.
//!
//! A request arrives as bytes in OpenAI's dialect. [`catalogue`] says which models exist and what
//! they cost; [`request`] reads only what routing, limits and money need; [`completions`] is the
//! use case: it quotes ([`price`]), holds, forwards the caller's own bytes to a
//! [`ChatModel`](ports::ChatModel) that is well ([`routing`]), and charges. What comes back is split into events ([`sse`]) and
//! read by a meter in passing, never re-serialized. Projects that bring something along answer in an
//! [`agent`]'s loop instead. Errors speak the dialect too ([`dialect`],
//! [`fault`] for the providers' own). What was said is kept in [`conversations`].
//! Programs that only send messages ask through [`webhooks`].
//!
//! This crate owns the rules of DESIGN's "outcomes": which end of a call is charged how. It must
//! never know of HTTP clients, frameworks, runtimes or tables.

pub mod agent;
mod call;
pub mod catalogue;
pub mod completions;
pub mod conceal;
pub mod conversations;
pub mod dialect;
pub mod error;
pub mod fault;
mod json;
mod meter;
pub mod ports;
mod presence;
pub mod price;
pub mod request;
pub mod routing;
pub mod sse;
mod stream;
pub mod webhooks;

pub use catalogue::{Catalogue, CatalogueError, CatalogueFile, Model};
pub use completions::{
    Answer, CallPermit, Caller, CompletionPorts, CompletionSettings, Completions, ProviderHealth,
};
pub use dialect::ErrorObject;
pub use error::CompletionError;
