//! Intents that are rationed. Whether one more is allowed is [`TxRation::refusal`]'s decision.

use crate::{
    columns::{self, Columns},
    db::Statement,
    write::WriteTx,
};
use haithe_billing::outbox::{NewTx, RationHistory, Rationed, TxPurpose, TxRation};
use haithe_kernel::{StoreError, Timestamp};

/// Creates the purpose's row, or locks the one that is there.
const LOCK: &str = "
    INSERT INTO chain_tx_rations (purpose) VALUES ($1)
    ON CONFLICT (purpose) DO UPDATE SET purpose = excluded.purpose";
const NOTE_NETWORK: &str = "UPDATE chain_tx SET network = $1 WHERE id = $2";

/// The creation times of a purpose's intents, the newest first, between two pieces of SQL.
macro_rules! newest {
    ($which:literal) => {
        concat!(
            "SELECT created_at FROM chain_tx WHERE purpose = $1 ",
            $which,
            " ORDER BY created_at DESC LIMIT 1 OFFSET $2"
        )
    };
}

const LAST: &str = newest!("AND on_behalf = $3 AND state <> 'failed'");
const OF_WALLET: &str = newest!("AND on_behalf = $3");
const OF_NETWORK: &str = newest!("AND network = $3");
const OF_ALL: &str = newest!("");

/// Writes an intent unless its ration refuses it.
pub(super) async fn enqueue(
    write: &mut WriteTx,
    tx: &NewTx,
    ration: &TxRation,
) -> Result<Rationed, StoreError> {
    write.execute(sqlx::query(LOCK).bind(tx.purpose.as_str())).await?;
    let history = history(write, tx, ration).await?;
    if let Some(refusal) = ration.refusal(tx.created_at, &history) {
        return Ok(refusal);
    }
    let intent = write.enqueue(tx).await?;
    if let Some(network) = ration.network {
        let note = sqlx::query(NOTE_NETWORK).bind(network.to_string());
        write.execute(note.bind(intent.id.0)).await?;
    }
    Ok(Rationed::Written(intent))
}

/// What a ration counts for this intent.
async fn history(write: &mut WriteTx, tx: &NewTx, ration: &TxRation) -> Result<RationHistory, StoreError> {
    let wallet = tx.on_behalf.map(columns::address);
    let of_network = match ration.network {
        Some(network) => {
            let ranked = ranked(OF_NETWORK, tx.purpose, ration.per_network)?;
            time(write, ranked.map(|ranked| ranked.bind(network.to_string()))).await?
        }
        None => None,
    };
    let last = ranked(LAST, tx.purpose, 1)?.map(|ranked| ranked.bind(wallet.clone()));
    let of_wallet = ranked(OF_WALLET, tx.purpose, ration.per_wallet)?;
    let of_wallet = of_wallet.map(|ranked| ranked.bind(wallet));
    let of_all = ranked(OF_ALL, tx.purpose, ration.global)?;
    Ok(RationHistory {
        last: time(write, last).await?,
        of_wallet: time(write, of_wallet).await?,
        of_network,
        of_all: time(write, of_all).await?,
    })
}

/// A statement that finds the `rank`-th newest of some intents, counted from 1; `None` for the rank 0.
fn ranked(sql: &'static str, purpose: TxPurpose, rank: u64) -> Result<Option<Statement>, StoreError> {
    let Some(newer) = rank.checked_sub(1) else {
        return Ok(None);
    };
    let newer = columns::number(newer, "chain_tx.id")?;
    Ok(Some(sqlx::query(sql).bind(purpose.as_str()).bind(newer)))
}

/// When the intent that the statement finds was made.
async fn time(write: &mut WriteTx, ranked: Option<Statement>) -> Result<Option<Timestamp>, StoreError> {
    let Some(ranked) = ranked else {
        return Ok(None);
    };
    let row = write.optional(ranked).await?;
    row.map(|row| Columns::of(&row).get("chain_tx.created_at"))
        .transpose()
}
