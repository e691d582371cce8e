//! Organizations, projects, members, what they decided, and the hot path's view of them.

pub(crate) mod audit;
mod context;
mod members;
mod organizations;
mod project_members;
mod projects;
mod roles;
mod settings;

pub use audit::SqliteAuditStore;
pub use context::SqliteDirectory;
pub use organizations::SqliteOrgStore;
pub use projects::SqliteProjectStore;
pub use roles::SqliteRoleStore;
