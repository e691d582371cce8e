//! What only the owner's wallet can do on chain: the transactions it has to sign.

use crate::{
    error::OrgError,
    model::{Organization, ZERO_ADDRESS},
    organizations::Organizations,
    policy::Action,
    ports::{OrgStore, OwnerTransactions},
    roles::ChainRole,
    transaction::UnsignedTransaction,
};
use haithe_kernel::{OrgId, TokenUnits, WalletAddress};
use std::sync::Arc;

/// A call of an organization's contract that a wallet signs itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerCall {
    /// `setRole`
    SetRole {
        /// Whose.
        account: WalletAddress,
        /// Which.
        role: ChainRole,
    },
    /// `transferOwnership`; the zero address takes an offer back.
    OfferOwnership {
        /// To whom.
        to: WalletAddress,
    },
    /// `acceptOwnership`, by whom it was offered to.
    AcceptOwnership,
    /// `requestWithdrawal`
    RequestWithdrawal {
        /// Who is paid.
        to: WalletAddress,
        /// How much at most.
        amount: TokenUnits,
    },
    /// `executeWithdrawal`
    ExecuteWithdrawal,
    /// `cancelWithdrawal`
    CancelWithdrawal,
    /// `setDailyCap`; `None` is no cap.
    SetDailyCap(Option<TokenUnits>),
}

/// Who owns an organization, as far as the index has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnershipState {
    /// Who owns it.
    pub owner: WalletAddress,
    /// Who it was offered to and has not accepted.
    pub pending: Option<WalletAddress>,
}

/// Use case: ownership, which changes on chain only.
pub struct Ownership {
    organizations: Arc<Organizations>,
    store: Arc<dyn OrgStore>,
    transactions: Arc<dyn OwnerTransactions>,
}

impl Ownership {
    /// Composes the use case.
    pub fn new(
        organizations: Arc<Organizations>,
        store: Arc<dyn OrgStore>,
        transactions: Arc<dyn OwnerTransactions>,
    ) -> Self {
        Self {
            organizations,
            store,
            transactions,
        }
    }

    /// Owner and pending owner. The pending owner may ask although it has no role yet.
    ///
    /// # Errors
    /// [`OrgError`] by the rule table.
    pub async fn show(&self, caller: WalletAddress, id: OrgId) -> Result<OwnershipState, OrgError> {
        let pending = self.store.pending_owner(id).await?;
        let org = match self.organizations.authorize(caller, id, Action::ReadOrg).await {
            Ok(access) => access.org,
            Err(OrgError::NotFound(_)) if pending == Some(caller) => self.organization(id).await?,
            Err(refused) => return Err(refused),
        };
        Ok(OwnershipState {
            owner: org.owner,
            pending: pending.filter(|pending| *pending != org.owner),
        })
    }

    /// The transaction that moves ownership towards `new_owner`: the owner's offer or, when the
    /// caller was offered it and names itself, the acceptance.
    ///
    /// # Errors
    /// [`OrgError::NotAnOwner`] and the rule table's; strangers are told that there is no such
    /// organization.
    pub async fn hand_over(
        &self,
        caller: WalletAddress,
        id: OrgId,
        new_owner: WalletAddress,
    ) -> Result<(OwnershipState, UnsignedTransaction), OrgError> {
        if new_owner == caller && self.store.pending_owner(id).await? == Some(caller) {
            let org = self.organization(id).await?;
            return self.signed_by(caller, &org, OwnerCall::AcceptOwnership).await;
        }
        let access = self
            .organizations
            .authorize(caller, id, Action::MoveOrgMoney)
            .await?;
        let org = access.org;
        if new_owner == ZERO_ADDRESS || new_owner == org.owner || new_owner == org.address {
            return Err(OrgError::NotAnOwner);
        }
        self.signed_by(org.owner, &org, OwnerCall::OfferOwnership { to: new_owner })
            .await
    }

    /// The transaction by which the owner takes an offer back; harmless when there is none.
    ///
    /// # Errors
    /// [`OrgError`] by the rule table.
    pub async fn take_back(
        &self,
        caller: WalletAddress,
        id: OrgId,
    ) -> Result<(OwnershipState, UnsignedTransaction), OrgError> {
        let access = self
            .organizations
            .authorize(caller, id, Action::MoveOrgMoney)
            .await?;
        let call = OwnerCall::OfferOwnership { to: ZERO_ADDRESS };
        self.signed_by(access.org.owner, &access.org, call).await
    }

    async fn signed_by(
        &self,
        signer: WalletAddress,
        org: &Organization,
        call: OwnerCall,
    ) -> Result<(OwnershipState, UnsignedTransaction), OrgError> {
        let state = OwnershipState {
            owner: org.owner,
            pending: self.store.pending_owner(org.id).await?,
        };
        Ok((state, self.transactions.encode(signer, org.address, call)))
    }

    async fn organization(&self, id: OrgId) -> Result<Organization, OrgError> {
        let found = self.store.find(id).await?;
        found.ok_or(OrgError::NotFound("organization"))
    }
}
