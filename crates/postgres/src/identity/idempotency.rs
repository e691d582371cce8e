//! [`IdempotencyStore`] on PostgreSQL: answers are sealed, each for its own slot.
//!
//! Whatever changes a wallet's slots locks the wallet's row of `idempotency_wallets` first, so that its counts are
//! exact and work on one wallet waits for nothing else.

use crate::{
    columns::{self, Columns},
    db::{Db, Statement},
    write::WriteTx,
};
use async_trait::async_trait;
use haithe_encryption::{EncryptionKey, SealedBox};
use haithe_identity::{
    idempotency::{Claim, Claimed, Ending, Fingerprint, MOST_PER_WALLET, Recovered, SlotId},
    ports::IdempotencyStore,
};
use haithe_kernel::{StoreError, Timestamp, WalletAddress};
use uuid::Uuid;

/// [`IdempotencyStore`] on PostgreSQL.
#[derive(Clone)]
pub struct PgIdempotencyStore {
    db: Db,
    sealed: SealedBox,
}

impl PgIdempotencyStore {
    /// The slots of this database, whose answers `key` opens.
    pub fn new(db: &Db, key: &EncryptionKey) -> Self {
        Self {
            db: db.clone(),
            sealed: SealedBox::new(key, "idempotency answers"),
        }
    }
}

const LOCK_WALLET: &str = "
    INSERT INTO idempotency_wallets (wallet_address, slots, bytes) VALUES ($1, 0, 0)
    ON CONFLICT (wallet_address) DO UPDATE SET slots = idempotency_wallets.slots RETURNING slots";
const LOCK_WALLETS: &str = "
    SELECT wallet_address FROM idempotency_wallets WHERE wallet_address = ANY($1)
    ORDER BY wallet_address FOR UPDATE";
const SUBTRACT: &str = "
    UPDATE idempotency_wallets SET slots = slots - $2, bytes = bytes - $3 WHERE wallet_address = $1";
const FORGET_WALLET: &str =
    "DELETE FROM idempotency_wallets WHERE wallet_address = $1 AND slots = 0 AND bytes = 0";

/// Deletes the slots under a condition; returns how many, and how many bytes, each wallet has fewer.
macro_rules! delete_slots {
    ($condition:literal) => {
        concat!(
            "WITH gone AS (DELETE FROM idempotency_slots WHERE ",
            $condition,
            " RETURNING wallet_address, bytes)
             SELECT wallet_address, count(*) AS slots, sum(bytes)::BIGINT AS bytes FROM gone
             GROUP BY wallet_address ORDER BY wallet_address"
        )
    };
}

/// What an expired claim left, so that the slot is empty.
const EXPIRE: &str = delete_slots!("slot = $1 AND expires_at <= $2");
const TAKE: &str = "
    INSERT INTO idempotency_slots (slot, fingerprint, work, wallet_address, state, claimed_at, expires_at)
    VALUES ($1, $2, $3, $4, 'in_flight', $5, $6) ON CONFLICT (slot) DO NOTHING";
const COUNT_SLOT: &str = "UPDATE idempotency_wallets SET slots = slots + 1 WHERE wallet_address = $1";
const LOOK: &str = "SELECT fingerprint, work, state, answer FROM idempotency_slots WHERE slot = $1";

const WALLET_OF: &str = "
    SELECT wallet_address FROM idempotency_slots WHERE slot = $1 AND work = $2 AND state = 'in_flight'";
const KEEP: &str = "
    UPDATE idempotency_slots SET state = 'answered', answer = $1, bytes = octet_length($1)
    WHERE slot = $2 AND work = $3 AND state = 'in_flight'";
const COUNT_BYTES: &str = "
    UPDATE idempotency_wallets SET bytes = bytes + $2 WHERE wallet_address = $1 RETURNING bytes";
const LOSE_OLDEST: &str = "
    UPDATE idempotency_slots SET state = 'lost', answer = NULL, bytes = 0
    FROM (SELECT id, bytes FROM idempotency_slots WHERE wallet_address = $1 AND state = 'answered'
          ORDER BY id LIMIT 1) AS oldest
    WHERE idempotency_slots.id = oldest.id RETURNING oldest.bytes AS freed";
const NOT_KEPT: &str = "
    UPDATE idempotency_slots SET state = 'too_large' WHERE slot = $1 AND work = $2 AND state = 'in_flight'";

/// What is booked stays, without its answer; the rest goes.
const LOSE_ONE: &str = "
    UPDATE idempotency_slots SET state = 'lost' WHERE slot = $1 AND work = $2 AND state = 'in_flight'
    AND EXISTS (SELECT 1 FROM usage_records WHERE usage_records.call = idempotency_slots.work)";
