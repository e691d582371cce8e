//! Use case: a request that may come twice has one effect and one answer.
//!
//! A caller names a request with a key of its own. The first request of that name takes a *slot*,
//! runs, and leaves its answer there; the same request again gets that answer, another one is
//! refused. What was refused without an effect, or failed, gives the slot back.
//!
//! | the first request | the same again |
//! |--|--|
//! | is under way | [`IdempotencyError::InFlight`] |
//! | was answered | the answer, for [`KEPT`] |
//! | was answered with more than [`LARGEST`] bytes | [`IdempotencyError::TooLarge`] |
//! | failed, and nothing is in the books | runs again |
//! | was lost in a crash, and nothing is in the books | runs again |
//! | failed or was lost after its charge was written | [`IdempotencyError::Lost`], never charged again |
//!
//! Whether something is in the books is told by the claim's *work*: a number that the request's
//! charge, if it comes to one, is booked under.

mod name;
mod ticket;

pub use name::{Attempt, Fingerprint, IdempotencyKey, IdempotencyKeyError, SlotId};
pub use ticket::Ticket;

use crate::ports::IdempotencyStore;
use haithe_kernel::{Clock, Failure, Kind, Random, StoreError, Tasks, Timer, Timestamp, WalletAddress};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// How long an answer is kept.
pub const KEPT: Duration = Duration::from_secs(72 * 60 * 60);
/// The largest answer that is kept, in bytes.
pub const LARGEST: usize = 1 << 20;
/// Bytes of answers kept for one wallet; beyond, its oldest are lost.
pub const MOST_PER_WALLET: u64 = 64 << 20;

/// Keys remembered for one wallet, of any kind; beyond, new keys are refused until old ones expire.
pub const MOST_KEYS_PER_WALLET: u32 = 100_000;

/// Rows that one sweep of the store deletes at most.
const SWEPT_AT_ONCE: u32 = 500;
/// Seconds after which a request that is under way may be asked for again.
const TRY_AGAIN: u64 = 1;
/// Seconds after which some of too many keys may have expired.
const TRY_LATER: u64 = 600;

/// A request that wants a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Which one.
    pub slot: SlotId,
    /// What is asked.
    pub fingerprint: Fingerprint,
    /// What its charge would be booked under; unique for ever.
    pub work: Uuid,
    /// On whose behalf.
    pub wallet: WalletAddress,
    /// Now.
    pub at: Timestamp,
    /// When the slot is empty again.
    pub expires_at: Timestamp,
    /// Slots that the wallet may have at most, this one included.
    pub most: u32,
}

/// What a claim finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// Nothing: the slot is the claim's.
    Taken,
    /// The wallet has as many slots as it may have, and this would be one more.
    Full,
    /// A request with another fingerprint.
    Reused,
    /// The same request, under way.
    InFlight,
    /// Its answer.
    Answered(Vec<u8>),
    /// It was answered; the answer was too large to keep.
    TooLarge,
    /// It was carried out, and its answer is not there.
    Lost {
        /// What its charge is booked under, if there is one.
        work: Uuid,
    },
}

/// How a claim ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// With an answer to keep.
    Answered(Arc<[u8]>),
    /// With an answer that is not kept.
    TooLarge,
    /// Without an effect: the slot is free, unless the claim's work is in the books.
    Released,
}

/// What an earlier process left under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Slots that are free again.
    pub freed: u64,
    /// Slots whose work is in the books and whose answer is lost.
    pub lost: u64,
}

