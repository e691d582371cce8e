//! Writing effects of the chain's rules.

use super::{OrgRow, Store, index::ModelTransaction};
use crate::defect::Defect;
use haithe_billing::{
    batch::{BatchError, CarryBook, CarryChange},
    chain::{CreatedOrganization, Effect, LogId, PayoutAddresses, StoredRequest},
};
use haithe_kernel::OrgId;

impl ModelTransaction<'_> {
    pub(super) fn write_effect(&mut self, effect: Effect) -> Result<(), String> {
        let store = &mut *self.store;
        match effect {
            Effect::Book(entry) => {
                if store.has(Defect::CancelledStaysFrozen) && entry.key.ends_with("/void") {
                    return Ok(());
                }
                self.transfers.extend(entry.booked());
                store.books.book(entry)?;
            }
            Effect::ReverseAbove { .. } if store.has(Defect::RewindWithoutReversal) => {}
            Effect::ReverseAbove { block, at } => {
                let transfers = store.books.reverse_above(block, at)?;
                self.transfers.extend(transfers);
            }
            Effect::RaiseAlarm(alarm) => store.alarms.push(alarm),
            // There are no roles here.
            Effect::LowerDecisions { .. } => {}
            Effect::Remember { blocks, keep_from } => {
                store
                    .blocks
                    .extend(blocks.into_iter().map(|block| (block.number, block)));
                store.blocks.retain(|number, _| *number >= keep_from);
            }
            Effect::Count {
                confirmed,
                last_final,
            } => {
                (store.confirmed, store.last_final) = (confirmed, last_final);
            }
            Effect::ForgetAbove { block } => {
                store.events.retain(|_, event| event.block <= block);
                store.blocks.retain(|number, _| *number <= block);
                store.alarms.retain(|alarm| alarm.block <= block);
            }
            Effect::CreateOrganization(created) => {
                let org = store.create(created);
                self.touched.insert(org);
            }
            Effect::HideOrganization { org } => {
                let row = store.org(org);
                (row.on_chain, row.cap) = (false, None);
            }
            Effect::SetDailyCap { org, cap } => store.org(org).cap = cap,
            Effect::CountSkipsFrom { org, seq } => store.org(org).skips_from = seq,
            Effect::SetDust { org, units } => store.org(org).dust = units,
            Effect::RegisterCreator(registered) => {
                store
                    .creators
                    .insert(registered.creator, (registered, PayoutAddresses::default()));
            }
            Effect::DropCreator { creator } => drop(store.creators.remove(&creator)),
            money => store.write_money(money)?,
        }
        Ok(())
    }
}

impl Store {
    fn write_money(&mut self, effect: Effect) -> Result<(), String> {
        match effect {
            Effect::NoteDeposit(deposit) => {
                self.deposits.entry(deposit.event).or_insert((deposit, false));
            }
            Effect::ConfirmDeposit { event, .. } => self.deposit(event).1 = true,
            Effect::RefuseDeposit { event, .. } => self.deposit(event).0.amount = None,
            Effect::DropDeposit { event, .. } => drop(self.deposits.remove(&event)),
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
            batches => self.write_batches(batches)?,
        }
        Ok(())
    }

    fn write_batches(&mut self, effect: Effect) -> Result<(), String> {
        let unknown = |seq: u64| format!("there is no batch {seq}");
        match effect {
            Effect::SkipLine {
                seq,
                line,
                reason,
                blamed,
            } => {
                let row = self.batches.get_mut(&seq).ok_or_else(|| unknown(seq))?;
                row.skips.insert(line, (reason, blamed));
            }
            Effect::SkipPayouts { seq } => {
                self.batches
                    .get_mut(&seq)
                    .ok_or_else(|| unknown(seq))?
                    .payouts_skipped = true;
            }
            Effect::SettleBatch { seq, block, at, .. } => {
                self.batches.get_mut(&seq).ok_or_else(|| unknown(seq))?.settled = Some((block, at));
            }
            Effect::FinishBatch { seq, .. } => {
                self.batches.get_mut(&seq).ok_or_else(|| unknown(seq))?.is_final = true;
            }
            Effect::UnsettleBatch { seq, .. } => {
                let row = self.batches.get_mut(&seq).ok_or_else(|| unknown(seq))?;
                (row.settled, row.is_final, row.payouts_skipped) = (None, false, false);
                row.skips.clear();
            }
            Effect::RequeueLine { .. } if self.has(Defect::SkippedLineForgotten) => {}
            Effect::RequeueLine { seq, line } => {
                for place in self.places_of_line(seq, line) {
                    let usage = &mut self.usage[place];
                    (usage.batch, usage.was_skipped) = (None, true);
                }
                if !self.has(Defect::CarryKept) {
                    self.change_carry(seq, line, CarryBook::undo)?;
                }
            }
            Effect::ReclaimLine { seq, line } => {
                for place in self.places_of_line(seq, line) {
                    let was_skipped = self.is_sealed_before(place, seq);
                    let usage = &mut self.usage[place];
                    (usage.batch, usage.was_skipped) = (Some(seq), was_skipped);
                }
                self.change_carry(seq, line, CarryBook::redo)?;
            }
            other => return Err(format!("{other:?} does not happen in a simulation")),
        }
        Ok(())
    }

    fn places_of_line(&self, seq: u64, line: u32) -> Vec<usize> {
        let Some(row) = self.batches.get(&seq) else {
            return Vec::new();
        };
        let items = row.batch.items.iter().zip(&row.places);
        items
            .filter(|(item, _)| item.line == line)
            .map(|(_, place)| *place)
            .collect()
    }

    /// Whether an earlier batch contains the call, too.
    pub(super) fn is_sealed_before(&self, place: usize, seq: u64) -> bool {
        self.batches
            .range(..seq)
            .any(|(_, row)| row.places.contains(&place))
    }

    fn change_carry(
        &mut self,
        seq: u64,
        line: u32,
        apply: fn(&mut CarryBook, &CarryChange) -> Result<(), BatchError>,
    ) -> Result<(), String> {
        let row = &self.batches[&seq];
        let org = row.batch.lines[usize::try_from(line).expect("few lines")].org;
        let mut book = CarryBook::new(self.carry.values().copied());
        for change in row.changes.iter().filter(|change| change.key.org == org) {
            apply(&mut book, change).map_err(|error| error.to_string())?;
        }
        self.write_carry(&book.updates());
        Ok(())
    }

    fn org(&mut self, org: OrgId) -> &mut OrgRow {
        self.orgs.get_mut(&org.0).expect("a known organization")
    }

    fn deposit(&mut self, event: LogId) -> &mut (haithe_billing::chain::SeenDeposit, bool) {
        self.deposits.get_mut(&event).expect("a known deposit")
    }

    fn request(&mut self, event: LogId) -> &mut StoredRequest {
        let mut requests = self.requests.iter_mut();
        requests
            .find(|request| request.event == event)
            .expect("a known request")
    }

    fn create(&mut self, created: CreatedOrganization) -> OrgId {
        let name = (created.address, created.created_tx);
        let mut rows = self.orgs.iter_mut();
        if let Some((org, row)) = rows.find(|(_, row)| (row.created.address, row.created.created_tx) == name)
        {
            (row.created, row.on_chain) = (created, true);
            return OrgId(*org);
        }
        let number = i64::try_from(self.orgs.len()).expect("few organizations") + 1;
        self.orgs.insert(
            number,
            OrgRow {
                created,
                on_chain: true,
                cap: None,
                dust: 0,
                skips_from: 0,
            },
        );
        OrgId(number)
    }
}
