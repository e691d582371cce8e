//! Conditions: failures that operators must act on, collected in one place.
//!
//! ```text
//!   calls, settlement, the deployment ──report──┐
//!   database probe, checks (every 5 s) ─report──┼─► Conditions ─► /health/ready, metrics, log
//!   Levels: memory only, at every reading ──────┘
//! ```
//!
//! [`Condition`] is the table: the name, whether readiness is 503 or 200 with a warning, and what to do. The code that
//! detects one raises it in [`Conditions`] and clears it on recovery. Nothing here runs on the path of a request:
//! [`Levels`] reads memory only, and everything that needs the disk or the chain runs in the background.

mod backup;
mod board;
mod checks;
mod kind;
mod levels;
mod provider_keys;
mod sealed;

pub use backup::BackupRule;
pub use board::{ActiveCondition, Conditions};
pub use checks::{Checks, WriteProbe};
pub use kind::{Condition, Severity};
pub use levels::{LevelSources, Levels};
pub use provider_keys::ProviderKeys;
