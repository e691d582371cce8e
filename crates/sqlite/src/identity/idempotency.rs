//! [`IdempotencyStore`] on SQLite: answers are sealed, each for its own slot.

use crate::{
    columns::{self, Columns},
    db::{Db, WriteTx},
};
use async_trait::async_trait;
use haithe_encryption::{EncryptionKey, SealedBox};
use haithe_identity::{
    idempotency::{Claim, Claimed, Ending, Fingerprint, MOST_PER_WALLET, Recovered, SlotId},
    ports::IdempotencyStore,
};
use haithe_kernel::{StoreError, Timestamp};
use uuid::Uuid;

/// [`IdempotencyStore`] on SQLite.
#[derive(Clone)]
pub struct SqliteIdempotencyStore {
    db: Db,
    sealed: SealedBox,
}

impl SqliteIdempotencyStore {
    /// The slots of this database, whose answers `key` opens.
    pub fn new(db: &Db, key: &EncryptionKey) -> Self {
        Self {
            db: db.clone(),
            sealed: SealedBox::new(key, "idempotency answers"),
        }
    }
}

/// What an expired claim left, so that the slot is empty.
const EXPIRE: &str = "DELETE FROM idempotency_slots WHERE slot = ? AND expires_at <= ?";
const TAKE: &str = "
    INSERT INTO idempotency_slots
        (slot, fingerprint, work, wallet_address, state, claimed_at, expires_at)
    SELECT ?1, ?2, ?3, ?4, 'in_flight', ?5, ?6
    WHERE coalesce((SELECT slots FROM idempotency_wallets WHERE wallet_address = ?4), 0) < ?7
    ON CONFLICT (slot) DO NOTHING";
const LOOK: &str =
    "SELECT fingerprint, work, state, coalesce(answer, x'') AS answer FROM idempotency_slots WHERE slot = ?";

const KEEP: &str = "
    UPDATE idempotency_slots SET state = 'answered', answer = ?1, bytes = length(?1)
    WHERE slot = ?2 AND work = ?3 AND state = 'in_flight' RETURNING wallet_address";
const NOT_KEPT: &str = "
    UPDATE idempotency_slots SET state = 'too_large' WHERE slot = ? AND work = ? AND state = 'in_flight'";
const KEPT_BY: &str = "SELECT bytes FROM idempotency_wallets WHERE wallet_address = ?";
const LOSE_OLDEST: &str = "
    UPDATE idempotency_slots SET state = 'lost', answer = NULL, bytes = 0 WHERE id = (
        SELECT id FROM idempotency_slots WHERE wallet_address = ? AND state = 'answered' ORDER BY id LIMIT 1
    )";

/// Of one claim, or of all: what is booked stays, without its answer; the rest goes.
macro_rules! release {
    ($of:literal) => {
        (
            concat!(
                "UPDATE idempotency_slots SET state = 'lost' WHERE state = 'in_flight'
                 AND EXISTS (SELECT 1 FROM usage_records WHERE usage_records.call = idempotency_slots.work)",
                $of
            ),
            concat!("DELETE FROM idempotency_slots WHERE state = 'in_flight'", $of),
        )
    };
}

const RELEASE_ONE: (&str, &str) = release!(" AND slot = ? AND work = ?");
const RELEASE_ALL: (&str, &str) = release!("");

const SWEEP: &str = "
    DELETE FROM idempotency_slots WHERE id IN (
        SELECT id FROM idempotency_slots WHERE expires_at <= ? ORDER BY expires_at LIMIT ?
    )";

/// What a claim comes upon.
enum Place {
    /// The slot is the claim's now.
    Taken,
    /// The slot is empty, and the wallet may have no more.
    Full,
    /// A claim of before.
    Found(Found),
}

/// What stands in a slot.
struct Found {
    fingerprint: Fingerprint,
    work: Uuid,
    state: String,
    answer: Vec<u8>,
}

