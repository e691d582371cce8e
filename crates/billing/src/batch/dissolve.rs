//! Taking back batches that never reached the chain.

use super::{BatchError, BatchSeq, Carry, CarryBook, CarryChange, CarryUpdate};
use crate::outbox::TxIntentId;
use haithe_kernel::CallId;
use std::collections::BTreeSet;

/// Why the transaction of a dissolved batch is closed.
pub const DISSOLVED: &str = "its batch was dissolved";

/// A batch that is to be dissolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DissolvedBatch {
    /// Its number.
    pub seq: BatchSeq,
    /// Whether it was seen on chain, final or not.
    pub is_seen: bool,
    /// How it changed the carry.
    pub changes: Vec<CarryChange>,
    /// Its calls that an earlier batch contains, too: their lines were skipped there.
    pub sealed_before: BTreeSet<CallId>,
}

/// A transaction in the outbox that settles a batch and has not failed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettlementTx {
    /// The intent.
    pub id: TxIntentId,
    /// The batch that it settles.
    pub seq: BatchSeq,
    /// Whether it has a nonce, so that signed bytes of it may be anywhere.
    pub has_nonce: bool,
}

/// All batches from a number on, and what else decides whether they can be dissolved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DissolveView {
    /// The batches from that number on, in any order.
    pub batches: Vec<DissolvedBatch>,
    /// Transactions that settle any of them. Others may be among them and do not matter.
    pub transactions: Vec<SettlementTx>,
    /// What is carried now for the keys that the batches changed.
    pub carry: Vec<Carry>,
}

/// What dissolving changes. All calls of the batches wait again, as they did before they were sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dissolution {
    /// The batches that are forgotten, newest first.
    pub batches: Vec<BatchSeq>,
    /// Those of their calls that wait as ones whose line was skipped; all others wait as new ones.
    pub skipped: BTreeSet<CallId>,
    /// Transactions without a nonce that are closed as failed, for the reason [`DISSOLVED`].
    pub close: Vec<TxIntentId>,
    /// The carry from now on.
    pub carry: Vec<CarryUpdate>,
}

impl DissolveView {
    /// What dissolving changes; `None` when there is no such batch, or when one of them may still reach the
    /// chain: it was seen there, or a transaction of it has a nonce.
    ///
    /// # Errors
    /// [`BatchError::Amount`] when a carry would be beyond the range of money.
    pub fn dissolve(&self) -> Result<Option<Dissolution>, BatchError> {
        let mut batches: Vec<&DissolvedBatch> = self.batches.iter().collect();
        batches.sort_unstable_by_key(|batch| std::cmp::Reverse(batch.seq));
        let Some(first) = batches.last() else {
            return Ok(None);
        };
        let transactions = self.transactions.iter().filter(|tx| tx.seq >= first.seq);
        let transactions: Vec<&SettlementTx> = transactions.collect();
        if batches.iter().any(|batch| batch.is_seen) || transactions.iter().any(|tx| tx.has_nonce) {
            return Ok(None);
        }
        let mut carry = CarryBook::new(self.carry.iter().copied());
        for change in batches.iter().flat_map(|batch| &batch.changes) {
            carry.undo(change)?;
        }
        Ok(Some(Dissolution {
            batches: batches.iter().map(|batch| batch.seq).collect(),
            skipped: batches
                .iter()
                .flat_map(|batch| batch.sealed_before.iter().copied())
                .collect(),
            close: transactions.iter().map(|tx| tx.id).collect(),
            carry: carry.updates(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{batch::CarryKey, capture::Payee};
    use haithe_kernel::{OrgId, Timestamp, Usdt};
    use uuid::Uuid;

    const KEY: CarryKey = CarryKey {
        org: OrgId(1),
        payee: Payee::Platform,
    };
    const THEN: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn batch(seq: BatchSeq, before: i64, after: i64) -> DissolvedBatch {
        let change = CarryChange {
            key: KEY,
            before: Usdt::from_nano(before),
            after: Usdt::from_nano(after),
            since: THEN,
        };
        DissolvedBatch {
            seq,
            is_seen: false,
            changes: vec![change],
            sealed_before: BTreeSet::from([CallId(Uuid::from_u128(u128::from(seq)))]),
        }
    }

    fn tx(id: i64, seq: BatchSeq, has_nonce: bool) -> SettlementTx {
        SettlementTx {
            id: TxIntentId(id),
            seq,
            has_nonce,
        }
    }

    fn view() -> DissolveView {
        DissolveView {
            batches: vec![batch(4, 0, 300), batch(5, 300, 100)],
            transactions: vec![tx(1, 3, true), tx(2, 4, false)],
            carry: vec![Carry {
                key: KEY,
                amount: Usdt::from_nano(100),
                since: THEN,
            }],
        }
    }

    #[test]
    fn batches_go_newest_first_and_their_carry_is_restored() {
        let dissolution = view().dissolve().unwrap().unwrap();
        assert_eq!(dissolution.batches, [5, 4]);
        assert_eq!(
            dissolution.close,
            [TxIntentId(2)],
            "an earlier batch's transaction stays"
        );
        assert_eq!(dissolution.carry, [(KEY, None)]);
        let skipped = [4, 5].map(|call| CallId(Uuid::from_u128(call)));
        assert_eq!(dissolution.skipped, BTreeSet::from(skipped));
    }

    #[test]
    fn a_batch_that_may_reach_the_chain_is_never_dissolved() {
        assert_eq!(DissolveView::default().dissolve(), Ok(None), "no such batch");
        let mut seen = view();
        seen.batches[1].is_seen = true;
        assert_eq!(seen.dissolve(), Ok(None));
        let mut sent = view();
        sent.transactions.push(tx(3, 5, true));
        assert_eq!(sent.dissolve(), Ok(None));
    }
}
