//! Applying a step of the index: which rules meet which events, in which order.

use super::{
    BlockRef, ChainEvent, Effect, EventBody, EventFilter, IndexBinding, IndexStep, IndexTransaction,
    InwardView, StepEffects, batches, deposits, organizations, pauses, payouts, products, roles, withdrawals,
};
use crate::ledger::TokenScale;
use haithe_kernel::{Decimals, OrgId, StoreError, Timestamp, TokenUnits, WalletAddress};
use haithe_orgs::roles::Sight;

/// Blocks that are remembered at least, however few the indexer asks for.
const REMEMBERED: u64 = 4096;

/// Writes what follows from a step, and its checkpoint.
///
/// An event whose log is stored already changes nothing. Directory and marketplace rows, and frozen withdrawals,
/// follow at first sight; deposits count once confirmed; batches, ended withdrawals and payouts once final. An
/// event about something unknown, or with an amount out of range, affects only its own row. `decimals` are the
/// payment token's.
///
/// # Errors
/// [`StoreError`] from `tx`, which must then be rolled back.
pub async fn apply(
    tx: &mut dyn IndexTransaction,
    decimals: Decimals,
    step: IndexStep,
) -> Result<StepEffects, StoreError> {
    let binding = tx.binding().await?;
    let mut indexing = Indexing {
        tx,
        binding,
        scale: TokenScale::of(decimals),
        counted: StepEffects::default(),
    };
    indexing.remember(step.blocks, step.to).await?;
    let mut new = Vec::new();
    for event in step.events {
        if indexing.tx.store_event(&event).await? {
            new.push(event);
        }
    }
    indexing.counted.new_events = u64::try_from(new.len()).unwrap_or(u64::MAX);

    // Directory first: a deposit may come in the same step as the organization it is for.
    for event in &new {
        indexing.see(event, Sight::First).await?;
    }
    indexing.raise_prices(step.to.time).await?;
    for event in &new {
        indexing.see_money(event).await?;
    }

    let confirmed = binding.confirmed.max(Some(step.confirmed));
    let last_final = binding.last_final.max(Some(step.last_final));
    let counted = Effect::Count {
        confirmed,
        last_final,
    };
    indexing.write(counted).await?;
    indexing.confirm(confirmed.unwrap_or(step.confirmed)).await?;
    let last_final = last_final.unwrap_or(step.last_final);
    indexing.finish_batches(last_final).await?;
    indexing.finish_withdrawals(last_final).await?;
    indexing.finish_payouts(last_final).await?;
    Ok(indexing.counted)
}

/// A step or a rewind on its way.
pub(super) struct Indexing<'t> {
    pub(super) tx: &'t mut dyn IndexTransaction,
    /// As it was before.
    pub(super) binding: IndexBinding,
    pub(super) scale: TokenScale,
    pub(super) counted: StepEffects,
}

