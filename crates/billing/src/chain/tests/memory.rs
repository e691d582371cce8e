//! [`IndexTransaction`] over collections: the shortest database that the rules can run on.

mod write;

use crate::{
    capture::Payee,
    chain::{
        AddedProduct, BlockRef, ChainAmount, ChainEvent, CreatedOrganization, DroppedDeposit, Effect,
        EventBody, EventFilter, Hash32, IndexAlarm, IndexBinding, IndexTransaction, LineSite, Located, LogId,
        OrgBalances, PayoutAddresses, PendingDeposit, ProductPrices, RegisteredCreator, RoleState,
        SeenDeposit, SkipState, StoredBatch, StoredRequest,
    },
    ledger::{Account, Entry, Transfer},
};
use async_trait::async_trait;
use haithe_kernel::{OrgId, ProductId, StoreError, Timestamp, Usdt, WalletAddress};
use haithe_orgs::{model::OrgRole, roles::RoleDecision};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const ORCHESTRATOR: WalletAddress = WalletAddress::new([0xee; 20]);

/// A stored organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OrgRow {
    pub(super) created: CreatedOrganization,
    pub(super) on_chain: bool,
    pub(super) offered_to: Option<WalletAddress>,
    pub(super) cap: ChainAmount,
    pub(super) dust: i64,
    pub(super) skips_from: u64,
}

/// A stored product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProductRow {
    pub(super) added: AddedProduct,
    pub(super) on_chain: bool,
    pub(super) retired: bool,
}

/// A member's role, since when, and whether the chain set it.
type Member = (OrgRole, Timestamp, bool);

/// What is stored.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    pub(super) confirmed: Option<u64>,
    pub(super) last_final: Option<u64>,
    pub(super) blocks: BTreeMap<u64, BlockRef>,
    pub(super) events: BTreeMap<LogId, ChainEvent>,
    /// Booked entries, and whether they are reversed.
    pub(super) entries: Vec<(Entry, bool)>,
    pub(super) alarms: Vec<IndexAlarm>,
    /// By number, from 1.
    pub(super) orgs: BTreeMap<i64, OrgRow>,
    pub(super) members: BTreeMap<(OrgId, WalletAddress), Member>,
    pub(super) chain_roles: BTreeMap<(OrgId, WalletAddress), u8>,
    pub(super) decisions: BTreeMap<(OrgId, WalletAddress), RoleDecision>,
    pub(super) overruled: BTreeSet<(Hash32, OrgId, WalletAddress)>,
    /// By number, from 1.
    pub(super) products: BTreeMap<i64, ProductRow>,
    pub(super) enabled: BTreeMap<(OrgId, ProductId), ChainAmount>,
    pub(super) creators: BTreeMap<WalletAddress, (RegisteredCreator, PayoutAddresses)>,
    pub(super) deposits: BTreeMap<LogId, (SeenDeposit, bool)>,
    pub(super) requests: Vec<StoredRequest>,
    pub(super) batches: BTreeMap<u64, StoredBatch>,
    /// Lines whose calls wait again.
    pub(super) requeued: BTreeSet<(u64, u32)>,
}

impl Memory {
    pub(super) fn balance(&self, account: Account) -> i64 {
        let transfers = self.entries.iter().flat_map(|(entry, _)| entry.booked());
        transfers
            .map(
                |Transfer {
                     source,
                     target,
                     amount,
                 }| {
                    amount.nano() * (i64::from(target == account) - i64::from(source == account))
                },
            )
            .sum()
    }
}

#[async_trait]
impl IndexTransaction for Memory {
    async fn binding(&mut self) -> Result<IndexBinding, StoreError> {
        Ok(IndexBinding {
            chain_id: 31_337,
            orchestrator: ORCHESTRATOR,
            confirmed: self.confirmed,
            last_final: self.last_final,
        })
    }

    async fn time_at(&mut self, block: u64) -> Result<Option<Timestamp>, StoreError> {
        Ok(self
            .blocks
            .range(..=block)
            .next_back()
            .map(|(_, block)| block.time))
    }

