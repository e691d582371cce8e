//! One HTTP client for every address that a user can name, behind the kernel's port `Fetcher`.
//!
//! Whoever publishes a product or configures a tool chooses where the server connects; so this crate
//! decides what it connects to. [`Address`] parses the text and refuses schemes, ports, user names
//! and hosts; [`is_public`] knows the ranges; the guard inside the client's own resolver looks a name
//! up once, refuses it unless every answer is public, and hands the connection one of the answers
//! that it checked, so there is no second lookup to answer differently. [`Egress`] walks redirects by
//! hand through the same gate, and each host has a limit of requests over all tenants ([`HostLimits`]). The crate knows nothing of products and keeps no connection open.
//! [`SearchEngine`] is the exception: the operator names its address.

mod address;
mod client;
mod guard;
mod headers;
mod hosts;
mod ranges;
mod search;

pub use address::{Address, Host, Refusal};
pub use client::{Egress, Policy, SetupError};
pub use guard::{Resolver, SystemResolver};
pub use hosts::{HostLimits, PerHost};
pub use ranges::is_public;
pub use search::{SearchDialect, SearchEngine, SearchSettings};

#[cfg(test)]
mod tests;
