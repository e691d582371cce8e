//! [`CreatorStore`] and [`ProductStore`] on SQLite.

mod creators;
mod products;

pub use creators::SqliteCreatorStore;
pub use products::SqliteProductStore;