    async fn store_event(&mut self, event: &ChainEvent) -> Result<bool, StoreError> {
        let is_new = !self.events.contains_key(&event.id());
        self.events.entry(event.id()).or_insert_with(|| event.clone());
        Ok(is_new)
    }

    async fn events(&mut self, filter: EventFilter) -> Result<Vec<ChainEvent>, StoreError> {
        let fits = |event: &&ChainEvent| match filter {
            EventFilter::Pauses { to } => {
                event.block <= to && matches!(event.body, EventBody::Paused | EventBody::Unpaused)
            }
            EventFilter::Inward { address } => {
                event.body.subject() == Some(address)
                    && ["transfer", "organization_funded"].contains(&event.body.kind())
            }
            EventFilter::Payouts { after, to } => {
                Some(event.block) > after
                    && event.block <= to
                    && ["creator_withdrawn", "platform_withdrawn"].contains(&event.body.kind())
            }
            EventFilter::About { subject } => {
                event.body.subject() == Some(subject) && event.body.kind() != "transfer"
            }
            EventFilter::Above { block } => event.block > block && event.body.subject().is_some(),
        };
        let mut events: Vec<ChainEvent> = self.events.values().filter(fits).cloned().collect();
        events.sort_by_key(ChainEvent::position);
        Ok(events)
    }

    async fn settles_a_batch(&mut self, tx: Hash32) -> Result<bool, StoreError> {
        let settles =
            |event: &ChainEvent| event.tx == tx && matches!(event.body, EventBody::BatchSettled { .. });
        Ok(self.events.values().any(settles))
    }

    async fn is_created_after(
        &mut self,
        address: WalletAddress,
        position: (u64, u64),
    ) -> Result<bool, StoreError> {
        Ok(self.events.values().any(|event| {
            matches!(event.body, EventBody::OrganizationCreated { org, .. } if org == address)
                && event.position() > position
        }))
    }

    async fn organization_at(
        &mut self,
        address: WalletAddress,
    ) -> Result<Option<Located<OrgId>>, StoreError> {
        let mut rows = self.orgs.iter();
        let found = rows.find(|(_, row)| row.on_chain && row.created.address == address);
        Ok(found.map(|(id, row)| Located {
            id: OrgId(*id),
            created_tx: row.created.created_tx,
        }))
    }

    async fn balances(&mut self, org: OrgId) -> Result<OrgBalances, StoreError> {
        let of = |account| Usdt::from_nano(self.balance(account));
        Ok(OrgBalances {
            chain: of(Account::ChainOrg(org)),
            available: of(Account::Available(org)),
            unsettled: of(Account::Unsettled(org)),
            withdrawing: of(Account::Withdrawing(org)),
            dust: self.orgs[&org.0].dust,
        })
    }

    async fn skips(&mut self, org: OrgId) -> Result<SkipState, StoreError> {
        let finals = self.batches.values().filter(|batch| batch.is_final);
        let newest = finals
            .clone()
            .flat_map(|batch| &batch.lines)
            .rfind(|line| line.org == org);
        Ok(SkipState {
            newest: newest.and_then(|line| line.skipped),
            next_final: finals.map(|batch| batch.seq + 1).max().unwrap_or(0),
        })
    }

    async fn role(&mut self, org: OrgId, wallet: WalletAddress, tx: Hash32) -> Result<RoleState, StoreError> {
        Ok(RoleState {
            decision: self.decisions.get(&(org, wallet)).copied(),
            member_from_chain: self
                .members
                .get(&(org, wallet))
                .map(|(_, _, from_chain)| *from_chain),
            sent_for: None,
            overruled: self.overruled.contains(&(tx, org, wallet)),
        })
    }

    async fn product_at(&mut self, address: WalletAddress) -> Result<Option<Located<ProductId>>, StoreError> {
        let mut rows = self.products.iter();
        let found = rows.find(|(_, row)| row.on_chain && row.added.address == address);
        Ok(found.map(|(id, row)| Located {
            id: ProductId(*id),
            created_tx: row.added.created_tx,
        }))
    }

