//! [`IndexTransaction`] on PostgreSQL: each view and each effect is in the file of its tables.

use super::books;
use crate::{columns, ledger::entries, write::WriteTx};
use async_trait::async_trait;
use haithe_billing::chain::{
    ChainEvent, DroppedDeposit, Effect, EventFilter, Hash32, IndexBinding, IndexStep, IndexTransaction,
    LineSite, Located, OrgBalances, PayoutAddresses, PendingDeposit, ProductPrices, RoleState, SkipState,
    StoredBatch, StoredRequest,
};
use haithe_kernel::{OrgId, ProductId, StoreError, Timestamp, WalletAddress};
use std::collections::BTreeSet;

/// A write transaction of the index.
pub(super) struct PgIndexTransaction<'w> {
    write: &'w mut WriteTx,
    /// Organizations whose books are locked: no other transaction changes their money before the commit.
    locked: BTreeSet<OrgId>,
}

impl<'w> PgIndexTransaction<'w> {
    /// For a step: locks the books that it may change in the order in which captures lock them.
    pub(super) async fn of_step(write: &'w mut WriteTx, step: &IndexStep) -> Result<Self, StoreError> {
        let locked = books::lock_for(write, step).await?;
        Ok(Self { write, locked })
    }

    /// For a rewind: locks all books.
    pub(super) async fn of_rewind(write: &'w mut WriteTx) -> Result<Self, StoreError> {
        let locked = books::lock_all(write).await?;
        Ok(Self { write, locked })
    }

    async fn lock(&mut self, orgs: &[OrgId]) -> Result<(), StoreError> {
        let missing: Vec<OrgId> = orgs
            .iter()
            .filter(|org| !self.locked.contains(org))
            .copied()
            .collect();
        let locked = self.write.lock_books(missing).await?;
        self.locked.extend(locked);
        Ok(())
    }

    /// Effects on rows of the directory and the marketplace.
    async fn write_directory(&mut self, effect: Effect) -> Result<(), StoreError> {
        let write = &mut *self.write;
        match effect {
            Effect::CreateOrganization(created) => write.create_organization(created).await,
            Effect::HideOrganization { org } => write.hide_organization(org).await,
            Effect::ReplaceOrganization { org } => write.replace_organization(org).await,
            Effect::SetOwner { org, owner } => write.set_owner(org, owner).await,
            Effect::OfferOwnership { org, to } => write.offer_ownership(org, to).await,
            Effect::SetDailyCap { org, cap } => write.set_daily_cap(org, cap).await,
            Effect::NoteChainRole { org, wallet, role } => write.note_chain_role(org, wallet, role).await,
            Effect::SetRole {
                org,
                wallet,
                role,
                since,
                from_chain,
            } => write.set_role(org, wallet, role, (since, from_chain)).await,
            Effect::ReopenDecision { org, wallet } => write.reopen_decision(org, wallet).await,
            Effect::KeepOverruled { tx, org, wallet } => write.keep_overruled(tx, org, wallet).await,
            Effect::LowerDecisions { block } => write.lower_decisions(block).await,
            Effect::AddProduct(added) => write.add_product(added).await,
            Effect::HideProduct { product } => write.hide_product(product).await,
            Effect::SetPrices { product, prices } => write.set_prices(product, prices).await,
            Effect::SetUri { product, uri } => write.set_uri(product, uri).await,
            Effect::RetireProduct { product } => write.retire_product(product).await,
            Effect::EnableProduct {
                org,
                product,
                max_price,
            } => write.enable_product(org, product, max_price).await,
            Effect::DisableProduct { org, product } => write.disable_product(org, product).await,
            Effect::RegisterCreator(creator) => write.register_creator(creator).await,
            Effect::SetPayout { creator, payout } => write.set_payout(creator, payout).await,
            Effect::DropCreator { creator } => write.drop_creator(creator).await,
            money => self.write_money(money).await,
        }
    }

    /// Effects on facts about money.
    async fn write_money(&mut self, effect: Effect) -> Result<(), StoreError> {
        let write = &mut *self.write;
        match effect {
            Effect::NoteDeposit(deposit) => write.note_deposit(deposit).await,
            Effect::ConfirmDeposit { event, .. } => write.confirm_deposit(event).await,
            Effect::RefuseDeposit { event, .. } => write.refuse_deposit(event).await,
            Effect::DropDeposit { event, .. } => write.drop_deposit(event).await,
            Effect::SetDust { org, units } => write.set_dust(org, units).await,
            Effect::Freeze(request) => write.freeze(request).await,
            Effect::EndRequest {
                event, end, block, ..
            } => write.end_request(event, end, block).await,
            Effect::CloseRequest {
                event,
                end,
                block,
                dust,
                ..
            } => write.close_request(event, end, block, dust).await,
            Effect::ReopenRequest { event, .. } => write.reopen_request(event).await,
            Effect::ResumeRequest { event, .. } => write.resume_request(event).await,
            Effect::DropRequest { event, .. } => write.drop_request(event).await,
            Effect::SkipLine {
                seq,
                line,
                reason,
                blamed,
            } => write.skip_line(seq, line, reason, blamed).await,
            Effect::SkipPayouts { seq } => write.skip_payouts(seq).await,
            Effect::SettleBatch {
                seq,
                tx,
                block,
                at,
                hash,
                ..
            } => write.settle_batch(seq, tx, (block, at), hash).await,
            Effect::RequeueLine { seq, line } => write.requeue_line(seq, line).await,
            Effect::ReclaimLine { seq, line } => write.reclaim_line(seq, line).await,
            Effect::FinishBatch { seq, .. } => write.finish_batch(seq).await,
            Effect::UnsettleBatch { seq, .. } => write.unsettle_batch(seq).await,
            Effect::CountSkipsFrom { org, seq } => write.count_skips_from(org, seq).await,
            _ => Err(StoreError::new("an effect of the index has no place in storage")),
        }
    }
}

