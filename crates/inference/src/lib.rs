//! Calls of models: admitted, priced, forwarded, metered, charged.
//!
//! A request arrives as bytes in OpenAI's dialect. [`catalogue`] says which models exist and what
//! they cost; the request is parsed only as far as routing, limits and money need, and forwarded
//! as bytes to a [`ChatModel`](ports::ChatModel). What comes back passes through a meter that reads
//! usage without re-serializing. This crate owns the rules of DESIGN's "outcomes": which end of a
//! call is charged how. It must never know of HTTP clients, frameworks or tables.

pub mod catalogue;
pub mod ports;
