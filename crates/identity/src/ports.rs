//! What identity needs from outside. One method is one atomic operation.
//!
//! A store promises something *globally* when the promise holds over all processes that use the database,
//! and *per process* when it holds among the callers in one process only. While a store promises anything per
//! process, one process at a time may use the database.

use crate::waitlist::Email;
use crate::{
    api_key::{ApiKey, ApiKeyId, KeyChange, KeyFilter, KeyHash, KeySecret, NewApiKey, Rotated},
    challenge::{MessageDigest, NonceHash, StoredChallenge},
    idempotency::{Claim, Claimed, Ending, Recovered, SlotId},
    session::{Account, Session, SessionId},
};
use async_trait::async_trait;
use haithe_kernel::{ClientNetwork, Failure, Kind, Listed, Page, StoreError, Timestamp, WalletAddress};
use uuid::Uuid;

/// Challenges that wait for a signature.
///
/// **Guarantees**: global. Of all processes on the database, one caller takes a challenge, and the bounds
/// hold over all of their challenges.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait ChallengeStore: Send + Sync {
    /// Stores a challenge. Above [`LIVE_PER_ADDRESS_AND_NETWORK`](crate::challenge::LIVE_PER_ADDRESS_AND_NETWORK)
    /// the oldest of the same address and client network goes; above
    /// [`LIVE_PER_ADDRESS`](crate::challenge::LIVE_PER_ADDRESS) one goes of the
    /// [site](haithe_kernel::ClientNetwork::site) that holds most, of its network that holds most, the
    /// oldest, so that a flooder evicts only itself. The order of age is the order of the calls, not of
    /// the wall clock. Returns how many live challenges went.
    async fn put(&self, challenge: StoredChallenge) -> Result<u64, StoreError>;
    /// The digests this address may still sign at `now`, newest first.
    async fn live(&self, address: WalletAddress, now: Timestamp) -> Result<Vec<MessageDigest>, StoreError>;
    /// The challenge of this address with this nonce, if it is live at `now`.
    async fn find(
        &self,
        address: WalletAddress,
        nonce: NonceHash,
        now: Timestamp,
    ) -> Result<Option<StoredChallenge>, StoreError>;
    /// Deletes the challenge with this digest and says whether it was live: `true` for exactly one of
    /// any number of concurrent callers.
    async fn take(
        &self,
        address: WalletAddress,
        digest: MessageDigest,
        now: Timestamp,
    ) -> Result<bool, StoreError>;
    /// Deletes what has expired; returns how many.
    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError>;
}

/// Accounts and their sessions.
///
/// **Guarantees**: global. A revoked session is not found by any process once the call has returned; how long
/// a process remembers a session that it found before is decided by its user ([`Sessions`](crate::Sessions)),
/// not here.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Stores the session, and the account when the wallet is new.
    async fn open(&self, session: Session) -> Result<(), StoreError>;
    /// The session, unless it was revoked or has expired at `now`.
    async fn find(&self, id: SessionId, now: Timestamp) -> Result<Option<Session>, StoreError>;
    /// The wallet's sessions that are live at `now`, newest first.
    async fn list(
        &self,
        address: WalletAddress,
        now: Timestamp,
        page: Page,
    ) -> Result<Listed<Session>, StoreError>;
    /// Notes a use.
    async fn touch(&self, id: SessionId, at: Timestamp) -> Result<(), StoreError>;
    /// Revokes one session of the wallet; says whether there was one.
    async fn revoke(&self, address: WalletAddress, id: SessionId) -> Result<bool, StoreError>;
    /// Revokes all sessions of the wallet, but `kept`; returns their names.
    async fn revoke_all(
        &self,
        address: WalletAddress,
        kept: Option<SessionId>,
    ) -> Result<Vec<SessionId>, StoreError>;
    /// Revokes every session of every wallet that was opened before this time; returns how many.
    async fn revoke_opened_before(&self, before: Timestamp) -> Result<u64, StoreError>;
    /// The wallet's account.
    async fn account(&self, address: WalletAddress) -> Result<Option<Account>, StoreError>;
    /// Deletes expired sessions; returns how many.
    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError>;
}

