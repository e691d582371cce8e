//! Who may do what with whose money: organizations, projects, members and roles.
//!
//! The crate owns the rule table ([`policy`]), the directory of organizations and projects and the
//! use cases over it. It must never know how a balance is kept (that is `billing`), how a chain is
//! read, or how a request arrives. Ownership and organizations come from the chain: the directory
//! mirrors them, and only the indexer writes them.

pub mod model;
pub mod policy;
pub mod ports;

pub use model::{
    NewProject, OrgMember, OrgRole, Organization, Project, ProjectChange, ProjectMember, ProjectRole,
    Standing,
};
pub use policy::{Action, allows};
