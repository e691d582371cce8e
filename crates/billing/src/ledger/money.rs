//! One organization's money as the ledger decides over it.

use super::{Account, Balance, Balances, OrgFacts, TokenScale, capped};
use crate::receipt::ReceiptContext;
use haithe_kernel::{OrgId, Usdt};
use std::sync::Arc;

/// An organization as a store loads it into a [`LedgerState`](super::LedgerState).
#[derive(Debug, Clone, PartialEq)]
pub struct OrgMoney {
    receipt: Arc<ReceiptContext>,
    /// Balance of `chain/{org}`: what the contract holds, as a negative number.
    pub(super) chain: i128,
    pub(super) available: i128,
    pub(super) unsettled: i128,
    pub(super) withdrawing: i128,
    pub(super) held: i128,
    pub(super) spent: i128,
    pub(super) facts: OrgFacts,
}

impl OrgMoney {
    /// The organization with the balances that are stored, `spent` nano-USDT captured of all time, and no holds.
    pub fn new(
        org: OrgId,
        balances: &impl Balances,
        spent: i128,
        facts: OrgFacts,
        receipt: ReceiptContext,
    ) -> Self {
        let balance = |account| i128::from(balances.balance_of(account).nano());
        Self {
            receipt: Arc::new(receipt),
            chain: balance(Account::ChainOrg(org)),
            available: balance(Account::Available(org)),
            unsettled: balance(Account::Unsettled(org)),
            withdrawing: balance(Account::Withdrawing(org)),
            held: 0,
            spent,
            facts,
        }
    }

    /// What the chain says about it beside its balances.
    pub const fn facts(&self) -> &OrgFacts {
        &self.facts
    }

    /// What its receipts say about it.
    pub fn receipt(&self) -> Arc<ReceiptContext> {
        Arc::clone(&self.receipt)
    }

    /// Whether a withdrawal request freezes some of its money.
    pub const fn is_withdrawing(&self) -> bool {
        self.withdrawing > 0
    }

    /// What a decision may use, when `own` of what is held is the decider's own, in nano-USDT.
    pub(super) fn spendable(&self, own: i128) -> i128 {
        if self.facts.is_halted() {
            0
        } else {
            (self.available - (self.held - own)).max(0)
        }
    }

    /// Everything captured from it, all time.
    pub fn expenditure(&self) -> Usdt {
        capped(self.spent)
    }

    /// Its balances and holds, capped at the ends of the range.
    pub fn balance(&self, scale: TokenScale) -> Balance {
        Balance {
            available: capped(self.available),
            held: capped(self.held),
            unsettled: capped(self.unsettled),
            withdrawing: capped(self.withdrawing),
            onchain: self.facts.onchain(self.chain, scale),
        }
    }
}
