//! Writing effects.

use super::{Memory, OrgRow, ProductRow};
use crate::{
    chain::{AddedProduct, CreatedOrganization, Effect, LogId, PayoutAddresses, SkipReason, StoredRequest},
    ledger::Entry,
};
use haithe_kernel::{OrgId, ProductId};

impl Memory {
    pub(super) fn write_effect(&mut self, effect: Effect) {
        match effect {
            Effect::Book(entry) => self.entries.push((entry, false)),
            Effect::ReverseAbove { block, at } => {
                let above = self
                    .entries
                    .iter_mut()
                    .filter(|(entry, reversed)| !reversed && entry.block > Some(block));
                let mut reversals = Vec::new();
                for (entry, reversed) in above {
                    *reversed = true;
                    reversals.push((Entry::reversal(&entry.key, &entry.transfers, 0, at), false));
                }
                self.entries.extend(reversals);
            }
            Effect::RaiseAlarm(alarm) => {
                if !self.alarms.contains(&alarm) {
                    self.alarms.push(alarm);
                }
            }
            Effect::Remember { blocks, keep_from } => {
                self.blocks
                    .extend(blocks.into_iter().map(|block| (block.number, block)));
                self.blocks.retain(|number, _| *number >= keep_from);
            }
            Effect::Count {
                confirmed,
                last_final,
            } => (self.confirmed, self.last_final) = (confirmed, last_final),
            Effect::ForgetAbove { block } => {
                self.events.retain(|_, event| event.block <= block);
                self.blocks.retain(|number, _| *number <= block);
                self.alarms.retain(|alarm| alarm.block <= block);
            }
            Effect::NoteDeposit(deposit) => {
                self.deposits.entry(deposit.event).or_insert((deposit, false));
            }
            Effect::ConfirmDeposit { event, .. } => self.deposits.get_mut(&event).unwrap().1 = true,
            Effect::RefuseDeposit { event, .. } => self.deposits.get_mut(&event).unwrap().0.amount = None,
            Effect::DropDeposit { event, .. } => drop(self.deposits.remove(&event)),
            Effect::SetDust { org, units } => self.org(org).dust = units,
            Effect::Freeze(request) => {
                let requested_at = self.events[&request.event].block_time;
                self.requests.push(StoredRequest {
                    event: request.event,
                    org: request.org,
                    block: request.block,
                    requested_at,
                    frozen: request.frozen,
                    ready_at: request.ready_at,
                    end: None,
                    booked: None,
                    dust_change: 0,
                });
            }
            Effect::EndRequest {
                event, end, block, ..
            } => self.request(event).end = Some((end, block)),
            Effect::CloseRequest {
                event,
                end,
                block,
                dust,
                ..
            } => {
                let request = self.request(event);
                (request.booked, request.dust_change) = (Some((end, block)), dust);
            }
            Effect::ReopenRequest { event, .. } => {
                let request = self.request(event);
                (request.booked, request.dust_change) = (None, 0);
            }
            Effect::ResumeRequest { event, .. } => self.request(event).end = None,
            Effect::DropRequest { event, .. } => self.requests.retain(|request| request.event != event),
            Effect::SkipLine {
                seq, line, reason, ..
            } => *self.line_of(seq, line) = Some(reason),
            Effect::SkipPayouts { seq } => self.batches.get_mut(&seq).unwrap().payouts_skipped = true,
            Effect::SettleBatch { seq, block, at, .. } => {
                self.batches.get_mut(&seq).unwrap().settled = Some((block, at));
            }
            Effect::RequeueLine { seq, line } => drop(self.requeued.insert((seq, line))),
            Effect::ReclaimLine { seq, line } => drop(self.requeued.remove(&(seq, line))),
            Effect::FinishBatch { seq, .. } => self.batches.get_mut(&seq).unwrap().is_final = true,
            Effect::UnsettleBatch { seq, .. } => {
                let batch = self.batches.get_mut(&seq).unwrap();
                (batch.settled, batch.is_final, batch.payouts_skipped) = (None, false, false);
                batch.lines.iter_mut().for_each(|line| line.skipped = None);
            }
            Effect::CountSkipsFrom { org, seq } => self.org(org).skips_from = seq,
            other => self.write_directory(other),
        }
    }

