//! Undoing blocks: what followed from their events is taken back, and the rows that they touched are derived again
//! from the events that remain.
//!
//! One thing is not taken back: where skipped lines no longer count because money arrived or a cap was raised. The
//! next three skipped lines suspend the organization again.

use super::{
    BlockRef, ChainEvent, Effect, EventBody, EventFilter, IndexTransaction, StepEffects, apply::Indexing,
    batches, deposits, roles, withdrawals,
};
use crate::ledger::TokenScale;
use haithe_kernel::{Decimals, StoreError, WalletAddress};
use haithe_orgs::roles::Sight;
use std::collections::BTreeSet;

/// Forgets every event above `to`, takes back what followed from it, and makes `to` the checkpoint. `decimals` are
/// the payment token's.
///
/// # Errors
/// [`StoreError`] from `tx`, which must then be rolled back.
pub async fn rewind(
    tx: &mut dyn IndexTransaction,
    decimals: Decimals,
    to: BlockRef,
) -> Result<(), StoreError> {
    let binding = tx.binding().await?;
    let mut indexing = Indexing {
        tx,
        binding,
        scale: TokenScale::of(decimals),
        counted: StepEffects::default(),
    };
    let affected = indexing.affected_above(to).await?;
    let (block, at) = (to.number, to.time);
    indexing.write(Effect::LowerDecisions { block }).await?;
    indexing.write(Effect::ReverseAbove { block, at }).await?;
    indexing.undo_batches(to).await?;
    for request in indexing.tx.requests_above(block).await? {
        let dust = indexing.tx.balances(request.org).await?.dust;
        let effects = withdrawals::undo(&request, dust, block);
        indexing.write_all(effects).await?;
    }
    for deposit in indexing.tx.deposits_above(block).await? {
        let dust = indexing.tx.balances(deposit.org).await?.dust;
        indexing.write_all(deposits::undo(&deposit, dust)).await?;
    }
    indexing.write(Effect::ForgetAbove { block }).await?;
    let counted = Effect::Count {
        confirmed: binding.confirmed.min(Some(block)),
        last_final: binding.last_final.min(Some(block)),
    };
    indexing.write(counted).await?;
    indexing.remember(Vec::new(), to).await?;
    indexing.derive(affected).await?;
    indexing.raise_prices(at).await
}

/// Whose rows a rewind must derive again.
#[derive(Debug, Default)]
struct Affected {
    /// Organizations, products and creators, by address.
    subjects: BTreeSet<WalletAddress>,
    /// Members whose role an event above changed. Others keep what was decided about them since.
    members: BTreeSet<(WalletAddress, WalletAddress)>,
}

impl Affected {
    /// Adds what an event that is dropped touched.
    fn add(&mut self, event: &ChainEvent) {
        match event.body {
            EventBody::RoleChanged { org, wallet, .. }
            | EventBody::OwnershipTransferred { org, to: wallet, .. } => {
                self.subjects.insert(org);
                self.members.insert((org, wallet));
            }
            EventBody::OrganizationCreated { org: subject, .. }
            | EventBody::OwnershipOffered { org: subject, .. }
            | EventBody::DailyCapChanged { org: subject, .. }
            | EventBody::ProductEnabled { org: subject, .. }
            | EventBody::ProductDisabled { org: subject, .. }
            | EventBody::ProductAdded { product: subject, .. }
            | EventBody::PriceChanged { product: subject, .. }
            | EventBody::PriceScheduled { product: subject, .. }
            | EventBody::UriChanged { product: subject, .. }
            | EventBody::ProductRetired { product: subject }
            | EventBody::CreatorRegistered { creator: subject, .. }
            | EventBody::PayoutAddressProposed { creator: subject, .. }
            | EventBody::PayoutAddressCancelled { creator: subject } => {
                self.subjects.insert(subject);
            }
            EventBody::OrganizationFunded { .. }
            | EventBody::WithdrawalRequested { .. }
            | EventBody::WithdrawalExecuted { .. }
            | EventBody::WithdrawalCancelled { .. }
            | EventBody::CreatorWithdrawn { .. }
            | EventBody::BatchSettled { .. }
            | EventBody::LineSkipped { .. }
            | EventBody::PlatformWithdrawn { .. }
            | EventBody::ServerChanged { .. }
            | EventBody::Paused
            | EventBody::Unpaused
            | EventBody::Transfer { .. } => {}
        }
    }
}

impl Indexing<'_> {
    /// Reads what must be derived again, before the events above are forgotten, and keeps the overruled changes of
    /// roles among them overruled.
    async fn affected_above(&mut self, to: BlockRef) -> Result<Affected, StoreError> {
        let mut affected = Affected::default();
        // A price was raised without an event of its own.
        affected.subjects.extend(self.tx.raised_after(to.time).await?);
        for event in self.tx.events(EventFilter::Above { block: to.number }).await? {
            affected.add(&event);
            if let EventBody::RoleChanged { org, wallet, .. }
            | EventBody::OwnershipTransferred { org, to: wallet, .. } = event.body
                && let Some(org) = self.org_at(org).await?
            {
                let state = self.tx.role(org, wallet, event.tx).await?;
                self.write_all(roles::keep_overruled(&event, org, wallet, &state))
                    .await?;
            }
        }
        Ok(affected)
    }

    async fn undo_batches(&mut self, to: BlockRef) -> Result<(), StoreError> {
        for seq in self.tx.batches_above(to.number).await? {
            let batch = self.tx.batch(seq).await?;
            let batch = batch.ok_or(StoreError::inconsistent("batches.seq"))?;
            let moved_on = batch.is_final && self.tx.moved_on(seq).await?;
            self.write_all(batches::undo(&batch, moved_on, to)).await?;
        }
        Ok(())
    }

    /// Derives rows again from the events that remain.
    async fn derive(&mut self, affected: Affected) -> Result<(), StoreError> {
        for (org, wallet) in &affected.members {
            if let Some(org) = self.org_at(*org).await? {
                let state = self.tx.role(org, *wallet, [0; 32]).await?;
                self.write_all(roles::forget(org, *wallet, &state)).await?;
            }
        }
        for subject in &affected.subjects {
            self.forget(*subject).await?;
        }
        let mut remaining = Vec::new();
        for subject in affected.subjects {
            remaining.extend(self.tx.events(EventFilter::About { subject }).await?);
        }
        // In the order of the chain: an organization enables a product after it was added.
        remaining.sort_unstable_by_key(ChainEvent::position);
        for event in remaining {
            match event.body {
                EventBody::RoleChanged { org, wallet, .. } if !affected.members.contains(&(org, wallet)) => {}
                EventBody::OwnershipTransferred { org, to, .. } if affected.members.contains(&(org, to)) => {
                    self.see(&event, Sight::Again).await?;
                    self.see_owners_role(&event, org, to, Sight::Again).await?;
                }
                _ => self.see(&event, Sight::Again).await?,
            }
        }
        Ok(())
    }

    /// Takes back what events said about the organization, product or creator at this address.
    async fn forget(&mut self, subject: WalletAddress) -> Result<(), StoreError> {
        if let Some(org) = self.org_at(subject).await? {
            self.write(Effect::HideOrganization { org }).await?;
        }
        if let Some(product) = self.tx.product_at(subject).await? {
            self.write(Effect::HideProduct { product: product.id }).await?;
        }
        self.write(Effect::DropCreator { creator: subject }).await
    }
}
