//! The routes, a folder per feature, and the table of their paths in [`router`].

pub mod auth;
pub mod chat;
pub mod config;
pub mod content;
pub mod creators;
pub mod me;
pub mod models;
pub mod openai;
pub mod orgs;
pub mod products;
pub mod projects;
pub mod receipts;
pub mod router;
pub mod stats;
pub mod tee;
pub mod waitlist;
pub mod webhook;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
