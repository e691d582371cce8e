//! Taking back batches that never reached the chain.

use crate::{columns::Columns, db::WriteTx};
use haithe_billing::outbox::TxPurpose;
use haithe_kernel::StoreError;

/// A transaction of a batch in the outbox.
struct Intent {
    id: i64,
    nonce: Option<i64>,
}

/// Dissolves all batches from `seq` on; says whether it did.
pub(super) async fn dissolve(write: &mut WriteTx<'_>, seq: i64) -> Result<bool, StoreError> {
    let batches = "SELECT seq, settled_block FROM batches WHERE seq >= ? ORDER BY seq DESC";
    let mut dissolved = Vec::new();
    for row in write.all(sqlx::query(batches).bind(seq)).await? {
        let mut columns = Columns::of(&row);
        let number: i64 = columns.read("batches.seq")?;
        let seen: Option<i64> = columns.read("batches.settled_block")?;
        if seen.is_some() {
            return Ok(false);
        }
        dissolved.push(number);
    }
    let intents = intents(write, seq).await?;
    if dissolved.is_empty() || intents.iter().any(|intent| intent.nonce.is_some()) {
        return Ok(false);
    }
    for intent in intents {
        let close = "UPDATE chain_tx SET state = 'failed', failure = 'its batch was dissolved' WHERE id = ?";
        write.execute(sqlx::query(close).bind(intent.id)).await?;
    }
    for number in dissolved {
        free(write, number).await?;
    }
    Ok(true)
}

/// Transactions of these batches that have not failed for good.
async fn intents(write: &mut WriteTx<'_>, seq: i64) -> Result<Vec<Intent>, StoreError> {
    let live = "SELECT id, key, nonce FROM chain_tx WHERE purpose = ? AND state <> 'failed'";
    let statement = sqlx::query(live).bind(TxPurpose::SettleBatch.as_str());
    let mut intents = Vec::new();
    for row in write.all(statement).await? {
        let mut columns = Columns::of(&row);
        let id = columns.read("chain_tx.id")?;
        let key: String = columns.read("chain_tx.key")?;
        let nonce = columns.read("chain_tx.nonce")?;
        // `settle/5`, or `retry/2/settle/5`.
        let number = key
            .rsplit('/')
            .next()
            .and_then(|number| number.parse::<i64>().ok());
        let number = number.ok_or(StoreError::inconsistent("chain_tx.key"))?;
        if number >= seq {
            intents.push(Intent { id, nonce });
        }
    }
    Ok(intents)
}

/// Lets the calls of a batch wait again, undoes its carry, and forgets it.
async fn free(write: &mut WriteTx<'_>, seq: i64) -> Result<(), StoreError> {
    write.undo_carry(seq, None).await?;
    for statement in [
        "UPDATE usage_records SET
             batch_seq = NULL,
             skipped = EXISTS (SELECT 1 FROM batch_items AS earlier
                               WHERE earlier.usage_id = usage_records.id AND earlier.seq < ?1)
         WHERE id IN (SELECT usage_id FROM batch_items WHERE seq = ?1)",
        "DELETE FROM batch_items WHERE seq = ?1",
        "DELETE FROM batch_credits WHERE seq = ?1",
        "DELETE FROM batch_lines WHERE seq = ?1",
        "DELETE FROM batch_carry WHERE seq = ?1",
        "DELETE FROM batch_payouts WHERE seq = ?1",
        "DELETE FROM batches WHERE seq = ?1",
    ] {
        write.execute(sqlx::query(statement).bind(seq)).await?;
    }
    Ok(())
}
