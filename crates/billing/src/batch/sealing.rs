//! A built batch on its way into a store.

use super::{Batch, BatchSeq, Carry, CarryBook, CarryChange, CarryKey, CarryUpdate, SealPolicy};
use std::collections::{BTreeMap, BTreeSet};

/// A batch with what it was built from. It is built beside other writes, and may be stored only if what it
/// was built from has not changed; `K` is as in [`Gathering`](super::Gathering).
#[derive(Debug, Clone)]
pub struct Sealing<K> {
    /// The batch.
    pub batch: Batch,
    /// The places of its items, in the same order.
    pub places: Vec<K>,
    /// The carry from which it was built.
    before: Vec<Carry>,
    policy: SealPolicy,
}

/// What a store has at the moment at which a batch is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealState {
    /// Batches that are not final.
    pub open: usize,
    /// The number of the next batch.
    pub next: BatchSeq,
    /// What is carried for the keys of [`Sealing::carry_keys`].
    pub carry: Vec<Carry>,
}

/// What is stored with a sealed batch beside its own content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealEffects {
    /// How the batch changes the carry, kept with the batch.
    pub changes: Vec<CarryChange>,
    /// The carry from now on.
    pub carry: Vec<CarryUpdate>,
}

impl<K> Sealing<K> {
    /// A batch that was built from the carry `before` under `policy`.
    pub const fn new(batch: Batch, places: Vec<K>, before: Vec<Carry>, policy: SealPolicy) -> Self {
        Self {
            batch,
            places,
            before,
            policy,
        }
    }

    /// The keys whose carry [`SealState`] must contain.
    pub fn carry_keys(&self) -> BTreeSet<CarryKey> {
        self.batch.carry_keys(&self.before)
    }

    /// What storing the batch changes; `None` when what it was built from has changed, so that nothing may be
    /// stored and sealing starts over.
    pub fn effects(&self, now: &SealState) -> Option<SealEffects> {
        let by_key = |carry: &[Carry]| -> BTreeMap<CarryKey, Carry> {
            carry.iter().map(|carry| (carry.key, *carry)).collect()
        };
        let is_unchanged = self.policy.may_open(now.open)
            && now.next == self.batch.seq
            && by_key(&now.carry) == by_key(&self.before);
        if !is_unchanged {
            return None;
        }
        let changes = self.batch.carry_changes(&self.before);
        let mut carry = CarryBook::new(now.carry.iter().copied());
        for change in &changes {
            carry.seal(change, self.batch.sealed_at);
        }
        Some(SealEffects {
            changes,
            carry: carry.updates(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{batch::BatchItem, capture::Payee, ports::SealInput};
    use haithe_kernel::{CallId, Decimals, OrgId, Timestamp, Usdt, WalletAddress};
    use uuid::Uuid;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
    const KEY: CarryKey = CarryKey {
        org: OrgId(1),
        payee: Payee::Platform,
    };

    fn carry(nano: i64) -> Carry {
        Carry {
            key: KEY,
            amount: Usdt::from_nano(nano),
            since: Timestamp::from_seconds(1),
        }
    }

    /// A batch of one call for 1,700 nano-USDT, built on a carry of 500.
    fn sealing() -> Sealing<u64> {
        let policy = SealPolicy::new(Decimals::new(6).unwrap());
        let item = BatchItem {
            call: CallId(Uuid::from_u128(1)),
            org: OrgId(1),
            org_address: WalletAddress::new([1; 20]),
            credits: vec![(Payee::Platform, Usdt::from_nano(1_700))],
            receipt_hash: [1; 32],
            due_since: NOW,
        };
        let input = SealInput {
            items: vec![item],
            carry: vec![carry(500)],
            ..SealInput::default()
        };
        let batch = Batch::build(7, input, &policy, NOW).unwrap();
        Sealing::new(batch, vec![42], vec![carry(500)], policy)
    }

    fn state() -> SealState {
        SealState {
            open: 3,
            next: 7,
            carry: vec![carry(500)],
        }
    }

    #[test]
    fn a_batch_is_stored_with_how_it_changes_the_carry() {
        let effects = sealing().effects(&state()).unwrap();
        let change = CarryChange {
            key: KEY,
            before: Usdt::from_nano(500),
            after: Usdt::from_nano(200),
            since: Timestamp::from_seconds(1),
        };
        assert_eq!(effects.changes, [change]);
        let left = Carry {
            amount: Usdt::from_nano(200),
            since: NOW,
            ..carry(0)
        };
        assert_eq!(effects.carry, [(KEY, Some(left))]);
        assert_eq!(sealing().carry_keys(), BTreeSet::from([KEY]));
    }

    #[test]
    fn a_batch_is_not_stored_when_what_it_was_built_from_has_changed() {
        let sealing = sealing();
        let full = SealState { open: 4, ..state() };
        let taken = SealState { next: 8, ..state() };
        let other = SealState {
            carry: vec![carry(501)],
            ..state()
        };
        let gone = SealState {
            carry: Vec::new(),
            ..state()
        };
        for changed in [full, taken, other, gone] {
            assert_eq!(sealing.effects(&changed), None, "{changed:?}");
        }
    }
}