    fn write_directory(&mut self, effect: Effect) {
        match effect {
            Effect::CreateOrganization(created) => self.create(created),
            Effect::HideOrganization { org } => {
                let row = self.org(org);
                (row.on_chain, row.offered_to, row.cap) = (false, None, None);
                self.enabled.retain(|(enabler, _), _| *enabler != org);
            }
            Effect::ReplaceOrganization { org } => self.org(org).on_chain = false,
            Effect::SetOwner { org, owner } => {
                let row = self.org(org);
                (row.created.owner, row.offered_to) = (owner, None);
            }
            Effect::OfferOwnership { org, to } => self.org(org).offered_to = to,
            Effect::SetDailyCap { org, cap } => self.org(org).cap = cap,
            Effect::NoteChainRole { org, wallet, role } => {
                self.chain_roles.insert((org, wallet), role);
                self.chain_roles.retain(|_, role| *role != 0);
            }
            Effect::SetRole {
                org,
                wallet,
                role: Some(role),
                since,
                from_chain,
            } => {
                let new = (role, since, from_chain);
                let member = self.members.entry((org, wallet)).or_insert(new);
                (member.0, member.2) = (role, from_chain);
            }
            Effect::SetRole { org, wallet, .. } => drop(self.members.remove(&(org, wallet))),
            Effect::KeepOverruled { tx, org, wallet } => drop(self.overruled.insert((tx, org, wallet))),
            Effect::LowerDecisions { block } => {
                for decision in self.decisions.values_mut() {
                    decision.after_block = decision.after_block.min(Some(block));
                }
            }
            Effect::AddProduct(added) => self.add(added),
            Effect::HideProduct { product } => self.product(product).on_chain = false,
            Effect::SetPrices { product, prices } => self.product(product).added.prices = prices,
            Effect::SetUri { product, uri } => self.product(product).added.uri = uri,
            Effect::RetireProduct { product } => self.product(product).retired = true,
            Effect::EnableProduct {
                org,
                product,
                max_price,
            } => drop(self.enabled.insert((org, product), max_price)),
            Effect::DisableProduct { org, product } => drop(self.enabled.remove(&(org, product))),
            Effect::RegisterCreator(registered) => {
                let row = (registered, PayoutAddresses::default());
                self.creators.insert(row.0.creator, row);
            }
            Effect::SetPayout { creator, payout } => self.creators.get_mut(&creator).unwrap().1 = payout,
            Effect::DropCreator { creator } => drop(self.creators.remove(&creator)),
            Effect::ReopenDecision { .. } => {}
            other => panic!("{other:?} is written elsewhere"),
        }
    }

    fn org(&mut self, org: OrgId) -> &mut OrgRow {
        self.orgs.get_mut(&org.0).unwrap()
    }

    fn product(&mut self, product: ProductId) -> &mut ProductRow {
        self.products.get_mut(&product.0).unwrap()
    }

    fn request(&mut self, event: LogId) -> &mut StoredRequest {
        let found = self.requests.iter_mut().find(|request| request.event == event);
        found.unwrap()
    }

    fn line_of(&mut self, seq: u64, line: u32) -> &mut Option<SkipReason> {
        let lines = &mut self.batches.get_mut(&seq).unwrap().lines;
        &mut lines
            .iter_mut()
            .find(|stored| stored.line == line)
            .unwrap()
            .skipped
    }

    fn create(&mut self, created: CreatedOrganization) {
        let name = (created.address, created.created_tx);
        let known = self
            .orgs
            .values_mut()
            .find(|row| (row.created.address, row.created.created_tx) == name);
        if let Some(row) = known {
            (row.created, row.on_chain) = (created, true);
            return;
        }
        let row = OrgRow {
            created,
            on_chain: true,
            offered_to: None,
            cap: None,
            dust: 0,
            skips_from: 0,
        };
        let number = i64::try_from(self.orgs.len()).unwrap() + 1;
        self.orgs.insert(number, row);
    }

    fn add(&mut self, added: AddedProduct) {
        let name = (added.address, added.created_tx);
        let row = ProductRow {
            added,
            on_chain: true,
            retired: false,
        };
        let known = self
            .products
            .iter()
            .find(|(_, row)| (row.added.address, row.added.created_tx) == name);
        let number = known.map_or(self.products.len() + 1, |(number, _)| {
            usize::try_from(*number).unwrap()
        });
        self.products.insert(i64::try_from(number).unwrap(), row);
    }
}
