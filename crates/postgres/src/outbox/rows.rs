//! Rows of intents and their attempts.

use crate::{
    columns::{self, Columns},
    db::Statement,
    write::WriteTx,
};
use haithe_billing::{
    chain::Hash32,
    outbox::{NewTx, TxAttempt, TxIntent, TxIntentId, TxPurpose, TxState},
};
use haithe_kernel::{StoreError, Timestamp, WalletAddress};
use sqlx::postgres::PgRow;

/// Intents, each with one row per attempt (or one without), between two pieces of SQL.
macro_rules! select_intents {
    ($rest:literal) => {
        concat!(
            "SELECT chain_tx.id AS id, key, purpose, signer, to_address, data, on_behalf, nonce, state, mined_hash,
                    mined_block, failure, created_at,
                    hash, raw, max_fee_per_gas, max_priority_fee_per_gas, gas_limit, cancels, sent_at
             FROM chain_tx LEFT JOIN chain_tx_attempt ON tx_id = chain_tx.id ",
            $rest
        )
    };
}

const BY_KEY: &str = select_intents!("WHERE key = $1 ORDER BY chain_tx_attempt.id");
const NEWEST: &str = select_intents!(
    "WHERE chain_tx.id = (SELECT id FROM chain_tx
                          WHERE purpose = $1 AND on_behalf = $2 AND state <> 'failed'
                          ORDER BY created_at DESC, id DESC LIMIT 1)
     ORDER BY chain_tx_attempt.id"
);
const OPEN: &str = select_intents!(
    "WHERE signer = $1 AND state IN ('queued', 'sent', 'mined')
     ORDER BY nonce NULLS LAST, chain_tx.id, chain_tx_attempt.id"
);
const COUNT: &str = "
    SELECT count(*) AS intents FROM chain_tx
    WHERE purpose = $1 AND created_at >= $2 AND ($3::BYTEA IS NULL OR on_behalf = $3)";
const INSERT: &str = "
    INSERT INTO chain_tx (key, purpose, signer, to_address, data, on_behalf, state, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (key) DO NOTHING";

/// The intent with this key.
pub(super) fn by_key(key: String) -> Statement {
    sqlx::query(BY_KEY).bind(key)
}

/// The newest intent of this purpose for the wallet that has not failed.
pub(super) fn newest(purpose: TxPurpose, on_behalf: WalletAddress) -> Statement {
    sqlx::query(NEWEST)
        .bind(purpose.as_str())
        .bind(columns::address(on_behalf))
}

/// The lane's intents that are neither done nor failed.
pub(super) fn open(signer: WalletAddress) -> Statement {
    sqlx::query(OPEN).bind(columns::address(signer))
}

/// How many intents of this purpose were made since, as `intents`.
pub(super) fn count(purpose: TxPurpose, on_behalf: Option<WalletAddress>, since: Timestamp) -> Statement {
    sqlx::query(COUNT)
        .bind(purpose.as_str())
        .bind(since.micros())
        .bind(on_behalf.map(columns::address))
}

impl WriteTx {
    /// Writes an intent, or finds the one with its key.
    pub(super) async fn enqueue(&mut self, tx: &NewTx) -> Result<TxIntent, StoreError> {
        let insert = sqlx::query(INSERT)
            .bind(tx.key.clone())
            .bind(tx.purpose.as_str())
            .bind(columns::address(tx.signer))
            .bind(tx.to.map(columns::address))
            .bind(tx.data.clone())
            .bind(tx.on_behalf.map(columns::address))
            .bind(TxState::Queued.as_str())
            .bind(tx.created_at.micros());
        self.execute(insert).await?;
        let rows = self.all(by_key(tx.key.clone())).await?;
        intents(&rows)?
            .pop()
            .ok_or(StoreError::inconsistent("chain_tx.key"))
    }
}

fn purpose(columns: &Columns<'_>) -> Result<TxPurpose, StoreError> {
    let word: String = columns.get("chain_tx.purpose")?;
    TxPurpose::from_word(&word).ok_or(StoreError::inconsistent("chain_tx.purpose"))
}

/// The column `state`.
pub(super) fn state(columns: &Columns<'_>) -> Result<TxState, StoreError> {
    let word: String = columns.get("chain_tx.state")?;
    TxState::from_word(&word).ok_or(StoreError::inconsistent("chain_tx.state"))
}

/// Reads intents; rows of the same intent follow each other.
pub(super) fn intents(rows: &[PgRow]) -> Result<Vec<TxIntent>, StoreError> {
    let mut intents: Vec<TxIntent> = Vec::new();
    for row in rows {
        let columns = Columns::of(row);
        let intent = intent(&columns)?;
        let attempt = attempt(&columns)?;
        match intents.last_mut() {
            Some(last) if last.id == intent.id => last.attempts.extend(attempt),
            _ => intents.push(TxIntent {
                attempts: attempt.into_iter().collect(),
                ..intent
            }),
        }
    }
    Ok(intents)
}

fn intent(columns: &Columns<'_>) -> Result<TxIntent, StoreError> {
    let hash: Option<Hash32> = columns.get("chain_tx.mined_hash")?;
    let block: Option<u64> = columns.get("chain_tx.mined_block")?;
    Ok(TxIntent {
        id: TxIntentId(columns.get("chain_tx.id")?),
        key: columns.get("chain_tx.key")?,
        purpose: purpose(columns)?,
        signer: columns.get("chain_tx.signer")?,
        to: columns.get("chain_tx.to_address")?,
        data: columns.get("chain_tx.data")?,
        on_behalf: columns.get("chain_tx.on_behalf")?,
        nonce: columns.get("chain_tx.nonce")?,
        state: state(columns)?,
        attempts: Vec::new(),
        mined: hash.zip(block),
        failure: columns.get("chain_tx.failure")?,
        created_at: columns.get("chain_tx.created_at")?,
    })
}

fn attempt(columns: &Columns<'_>) -> Result<Option<TxAttempt>, StoreError> {
    let Some(hash) = columns.get("chain_tx_attempt.hash")? else {
        return Ok(None);
    };
    Ok(Some(TxAttempt {
        hash,
        raw: columns.get("chain_tx_attempt.raw")?,
        max_fee_per_gas: columns.get("chain_tx_attempt.max_fee_per_gas")?,
        max_priority_fee_per_gas: columns.get("chain_tx_attempt.max_priority_fee_per_gas")?,
        gas_limit: columns.get("chain_tx_attempt.gas_limit")?,
        cancels: columns.get("chain_tx_attempt.cancels")?,
        sent_at: columns.get("chain_tx_attempt.sent_at")?,
    }))
}
