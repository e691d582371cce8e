//! [`TxOutbox`] on SQLite.

use crate::{
    columns::{self, Columns},
    db::{Db, Statement, WriteTx},
};
use async_trait::async_trait;
use haithe_billing::{
    chain::Hash32,
    outbox::{NewTx, Rationed, TxAttempt, TxIntent, TxIntentId, TxPurpose, TxRation, TxState},
    ports::TxOutbox,
};
use haithe_kernel::{StoreError, Timestamp, WalletAddress};
use sqlx::sqlite::SqliteRow;
use std::time::Duration;

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
            "SELECT chain_tx.id, key, purpose, signer, to_address, data, on_behalf, nonce, state, mined_hash,
                    mined_block, failure, created_at,
                    hash, raw, max_fee_per_gas, max_priority_fee_per_gas, gas_limit, cancels, sent_at
             FROM chain_tx LEFT JOIN chain_tx_attempt ON tx_id = chain_tx.id ",
            $rest
        )
    };
}

const BY_KEY: &str = select_intents!("WHERE key = ? ORDER BY chain_tx_attempt.id");

fn purpose(word: &str) -> Result<TxPurpose, StoreError> {
    let all = [
        TxPurpose::DeployContracts,
        TxPurpose::CreateOrganization,
        TxPurpose::SettleBatch,
        TxPurpose::RegisterCreator,
        TxPurpose::MirrorRole,
        TxPurpose::Faucet,
    ];
    let found = all.into_iter().find(|purpose| purpose.as_str() == word);
    found.ok_or(StoreError::inconsistent("chain_tx.purpose"))
}

fn state(word: &str) -> Result<TxState, StoreError> {
    match word {
        "queued" => Ok(TxState::Queued),
        "sent" => Ok(TxState::Sent),
        "mined" => Ok(TxState::Mined),
        "done" => Ok(TxState::Done),
        "failed" => Ok(TxState::Failed),
        _ => Err(StoreError::inconsistent("chain_tx.state")),
    }
}

