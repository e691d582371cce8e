//! Products that creators sell: knowledge, prompts and tools.
//!
//! The crate owns what a product is, what it costs, what its creator says about it ([`market`]) and
//! which projects use it, and the form in which content is [sealed](sealing) to an [enclave]. It must
//! never know how content is fetched or where rows live. What it needs from outside are the ports in
//! [`ports`] and [`enclave`].

pub mod catalog;
pub mod content;
pub mod enclave;
mod failures;
pub mod hosting;
pub mod knowledge;
pub mod loading;
pub mod market;
pub mod ports;
pub mod product;
mod product_use;
pub mod sealing;
mod tool_lists;
pub mod usability;

pub use catalog::{
    Creator, CreatorStatistics, NewCreator, PageChange, ProductFilter, ProductOrder, ProductPage, Uses,
};
pub use knowledge::{Knowledge, KnowledgeError};
pub use market::{Market, MarketError};
pub use product::{Category, CategoryError, NextPrice, Product};
pub use product_use::ProductUse;
pub use tool_lists::ToolLists;