#[async_trait]
impl IndexTransaction for PgIndexTransaction<'_> {
    async fn binding(&mut self) -> Result<IndexBinding, StoreError> {
        self.write.binding().await
    }

    async fn time_at(&mut self, block: u64) -> Result<Option<Timestamp>, StoreError> {
        self.write.time_at(block).await
    }

    async fn store_event(&mut self, event: &ChainEvent) -> Result<bool, StoreError> {
        self.write.store_event(event).await
    }

    async fn events(&mut self, filter: EventFilter) -> Result<Vec<ChainEvent>, StoreError> {
        self.write.events(filter).await
    }

    async fn settles_a_batch(&mut self, tx: Hash32) -> Result<bool, StoreError> {
        self.write.settles_a_batch(tx).await
    }

    async fn is_created_after(
        &mut self,
        address: WalletAddress,
        position: (u64, u64),
    ) -> Result<bool, StoreError> {
        self.write.is_created_after(address, position).await
    }

    async fn organization_at(
        &mut self,
        address: WalletAddress,
    ) -> Result<Option<Located<OrgId>>, StoreError> {
        self.write.organization_at(address).await
    }

    async fn balances(&mut self, org: OrgId) -> Result<OrgBalances, StoreError> {
        self.lock(&[org]).await?;
        self.write.org_balances(org).await
    }

    async fn skips(&mut self, org: OrgId) -> Result<SkipState, StoreError> {
        self.write.skip_state(org).await
    }

    async fn role(&mut self, org: OrgId, wallet: WalletAddress, tx: Hash32) -> Result<RoleState, StoreError> {
        self.write.role_state(org, wallet, tx).await
    }

    async fn product_at(&mut self, address: WalletAddress) -> Result<Option<Located<ProductId>>, StoreError> {
        self.write.product_at(address).await
    }

    async fn prices_due(&mut self, now: Timestamp) -> Result<Vec<(ProductId, ProductPrices)>, StoreError> {
        self.write.prices_due(now).await
    }

    async fn raised_after(&mut self, time: Timestamp) -> Result<Vec<WalletAddress>, StoreError> {
        self.write.raised_after(time).await
    }

    async fn payout(&mut self, creator: WalletAddress) -> Result<Option<PayoutAddresses>, StoreError> {
        self.write.payout_of(creator).await
    }

    async fn deposits_to_confirm(&mut self, block: u64) -> Result<Vec<PendingDeposit>, StoreError> {
        self.write.deposits_to_confirm(block).await
    }

    async fn deposits_above(&mut self, block: u64) -> Result<Vec<DroppedDeposit>, StoreError> {
        self.write.deposits_above(block).await
    }

    async fn newest_request(&mut self, org: OrgId, block: u64) -> Result<Option<StoredRequest>, StoreError> {
        self.write.newest_request(org, block).await
    }

    async fn open_requests(&mut self) -> Result<Vec<StoredRequest>, StoreError> {
        self.write.open_requests().await
    }

    async fn requests_above(&mut self, block: u64) -> Result<Vec<StoredRequest>, StoreError> {
        self.write.requests_above(block).await
    }

    async fn line(&mut self, seq: u64, line: u32) -> Result<LineSite, StoreError> {
        self.write.line_site(seq, line).await
    }

    async fn batch(&mut self, seq: u64) -> Result<Option<StoredBatch>, StoreError> {
        self.write.stored_batch(seq).await
    }

    async fn batches_to_finish(&mut self, block: u64) -> Result<Vec<u64>, StoreError> {
        self.write.batches_to_finish(block).await
    }

    async fn batches_above(&mut self, block: u64) -> Result<Vec<u64>, StoreError> {
        self.write.batches_above(block).await
    }

    async fn moved_on(&mut self, seq: u64) -> Result<bool, StoreError> {
        self.write.moved_on(seq).await
    }

    async fn write(&mut self, effect: Effect) -> Result<(), StoreError> {
        self.lock(effect.organizations()).await?;
        match effect {
            Effect::Book(entry) => entries::post(self.write, entry).await,
            Effect::ReverseAbove { block, at } => {
                let block = columns::number(block, "ledger_transactions.block")?;
                entries::reverse_above(self.write, block, at).await
            }
            Effect::RaiseAlarm(alarm) => self.write.raise(alarm).await,
            Effect::Remember { blocks, keep_from } => self.write.remember(blocks, keep_from).await,
            Effect::Count {
                confirmed,
                last_final,
            } => self.write.count_facts(confirmed, last_final).await,
            Effect::ForgetAbove { block } => self.write.forget_above(block).await,
            other => self.write_directory(other).await,
        }
    }
}
