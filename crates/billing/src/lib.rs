//! Money: what a call may cost, what it did cost, and how that is settled on chain.
//!
//! The life of a charge, each step with its own module:
//!
//! 1. [`hold`]: before the upstream hears of a call, the most it can cost is set aside;
//!    [`holds`] hands it out as a guard that cannot leak, while the [`gate`] is open.
//! 2. [`capture`]: what it did cost moves, durably and once, from the payer's available balance to
//!    its unsettled one, with a usage record and a [`receipt`].
//! 3. [`batch`]: the sealer selects unsettled lines within the bounds of gas and fairness; they become
//!    one sequential batch, a pure function of its items; the root of its receipts' [`merkle`] tree
//!    goes with it. What is carried, escrowed and dissolved is decided there, too. [`settlement`] decides when,
//!    and sends up to four batches at a time.
//! 4. [`chain`]: what happens there is read by the [`indexer`]. The batch's own event, once final,
//!    moves unsettled money to its payees.
//!
//! What only an organization's owner can do, withdraw and bound what a day may take, is the
//! [`treasury`]'s: it says what the owner's wallet has to sign.
//!
//! [`platform`] says what the orchestrator's owner can take out as the platform's share.
//!
//! [`deployment`] says what the contracts need before they hold tenants' money.
//!
//! Whoever doubts any of this asks the chain: [`check`] compares the whole ledger with it,
//! [`verify`] one receipt, [`audit`] all receipts of an organization.
//!
//! The ledger ([`ledger`]) is double entry and append-only: facts from the chain are never refused
//! by a constraint, decisions are guarded. This crate must never know of tables, transactions' bytes
//! or HTTP: it speaks through [`ports`]. It is a domain of its own, beside identity, orgs,
//! marketplace and inference, because three of those touch money.

pub mod audit;
pub mod batch;
pub mod capture;
pub mod chain;
pub mod check;
pub mod deployment;
pub mod earnings;
pub mod expenditure;
pub mod faucet;
pub mod gate;
pub mod hold;
pub mod holds;
pub mod indexer;
pub mod lease;
pub mod ledger;
pub mod merkle;
pub mod open_calls;
pub mod outbox;
pub mod platform;
pub mod ports;
mod range;
pub mod receipt;
mod scale;
pub mod settlement;
pub mod treasury;
pub mod usage;
pub mod verify;

pub use expenditure::ExpenditureScope;

#[cfg(test)]
mod fixtures;
