//! Use case: what moves an organization's money by its owner's own hand.
//!
//! Withdrawals and the daily cap live in the organization's contract. Nothing here changes them: the
//! index is read, and what the owner's wallet has to sign is composed. A wish that the contract would
//! refuse is refused here with a reason, before the owner pays for gas.

mod error;
mod history;
mod model;
mod request;
#[cfg(test)]
mod tests;

pub use error::TreasuryError;
pub use history::cap_changes;
pub use model::{
    ActiveClock, CapChange, DailyCap, WITHDRAWAL_WINDOW, Withdrawal, WithdrawalEnd, WithdrawalState,
    WithdrawalStatus,
};
pub use request::WithdrawalRequest;

use crate::ports::{Ledger, TreasuryStore};
use haithe_kernel::{Clock, Decimals, Listed, OrgId, Page, Timestamp, TokenUnits, WalletAddress};
use haithe_orgs::{
    Action, Organization, Organizations, UnsignedTransaction,
    ownership::OwnerCall,
    ports::{ChainSync, OwnerTransactions},
};
use std::sync::Arc;

/// The newest row of a list.
const NEWEST: Page = match Page::new(1, 0) {
    Ok(page) => page,
    Err(_) => Page::FIRST,
};

/// What the treasury is composed of.
#[expect(missing_docs, reason = "named after their types")]
pub struct TreasuryPorts {
    pub store: Arc<dyn TreasuryStore>,
    pub ledger: Arc<dyn Ledger>,
    pub transactions: Arc<dyn OwnerTransactions>,
    pub chain: Arc<dyn ChainSync>,
    pub clock: Arc<dyn Clock>,
}

/// Withdrawals and the daily cap.
pub struct Treasury {
    organizations: Arc<Organizations>,
    ports: TreasuryPorts,
    decimals: Decimals,
}

impl Treasury {
    /// Composes the use case; `decimals` are the payment token's.
    pub fn new(organizations: Arc<Organizations>, ports: TreasuryPorts, decimals: Decimals) -> Self {
        Self {
            organizations,
            ports,
            decimals,
        }
    }

    /// Withdrawals, newest first, after the index caught up.
    ///
    /// # Errors
    /// The rule table's, and the store's.
    pub async fn withdrawals(
        &self,
        caller: WalletAddress,
        org: OrgId,
        page: Page,
    ) -> Result<Listed<WithdrawalStatus>, TreasuryError> {
        self.organizations
            .authorize(caller, org, Action::ReadOrgMoney)
            .await?;
        self.ports.chain.catch_up().await;
        self.listed(org, page).await
    }

    /// The transaction that announces a withdrawal of at most `amount` to `to`, or to the owner.
    ///
    /// # Errors
    /// [`TreasuryError`]: a payee or an amount that makes no sense, more than there is, or one that
    /// is announced already.
    pub async fn request(
        &self,
        caller: WalletAddress,
        org: OrgId,
        to: Option<WalletAddress>,
        amount: TokenUnits,
    ) -> Result<UnsignedTransaction, TreasuryError> {
        let org = self.own(caller, org).await?;
        let request = WithdrawalRequest::new(&org, to, amount)?;
        let newest = self.newest(org.id).await?;
        let available = self.ports.ledger.balance(org.id).await?.available;
        let call = request.admit(newest.as_ref(), available, self.decimals)?;
        Ok(self.signed(&org, call))
    }

    /// The transaction that executes the announced withdrawal.
    ///
    /// # Errors
    /// [`TreasuryError::NotOpen`], [`TreasuryError::TooEarly`], [`TreasuryError::Paused`].
    pub async fn execute(
        &self,
        caller: WalletAddress,
        org: OrgId,
    ) -> Result<(WithdrawalStatus, UnsignedTransaction), TreasuryError> {
        let org = self.own(caller, org).await?;
        let open = self.open(org.id).await?;
        if open.state == WithdrawalState::Requested {
            return Err(TreasuryError::TooEarly {
                from: open.executable_at,
            });
        }
        if self.ports.store.clock().await?.is_paused(self.now()) {
            return Err(TreasuryError::Paused);
        }
        let transaction = self.signed(&org, OwnerCall::ExecuteWithdrawal);
        Ok((open, paying(transaction, &open.withdrawal)))
    }

