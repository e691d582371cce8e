//! [`IndexTransaction`] on the model store. Nothing in it waits, so that a transaction is one step.

use super::{BatchRow, Store};
use crate::parties::ORCHESTRATOR;
use async_trait::async_trait;
use haithe_billing::{
    chain::{
        BlockRef, ChainEvent, DroppedDeposit, Effect, EventBody, EventFilter, Hash32, IndexBinding,
        IndexTransaction, LineSite, Located, OrgBalances, PayoutAddresses, PendingDeposit, ProductPrices,
        RoleState, SkipState, StoredBatch, StoredLine, StoredRequest,
    },
    ledger::{Account, Balances, Transfer},
};
use haithe_kernel::{OrgId, ProductId, StoreError, Timestamp, WalletAddress};
use std::collections::BTreeSet;

/// A transaction, and what the ledger in memory must learn from it.
pub struct ModelTransaction<'s> {
    /// The store.
    pub store: &'s mut Store,
    /// Organizations whose facts may have changed.
    pub touched: BTreeSet<OrgId>,
    /// What was booked.
    pub transfers: Vec<Transfer>,
}

impl<'s> ModelTransaction<'s> {
    /// A transaction that has changed nothing yet.
    pub fn new(store: &'s mut Store) -> Self {
        Self {
            store,
            touched: BTreeSet::new(),
            transfers: Vec::new(),
        }
    }
}

impl BatchRow {
    fn stored_line(&self, number: u32) -> Option<StoredLine> {
        let line = self.batch.lines.get(usize::try_from(number).ok()?)?;
        Some(StoredLine {
            line: number,
            org: line.org,
            address: line.address,
            skipped: self.skips.get(&number).map(|(reason, _)| *reason),
            credits: line.credits.clone(),
        })
    }

    fn stored(&self) -> StoredBatch {
        StoredBatch {
            seq: self.batch.seq,
            root: self.batch.root,
            settled: self.settled,
            is_final: self.is_final,
            payouts_skipped: self.payouts_skipped,
            lines: (0..).map_while(|number| self.stored_line(number)).collect(),
            payouts: self.batch.payouts.clone(),
        }
    }
}

