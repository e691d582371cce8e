//! Who may do what with whose money: organizations, projects, members and roles.
//!
//! The crate owns the rule table ([`policy`]), the use cases over [organizations](organizations)
//! and [projects](projects), and the [context](contexts) in which a call of inference is made. It
//! must never know how a balance is kept (that is `billing`), how a chain is read, or how a request
//! arrives. Ownership and organizations come from the chain: the directory mirrors them, and only
//! the indexer writes them; what only the owner's wallet can do is [encoded](ownership) for it to
//! sign, and [roles](roles) decided here are mirrored there. What an organization pays for other
//! organizations' projects is limited by what it [accepted](accepted). Every write is [audited](audit). What it
//! needs from outside are the ports in [`ports`].

pub mod accepted;
pub mod audit;
pub mod bots;
pub mod contexts;
mod error;
pub mod members;
pub mod model;
pub mod organizations;
pub mod ownership;
pub mod policy;
pub mod ports;
pub mod projects;
pub mod roles;
pub mod settings;
pub mod transaction;

pub use accepted::{AcceptedProject, AcceptedProjects, CallPrices, PayerRefusal, payer_accepts};
pub use audit::{Act, Audit, AuditAction, Caller};
pub use bots::{BotPlatform, BotTokens, Bots};
pub use contexts::{ContextClaim, ContextError, Contexts};
pub use error::OrgError;
pub use model::{
    NewProject, OrgMember, OrgRole, Organization, PriceNotice, Project, ProjectChange, ProjectMember,
    ProjectRole, Search, Standing,
};
pub use organizations::{MemberChange, OrgAccess, OrganizationPorts, Organizations};
pub use ownership::{OwnerCall, Ownership};
pub use policy::{Action, allows};
pub use projects::{ProjectAccess, ProjectPorts, Projects};
pub use roles::{ChainRole, RoleMirroring};
pub use settings::{IpAllowlist, OrgSettings, OrgSettingsChange, PromptLog, Settings};
pub use transaction::{TransactionSummary, UnsignedTransaction};
