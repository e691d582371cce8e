//! Organizations, projects, members, what they decided, and the view of them that calls need.

mod accepted;
pub(crate) mod audit;
mod bots;
mod context;
mod members;
mod models;
mod organizations;
mod project_changes;
mod project_members;
mod projects;
mod roles;
mod settings;
mod standing;

pub use accepted::PgAcceptedProjectStore;
pub use audit::PgAuditStore;
pub use bots::PgBotStore;
pub use context::PgDirectory;
pub use members::PgOrgMemberStore;
pub use models::PgOrgModelStore;
pub use organizations::PgOrgStore;
pub use projects::PgProjectStore;
pub use roles::PgRoleStore;
pub use settings::PgOrgSettingsStore;
pub use standing::PgStandingStore;