    async fn prices_due(&mut self, now: Timestamp) -> Result<Vec<(ProductId, ProductPrices)>, StoreError> {
        let on_chain = self.products.iter().filter(|(_, row)| row.on_chain);
        let prices = on_chain.map(|(id, row)| (ProductId(*id), row.added.prices));
        Ok(prices
            .filter(|(_, prices)| prices.next.is_some_and(|(_, at)| at <= now))
            .collect())
    }

    async fn raised_after(&mut self, time: Timestamp) -> Result<Vec<WalletAddress>, StoreError> {
        let raised = self
            .products
            .values()
            .filter(|row| row.on_chain && row.added.prices.rose_at > Some(time));
        Ok(raised.map(|row| row.added.address).collect())
    }

    async fn payout(&mut self, creator: WalletAddress) -> Result<Option<PayoutAddresses>, StoreError> {
        Ok(self.creators.get(&creator).map(|(_, payout)| *payout))
    }

    async fn deposits_to_confirm(&mut self, block: u64) -> Result<Vec<PendingDeposit>, StoreError> {
        let mut pending = Vec::new();
        for (deposit, confirmed) in self.deposits.values() {
            if let (Some(amount), false, true) = (deposit.amount, *confirmed, deposit.block <= block) {
                let event = &self.events[&deposit.event];
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
        let mut requests = self.requests.iter();
        Ok(requests
            .rfind(|request| request.org == org && request.block <= block)
            .copied())
    }

    async fn open_requests(&mut self) -> Result<Vec<StoredRequest>, StoreError> {
        let open = self.requests.iter().filter(|request| request.booked.is_none());
        Ok(open.copied().collect())
    }

    async fn requests_above(&mut self, block: u64) -> Result<Vec<StoredRequest>, StoreError> {
        let touched = self.requests.iter().filter(|request| {
            request.block > block
                || request.end.is_some_and(|(_, at)| at > block)
                || request.booked.is_some_and(|(_, at)| at > block)
        });
        Ok(touched.copied().collect())
    }

    async fn line(&mut self, seq: u64, line: u32) -> Result<LineSite, StoreError> {
        let Some(batch) = self.batches.get(&seq) else {
            return Ok(LineSite::default());
        };
        Ok(LineSite {
            line: batch.lines.iter().find(|stored| stored.line == line).cloned(),
            lines: u64::try_from(batch.lines.len()).unwrap(),
            has_payouts: !batch.payouts.is_empty(),
        })
    }

    async fn batch(&mut self, seq: u64) -> Result<Option<StoredBatch>, StoreError> {
        Ok(self.batches.get(&seq).cloned())
    }

    async fn batches_to_finish(&mut self, block: u64) -> Result<Vec<u64>, StoreError> {
        let settled = self
            .batches
            .values()
            .filter(|batch| !batch.is_final && batch.settled.is_some_and(|(settled, _)| settled <= block));
        Ok(settled.map(|batch| batch.seq).collect())
    }

    async fn batches_above(&mut self, block: u64) -> Result<Vec<u64>, StoreError> {
        let above = self
            .batches
            .values()
            .filter(|batch| batch.settled.is_some_and(|(settled, _)| settled > block));
        let mut above: Vec<(u64, u64)> = above.map(|batch| (batch.settled.unwrap().0, batch.seq)).collect();
        above.sort_unstable_by(|one, other| other.cmp(one));
        Ok(above.into_iter().map(|(_, seq)| seq).collect())
    }

    async fn moved_on(&mut self, _seq: u64) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn write(&mut self, effect: Effect) -> Result<(), StoreError> {
        self.write_effect(effect);
        Ok(())
    }
}

impl Memory {
    /// Accounts that no organization owns, for comparing.
    pub(super) fn shared_accounts(&self) -> Vec<i64> {
        let creator = Payee::Creator(WalletAddress::new([8; 20]));
        [
            Account::ChainOrchestrator,
            Account::Platform,
            Account::Creator(WalletAddress::new([8; 20])),
            Account::Escrow(creator),
        ]
        .map(|account| self.balance(account))
        .to_vec()
    }
}
