//! Transactions of the server's key that must reach the chain once.

use super::Store;
use crate::{chain::Tx, contract::Act};
use haithe_billing::{
    batch::Batch,
    chain::Hash32,
    outbox::{NonceRequest, TxIntentId, TxState},
};
use haithe_kernel::Timestamp;
use std::sync::Arc;

/// An intent to settle a batch, with its attempts.
#[derive(Debug, Clone)]
pub struct Intent {
    /// Its number.
    pub id: TxIntentId,
    /// `settle/{seq}`, or `retry/{number}/settle/{seq}`.
    pub key: String,
    /// What it settles.
    pub batch: Arc<Batch>,
    /// How far it has come.
    pub state: TxState,
    /// Its nonce.
    pub nonce: Option<u64>,
    /// Signed forms, oldest first: their hashes, whether they only free the nonce, and when they were made.
    pub attempts: Vec<(Hash32, bool, Timestamp)>,
}

impl Intent {
    /// The transaction of an attempt.
    pub fn tx(&self, (hash, cancels, _): &(Hash32, bool, Timestamp)) -> Tx {
        let act = if *cancels {
            Act::Nothing
        } else {
            Act::Settle(Arc::clone(&self.batch))
        };
        Tx {
            hash: *hash,
            act,
            nonce: self.nonce,
        }
    }
}

impl Store {
    /// The newest intent for a batch, and the key of the next one.
    pub fn newest_intent(&self, seq: u64) -> (Option<&Intent>, String) {
        let key = format!("settle/{seq}");
        let mut of_batch = self.intents.iter().filter(|intent| {
            intent.key == key
                || intent
                    .key
                    .strip_prefix("retry/")
                    .is_some_and(|rest| rest.ends_with(&format!("/{key}")))
        });
        let count = of_batch.clone().count();
        let next = if count == 0 {
            key.clone()
        } else {
            format!("retry/{}/{key}", count + 1)
        };
        (of_batch.next_back(), next)
    }

    /// Writes an intent; a key that is there changes nothing.
    pub fn enqueue(&mut self, key: String, batch: Batch) {
        if self.intents.iter().any(|intent| intent.key == key) {
            return;
        }
        let id = TxIntentId(i64::try_from(self.intents.len()).expect("few intents"));
        self.intents.push(Intent {
            id,
            key,
            batch: Arc::new(batch),
            state: TxState::Queued,
            nonce: None,
            attempts: Vec::new(),
        });
    }

    /// Gives an intent its nonce; `None` when it is closed.
    pub fn assign_nonce(&mut self, id: TxIntentId, chain_nonce: u64) -> Option<u64> {
        let highest = self.intents.iter().filter_map(|intent| intent.nonce).max();
        let intent = self.intents.iter_mut().find(|intent| intent.id == id)?;
        let request = NonceRequest {
            state: intent.state,
            nonce: intent.nonce,
            highest,
            chain_nonce,
        };
        let assigned = request.assign()?;
        (intent.nonce, intent.state) = (Some(assigned.nonce), assigned.state);
        Some(assigned.nonce)
    }

    /// The intent with this number.
    pub fn intent(&mut self, id: TxIntentId) -> Option<&mut Intent> {
        self.intents.iter_mut().find(|intent| intent.id == id)
    }
}