/// Rows of the same intent follow each other.
fn intents(rows: &[SqliteRow]) -> Result<Vec<TxIntent>, StoreError> {
    let mut intents: Vec<TxIntent> = Vec::new();
    for row in rows {
        let mut columns = Columns::of(row);
        let intent = intent(&mut columns)?;
        let attempt = attempt(&mut columns)?;
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

fn intent(columns: &mut Columns<'_>) -> Result<TxIntent, StoreError> {
    let id = TxIntentId(columns.read("chain_tx.id")?);
    let key = columns.read("chain_tx.key")?;
    let purpose = purpose(&columns.read::<String>("chain_tx.purpose")?)?;
    let signer = columns.read("chain_tx.signer")?;
    let to = columns.read("chain_tx.to_address")?;
    let data = columns.read("chain_tx.data")?;
    let on_behalf = columns.read("chain_tx.on_behalf")?;
    let nonce = columns.read("chain_tx.nonce")?;
    let state = state(&columns.read::<String>("chain_tx.state")?)?;
    let hash: Option<Hash32> = columns.read("chain_tx.mined_hash")?;
    let block: Option<u64> = columns.read("chain_tx.mined_block")?;
    Ok(TxIntent {
        id,
        key,
        purpose,
        signer,
        to,
        data,
        on_behalf,
        nonce,
        state,
        attempts: Vec::new(),
        mined: hash.zip(block),
        failure: columns.read("chain_tx.failure")?,
        created_at: columns.read("chain_tx.created_at")?,
    })
}

fn attempt(columns: &mut Columns<'_>) -> Result<Option<TxAttempt>, StoreError> {
    let Some(hash) = columns.read("chain_tx_attempt.hash")? else {
        return Ok(None);
    };
    Ok(Some(TxAttempt {
        hash,
        raw: columns.read("chain_tx_attempt.raw")?,
        max_fee_per_gas: columns.read("chain_tx_attempt.max_fee_per_gas")?,
        max_priority_fee_per_gas: columns.read("chain_tx_attempt.max_priority_fee_per_gas")?,
        gas_limit: columns.read("chain_tx_attempt.gas_limit")?,
        cancels: columns.read("chain_tx_attempt.cancels")?,
        sent_at: columns.read("chain_tx_attempt.sent_at")?,
    }))
}

async fn enqueue(write: &mut WriteTx<'_>, tx: NewTx) -> Result<TxIntent, StoreError> {
    let insert = "INSERT INTO chain_tx (key, purpose, signer, to_address, data, on_behalf, state, created_at)
                  VALUES (?, ?, ?, ?, ?, ?, 'queued', ?) ON CONFLICT (key) DO NOTHING";
    let statement = sqlx::query(insert)
        .bind(tx.key.clone())
        .bind(tx.purpose.as_str())
        .bind(columns::address(tx.signer))
        .bind(tx.to.map(columns::address))
        .bind(tx.data)
        .bind(tx.on_behalf.map(columns::address))
        .bind(tx.created_at.micros());
    write.execute(statement).await?;
    let rows = write.all(sqlx::query(BY_KEY).bind(tx.key)).await?;
    intents(&rows)?
        .pop()
        .ok_or(StoreError::inconsistent("chain_tx.key"))
}

/// What forbids the ration's next intent, if anything does.
async fn exceeded(
    write: &mut WriteTx<'_>,
    tx: &NewTx,
    ration: &TxRation,
) -> Result<Option<Rationed>, StoreError> {
    let last = "SELECT max(created_at) FROM chain_tx
                WHERE purpose = ? AND on_behalf = ? AND state <> 'failed' AND created_at > ?";
    let statement = sqlx::query(last)
        .bind(tx.purpose.as_str())
        .bind(tx.on_behalf.map(columns::address))
        .bind(tx.created_at.minus(ration.every).micros());
    let row = write.optional(statement).await?;
    let last: Option<Timestamp> =
        row.map_or(Ok(None), |row| Columns::of(&row).read("chain_tx.created_at"))?;
    if let Some(last) = last {
        return Ok(Some(Rationed::TooSoon(last)));
    }
    let budgets = [
        (OWN_BUDGET, tx.on_behalf.map(columns::address), ration.per_wallet),
        (WHOLE_BUDGET, None, ration.global),
    ];
    let mut until = None;
    for (newest, owner, limit) in budgets {
        let statement = sqlx::query(newest).bind(tx.purpose.as_str()).bind(owner);
        until = until.max(spent_until(write, tx, ration.window, statement, limit).await?);
    }
    if let Some(network) = ration.network {
        let statement = sqlx::query(NETWORK_BUDGET)
            .bind(tx.purpose.as_str())
            .bind(network.to_string());
        until = until.max(spent_until(write, tx, ration.window, statement, ration.per_network).await?);
    }
    Ok(until.map(Rationed::BudgetSpent))
}

const OWN_BUDGET: &str = "SELECT created_at FROM chain_tx
    WHERE purpose = ?1 AND on_behalf = ?2 AND created_at > ?3 ORDER BY created_at DESC LIMIT 1 OFFSET ?4";
const NETWORK_BUDGET: &str = "SELECT created_at FROM chain_tx
    WHERE purpose = ?1 AND network = ?2 AND created_at > ?3 ORDER BY created_at DESC LIMIT 1 OFFSET ?4";
const WHOLE_BUDGET: &str = "SELECT created_at FROM chain_tx
    WHERE purpose = ?1 AND ?2 IS NULL AND created_at > ?3 ORDER BY created_at DESC LIMIT 1 OFFSET ?4";

/// When a budget of `limit` intents in the window is no longer spent; `None` if it is not spent. `newest`
/// has its first two parameters bound and selects the intents that count, the newest first.
async fn spent_until(
    write: &mut WriteTx<'_>,
    tx: &NewTx,
    window: Duration,
    newest: Statement,
    limit: u64,
) -> Result<Option<Timestamp>, StoreError> {
    let Some(skip) = limit.checked_sub(1) else {
        return Ok(Some(tx.created_at.plus(window)));
    };
    let statement = newest
        .bind(tx.created_at.minus(window).micros())
        .bind(columns::number(skip, "chain_tx.id")?);
    let Some(row) = write.optional(statement).await? else {
        return Ok(None);
    };
    let counted: Timestamp = Columns::of(&row).read("chain_tx.created_at")?;
    Ok(Some(counted.plus(window)))
}

async fn enqueue_rationed(
    write: &mut WriteTx<'_>,
    tx: NewTx,
    ration: TxRation,
) -> Result<Rationed, StoreError> {
    match exceeded(write, &tx, &ration).await? {
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

async fn assign_nonce(write: &mut WriteTx<'_>, id: TxIntentId, chain_nonce: i64) -> Result<u64, StoreError> {
    let assign = "UPDATE chain_tx SET
                      state = iif(nonce IS NULL, 'sent', state),
                      nonce = coalesce(nonce, max(?2, coalesce((
                          SELECT max(nonce) + 1 FROM chain_tx AS lane WHERE lane.signer = chain_tx.signer
                      ), 0)))
                  WHERE id = ?1 AND state NOT IN ('done', 'failed') RETURNING nonce";
    let row = write
        .optional(sqlx::query(assign).bind(id.0).bind(chain_nonce))
        .await?;
    Columns::of(&row.ok_or_else(|| unknown(id))?).read("chain_tx.nonce")
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
        let open = select_intents!(
            "WHERE signer = ? AND state IN ('queued', 'sent', 'mined')
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
        let chain_nonce = columns::number(chain_nonce, "chain_tx.nonce")?;
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
        let mined = "UPDATE chain_tx SET state = 'mined', mined_hash = ?, mined_block = ? WHERE id = ?";
        let statement = sqlx::query(mined)
            .bind(hash.to_vec())
            .bind(columns::number(block, "chain_tx.mined_block")?)
            .bind(id.0);
        one(id, self.db.execute(statement).await?)
    }

    async fn mark_unmined(&self, id: TxIntentId) -> Result<(), StoreError> {
        let unmined =
            "UPDATE chain_tx SET state = 'sent', mined_hash = NULL, mined_block = NULL WHERE id = ?";
        one(id, self.db.execute(sqlx::query(unmined).bind(id.0)).await?)
    }

    async fn close(&self, id: TxIntentId, failure: Option<String>) -> Result<(), StoreError> {
        let state = if failure.is_some() { "failed" } else { "done" };
        let close = "UPDATE chain_tx SET state = ?, failure = ? WHERE id = ?";
        let statement = sqlx::query(close).bind(state).bind(failure).bind(id.0);
        one(id, self.db.execute(statement).await?)
    }

    async fn count_since(
        &self,
        purpose: TxPurpose,
        on_behalf: Option<WalletAddress>,
        since: Timestamp,
    ) -> Result<u64, StoreError> {
        let count = "SELECT count(*) FROM chain_tx
                     WHERE purpose = ?1 AND created_at >= ?2 AND (?3 IS NULL OR on_behalf = ?3)";
        let statement = sqlx::query(count)
            .bind(purpose.as_str())
            .bind(since.micros())
            .bind(on_behalf.map(columns::address));
        let row = self.db.optional(statement).await?;
        row.map_or(Ok(0), |row| Columns::of(&row).read("chain_tx.id"))
    }
}