#[async_trait]
impl IndexTransaction for ModelTransaction<'_> {
    async fn binding(&mut self) -> Result<IndexBinding, StoreError> {
        Ok(IndexBinding {
            chain_id: 31_337,
            orchestrator: ORCHESTRATOR,
            confirmed: self.store.confirmed,
            last_final: self.store.last_final,
        })
    }

    async fn time_at(&mut self, block: u64) -> Result<Option<Timestamp>, StoreError> {
        let newest = self.store.blocks.range(..=block).next_back();
        Ok(newest.map(|(_, block)| block.time))
    }

    async fn store_event(&mut self, event: &ChainEvent) -> Result<bool, StoreError> {
        let is_new = self.store.events.insert(event.id(), event.clone()).is_none();
        Ok(is_new || self.store.has(crate::defect::Defect::EventCountedTwice))
    }

    async fn events(&mut self, filter: EventFilter) -> Result<Vec<ChainEvent>, StoreError> {
        let fits = |event: &&ChainEvent| match filter {
            EventFilter::Pauses { to } => {
                event.block <= to && matches!(event.body, EventBody::Paused | EventBody::Unpaused)
            }
            EventFilter::Inward { address } => {
                event.body.subject() == Some(address)
                    && matches!(
                        event.body,
                        EventBody::Transfer { .. } | EventBody::OrganizationFunded { .. }
                    )
            }
            EventFilter::Payouts { after, to } => {
                let is_payout = matches!(
                    event.body,
                    EventBody::CreatorWithdrawn { .. } | EventBody::PlatformWithdrawn { .. }
                );
                is_payout && Some(event.block) > after && event.block <= to
            }
            EventFilter::About { subject } => {
                event.body.subject() == Some(subject) && !matches!(event.body, EventBody::Transfer { .. })
            }
            EventFilter::Above { block } => event.block > block && event.body.subject().is_some(),
        };
        let mut events: Vec<ChainEvent> = self.store.events.values().filter(fits).cloned().collect();
        events.sort_by_key(ChainEvent::position);
        Ok(events)
    }

    async fn settles_a_batch(&mut self, tx: Hash32) -> Result<bool, StoreError> {
        let settles =
            |event: &ChainEvent| event.tx == tx && matches!(event.body, EventBody::BatchSettled { .. });
        Ok(self.store.events.values().any(settles))
    }

    async fn is_created_after(
        &mut self,
        address: WalletAddress,
        position: (u64, u64),
    ) -> Result<bool, StoreError> {
        Ok(self.store.events.values().any(|event| {
            matches!(event.body, EventBody::OrganizationCreated { org, .. } if org == address)
                && event.position() > position
        }))
    }

    async fn organization_at(
        &mut self,
        address: WalletAddress,
    ) -> Result<Option<Located<OrgId>>, StoreError> {
        let mut rows = self.store.orgs.iter();
        let found = rows.find(|(_, row)| row.on_chain && row.created.address == address);
        Ok(found.map(|(id, row)| Located {
            id: OrgId(*id),
            created_tx: row.created.created_tx,
        }))
    }

    async fn balances(&mut self, org: OrgId) -> Result<OrgBalances, StoreError> {
        let of = |account| self.store.books.balance_of(account);
        Ok(OrgBalances {
            chain: of(Account::ChainOrg(org)),
            available: of(Account::Available(org)),
            unsettled: of(Account::Unsettled(org)),
            withdrawing: of(Account::Withdrawing(org)),
            dust: self.store.dust(org),
        })
    }

    async fn skips(&mut self, org: OrgId) -> Result<SkipState, StoreError> {
        let finals = self.store.batches.values().filter(|row| row.is_final);
        let lines = finals
            .clone()
            .flat_map(|row| (0..).map_while(move |number| row.stored_line(number)));
        let newest = lines.filter(|line| line.org == org).last();
        Ok(SkipState {
            newest: newest.and_then(|line| line.skipped),
            next_final: finals.map(|row| row.batch.seq + 1).max().unwrap_or(0),
        })
    }

    async fn role(&mut self, _: OrgId, _: WalletAddress, _: Hash32) -> Result<RoleState, StoreError> {
        Ok(RoleState::default())
    }

    async fn product_at(&mut self, _: WalletAddress) -> Result<Option<Located<ProductId>>, StoreError> {
        Ok(None)
    }

    async fn prices_due(&mut self, _: Timestamp) -> Result<Vec<(ProductId, ProductPrices)>, StoreError> {
        Ok(Vec::new())
    }

    async fn raised_after(&mut self, _: Timestamp) -> Result<Vec<WalletAddress>, StoreError> {
        Ok(Vec::new())
    }

    async fn payout(&mut self, creator: WalletAddress) -> Result<Option<PayoutAddresses>, StoreError> {
        Ok(self.store.creators.get(&creator).map(|(_, payout)| *payout))
    }

    async fn deposits_to_confirm(&mut self, block: u64) -> Result<Vec<PendingDeposit>, StoreError> {
        let mut pending = Vec::new();
        for (deposit, confirmed) in self.store.deposits.values() {
            if let (Some(amount), false, true) = (deposit.amount, *confirmed, deposit.block <= block) {
                let event = &self.store.events[&deposit.event];
                pending.push(PendingDeposit {
                    event: deposit.event,
                    seen_block: event.block,
                    seen_at: event.block_time,
                    org: deposit.org,
                    block: deposit.block,
                    amount,
                    dust: deposit.dust,
                });
            }
        }
        pending.sort_by_key(|deposit| (deposit.block, deposit.seen_block, deposit.event.log_index));
        Ok(pending)
    }

    async fn deposits_above(&mut self, block: u64) -> Result<Vec<DroppedDeposit>, StoreError> {
        let above = self
            .store
            .deposits
            .values()
            .filter(|(deposit, _)| deposit.block > block);
        let dropped = above.map(|(deposit, confirmed)| DroppedDeposit {
            event: deposit.event,
            org: deposit.org,
            dust: deposit.dust,
            confirmed: *confirmed,
        });
        Ok(dropped.collect())
    }

    async fn newest_request(&mut self, org: OrgId, block: u64) -> Result<Option<StoredRequest>, StoreError> {
        let mut requests = self.store.requests.iter();
        Ok(requests
            .rfind(|request| request.org == org && request.block <= block)
            .copied())
    }

    async fn open_requests(&mut self) -> Result<Vec<StoredRequest>, StoreError> {
        let open = self
            .store
            .requests
            .iter()
            .filter(|request| request.booked.is_none());
        Ok(open.copied().collect())
    }

    async fn requests_above(&mut self, block: u64) -> Result<Vec<StoredRequest>, StoreError> {
        let touched = self.store.requests.iter().filter(|request| {
            request.block > block
                || request.end.is_some_and(|(_, at)| at > block)
                || request.booked.is_some_and(|(_, at)| at > block)
        });
        Ok(touched.copied().collect())
    }

    async fn line(&mut self, seq: u64, line: u32) -> Result<LineSite, StoreError> {
        let Some(row) = self.store.batches.get(&seq) else {
            return Ok(LineSite::default());
        };
        Ok(LineSite {
            line: row.stored_line(line),
            lines: u64::try_from(row.batch.lines.len()).expect("few lines"),
            has_payouts: !row.batch.payouts.is_empty(),
        })
    }

    async fn batch(&mut self, seq: u64) -> Result<Option<StoredBatch>, StoreError> {
        Ok(self.store.batches.get(&seq).map(BatchRow::stored))
    }

    async fn batches_to_finish(&mut self, block: u64) -> Result<Vec<u64>, StoreError> {
        let settled = self.store.batches.values();
        let settled =
            settled.filter(|row| !row.is_final && row.settled.is_some_and(|(settled, _)| settled <= block));
        Ok(settled.map(|row| row.batch.seq).collect())
    }

    async fn batches_above(&mut self, block: u64) -> Result<Vec<u64>, StoreError> {
        let settled = self.store.batches.values();
        let settled = settled.filter_map(|row| Some((row.settled?.0, row.batch.seq)));
        let mut above: Vec<(u64, u64)> = settled.filter(|(settled, _)| *settled > block).collect();
        above.sort_unstable_by(|one, other| other.cmp(one));
        Ok(above.into_iter().map(|(_, seq)| seq).collect())
    }

    async fn moved_on(&mut self, seq: u64) -> Result<bool, StoreError> {
        let Some(row) = self.store.batches.get(&seq) else {
            return Ok(false);
        };
        let items = row.batch.items.iter().zip(&row.places);
        let mut skipped = items.filter(|(item, _)| row.skips.contains_key(&item.line));
        Ok(skipped.any(|(_, place)| self.store.usage[*place].batch.is_some()))
    }

    async fn write(&mut self, effect: Effect) -> Result<(), StoreError> {
        self.touched.extend(effect.organizations());
        self.write_effect(effect).map_err(|detail| {
            self.store
                .break_invariant("a fact is booked once", detail.clone());
            StoreError::new(detail)
        })
    }
}

impl Store {
    /// The time of the newest indexed block.
    pub fn chain_time(&self) -> Option<Timestamp> {
        self.checkpoint().map(|block: BlockRef| block.time)
    }
}
