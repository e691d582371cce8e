//! Products that creators sell: knowledge, prompts and tools.
//!
//! The crate owns what a product is and what it costs. Publishing, sealing and loading widen it
//! later; the types and prices that billing and inference need stand here already. It must never
//! know how content is fetched or where rows live.

pub mod product;

pub use product::{Category, CategoryError, Product};