/// Why a key could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum CreateKeyError {
    /// The wallet has a live default key.
    #[error("this wallet already has a live default key; disable it before you create another")]
    DefaultExists,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure for CreateKeyError {
    fn kind(&self) -> Kind {
        match self {
            Self::DefaultExists => Kind::Conflict,
            Self::Store(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::DefaultExists => "api_key_exists",
            Self::Store(error) => error.code(),
        }
    }
}

/// API keys.
///
/// **Guarantees**: global. A revoked, rotated or changed key is found as it is now by every process once the
/// call has returned; how long a process remembers a key that it found before is decided by its user
/// ([`ApiKeys`](crate::ApiKeys)), not here.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait ApiKeyStore: Send + Sync {
    /// Stores a key. Of concurrent default keys of one wallet exactly one is stored.
    async fn create(&self, key: NewApiKey) -> Result<ApiKey, CreateKeyError>;
    /// The key with this hash, revoked or not.
    async fn find(&self, hash: KeyHash) -> Result<Option<ApiKey>, StoreError>;
    /// The wallet's key with this number, revoked or not.
    async fn get(&self, address: WalletAddress, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError>;
    /// The wallet's keys that pass the filter, newest first.
    async fn list(
        &self,
        address: WalletAddress,
        filter: KeyFilter,
        page: Page,
    ) -> Result<Listed<ApiKey>, StoreError>;
    /// Changes what a key may do from now on; gives the changed key when it was live at `now`.
    async fn change(
        &self,
        address: WalletAddress,
        id: ApiKeyId,
        change: KeyChange,
        now: Timestamp,
    ) -> Result<Option<ApiKey>, StoreError>;
    /// Gives a key that is live at `now` this secret in the place of its old one, whose hash opens
    /// nothing from then on. The key's number, and with it its budget's accounting, stays.
    async fn rotate(
        &self,
        address: WalletAddress,
        id: ApiKeyId,
        secret: KeySecret,
        now: Timestamp,
    ) -> Result<Option<Rotated>, StoreError>;
    /// Revokes a key of the wallet for ever; gives the key when it was live.
    async fn revoke(
        &self,
        address: WalletAddress,
        id: ApiKeyId,
        at: Timestamp,
    ) -> Result<Option<ApiKey>, StoreError>;
    /// Revokes the wallet's default key; gives the key when there was a live one.
    async fn revoke_default(
        &self,
        address: WalletAddress,
        at: Timestamp,
    ) -> Result<Option<ApiKey>, StoreError>;
    /// Revokes every key of every wallet that was issued before this time and is not revoked yet;
    /// returns how many.
    async fn revoke_issued_before(&self, before: Timestamp, at: Timestamp) -> Result<u64, StoreError>;
    /// When the wallet's newest default key was issued, revoked or not.
    async fn last_issued(&self, address: WalletAddress) -> Result<Option<Timestamp>, StoreError>;
    /// Notes a use.
    async fn touch(&self, id: ApiKeyId, at: Timestamp) -> Result<(), StoreError>;
}

/// Why a contract wallet's signature could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum WalletCheckError {
    /// The chain did not answer in time.
    #[error("the chain cannot be reached to check a smart wallet's signature; try again shortly")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The client has too many checks waiting.
    #[error("too many logins of smart wallets from this network are waiting; try again shortly")]
    Crowded,
}

impl Failure for WalletCheckError {
    fn kind(&self) -> Kind {
        match self {
            Self::Unavailable(_) => Kind::Unavailable,
            Self::Crowded => Kind::RateLimited,
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "chain_unavailable",
            Self::Crowded => "too_many_wallet_checks",
        }
    }
    fn retry_after(&self) -> Option<u64> {
        Some(5)
    }
}

/// A signature that a contract has to check.
#[derive(Debug, Clone)]
pub struct WalletCheck {
    /// The client that logs in: clients take turns.
    pub client: Option<ClientNetwork>,
    /// The wallet.
    pub address: WalletAddress,
    /// What the signature may cover.
    pub digests: Vec<MessageDigest>,
    /// The signature.
    pub signature: Vec<u8>,
}

/// Signatures of smart-contract wallets (ERC-1271, and ERC-6492 for those not yet deployed).
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait ContractWallets: Send + Sync {
    /// The first of the digests over which the wallet accepts the signature. Runs the code of a contract
    /// that the client names on the node: all of it together is bounded in time, each request in gas,
    /// and how many wallets are asked at once is bounded too. Clients get their places in turn, and
    /// neither one client nor one wallet holds them all ([`fair_queue`](crate::fair_queue)). A revert or
    /// a wrong answer is a refusal.
    async fn accepted(&self, check: WalletCheck) -> Result<Option<MessageDigest>, WalletCheckError>;
}

/// People who wait to be let in.
///
/// **Guarantees**: global.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait Waitlist: Send + Sync {
    /// Adds the address; `false` when it is there already. Of concurrent callers exactly one adds it.
    async fn add(&self, email: Email, at: Timestamp) -> Result<bool, StoreError>;
}

/// Requests that may come twice, and their answers.
///
/// **Guarantees**: [`claim`](Self::claim), [`settle`](Self::settle) and [`sweep`](Self::sweep) are global: of
/// concurrent claims in all processes one takes the slot. [`recover`](Self::recover) is per process: it
/// releases claims of every process.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait IdempotencyStore: Send + Sync {
    /// Takes the slot, or tells what stands in it; a different fingerprint comes before everything
    /// else. Of any number of concurrent claims exactly one takes a slot. A slot that has expired at
    /// `claim.at` is empty. An answer that cannot be read any more is lost. A wallet that has `claim.most`
    /// slots takes no other one; those it has give their answers as before.
    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError>;
    /// Ends the claim with this work: keeps its answer so that nobody reads it in the store, or
    /// releases its slot. A slot is released only if nothing is booked under its work; else its answer
    /// is lost. Above [`MOST_PER_WALLET`](crate::idempotency::MOST_PER_WALLET) bytes of answers of one
    /// wallet its oldest are lost. Without effect where the claim does not hold the slot any more.
    async fn settle(&self, slot: SlotId, work: Uuid, ending: Ending) -> Result<(), StoreError>;
    /// Releases, as [`settle`](Self::settle) does, every slot whose claim has not ended. Only for a
    /// process that is alone with the store, before its first claim.
    async fn recover(&self) -> Result<Recovered, StoreError>;
    /// Deletes what has expired, at most this many; returns how many.
    async fn sweep(&self, now: Timestamp, most: u32) -> Result<u64, StoreError>;
}
