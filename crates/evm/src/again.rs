//! Intents that may be tried again after they failed.

use haithe_billing::{
    outbox::{NewTx, TxIntent, TxState},
    ports::TxOutbox,
};
use haithe_kernel::StoreError;

/// The newest intent of a key: `key`, or after failures `retry/2/key`, `retry/3/key` and so on; and
/// the key under which the next one would be written, when there is none or it has failed. The
/// number is in front because a key may end in what a stranger chose.
pub(crate) struct Newest {
    pub intent: Option<TxIntent>,
    pub next_key: String,
    /// How many intents there are.
    pub tries: u32,
}

/// Looks for the newest intent of a key.
pub(crate) async fn newest(outbox: &dyn TxOutbox, key: &str) -> Result<Newest, StoreError> {
    let mut newest = Newest {
        intent: None,
        next_key: key.to_owned(),
        tries: 0,
    };
    let mut number = 1u64;
    while let Some(intent) = outbox.find(newest.next_key.clone()).await? {
        let failed = intent.state == TxState::Failed;
        newest.intent = Some(intent);
        newest.tries = newest.tries.saturating_add(1);
        if !failed {
            break;
        }
        number = number.saturating_add(1);
        newest.next_key = format!("retry/{number}/{key}");
    }
    Ok(newest)
}

impl Newest {
    /// The newest intent unless it has failed.
    pub fn live(&self) -> Option<&TxIntent> {
        self.intent
            .as_ref()
            .filter(|intent| intent.state != TxState::Failed)
    }

    /// Writes `tx` under the next key.
    pub async fn enqueue(self, outbox: &dyn TxOutbox, tx: NewTx) -> Result<TxIntent, StoreError> {
        outbox
            .enqueue(NewTx {
                key: self.next_key,
                ..tx
            })
            .await
    }
}
