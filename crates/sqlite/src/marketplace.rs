//! [`CreatorStore`], [`ProductStore`] and [`ContentStore`] on SQLite.

mod contents;
mod creators;
mod product_uses;
mod products;

pub use contents::SqliteContentStore;
pub use creators::SqliteCreatorStore;
pub use products::SqliteProductStore;
