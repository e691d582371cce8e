//! What creators sell: their profiles, products, hosted content, and which projects use what.

mod contents;
mod creators;
mod product_rows;
mod products;
mod project_products;

pub use contents::PgContentStore;
pub use creators::PgCreatorStore;
pub use products::PgProductStore;
