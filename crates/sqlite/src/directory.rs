//! Organizations, projects, members, and the hot path's view of them.

mod context;
mod organizations;
mod projects;

pub use context::SqliteDirectory;
pub use organizations::SqliteOrgStore;
pub use projects::SqliteProjectStore;
