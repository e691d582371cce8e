//! [`TxOutbox`] on SQLite. Rations, nonces and states are decided by `haithe_billing::outbox`.

use crate::{
    columns::{self, Columns},
    db::{Db, Statement, WriteTx},
};
use async_trait::async_trait;
use haithe_billing::{
    chain::Hash32,
    outbox::{
        NewTx, NonceRequest, RationHistory, Rationed, TxAttempt, TxIntent, TxIntentId, TxPurpose, TxRation,
        TxState,
    },
    ports::TxOutbox,
};
use haithe_kernel::{StoreError, Timestamp, WalletAddress};
use sqlx::sqlite::SqliteRow;

/// [`TxOutbox`] on SQLite.
#[derive(Clone)]
pub struct SqliteTxOutbox {
    db: Db,
}

impl SqliteTxOutbox {
    /// The outbox of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

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

const BY_KEY: &str = select_intents!("WHERE key = ? ORDER BY chain_tx_attempt.id");

fn purpose(columns: &Columns<'_>) -> Result<TxPurpose, StoreError> {
    let word: String = columns.get("chain_tx.purpose")?;
    TxPurpose::from_word(&word).ok_or(StoreError::inconsistent("chain_tx.purpose"))
}

fn state(columns: &Columns<'_>) -> Result<TxState, StoreError> {
    let word: String = columns.get("chain_tx.state")?;
    TxState::from_word(&word).ok_or(StoreError::inconsistent("chain_tx.state"))
}

/// Rows of the same intent follow each other.
fn intents(rows: &[SqliteRow]) -> Result<Vec<TxIntent>, StoreError> {
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

async fn enqueue(write: &mut WriteTx<'_>, tx: NewTx) -> Result<TxIntent, StoreError> {
    let insert = "INSERT INTO chain_tx (key, purpose, signer, to_address, data, on_behalf, state, created_at)
                  VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING";
    let statement = sqlx::query(insert)
        .bind(tx.key.clone())
        .bind(tx.purpose.as_str())
        .bind(columns::address(tx.signer))
        .bind(tx.to.map(columns::address))
        .bind(tx.data)
        .bind(tx.on_behalf.map(columns::address))
        .bind(TxState::Queued.as_str())
        .bind(tx.created_at.micros());
    write.execute(statement).await?;
    let rows = write.all(sqlx::query(BY_KEY).bind(tx.key)).await?;
    intents(&rows)?
        .pop()
        .ok_or(StoreError::inconsistent("chain_tx.key"))
}

/// Intents of one purpose, the newest first: `$which` chooses them by ?2.
macro_rules! newest {
    ($which:literal) => {
        concat!(
            "SELECT created_at FROM chain_tx WHERE purpose = ?1 AND ",
            $which,
            " ORDER BY created_at DESC LIMIT 1 OFFSET ?3"
        )
    };
}

/// What a ration counts for this intent.
async fn history(
    write: &mut WriteTx<'_>,
    tx: &NewTx,
    ration: &TxRation,
) -> Result<RationHistory, StoreError> {
    let wallet = || tx.on_behalf.map(columns::address);
    let bound = |sql: &'static str| sqlx::query(sql).bind(tx.purpose.as_str());
    let last = bound(newest!("on_behalf = ?2 AND state <> 'failed'")).bind(wallet());
    let of_wallet = bound(newest!("on_behalf = ?2")).bind(wallet());
    let of_all = bound(newest!("?2 IS NULL")).bind(None::<Vec<u8>>);
    let of_network = match ration.network {
        Some(network) => {
            let of_network = bound(newest!("network = ?2")).bind(network.to_string());
            nth(write, of_network, ration.per_network).await?
        }
        None => None,
    };
    Ok(RationHistory {
        last: nth(write, last, 1).await?,
        of_wallet: nth(write, of_wallet, ration.per_wallet).await?,
        of_network,
        of_all: nth(write, of_all, ration.global).await?,
    })
}

/// When the `rank`-th newest of some intents was made, counted from 1; `None` when there are fewer.
async fn nth(write: &mut WriteTx<'_>, newest: Statement, rank: u64) -> Result<Option<Timestamp>, StoreError> {
    let Some(newer) = rank.checked_sub(1) else {
        return Ok(None);
    };
    let statement = newest.bind(columns::number(newer, "chain_tx.id")?);
    let row = write.optional(statement).await?;
    row.map(|row| Columns::of(&row).get("chain_tx.created_at"))
        .transpose()
}

async fn enqueue_rationed(
    write: &mut WriteTx<'_>,
    tx: NewTx,
    ration: TxRation,
) -> Result<Rationed, StoreError> {
    let history = history(write, &tx, &ration).await?;
    match ration.refusal(tx.created_at, &history) {
        Some(refusal) => Ok(refusal),
        None => {
            let intent = enqueue(write, tx).await?;
            if let Some(network) = ration.network {
                let note = "UPDATE chain_tx SET network = ? WHERE id = ?";
                let statement = sqlx::query(note).bind(network.to_string()).bind(intent.id.0);
                write.execute(statement).await?;
            }
            Ok(Rationed::Written(intent))
        }
    }
}

async fn assign_nonce(write: &mut WriteTx<'_>, id: TxIntentId, chain_nonce: u64) -> Result<u64, StoreError> {
    let intent = "SELECT state, nonce, (SELECT max(nonce) FROM chain_tx AS lane
                                        WHERE lane.signer = chain_tx.signer) AS highest
                  FROM chain_tx WHERE id = ?";
    let row = write.optional(sqlx::query(intent).bind(id.0)).await?;
    let row = row.ok_or_else(|| unknown(id))?;
    let columns = Columns::of(&row);
    let request = NonceRequest {
        state: state(&columns)?,
        nonce: columns.get("chain_tx.nonce")?,
        highest: columns.get_as("highest", "chain_tx.nonce")?,
        chain_nonce,
    };
    let assigned = request.assign().ok_or_else(|| unknown(id))?;
    if request.nonce != Some(assigned.nonce) {
        let assign = "UPDATE chain_tx SET nonce = ?, state = ? WHERE id = ?";
        let statement = sqlx::query(assign)
            .bind(columns::number(assigned.nonce, "chain_tx.nonce")?)
            .bind(assigned.state.as_str())
            .bind(id.0);
        write.execute(statement).await?;
    }
    Ok(assigned.nonce)
}

fn unknown(id: TxIntentId) -> StoreError {
    StoreError::new(format!("there is no transaction intent {}", id.0))
}

/// One intent must have been changed.
fn one(id: TxIntentId, changed: u64) -> Result<(), StoreError> {
    if changed == 1 { Ok(()) } else { Err(unknown(id)) }
}

#[async_trait]
impl TxOutbox for SqliteTxOutbox {
    async fn enqueue(&self, tx: NewTx) -> Result<TxIntent, StoreError> {
        self.db.write(move |write| Box::pin(enqueue(write, tx))).await
    }