const FREE_ONE: &str = delete_slots!("slot = $1 AND work = $2 AND state = 'in_flight'");
const LOSE_ALL: &str = "
    UPDATE idempotency_slots SET state = 'lost' WHERE state = 'in_flight'
    AND EXISTS (SELECT 1 FROM usage_records WHERE usage_records.call = idempotency_slots.work)";
const FREE_ALL: &str = delete_slots!("state = 'in_flight'");

const EXPIRED: &str = "
    SELECT id, wallet_address FROM idempotency_slots WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2";
const SWEEP: &str = delete_slots!("id = ANY($1) AND expires_at <= $2");

/// What a claim comes upon.
enum Place {
    /// The slot is the claim's now.
    Taken,
    /// The slot is empty, and the wallet may have no more.
    Full,
    /// An earlier claim.
    Found(Found),
}

/// What stands in a slot.
struct Found {
    fingerprint: Fingerprint,
    work: Uuid,
    state: String,
    answer: Option<Vec<u8>>,
}

impl WriteTx {
    /// Runs a statement of [`delete_slots`], and subtracts what it deleted; returns how many slots.
    async fn delete_slots(&mut self, statement: Statement) -> Result<u64, StoreError> {
        let mut deleted = 0;
        for row in self.all(statement).await? {
            let columns = Columns::of(&row);
            let wallet: Vec<u8> = columns.get("idempotency_slots.wallet_address")?;
            let slots: i64 = columns.get("idempotency_slots.slots")?;
            let bytes: i64 = columns.get("idempotency_slots.bytes")?;
            let subtract = sqlx::query(SUBTRACT).bind(wallet.clone()).bind(slots).bind(bytes);
            self.execute(subtract).await?;
            self.execute(sqlx::query(FORGET_WALLET).bind(wallet)).await?;
            deleted += slots.unsigned_abs();
        }
        Ok(deleted)
    }

    /// Locks a wallet; returns how many slots it has.
    async fn lock_wallet(&mut self, wallet: WalletAddress) -> Result<u64, StoreError> {
        let lock = sqlx::query(LOCK_WALLET).bind(columns::address(wallet));
        let row = self.one(lock).await?;
        Columns::of(&row).get("idempotency_wallets.slots")
    }

    /// Locks the wallet whose claim with this work is in flight in the slot; `None` if the slot has no such claim.
    async fn lock_wallet_of(&mut self, (slot, work): &(SlotId, Uuid)) -> Result<Option<Vec<u8>>, StoreError> {
        let wallet = sqlx::query(WALLET_OF)
            .bind(slot.0.to_vec())
            .bind(columns::uuid(*work));
        let Some(row) = self.optional(wallet).await? else {
            return Ok(None);
        };
        let wallet: Vec<u8> = Columns::of(&row).get("idempotency_slots.wallet_address")?;
        self.all(sqlx::query(LOCK_WALLETS).bind(vec![wallet.clone()]))
            .await?;
        Ok(Some(wallet))
    }
}