/// Why a request is not carried out.
#[derive(Debug, thiserror::Error)]
pub enum IdempotencyError {
    /// The key cannot be read.
    #[error(transparent)]
    Key(#[from] IdempotencyKeyError),
    /// The key belongs to another request.
    #[error("this Idempotency-Key was used with another request; use a new key for a new request")]
    Reused,
    /// The first request is under way.
    #[error("the first request with this Idempotency-Key is still under way; try again shortly")]
    InFlight,
    /// The answer was too large to keep.
    #[error(
        "the first request with this Idempotency-Key was carried out, and its answer was too large to keep; \
         use a new key to do it again"
    )]
    TooLarge,
    /// The wallet used too many keys.
    #[error(
        "this wallet has used {MOST_KEYS_PER_WALLET} Idempotency-Keys within 72 hours, the most that are \
         remembered; send the request without the header, or wait until older keys expire"
    )]
    TooManyKeys,
    /// The answer is not there.
    #[error(
        "the first request with this Idempotency-Key was carried out, and its answer is lost; a charge, if \
         there was one, has the receipt {work}; use a new key to do it again"
    )]
    Lost {
        /// The receipt.
        work: Uuid,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure for IdempotencyError {
    fn kind(&self) -> Kind {
        match self {
            Self::Key(_) => Kind::Invalid,
            Self::Reused => Kind::Unprocessable,
            Self::TooManyKeys => Kind::RateLimited,
            Self::InFlight | Self::TooLarge | Self::Lost { .. } => Kind::Conflict,
            Self::Store(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Key(_) => "invalid_idempotency_key",
            Self::Reused => "idempotency_key_reused",
            Self::TooManyKeys => "idempotency_keys_exhausted",
            Self::InFlight => "idempotency_in_flight",
            Self::TooLarge => "idempotency_answer_too_large",
            Self::Lost { .. } => "idempotency_answer_lost",
            Self::Store(error) => error.code(),
        }
    }
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::InFlight => Some(TRY_AGAIN),
            Self::TooManyKeys => Some(TRY_LATER),
            Self::Store(error) => error.retry_after(),
            _ => None,
        }
    }
}

/// What a request is to do now.
#[derive(Debug)]
pub enum Begun {
    /// Run, and end the ticket.
    First(Ticket),
    /// Give this answer.
    Again(Vec<u8>),
}

/// The use case.
pub struct Idempotency {
    ports: Arc<Ports>,
}

/// What it needs from outside.
pub(crate) struct Ports {
    pub store: Arc<dyn IdempotencyStore>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub tasks: Arc<dyn Tasks>,
    pub timer: Arc<dyn Timer>,
}

impl Idempotency {
    /// Composes the use case.
    pub fn new(
        store: Arc<dyn IdempotencyStore>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        tasks: Arc<dyn Tasks>,
        timer: Arc<dyn Timer>,
    ) -> Self {
        let ports = Ports {
            store,
            clock,
            random,
            tasks,
            timer,
        };
        Self {
            ports: Arc::new(ports),
        }
    }

    /// Takes the slot of this attempt, or gives the answer that stands in it.
    ///
    /// # Errors
    /// [`IdempotencyError`].
    pub async fn begin(
        &self,
        key: &IdempotencyKey,
        attempt: &Attempt<'_>,
    ) -> Result<Begun, IdempotencyError> {
        let at = self.ports.clock.now();
        let claim = Claim {
            slot: attempt.slot(key),
            fingerprint: attempt.fingerprint(),
            work: self.new_work(at),
            wallet: attempt.principal.address,
            at,
            expires_at: at.plus(KEPT),
            most: MOST_KEYS_PER_WALLET,
        };
        let (slot, work) = (claim.slot, claim.work);
        match self.ports.store.claim(claim).await? {
            Claimed::Taken => Ok(Begun::First(Ticket::new(slot, work, Arc::clone(&self.ports)))),
            Claimed::Answered(answer) => Ok(Begun::Again(answer)),
            Claimed::Full => Err(IdempotencyError::TooManyKeys),
            Claimed::Reused => Err(IdempotencyError::Reused),
            Claimed::InFlight => Err(IdempotencyError::InFlight),
            Claimed::TooLarge => Err(IdempotencyError::TooLarge),
            Claimed::Lost { work } => Err(IdempotencyError::Lost { work }),
        }
    }

    /// Frees what an earlier process left under way. To be done once, before the first request.
    ///
    /// # Errors
    /// The store's.
    pub async fn recover(&self) -> Result<Recovered, StoreError> {
        let recovered = self.ports.store.recover().await?;
        if recovered != Recovered::default() {
            tracing::warn!(
                freed = recovered.freed,
                lost = recovered.lost,
                "requests of an earlier process had not ended"
            );
        }
        Ok(recovered)
    }

    /// Deletes what has expired; gives how many.
    ///
    /// # Errors
    /// The store's.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        let (now, mut swept) = (self.ports.clock.now(), 0);
        loop {
            let deleted = self.ports.store.sweep(now, SWEPT_AT_ONCE).await?;
            swept += deleted;
            if deleted < u64::from(SWEPT_AT_ONCE) {
                return Ok(swept);
            }
        }
    }

    /// A version 7 UUID, as calls have.
    fn new_work(&self, at: Timestamp) -> Uuid {
        let millis = u64::try_from(at.micros() / 1000).unwrap_or(0);
        let [random @ .., _, _, _, _, _, _] = self.ports.random.bytes16();
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}

#[cfg(test)]
mod tests;
