//! What becomes of an intent once it has a nonce.

use super::{one, unknown};
use crate::{
    columns::{self, Columns},
    lease::Duty,
    write::WriteTx,
};
use haithe_billing::{
    chain::Hash32,
    outbox::{TxAttempt, TxIntentId, TxState},
};
use haithe_kernel::StoreError;

/// The same bytes may be recorded again: they are the same attempt.
const RECORD: &str = "
    INSERT INTO chain_tx_attempt
        (tx_id, hash, raw, max_fee_per_gas, max_priority_fee_per_gas, gas_limit, cancels, sent_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (hash) DO UPDATE SET sent_at = chain_tx_attempt.sent_at
    WHERE chain_tx_attempt.tx_id = excluded.tx_id";
const LOCK: &str = "SELECT mined_hash IS NOT NULL AS was_mined FROM chain_tx WHERE id = $1 FOR UPDATE";
const MARK: &str = "UPDATE chain_tx SET state = $1, mined_hash = $2, mined_block = $3 WHERE id = $4";
const COUNT: &str = "
    INSERT INTO chain_tx_counts (signer, mined) SELECT signer, 1 FROM chain_tx WHERE id = $1
    ON CONFLICT (signer) DO UPDATE SET mined = chain_tx_counts.mined + 1";
const UNCOUNT: &str = "
    UPDATE chain_tx_counts SET mined = mined - 1 WHERE signer = (SELECT signer FROM chain_tx WHERE id = $1)";
const CLOSE: &str = "UPDATE chain_tx SET state = $1, failure = $2 WHERE id = $3";

/// Stores an attempt's signed bytes.
pub(super) async fn record(
    write: &mut WriteTx,
    id: TxIntentId,
    attempt: &TxAttempt,
) -> Result<(), StoreError> {
    write.current_lease(Duty::Sender).await?;
    let record = sqlx::query(RECORD)
        .bind(id.0)
        .bind(attempt.hash.to_vec())
        .bind(attempt.raw.clone())
        .bind(attempt.max_fee_per_gas.to_string())
        .bind(attempt.max_priority_fee_per_gas.to_string())
        .bind(columns::number(attempt.gas_limit, "chain_tx_attempt.gas_limit")?)
        .bind(attempt.cancels)
        .bind(attempt.sent_at.micros());
    one(id, write.execute(record).await?)
}

/// Notes that an attempt was mined in a block, or that none is mined any more.
pub(super) async fn mark(
    write: &mut WriteTx,
    id: TxIntentId,
    mined: Option<(Hash32, u64)>,
) -> Result<(), StoreError> {
    write.current_lease(Duty::Sender).await?;
    let intent = write.optional(sqlx::query(LOCK).bind(id.0)).await?;
    let intent = intent.ok_or_else(|| unknown(id))?;
    let was_mined: bool = Columns::of(&intent).get("chain_tx.was_mined")?;
    let state = if mined.is_some() {
        TxState::Mined
    } else {
        TxState::Sent
    };
    let block = mined
        .map(|(_, block)| columns::number(block, "chain_tx.mined_block"))
        .transpose()?;
    let mark = sqlx::query(MARK)
        .bind(state.as_str())
        .bind(mined.map(|(hash, _)| hash.to_vec()))
        .bind(block)
        .bind(id.0);
    one(id, write.execute(mark).await?)?;
    let count = match (was_mined, mined.is_some()) {
        (false, true) => COUNT,
        (true, false) => UNCOUNT,
        _ => return Ok(()),
    };
    write.execute(sqlx::query(count).bind(id.0)).await.map(drop)
}

/// Notes the intent's end.
pub(super) async fn close(
    write: &mut WriteTx,
    id: TxIntentId,
    failure: Option<&str>,
) -> Result<(), StoreError> {
    write.current_lease(Duty::Sender).await?;
    let close = sqlx::query(CLOSE)
        .bind(TxState::closed(failure).as_str())
        .bind(failure.map(columns::text))
        .bind(id.0);
    one(id, write.execute(close).await?)
}