async fn claim(write: &mut WriteTx<'_>, claim: Claim) -> Result<Place, StoreError> {
    let slot = claim.slot.0.to_vec();
    write
        .execute(sqlx::query(EXPIRE).bind(slot.clone()).bind(claim.at.micros()))
        .await?;
    let take = sqlx::query(TAKE)
        .bind(slot.clone())
        .bind(claim.fingerprint.0.to_vec())
        .bind(claim.work.as_bytes().to_vec())
        .bind(columns::address(claim.wallet))
        .bind(claim.at.micros())
        .bind(claim.expires_at.micros())
        .bind(claim.most);
    if write.execute(take).await? > 0 {
        return Ok(Place::Taken);
    }
    let Some(found) = write.optional(sqlx::query(LOOK).bind(slot)).await? else {
        return Ok(Place::Full);
    };
    let columns = Columns::of(&found);
    Ok(Place::Found(Found {
        fingerprint: Fingerprint(columns.get("idempotency_slots.fingerprint")?),
        work: columns.get("idempotency_slots.work")?,
        state: columns.get("idempotency_slots.state")?,
        answer: columns.get("idempotency_slots.answer")?,
    }))
}

async fn keep(
    write: &mut WriteTx<'_>,
    slot: Vec<u8>,
    work: Vec<u8>,
    sealed: Vec<u8>,
) -> Result<(), StoreError> {
    let kept = sqlx::query(KEEP).bind(sealed).bind(slot).bind(work);
    let Some(row) = write.optional(kept).await? else {
        return Ok(());
    };
    let wallet: Vec<u8> = Columns::of(&row).get("idempotency_slots.wallet_address")?;
    loop {
        let row = write.optional(sqlx::query(KEPT_BY).bind(wallet.clone())).await?;
        let bytes = match row {
            Some(row) => Columns::of(&row).get::<u64>("idempotency_wallets.bytes")?,
            None => 0,
        };
        if bytes <= MOST_PER_WALLET
            || write
                .execute(sqlx::query(LOSE_OLDEST).bind(wallet.clone()))
                .await?
                == 0
        {
            return Ok(());
        }
    }
}

#[async_trait]
impl IdempotencyStore for SqliteIdempotencyStore {
    async fn claim(&self, new: Claim) -> Result<Claimed, StoreError> {
        let (slot, fingerprint) = (new.slot, new.fingerprint);
        let found = match self.db.write(move |write| Box::pin(claim(write, new))).await? {
            Place::Taken => return Ok(Claimed::Taken),
            Place::Full => return Ok(Claimed::Full),
            Place::Found(found) => found,
        };
        if found.fingerprint != fingerprint {
            return Ok(Claimed::Reused);
        }
        let lost = Claimed::Lost { work: found.work };
        match found.state.as_str() {
            "in_flight" => Ok(Claimed::InFlight),
            "answered" => Ok(match self.sealed.open(&slot.0, &found.answer) {
                Ok(answer) => Claimed::Answered(answer),
                Err(error) => {
                    tracing::warn!(%error, "a kept answer cannot be opened");
                    lost
                }
            }),
            "too_large" => Ok(Claimed::TooLarge),
            "lost" => Ok(lost),
            _ => Err(StoreError::inconsistent("idempotency_slots.state")),
        }
    }

    async fn settle(&self, slot: SlotId, work: Uuid, ending: Ending) -> Result<(), StoreError> {
        let (place, work) = (slot.0.to_vec(), work.as_bytes().to_vec());
        match ending {
            Ending::Answered(answer) => {
                let sealed = self.sealed.seal(&slot.0, &answer).map_err(StoreError::new)?;
                self.db
                    .write(move |write| Box::pin(keep(write, place, work, sealed)))
                    .await
            }
            Ending::TooLarge => {
                let not_kept = sqlx::query(NOT_KEPT).bind(place).bind(work);
                self.db.execute(not_kept).await.map(drop)
            }
            Ending::Released => {
                self.db
                    .write(move |write| {
                        Box::pin(async move {
                            let (lose, free) = RELEASE_ONE;
                            let lose = sqlx::query(lose).bind(place.clone()).bind(work.clone());
                            write.execute(lose).await?;
                            let free = sqlx::query(free).bind(place).bind(work);
                            write.execute(free).await.map(drop)
                        })
                    })
                    .await
            }
        }
    }

    async fn recover(&self) -> Result<Recovered, StoreError> {
        self.db
            .write(|write| {
                Box::pin(async move {
                    let (lose, free) = RELEASE_ALL;
                    Ok(Recovered {
                        lost: write.execute(sqlx::query(lose)).await?,
                        freed: write.execute(sqlx::query(free)).await?,
                    })
                })
            })
            .await
    }

    async fn sweep(&self, now: Timestamp, most: u32) -> Result<u64, StoreError> {
        let expired = sqlx::query(SWEEP).bind(now.micros()).bind(most);
        self.db.execute(expired).await
    }
}
