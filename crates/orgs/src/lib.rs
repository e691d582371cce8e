//! Who may do what with whose money: organizations, projects, members and roles.
//!
//! The crate owns the rule table ([`policy`]), the use cases over [organizations](organizations)
//! and [projects](projects), and the [context](contexts) in which a call of inference is made. It
//! must never know how a balance is kept (that is `billing`), how a chain is read, or how a request
//! arrives. Ownership and organizations come from the chain: the directory mirrors them, and only
//! the indexer writes them. What it needs from outside are the ports in [`ports`].

pub mod contexts;
pub mod model;
pub mod organizations;
pub mod policy;
pub mod ports;
pub mod projects;

pub use contexts::{ContextClaim, ContextError, Contexts};
pub use model::{
    NewProject, OrgMember, OrgRole, Organization, Project, ProjectChange, ProjectMember, ProjectRole,
    Standing,
};
pub use organizations::{OrgAccess, OrgError, Organizations};
pub use policy::{Action, allows};
pub use projects::{ProjectAccess, Projects};