async fn claim(write: &mut WriteTx, claim: &Claim) -> Result<Place, StoreError> {
    let (slot, wallet) = (claim.slot.0.to_vec(), columns::address(claim.wallet));
    let mut held = write.lock_wallet(claim.wallet).await?;
    let expire = sqlx::query(EXPIRE).bind(slot.clone()).bind(claim.at.micros());
    if write.delete_slots(expire).await? > 0 {
        // That may have been the wallet's last slot, and its row is deleted then.
        held = write.lock_wallet(claim.wallet).await?;
    }
    if held < u64::from(claim.most) {
        let take = sqlx::query(TAKE)
            .bind(slot.clone())
            .bind(claim.fingerprint.0.to_vec())
            .bind(columns::uuid(claim.work))
            .bind(wallet.clone())
            .bind(claim.at.micros())
            .bind(claim.expires_at.micros());
        if write.execute(take).await? > 0 {
            write.execute(sqlx::query(COUNT_SLOT).bind(wallet)).await?;
            return Ok(Place::Taken);
        }
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

async fn keep(write: &mut WriteTx, (held, sealed): &((SlotId, Uuid), Vec<u8>)) -> Result<(), StoreError> {
    let Some(wallet) = write.lock_wallet_of(held).await? else {
        return Ok(());
    };
    let (slot, work) = held;
    let keep = sqlx::query(KEEP)
        .bind(sealed.clone())
        .bind(slot.0.to_vec())
        .bind(columns::uuid(*work));
    if write.execute(keep).await? == 0 {
        return Ok(());
    }
    let mut more = columns::number(sealed.len(), "idempotency_slots.bytes")?;
    loop {
        let count = sqlx::query(COUNT_BYTES).bind(wallet.clone()).bind(more);
        let kept: u64 = Columns::of(&write.one(count).await?).get("idempotency_wallets.bytes")?;
        if kept <= MOST_PER_WALLET {
            return Ok(());
        }
        let lost = write
            .optional(sqlx::query(LOSE_OLDEST).bind(wallet.clone()))
            .await?;
        let Some(lost) = lost else { return Ok(()) };
        let freed: i64 = Columns::of(&lost).get("idempotency_slots.freed")?;
        more = -freed;
    }
}

async fn release(write: &mut WriteTx, held: &(SlotId, Uuid)) -> Result<(), StoreError> {
    if write.lock_wallet_of(held).await?.is_none() {
        return Ok(());
    }
    let (slot, work) = held;
    let bound = |sql| sqlx::query(sql).bind(slot.0.to_vec()).bind(columns::uuid(*work));
    write.execute(bound(LOSE_ONE)).await?;
    write.delete_slots(bound(FREE_ONE)).await.map(drop)
}

async fn recover(write: &mut WriteTx, (): &()) -> Result<Recovered, StoreError> {
    Ok(Recovered {
        lost: write.execute(sqlx::query(LOSE_ALL)).await?,
        freed: write.delete_slots(sqlx::query(FREE_ALL)).await?,
    })
}

async fn sweep(write: &mut WriteTx, (now, most): &(Timestamp, u32)) -> Result<u64, StoreError> {
    let expired = sqlx::query(EXPIRED).bind(now.micros()).bind(i64::from(*most));
    let (mut slots, mut wallets) = (Vec::new(), Vec::new());
    for row in write.all(expired).await? {
        let columns = Columns::of(&row);
        slots.push(columns.get::<i64>("idempotency_slots.id")?);
        wallets.push(columns.get::<Vec<u8>>("idempotency_slots.wallet_address")?);
    }
    wallets.sort_unstable();
    wallets.dedup();
    write.all(sqlx::query(LOCK_WALLETS).bind(wallets)).await?;
    write
        .delete_slots(sqlx::query(SWEEP).bind(slots).bind(now.micros()))
        .await
}

#[async_trait]
impl IdempotencyStore for PgIdempotencyStore {
    async fn claim(&self, new: Claim) -> Result<Claimed, StoreError> {
        let (slot, fingerprint) = (new.slot, new.fingerprint);
        let place = self
            .db
            .write_locking(new, |write, new| Box::pin(claim(write, new)))
            .await?;
        let found = match place {
            Place::Taken => return Ok(Claimed::Taken),
            Place::Full => return Ok(Claimed::Full),
            Place::Found(found) => found,
        };
        if found.fingerprint != fingerprint {
            return Ok(Claimed::Reused);
        }
        let lost = Claimed::Lost { work: found.work };
        match (found.state.as_str(), found.answer) {
            ("in_flight", _) => Ok(Claimed::InFlight),
            ("answered", Some(answer)) => Ok(match self.sealed.open(&slot.0, &answer) {
                Ok(answer) => Claimed::Answered(answer),
                Err(error) => {
                    tracing::warn!(%error, "a kept answer cannot be opened");
                    lost
                }
            }),
            ("too_large", _) => Ok(Claimed::TooLarge),
            ("lost", _) => Ok(lost),
            _ => Err(StoreError::inconsistent("idempotency_slots.state")),
        }
    }

    async fn settle(&self, slot: SlotId, work: Uuid, ending: Ending) -> Result<(), StoreError> {
        match ending {
            Ending::Answered(answer) => {
                let sealed = self.sealed.seal(&slot.0, &answer).map_err(StoreError::new)?;
                self.db
                    .write_locking(((slot, work), sealed), |write, kept| Box::pin(keep(write, kept)))
                    .await
            }
            Ending::TooLarge => {
                let not_kept = self.db.execute(|| {
                    sqlx::query(NOT_KEPT)
                        .bind(slot.0.to_vec())
                        .bind(columns::uuid(work))
                });
                not_kept.await.map(drop)
            }
            Ending::Released => {
                self.db
                    .write_locking((slot, work), |write, held| Box::pin(release(write, held)))
                    .await
            }
        }
    }

    async fn recover(&self) -> Result<Recovered, StoreError> {
        self.db
            .write((), |write, nothing| Box::pin(recover(write, nothing)))
            .await
    }

    async fn sweep(&self, now: Timestamp, most: u32) -> Result<u64, StoreError> {
        self.db
            .write_locking((now, most), |write, of| Box::pin(sweep(write, of)))
            .await
    }
}