    async fn enqueue_rationed(&self, tx: NewTx, ration: TxRation) -> Result<Rationed, StoreError> {
        self.db
            .write(move |write| Box::pin(enqueue_rationed(write, tx, ration)))
            .await
    }

    async fn newest_of(
        &self,
        purpose: TxPurpose,
        on_behalf: WalletAddress,
    ) -> Result<Option<TxIntent>, StoreError> {
        let newest = select_intents!(
            "WHERE chain_tx.id = (SELECT id FROM chain_tx
                                  WHERE purpose = ? AND on_behalf = ? AND state <> 'failed'
                                  ORDER BY created_at DESC, id DESC LIMIT 1)
             ORDER BY chain_tx_attempt.id"
        );
        let statement = sqlx::query(newest)
            .bind(purpose.as_str())
            .bind(columns::address(on_behalf));
        Ok(intents(&self.db.all(statement).await?)?.pop())
    }

    async fn find(&self, key: String) -> Result<Option<TxIntent>, StoreError> {
        let rows = self.db.all(sqlx::query(BY_KEY).bind(key)).await?;
        Ok(intents(&rows)?.pop())
    }

    async fn open(&self, signer: WalletAddress) -> Result<Vec<TxIntent>, StoreError> {
        // SQLite would read all of the signer's transactions by their nonces otherwise.
        let open = select_intents!(
            "WHERE chain_tx.id IN (SELECT id FROM chain_tx INDEXED BY chain_tx_open
                                   WHERE signer = ? AND state IN ('queued', 'sent', 'mined'))
             ORDER BY nonce IS NULL, nonce, chain_tx.id, chain_tx_attempt.id"
        );
        intents(
            &self
                .db
                .all(sqlx::query(open).bind(columns::address(signer)))
                .await?,
        )
    }

    async fn assign_nonce(&self, id: TxIntentId, chain_nonce: u64) -> Result<u64, StoreError> {
        self.db
            .write(move |write| Box::pin(assign_nonce(write, id, chain_nonce)))
            .await
    }

    async fn record_attempt(&self, id: TxIntentId, attempt: TxAttempt) -> Result<(), StoreError> {
        // The same bytes may be recorded again: they are the same attempt.
        let insert = "INSERT INTO chain_tx_attempt
                          (tx_id, hash, raw, max_fee_per_gas, max_priority_fee_per_gas, gas_limit, cancels, sent_at)
                      VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                      ON CONFLICT (hash) DO UPDATE SET sent_at = sent_at WHERE tx_id = excluded.tx_id";
        let statement = sqlx::query(insert)
            .bind(id.0)
            .bind(attempt.hash.to_vec())
            .bind(attempt.raw)
            .bind(attempt.max_fee_per_gas.to_string())
            .bind(attempt.max_priority_fee_per_gas.to_string())
            .bind(columns::number(attempt.gas_limit, "chain_tx_attempt.gas_limit")?)
            .bind(attempt.cancels)
            .bind(attempt.sent_at.micros());
        one(id, self.db.execute(statement).await?)
    }

    async fn mark_mined(&self, id: TxIntentId, hash: Hash32, block: u64) -> Result<(), StoreError> {
        let mined = "UPDATE chain_tx SET state = ?, mined_hash = ?, mined_block = ? WHERE id = ?";
        let statement = sqlx::query(mined)
            .bind(TxState::Mined.as_str())
            .bind(hash.to_vec())
            .bind(columns::number(block, "chain_tx.mined_block")?)
            .bind(id.0);
        one(id, self.db.execute(statement).await?)
    }

    async fn mark_unmined(&self, id: TxIntentId) -> Result<(), StoreError> {
        let unmined = "UPDATE chain_tx SET state = ?, mined_hash = NULL, mined_block = NULL WHERE id = ?";
        let statement = sqlx::query(unmined).bind(TxState::Sent.as_str()).bind(id.0);
        one(id, self.db.execute(statement).await?)
    }

    async fn close(&self, id: TxIntentId, failure: Option<String>) -> Result<(), StoreError> {
        let state = TxState::closed(failure.as_deref());
        let close = "UPDATE chain_tx SET state = ?, failure = ? WHERE id = ?";
        let statement = sqlx::query(close).bind(state.as_str()).bind(failure).bind(id.0);
        one(id, self.db.execute(statement).await?)
    }

    async fn count_since(
        &self,
        purpose: TxPurpose,
        on_behalf: Option<WalletAddress>,
        since: Timestamp,
    ) -> Result<u64, StoreError> {
        let count = "SELECT count(*) AS intents FROM chain_tx
                     WHERE purpose = ?1 AND created_at >= ?2 AND (?3 IS NULL OR on_behalf = ?3)";
        let statement = sqlx::query(count)
            .bind(purpose.as_str())
            .bind(since.micros())
            .bind(on_behalf.map(columns::address));
        let row = self.db.optional(statement).await?;
        row.map_or(Ok(0), |row| Columns::of(&row).get_as("intents", "chain_tx.id"))
    }
}
