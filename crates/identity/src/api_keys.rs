//! Use case: make, recognise and revoke API keys.

use crate::{
    Credential, Principal,
    api_key::{ApiKey, ApiKeyId, KeyBudget, KeyHash, KeyScope, NewApiKey},
    logins::AuthError,
    ports::{ApiKeyStore, CreateKeyError},
    signature::{MessageSigner, SignatureError, WalletSignature, personal_digest},
};
use haithe_kernel::{Clock, Failure, Kind, Random, StoreError, Timestamp, WalletAddress};
use moka::sync::Cache;
use sha2::{Digest, Sha256};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// How often a key's last use is written.
const TOUCH_EVERY: Duration = Duration::from_secs(60);
/// Verified keys kept in memory.
const CACHED_KEYS: u64 = 50_000;
/// Longest name of a key, in characters.
const NAME_CHARS: usize = 64;
/// `sk-` + 40 + `.` + 36 + `.` + 130.
const KEY_LENGTH: usize = 3 + 40 + 1 + 36 + 1 + 130;

/// A key on its way to its owner; shown once.
#[derive(Debug, Clone)]
pub struct IssuedKey {
    /// The whole key.
    pub api_key: String,
    /// The bytes its signature covers: `issued_at.0x{address}.{nonce}`.
    pub message: String,
    /// The stored row.
    pub row: ApiKey,
}

/// What a new key shall be.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "documented on ApiKey")]
pub struct KeySpec {
    pub name: String,
    pub scope: KeyScope,
    pub expires_at: Option<Timestamp>,
    pub budget: Option<KeyBudget>,
    pub requests_per_minute: Option<u32>,
    pub tokens_per_minute: Option<u32>,
}

