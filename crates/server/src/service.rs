//! The process around the routes: time, chance, rates, figures, background work and its health.

pub mod age;
pub mod brief;
pub mod conditions;
mod embedder;
pub mod health;
pub mod ledger_watch;
pub mod metrics;
mod prompts;
pub mod rates;
pub mod safeguards;
pub mod supervisor;
pub mod system;
pub mod watch;

pub use embedder::WatchedEmbedder;
pub use health::Readiness;
pub use supervisor::Supervisor;

#[cfg(test)]
mod document;