    /// The transaction that takes the announced withdrawal back.
    ///
    /// # Errors
    /// [`TreasuryError::NotOpen`].
    pub async fn cancel(
        &self,
        caller: WalletAddress,
        org: OrgId,
    ) -> Result<(WithdrawalStatus, UnsignedTransaction), TreasuryError> {
        let org = self.own(caller, org).await?;
        let open = self.open(org.id).await?;
        let transaction = self.signed(&org, OwnerCall::CancelWithdrawal);
        Ok((open, paying(transaction, &open.withdrawal)))
    }

    /// The daily cap, after the index caught up.
    ///
    /// # Errors
    /// The rule table's, and the store's.
    pub async fn daily_cap(&self, caller: WalletAddress, org: OrgId) -> Result<DailyCap, TreasuryError> {
        self.organizations
            .authorize(caller, org, Action::ReadOrgMoney)
            .await?;
        self.ports.chain.catch_up().await;
        self.cap(org).await
    }

    /// The transaction that changes the daily cap: up at once, down after the withdrawal delay.
    ///
    /// # Errors
    /// The rule table's, and the store's.
    pub async fn set_daily_cap(
        &self,
        caller: WalletAddress,
        org: OrgId,
        cap: Option<TokenUnits>,
    ) -> Result<(DailyCap, UnsignedTransaction), TreasuryError> {
        let org = self.own(caller, org).await?;
        let now = self.cap(org.id).await?;
        Ok((now, self.signed(&org, OwnerCall::SetDailyCap(cap))))
    }

    /// The organization, for its owner alone, after the index caught up.
    async fn own(&self, caller: WalletAddress, org: OrgId) -> Result<Organization, TreasuryError> {
        let action = Action::MoveOrgMoney;
        self.organizations.authorize(caller, org, action).await?;
        self.ports.chain.catch_up().await;
        // It may have another owner by now.
        Ok(self.organizations.authorize(caller, org, action).await?.org)
    }

    async fn listed(&self, org: OrgId, page: Page) -> Result<Listed<WithdrawalStatus>, TreasuryError> {
        let clock = self.ports.store.clock().await?;
        let now = self.now();
        let listed = self.ports.store.withdrawals(org, page).await?;
        Ok(listed.map(|withdrawal| WithdrawalStatus::at(withdrawal, &clock, now)))
    }

    async fn newest(&self, org: OrgId) -> Result<Option<WithdrawalStatus>, TreasuryError> {
        let newest = self.listed(org, NEWEST).await?;
        Ok(newest.items.into_iter().next())
    }

    async fn open(&self, org: OrgId) -> Result<WithdrawalStatus, TreasuryError> {
        let newest = self.newest(org).await?;
        newest
            .filter(WithdrawalStatus::is_open)
            .ok_or(TreasuryError::NotOpen)
    }

    async fn cap(&self, org: OrgId) -> Result<DailyCap, TreasuryError> {
        let clock = self.ports.store.clock().await?;
        let now = self.now();
        let changes = self.ports.store.cap_changes(org).await?;
        let mut cap = DailyCap::after(&changes, clock.active(now));
        if let Some((_, from)) = &mut cap.scheduled {
            *from = clock.clock_time(*from, now);
        }
        Ok(cap)
    }

    fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    fn signed(&self, org: &Organization, call: OwnerCall) -> UnsignedTransaction {
        self.ports.transactions.encode(org.owner, org.address, call)
    }
}

/// Names the withdrawal's payee and amount in the transaction's summary: its calldata has neither.
fn paying(mut transaction: UnsignedTransaction, withdrawal: &Withdrawal) -> UnsignedTransaction {
    transaction.summary.to = withdrawal.to;
    transaction.summary.amount = withdrawal.amount.map(TokenUnits::new);
    transaction
}