/// Why no key was made.
#[derive(Debug, thiserror::Error)]
pub enum IssueKeyError {
    /// The name is empty, too long, or has control characters.
    #[error("a key's name has 1 to 64 characters and no control characters")]
    Name,
    /// The expiry is not in the future.
    #[error("a key must expire in the future")]
    Expiry,
    /// Signing failed.
    #[error("the key could not be signed")]
    Signing(#[from] SignatureError),
    /// The wallet has a live default key, or the store failed.
    #[error(transparent)]
    Create(#[from] CreateKeyError),
}

impl Failure for IssueKeyError {
    fn kind(&self) -> Kind {
        match self {
            Self::Name | Self::Expiry => Kind::Invalid,
            Self::Signing(_) => Kind::Internal,
            Self::Create(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Name => "invalid_key_name",
            Self::Expiry => "invalid_expiry",
            Self::Signing(_) => "internal",
            Self::Create(error) => error.code(),
        }
    }
}

/// Makes, recognises and revokes API keys.
pub struct ApiKeys {
    store: Arc<dyn ApiKeyStore>,
    signer: MessageSigner,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// Live keys by hash, and when their use was last written. Evicted on revocation.
    live: Cache<KeyHash, (Arc<ApiKey>, Timestamp)>,
}

impl ApiKeys {
    /// Composes the use case. `signer` is the dedicated API-key signing key, never the chain key.
    pub fn new(
        store: Arc<dyn ApiKeyStore>,
        signer: MessageSigner,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            store,
            signer,
            clock,
            random,
            live: Cache::new(CACHED_KEYS),
        }
    }

    /// Makes the wallet's default key, which covers its projects with context headers.
    ///
    /// # Errors
    /// [`CreateKeyError::DefaultExists`] while one is live.
    pub async fn issue_default(&self, address: WalletAddress) -> Result<IssuedKey, IssueKeyError> {
        let spec = KeySpec {
            name: "default".into(),
            ..KeySpec::default()
        };
        self.issue_as(address, spec, true).await
    }

    /// Makes a further key. Whether the wallet may use the scope is the caller's question to `orgs`.
    ///
    /// # Errors
    /// [`IssueKeyError`] for a bad name or expiry.
    pub async fn issue(&self, address: WalletAddress, spec: KeySpec) -> Result<IssuedKey, IssueKeyError> {
        self.issue_as(address, spec, false).await
    }

    async fn issue_as(
        &self,
        address: WalletAddress,
        spec: KeySpec,
        is_default: bool,
    ) -> Result<IssuedKey, IssueKeyError> {
        let now = self.clock.now();
        let name = spec.name.trim();
        if name.is_empty() || name.chars().count() > NAME_CHARS || name.chars().any(char::is_control) {
            return Err(IssueKeyError::Name);
        }
        if spec.expires_at.is_some_and(|at| at <= now) {
            return Err(IssueKeyError::Expiry);
        }
        let nonce = uuid_v7(now, self.random.bytes16());
        let message = signed_message(address, nonce);
        let signature = self.signer.sign(message.as_bytes())?;
        let api_key = format!(
            "sk-{}.{nonce}.{}",
            hex::encode(address.as_bytes()),
            hex::encode(signature)
        );
        let row = self
            .store
            .create(NewApiKey {
                address,
                nonce,
                hash: hash_of(&api_key),
                name: name.to_owned(),
                is_default,
                scope: spec.scope,
                expires_at: spec.expires_at,
                budget: spec.budget,
                requests_per_minute: spec.requests_per_minute,
                tokens_per_minute: spec.tokens_per_minute,
                issued_at: Timestamp::from_seconds(now.seconds()),
            })
            .await?;
        Ok(IssuedKey {
            api_key,
            message,
            row,
        })
    }

    /// The caller behind a key. The signature inside is checked before the store is asked, so that
    /// guesses cost no read.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] for whatever is not a live key.
    pub async fn authenticate(&self, api_key: &str) -> Result<Principal, AuthError> {
        let now = self.clock.now();
        let hash = hash_of(api_key);
        let (key, written) = match self.live.get(&hash) {
            Some(cached) => cached,
            None => {
                self.check_signature(api_key)?;
                let key = self
                    .store
                    .find(hash)
                    .await?
                    .filter(|key| key.revoked_at.is_none())
                    .ok_or(AuthError::Invalid)?;
                let entry = (Arc::new(key), now.minus(TOUCH_EVERY));
                self.live.insert(hash, entry.clone());
                // A revocation between the read and the insert must win.
                if self
                    .store
                    .find(hash)
                    .await?
                    .is_none_or(|key| key.revoked_at.is_some())
                {
                    self.live.invalidate(&hash);
                    return Err(AuthError::Invalid);
                }
                entry
            }
        };
        if key.expires_at.is_some_and(|at| at <= now) {
            return Err(AuthError::Invalid);
        }
        if now.since(written) >= TOUCH_EVERY {
            self.store.touch(key.id, now).await?;
            if self.live.contains_key(&hash) {
                self.live.insert(hash, (key.clone(), now));
            }
        }
        Ok(Principal {
            address: key.address,
            credential: Credential::ApiKey(key),
        })
    }

    /// The wallet's keys, newest first, revoked ones too.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(&self, address: WalletAddress) -> Result<Vec<ApiKey>, StoreError> {
        self.store.list(address).await
    }

    /// Revokes a key for ever; says whether it was live.
    ///
    /// # Errors
    /// The store's.
    pub async fn revoke(&self, address: WalletAddress, id: ApiKeyId) -> Result<bool, StoreError> {
        let revoked = self.store.revoke(address, id, self.clock.now()).await?;
        Ok(self.forget(revoked))
    }

    /// Revokes the wallet's default key for ever; says whether there was a live one.
    ///
    /// # Errors
    /// The store's.
    pub async fn disable_default(&self, address: WalletAddress) -> Result<bool, StoreError> {
        let revoked = self.store.revoke_default(address, self.clock.now()).await?;
        Ok(self.forget(revoked))
    }

    /// When the wallet's newest default key was issued.
    ///
    /// # Errors
    /// The store's.
    pub async fn last_issued(&self, address: WalletAddress) -> Result<Option<Timestamp>, StoreError> {
        self.store.last_issued(address).await
    }

    fn forget(&self, revoked: Option<ApiKey>) -> bool {
        revoked.inspect(|key| self.live.invalidate(&key.hash)).is_some()
    }

    fn check_signature(&self, api_key: &str) -> Result<(), AuthError> {
        let parsed = parse(api_key).ok_or(AuthError::Invalid)?;
        let digest = personal_digest(signed_message(parsed.address, parsed.nonce).as_bytes());
        match parsed.signature.recover(digest) {
            Ok(address) if address == self.signer.address() => Ok(()),
            _ => Err(AuthError::Invalid),
        }
    }
}

struct ParsedKey {
    address: WalletAddress,
    nonce: Uuid,
    signature: WalletSignature,
}

fn parse(api_key: &str) -> Option<ParsedKey> {
    if api_key.len() != KEY_LENGTH {
        return None;
    }
    let mut parts = api_key.strip_prefix("sk-")?.split('.');
    let (address, nonce, signature) = (parts.next()?, parts.next()?, parts.next()?);
    if address.len() != 40 || nonce.len() != 36 || signature.len() != 130 || parts.next().is_some() {
        return None;
    }
    let nonce = Uuid::try_parse(nonce).ok()?;
    nonce.get_timestamp()?;
    Some(ParsedKey {
        address: address.parse().ok()?,
        nonce,
        signature: signature.parse().ok()?,
    })
}

/// `issued_at.0x{address}.{nonce}`, where `issued_at` is the nonce's own time in Unix seconds.
fn signed_message(address: WalletAddress, nonce: Uuid) -> String {
    let issued_at = nonce.get_timestamp().map_or(0, |at| at.to_unix().0);
    format!("{issued_at}.{address}.{nonce}")
}

fn hash_of(api_key: &str) -> KeyHash {
    KeyHash(Sha256::digest(api_key.as_bytes()).into())
}

/// A version 7 UUID (RFC 9562) of this moment.
fn uuid_v7(now: Timestamp, random: [u8; 16]) -> Uuid {
    let millis = u64::try_from(now.micros().div_euclid(1000)).unwrap_or(0);
    let mut tail = [0; 10];
    for (slot, byte) in tail.iter_mut().zip(random) {
        *slot = byte;
    }
    uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::MockApiKeyStore;
    use haithe_kernel::{FixedClock, MockRandom};
    use secrecy::SecretString;
    use std::sync::Mutex;

    fn signer(byte: u8) -> MessageSigner {
        MessageSigner::from_hex(&SecretString::from(hex::encode([byte; 32]))).unwrap()
    }

    /// A store with one row at most.
    fn store(row: Arc<Mutex<Option<ApiKey>>>) -> MockApiKeyStore {
        let mut store = MockApiKeyStore::new();
        let created = row.clone();
        store.expect_create().returning(move |new| {
            let key = ApiKey {
                id: ApiKeyId(1),
                address: new.address,
                nonce: new.nonce,
                hash: new.hash,
                name: new.name,
                is_default: new.is_default,
                scope: new.scope,
                expires_at: new.expires_at,
                budget: new.budget,
                requests_per_minute: new.requests_per_minute,
                tokens_per_minute: new.tokens_per_minute,
                issued_at: new.issued_at,
                last_used_at: None,
                revoked_at: None,
            };
            *created.lock().unwrap() = Some(key.clone());
            Ok(key)
        });
        let found = row.clone();
        store
            .expect_find()
            .returning(move |hash| Ok(found.lock().unwrap().clone().filter(|key| key.hash == hash)));
        store.expect_touch().returning(|_, _| Ok(()));
        store.expect_revoke_default().returning(move |_, at| {
            let mut row = row.lock().unwrap();
            let live = row.clone().filter(|key| key.revoked_at.is_none());
            if let Some(key) = row.as_mut() {
                key.revoked_at = Some(at);
            }
            Ok(live)
        });
        store
    }

    fn keys(store: MockApiKeyStore, clock: Arc<FixedClock>) -> ApiKeys {
        let mut random = MockRandom::new();
        random.expect_bytes16().returning(|| [3; 16]);
        ApiKeys::new(Arc::new(store), signer(8), clock, Arc::new(random))
    }

    fn clock() -> Arc<FixedClock> {
        Arc::new(FixedClock::at(Timestamp::from_seconds(1_700_000_000)))
    }

    #[tokio::test]
    async fn a_key_has_the_documented_form_and_its_signature_covers_the_message() {
        let keys = keys(store(Arc::default()), clock());
        let address = WalletAddress::new([0xab; 20]);
        let issued = keys.issue_default(address).await.unwrap();
        let parsed = parse(&issued.api_key).unwrap();
        assert_eq!(issued.message, format!("1700000000.{address}.{}", parsed.nonce));
        assert_eq!(
            parsed
                .signature
                .recover(personal_digest(issued.message.as_bytes())),
            Ok(signer(8).address())
        );
        let caller = keys.authenticate(&issued.api_key).await.unwrap();
        assert_eq!(caller.address, address);
    }

    #[tokio::test]
    async fn every_typing_error_is_refused_without_a_read() {
        let issuing = keys(store(Arc::default()), clock());
        let key = issuing
            .issue_default(WalletAddress::new([0xab; 20]))
            .await
            .unwrap()
            .api_key;
        let mut unread = MockApiKeyStore::new();
        unread.expect_find().never();
        let keys = keys(unread, clock());
        for position in 3..key.len() {
            let mut bytes = key.clone().into_bytes();
            bytes[position] = if bytes[position] == b'0' { b'1' } else { b'0' };
            let typo = String::from_utf8(bytes).unwrap();
            assert!(
                matches!(keys.authenticate(&typo).await, Err(AuthError::Invalid)),
                "{typo}"
            );
        }
        for text in [
            "",
            "sk-",
            "null",
            &key[..key.len() - 1],
            &format!("{key}0"),
            &key.replace('.', ":"),
        ] {
            assert!(
                matches!(keys.authenticate(text).await, Err(AuthError::Invalid)),
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn a_key_signed_by_another_service_is_refused() {
        let row = Arc::default();
        let theirs = {
            let mut random = MockRandom::new();
            random.expect_bytes16().returning(|| [3; 16]);
            ApiKeys::new(
                Arc::new(store(Arc::clone(&row))),
                signer(9),
                clock(),
                Arc::new(random),
            )
        };
        let key = theirs
            .issue_default(WalletAddress::new([1; 20]))
            .await
            .unwrap()
            .api_key;
        assert!(keys(store(row), clock()).authenticate(&key).await.is_err());
    }

    #[tokio::test]
    async fn a_disabled_key_is_refused_on_the_next_request_although_it_was_cached() {
        let keys = keys(store(Arc::default()), clock());
        let address = WalletAddress::new([1; 20]);
        let key = keys.issue_default(address).await.unwrap().api_key;
        keys.authenticate(&key).await.unwrap();
        assert!(keys.disable_default(address).await.unwrap());
        assert!(keys.authenticate(&key).await.is_err());
        assert!(!keys.disable_default(address).await.unwrap());
    }

    #[tokio::test]
    async fn an_expired_key_is_refused_although_it_was_cached() {
        let clock = clock();
        let keys = keys(store(Arc::default()), clock.clone());
        let expires_at = Some(clock.now().plus(Duration::from_secs(10)));
        let spec = KeySpec {
            name: "short".into(),
            expires_at,
            ..KeySpec::default()
        };
        let key = keys
            .issue(WalletAddress::new([1; 20]), spec)
            .await
            .unwrap()
            .api_key;
        clock.advance(Duration::from_secs(9));
        keys.authenticate(&key).await.unwrap();
        clock.advance(Duration::from_secs(1));
        assert!(keys.authenticate(&key).await.is_err());
    }

    #[tokio::test]
    async fn bad_names_and_past_expiries_make_no_key() {
        let clock = clock();
        let keys = keys(store(Arc::default()), clock.clone());
        for name in ["", "  ", "a\nb", &"x".repeat(65)] {
            let spec = KeySpec {
                name: name.into(),
                ..KeySpec::default()
            };
            assert!(matches!(
                keys.issue(WalletAddress::new([1; 20]), spec).await,
                Err(IssueKeyError::Name)
            ));
        }
        let spec = KeySpec {
            name: "x".into(),
            expires_at: Some(clock.now()),
            ..KeySpec::default()
        };
        assert!(matches!(
            keys.issue(WalletAddress::new([1; 20]), spec).await,
            Err(IssueKeyError::Expiry)
        ));
    }
}
