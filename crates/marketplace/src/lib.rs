//! Products that creators sell: knowledge, prompts and tools.
//!
//! The crate owns what a product is, what it costs, what its creator says about it ([`market`]) and
//! which projects use it. Sealing and loading content widen it later. It must never know how content
//! is fetched or where rows live. What it needs from outside are the ports in [`ports`].

pub mod catalog;
pub mod market;
pub mod ports;
pub mod product;
pub mod sealing;

pub use catalog::{Creator, NewCreator, PageChange, ProductFilter, ProductOrder, ProductPage};
pub use market::{Market, MarketError};
pub use product::{Category, CategoryError, Product};
