//! The nonces of a lane. Which one an intent gets is [`NonceRequest::assign`]'s decision.

use super::{rows::state, unknown};
use crate::{
    columns::{self, Columns},
    lease::Duty,
    write::WriteTx,
};
use haithe_billing::outbox::{NonceRequest, TxIntentId};
use haithe_kernel::StoreError;

/// Creates the row of the intent's lane, or locks the one that is there.
const LOCK_LANE: &str = "
    INSERT INTO chain_tx_counts (signer, mined) SELECT signer, 0 FROM chain_tx WHERE id = $1
    ON CONFLICT (signer) DO UPDATE SET mined = chain_tx_counts.mined";
/// The intent is locked, too, against a batch that is dissolved.
const LOCK_INTENT: &str = "SELECT state, nonce FROM chain_tx WHERE id = $1 FOR UPDATE";
const HIGHEST: &str = "
    SELECT max(nonce) AS highest FROM chain_tx WHERE signer = (SELECT signer FROM chain_tx WHERE id = $1)";
const ASSIGN: &str = "UPDATE chain_tx SET nonce = $1, state = $2 WHERE id = $3";

/// Gives the intent its lane's next nonce; one that has a nonce keeps it.
pub(super) async fn assign(write: &mut WriteTx, id: TxIntentId, chain_nonce: u64) -> Result<u64, StoreError> {
    write.current_lease(Duty::Sender).await?;
    write.execute(sqlx::query(LOCK_LANE).bind(id.0)).await?;
    let intent = write.optional(sqlx::query(LOCK_INTENT).bind(id.0)).await?;
    let intent = intent.ok_or_else(|| unknown(id))?;
    let highest = write.one(sqlx::query(HIGHEST).bind(id.0)).await?;
    let columns = Columns::of(&intent);
    let request = NonceRequest {
        state: state(&columns)?,
        nonce: columns.get("chain_tx.nonce")?,
        highest: Columns::of(&highest).get_as("highest", "chain_tx.nonce")?,
        chain_nonce,
    };
    let assigned = request.assign().ok_or_else(|| unknown(id))?;
    if request.nonce != Some(assigned.nonce) {
        let assign = sqlx::query(ASSIGN)
            .bind(columns::number(assigned.nonce, "chain_tx.nonce")?)
            .bind(assigned.state.as_str())
            .bind(id.0);
        write.execute(assign).await?;
    }
    Ok(assigned.nonce)
}
