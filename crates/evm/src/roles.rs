//! Tells contracts of roles below administrator, through the outbox.

use crate::{again, config::RoleBudget, contracts::HaitheOrganization, convert, sender::SenderHandle};
use alloy::sol_types::SolCall;
use async_trait::async_trait;
use haithe_billing::{
    outbox::{NewTx, TxIntent, TxPurpose, TxState},
    ports::TxOutbox,
};
use haithe_kernel::{Clock, StoreError, Timestamp, WalletAddress};
use haithe_orgs::{
    ports::RoleMirror,
    roles::{Mirrored, RoleChange},
};
use std::{fmt, sync::Arc, time::Duration};

/// The span of a budget.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a change that was refused waits for its first retry; every further one waits twice as
/// long. The contracts may be paused.
const FIRST_RETRY: Duration = Duration::from_secs(60);
/// Transactions for one change, at most: the last one half a day after the first.
const MOST_TRIES: u32 = 10;

/// [`RoleMirror`] through the outbox: one intent per decision, named by wallet and version.
pub struct EvmRoleMirror {
    outbox: Arc<dyn TxOutbox>,
    sender: SenderHandle,
    signer: WalletAddress,
    clock: Arc<dyn Clock>,
    budget: RoleBudget,
}

impl EvmRoleMirror {
    /// `signer` is the server's address, whose [`Sender`](crate::Sender) gave the handle.
    pub fn new(
        outbox: Arc<dyn TxOutbox>,
        sender: SenderHandle,
        signer: WalletAddress,
        clock: Arc<dyn Clock>,
        budget: RoleBudget,
    ) -> Self {
        Self {
            outbox,
            sender,
            signer,
            clock,
            budget,
        }
    }

    async fn is_spent(&self, wallet: WalletAddress) -> Result<bool, StoreError> {
        let since = self.clock.now().minus(DAY);
        let purpose = TxPurpose::MirrorRole;
        let own = self.outbox.count_since(purpose, Some(wallet), since).await?;
        let all = self.outbox.count_since(purpose, None, since).await?;
        Ok(own >= self.budget.per_wallet || all >= self.budget.global)
    }
}

/// The key of a change's intent.
fn key(change: &RoleChange, version: u64) -> String {
    format!("role/{}/{}/{version}", change.contract, change.address)
}

/// When a change whose newest of so many intents failed may be tried again.
fn retry_at(newest: &TxIntent, tries: u32) -> Timestamp {
    let factor = 2u32.saturating_pow(tries.saturating_sub(1));
    newest.created_at.plus(FIRST_RETRY.saturating_mul(factor))
}

#[async_trait]
impl RoleMirror for EvmRoleMirror {
    async fn is_under_way(&self, change: &RoleChange, version: u64) -> Result<bool, StoreError> {
        let newest = again::newest(&*self.outbox, &key(change, version)).await?;
        let open = |intent: &TxIntent| !matches!(intent.state, TxState::Done | TxState::Failed);
        Ok(newest.intent.as_ref().is_some_and(open))
    }

    async fn mirror(&self, change: &RoleChange) -> Result<Mirrored, StoreError> {
        let newest = again::newest(&*self.outbox, &key(change, change.version)).await?;
        if newest.live().is_some() {
            return Ok(Mirrored::UnderWay);
        }
        if let Some(failed) = &newest.intent {
            if newest.tries >= MOST_TRIES {
                return Ok(Mirrored::GivenUp);
            }
            if self.clock.now() < retry_at(failed, newest.tries) {
                return Ok(Mirrored::Waiting);
            }
        }
        if self.is_spent(change.decided_by).await? {
            return Ok(Mirrored::Waiting);
        }
        let call = HaitheOrganization::setRoleForCall {
            account: convert::address(change.address),
            role: change.wanted.number(),
        };
        let tx = NewTx {
            key: key(change, change.version),
            purpose: TxPurpose::MirrorRole,
            signer: self.signer,
            to: Some(change.contract),
            data: call.abi_encode(),
            on_behalf: Some(change.decided_by),
            created_at: self.clock.now(),
        };
        newest.enqueue(&*self.outbox, tx).await?;
        self.sender.wake();
        Ok(Mirrored::UnderWay)
    }
}

impl fmt::Debug for EvmRoleMirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvmRoleMirror")
            .field("signer", &self.signer)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
