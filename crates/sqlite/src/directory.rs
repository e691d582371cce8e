//! Organizations, projects, members, what they decided, and the hot path's view of them.

mod accepted;
pub(crate) mod audit;
mod bots;
mod context;
mod members;
mod models;
mod organizations;
mod project_members;
mod projects;
mod roles;
mod settings;

pub use accepted::SqliteAcceptedProjectStore;
pub use audit::SqliteAuditStore;
pub use bots::SqliteBotStore;
pub use context::SqliteDirectory;
pub use organizations::SqliteOrgStore;
pub use projects::SqliteProjectStore;
pub use roles::SqliteRoleStore;
