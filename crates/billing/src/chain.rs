//! What the chain says, in the domain's words, and what follows from it.
//!
//! An event and a small view of what is stored go into a rule; effects come out, as values:
//!
//! | rules | about |
//! |--|--|
//! | [`deposits`] | what counts as a deposit and when; dust; money that was there before the organization |
//! | [`withdrawals`] | what a request freezes, and how it ends |
//! | [`pauses`] | the contracts' active time |
//! | [`batches`] | settled and skipped lines, whom a skipped line is blamed on, escrow |
//! | [`suspension`] | what admits a payer again after lines that were its own fault |
//! | [`payouts`] | what creators and the platform withdraw |
//! | [`organizations`], [`roles`], [`products`] | rows of the directory and the marketplace |
//!
//! The rules do not wait, read or write. [`apply()`] and [`rewind()`] say which of them meets which event and in which
//! order, over an [`IndexTransaction`]: what a database implements, with views to read and [`Effect`]s to write.
//! Events are named by [`LogId`]; no view and no effect has a number that a database gave, but those of
//! organizations, products and batches.

mod apply;
pub mod batches;
pub mod deposits;
mod effect;
mod error;
mod event;
pub mod organizations;
pub mod pauses;
pub mod payouts;
pub mod products;
mod rewind;
pub mod roles;
mod step;
pub mod suspension;
mod transaction;
mod values;
pub mod withdrawals;

pub use apply::apply;
pub use deposits::InwardView;
pub use effect::Effect;
pub use error::ChainError;
pub use event::{BlockRef, ChainAmount, ChainEvent, EventBody, Hash32, LogId, SkipReason};
pub use pauses::PauseClock;
pub use products::{ChainPrice, ProductPrices};
pub use rewind::rewind;
pub use step::{ChainCounts, Depths, IndexStep, StepEffects};
pub use transaction::{
    DroppedDeposit, EventFilter, IndexBinding, IndexTransaction, LineSite, Located, OrgBalances,
    PendingDeposit, RoleState, SkipState, StoredBatch, StoredLine, StoredRequest,
};
pub use values::{
    AddedProduct, AlarmKind, Blame, BookedEnd, CreatedOrganization, FrozenRequest, IndexAlarm,
    PayoutAddresses, RegisteredCreator, SeenDeposit, SeenEnd,
};

#[cfg(test)]
mod tests;
