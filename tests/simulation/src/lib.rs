//! A deterministic simulation of the money core: the rules of `haithe-billing` over a model of everything else.
//!
//! What runs is real: `LedgerState`, `Holds`, the gate, `Indexer` with `chain::apply` and `chain::rewind`,
//! `Settlement` with gathering, sealing, carry, escrow and dissolving. What they run on is a model: a virtual
//! [clock](world), a [chain], a [store] whose contents survive crashes, and [instances](instance) whose memory does
//! not. There is no thread, no socket, no disk and no real time.
//!
//! One seed gives one [plan]: calls, deposits, withdrawals, and the faults between them. The [executor] polls one
//! task at a time, in an order that the seed decides, and every request of a port is two points at which something
//! else may happen: before it reaches the store or the node, and before its answer is back. So a crash, a dropped
//! request or another instance gets between any two steps.
//!
//! The [oracle] checks the invariants after every step, [`history`] lets everything settle at the end and compares
//! the ledger with the chain. A history that breaks an invariant is [shrunk](shrink) to the few steps that matter.
//! [`defect`] puts errors into the rules' effects on purpose, to prove that they are found.

pub mod background;
pub mod chain;
pub mod contract;
pub mod defect;
pub mod executor;
pub mod history;
pub mod instance;
pub mod oracle;
pub mod outside;
pub mod parties;
pub mod payer;
pub mod plan;
pub mod ports;
pub mod shrink;
pub mod soak;
pub mod store;
pub mod world;

pub use history::{Outcome, run};
pub use plan::Plan;
pub use shrink::{Shrunk, shrink};
