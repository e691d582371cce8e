//! The ledger: accounts, entries, and every decision about money.
//!
//! [`LedgerState`] takes commands (hold, release, capture, and the facts of the chain) and gives decisions with
//! their effects as values: holds to store and to remove, an [`Entry`] with its transfers, a receipt. [`post`]
//! computes the balances that an entry leads to. There is no input or output in it: a store either keeps one state
//! in memory, or loads the part that a group of commands is about from its rows; then it stores the effects.
//!
//! Every transaction has a unique key and postings that sum to zero. Accounts are written
//! `chain/{org}`, `chain/orchestrator` (mirrors of on-chain balances, kept as **negative** numbers:
//! money came from there), `org/{id}/available`, `org/{id}/unsettled`, `org/{id}/withdrawing`,
//! `creator/{address}`, `escrow/{payee}` (payees that cannot be paid for now), `platform`, `platform/loss` and `dust`.
//!
//! | fact or decision | key | postings |
//! |--|--|--|
//! | deposit confirmed | `deposit/{tx}/{log}` | `chain/{org}` −x, `org/available` +x |
//! | deposit rewound | `rewind/deposit/{tx}/{log}/{n}` | the opposite |
//! | call captured | `call/{id}` | `org/available` −x, `org/unsettled` +x |
//! | … beyond hold and balance | same | `platform/loss` −y, `platform` +y |
//! | line of a batch final | `batch/{seq}/{line}` | `org/unsettled` −x, payees +x; `chain/{org}` +x, `chain/orchestrator` −x |
//! | … payee is an organization | same | `org/unsettled` −x, payee's `available` +x; `chain/{org}` +x, `chain/{payee}` −x |
//! | … payee cannot be paid | same | `org/unsettled` −x, `escrow/{payee}` +x; `chain/{org}` +x, `chain/orchestrator` −x |
//! | escrow paid out (final) | `batch/{seq}/escrow` | `escrow/{payee}` −x, payee +x; where it is an organization: `chain/orchestrator` +x, `chain/{payee}` −x |
//! | withdrawal requested (at first sight) | `withdrawal/{tx}/{log}` | `org/available` −x, `org/withdrawing` +x |
//! | withdrawal cancelled or void | `withdrawal/{tx}/{log}/void` | the opposite |
//! | withdrawal executed (y ≤ x) | `withdrawal/{tx}/{log}/done` | `org/withdrawing` −x, `org/available` +(x−y), `chain/{org}` +y |
//! | creator or platform withdrew | `payout/{tx}/{log}` | `creator/{a}` or `platform` −x, `chain/orchestrator` +x |

mod account;
mod budgets;
mod captures;
mod entry;
mod facts;
mod group;
mod holds;
mod money;
mod report;
mod scale;
mod spending;
mod state;
mod sums;

pub use account::{Account, AccountError};
pub use budgets::{StoreMark, UnreadBudget};
pub use captures::{CaptureDecision, CaptureEffects, CaptureRefused, DecidedCapture, Unheld};
pub use entry::{
    Balances, Entry, PostError, Postings, Transfer, call_key, count_reversals, fact_key, occurrence_key,
    post, reversal_prefix,
};
pub use facts::{ChainFigures, InTransit, OrgFacts, suspends};
pub use group::{GroupCapture, GroupEffects, GroupInput, LedgerGroup};
pub use holds::{Held, HoldDecision};
pub use money::OrgMoney;
pub use report::{Balance, LedgerSnapshot, LedgerTotals, OrgPosition, drifted, escrow_total, mirror};
pub use scale::{TokenScale, capped};
pub use state::{HoldRecord, LedgerState};
pub use sums::{SpendingSubject, SpendingSubjectError, SpendingSum, SpendingSums};

#[cfg(test)]
mod tests;