impl Indexing<'_> {
    pub(super) async fn write(&mut self, effect: Effect) -> Result<(), StoreError> {
        match &effect {
            Effect::NoteDeposit(deposit) if deposit.amount.is_none() => tracing::warn!(
                org = deposit.org.0,
                event = %deposit.event,
                "deposit out of range is not credited"
            ),
            Effect::RaiseAlarm(alarm) => {
                tracing::error!(
                    kind = alarm.kind.as_str(),
                    block = alarm.block,
                    "{}",
                    alarm.detail
                );
            }
            Effect::ConfirmDeposit { dust, .. } => {
                self.counted.deposits_confirmed += 1;
                let dust = TokenUnits::new(dust.unsigned_abs().into());
                let sum = self.counted.dust.checked_add(dust);
                self.counted.dust = sum.unwrap_or(self.counted.dust);
            }
            Effect::RequeueLine { .. } => self.counted.lines_skipped += 1,
            Effect::FinishBatch { .. } => self.counted.batches_final += 1,
            _ => {}
        }
        self.tx.write(effect).await
    }

    pub(super) async fn write_all(
        &mut self,
        effects: impl IntoIterator<Item = Effect> + Send,
    ) -> Result<(), StoreError> {
        let effects: Vec<Effect> = effects.into_iter().collect();
        for effect in effects {
            self.write(effect).await?;
        }
        Ok(())
    }

    /// Remembers blocks; the highest is the checkpoint. Forgets those far below it.
    pub(super) async fn remember(
        &mut self,
        mut blocks: Vec<BlockRef>,
        to: BlockRef,
    ) -> Result<(), StoreError> {
        if blocks.last() != Some(&to) {
            blocks.push(to);
        }
        let keep_from = to.number.saturating_sub(REMEMBERED);
        self.write(Effect::Remember { blocks, keep_from }).await
    }

    /// The organization at this address, as the indexed chain stands.
    pub(super) async fn org_at(&mut self, address: WalletAddress) -> Result<Option<OrgId>, StoreError> {
        Ok(self.tx.organization_at(address).await?.map(|org| org.id))
    }

    /// Lets the rows of directory and marketplace follow an event. An event means the same whether it is seen for
    /// the first time or again after a rewind: it says what is so from now on, never what changed.
    pub(super) async fn see(&mut self, event: &ChainEvent, sight: Sight) -> Result<(), StoreError> {
        match &event.body {
            EventBody::OrganizationCreated { org, .. } => self.create_organization(event, *org).await,
            EventBody::OwnershipOffered { org, .. } => self.see_owner(event, *org).await,
            EventBody::OwnershipTransferred { org, to, .. } => {
                self.see_owner(event, *org).await?;
                match sight {
                    Sight::First => self.see_owners_role(event, *org, *to, sight).await,
                    Sight::Again => Ok(()),
                }
            }
            EventBody::RoleChanged { org, wallet, .. } => {
                let Some(org) = self.org_at(*org).await? else {
                    return Ok(());
                };
                let state = self.tx.role(org, *wallet, event.tx).await?;
                self.write_all(roles::change(event, org, &state, sight)).await
            }
            EventBody::DailyCapChanged { org, .. } => {
                let Some(org) = self.org_at(*org).await? else {
                    return Ok(());
                };
                let (balances, skips) = (self.tx.balances(org).await?, self.tx.skips(org).await?);
                let effects = organizations::daily_cap(event, org, &balances, &skips, self.scale);
                self.write_all(effects).await
            }
            EventBody::ProductEnabled { org, product, .. } | EventBody::ProductDisabled { org, product } => {
                let (org, product) = (self.org_at(*org).await?, self.tx.product_at(*product).await?);
                let (Some(org), Some(product)) = (org, product) else {
                    return Ok(());
                };
                self.write_all(products::enable(event, org, product.id)).await
            }
            EventBody::ProductAdded { product, .. } => {
                let before = self.tx.product_at(*product).await?;
                self.write_all(products::add(event, before, self.scale)).await
            }
            EventBody::PriceChanged { product, .. }
            | EventBody::PriceScheduled { product, .. }
            | EventBody::UriChanged { product, .. }
            | EventBody::ProductRetired { product } => {
                let Some(product) = self.tx.product_at(*product).await? else {
                    return Ok(());
                };
                self.write_all(products::change(event, product.id, self.scale))
                    .await
            }
            EventBody::CreatorRegistered { .. } => self.write_all(products::register(event)).await,
            EventBody::PayoutAddressProposed { creator, .. }
            | EventBody::PayoutAddressCancelled { creator } => {
                let Some(before) = self.tx.payout(*creator).await? else {
                    return Ok(());
                };
                self.write_all(products::payout(event, before)).await
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
            | EventBody::Transfer { .. } => Ok(()),
        }
    }

    /// An organization appears, with what reached its address before.
    async fn create_organization(
        &mut self,
        event: &ChainEvent,
        address: WalletAddress,
    ) -> Result<(), StoreError> {
        let before = self.tx.organization_at(address).await?;
        self.write_all(organizations::create(event, before, &self.binding))
            .await?;
        let Some(org) = self.org_at(address).await? else {
            return Err(StoreError::inconsistent("organizations.address"));
        };
        for earlier in self.tx.events(EventFilter::Inward { address }).await? {
            self.note_deposit(&earlier, org, address, event.block).await?;
        }
        Ok(())
    }

    async fn see_owner(&mut self, event: &ChainEvent, org: WalletAddress) -> Result<(), StoreError> {
        let Some(org) = self.org_at(org).await? else {
            return Ok(());
        };
        self.write_all(organizations::owner(event, org)).await
    }

    /// A new owner has no role.
    pub(super) async fn see_owners_role(
        &mut self,
        event: &ChainEvent,
        org: WalletAddress,
        owner: WalletAddress,
        sight: Sight,
    ) -> Result<(), StoreError> {
        let Some(org) = self.org_at(org).await? else {
            return Ok(());
        };
        let state = self.tx.role(org, owner, event.tx).await?;
        self.write_all(roles::owner(event, org, &state, sight)).await
    }

    /// Lets the facts about money follow an event.
    async fn see_money(&mut self, event: &ChainEvent) -> Result<(), StoreError> {
        match event.body {
            EventBody::Transfer { to: address, .. } | EventBody::OrganizationFunded { org: address, .. } => {
                match self.org_at(address).await? {
                    Some(org) => self.note_deposit(event, org, address, 0).await,
                    None => Ok(()),
                }
            }
            EventBody::WithdrawalRequested { org, .. } => {
                let Some(org) = self.org_at(org).await? else {
                    return Ok(());
                };
                let balances = self.tx.balances(org).await?;
                self.write_all(withdrawals::freeze(event, org, &balances, self.scale))
                    .await
            }
            EventBody::WithdrawalExecuted { org, .. } | EventBody::WithdrawalCancelled { org } => {
                let Some(org) = self.org_at(org).await? else {
                    return Ok(());
                };
                let newest = self.tx.newest_request(org, event.block).await?;
                self.write_all(withdrawals::end(event, org, newest.as_ref()))
                    .await
            }
            EventBody::LineSkipped { seq, line, .. } => {
                let site = self.tx.line(seq, line).await?;
                self.write_all(batches::skip(event, &site, self.binding.orchestrator))
                    .await
            }
            EventBody::BatchSettled { seq, .. } => {
                let batch = self.tx.batch(seq).await?;
                self.write_all(batches::settle(event, batch.as_ref())).await
            }
            _ => Ok(()),
        }
    }

    async fn note_deposit(
        &mut self,
        event: &ChainEvent,
        org: OrgId,
        address: WalletAddress,
        not_before: u64,
    ) -> Result<(), StoreError> {
        let view = InwardView {
            org,
            not_before,
            precedes_creation: self.tx.is_created_after(address, event.position()).await?,
            is_settlement: self.tx.settles_a_batch(event.tx).await?,
        };
        self.write_all(deposits::note(event, &view, self.scale)).await
    }

    /// Puts announced prices in force that are due at `now`, the time of the indexed head.
    pub(super) async fn raise_prices(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let due = self.tx.prices_due(now).await?;
        self.write_all(products::raise(&due, now)).await
    }

    /// Books every deposit up to this block.
    async fn confirm(&mut self, confirmed: u64) -> Result<(), StoreError> {
        for deposit in self.tx.deposits_to_confirm(confirmed).await? {
            let balances = self.tx.balances(deposit.org).await?;
            let skips = self.tx.skips(deposit.org).await?;
            self.write_all(deposits::confirm(&deposit, &balances, &skips))
                .await?;
        }
        Ok(())
    }

    /// Books every batch whose settlement is final.
    async fn finish_batches(&mut self, last_final: u64) -> Result<(), StoreError> {
        for seq in self.tx.batches_to_finish(last_final).await? {
            let batch = self.tx.batch(seq).await?;
            let batch = batch.ok_or(StoreError::inconsistent("batches.seq"))?;
            self.write_all(batches::finish(&batch)).await?;
        }
        Ok(())
    }

    /// Books the ends of withdrawals that are final.
    async fn finish_withdrawals(&mut self, last_final: u64) -> Result<(), StoreError> {
        let open = self.tx.open_requests().await?;
        if open.is_empty() {
            return Ok(());
        }
        let active_time = match self.tx.time_at(last_final).await? {
            Some(now) => {
                let pauses = self.tx.events(EventFilter::Pauses { to: last_final }).await?;
                Some(pauses::active_time(now, &pauses))
            }
            None => None,
        };
        for request in open {
            let Some((end, block)) = withdrawals::is_over(&request, last_final, active_time) else {
                continue;
            };
            let at = self.tx.time_at(block).await?.unwrap_or(request.requested_at);
            let dust = self.tx.balances(request.org).await?.dust;
            let effects = withdrawals::close(&request, (end, block), at, dust, self.scale);
            self.write_all(effects).await?;
        }
        Ok(())
    }

    /// Books payouts in the blocks that have just become final.
    async fn finish_payouts(&mut self, last_final: u64) -> Result<(), StoreError> {
        let newly = EventFilter::Payouts {
            after: self.binding.last_final,
            to: last_final,
        };
        for event in self.tx.events(newly).await? {
            self.write_all(payouts::pay(&event, self.scale)).await?;
        }
        Ok(())
    }
}
