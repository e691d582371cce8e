//! Use case: make, recognise, change, rotate and revoke API keys.

mod error;
#[cfg(test)]
mod tests;
mod text;

pub use error::KeyError;
pub use text::is_ours;

use crate::{
    Credential, Principal,
    api_key::{ApiKey, ApiKeyId, KeyBudget, KeyChange, KeyFilter, KeyHash, KeyScope, KeySecret, NewApiKey},
    authenticator::AuthError,
    memory::{LOOK_EVERY, Memory},
    ports::ApiKeyStore,
    signature::MessageSigner,
};
use haithe_kernel::{Clock, Listed, MonotonicTime, Page, Random, StoreError, Timestamp, WalletAddress};
use std::sync::Arc;
use text::{KeyText, hash_of};

/// Verified keys kept in memory.
const REMEMBERED: u64 = 50_000;
/// Longest name of a key, in characters.
const NAME_CHARS: usize = 64;

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

/// Makes, recognises and revokes API keys.
pub struct ApiKeys {
    store: Arc<dyn ApiKeyStore>,
    signer: MessageSigner,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// Verified keys by hash, and when their use was last written.
    known: Memory<(Arc<ApiKey>, MonotonicTime)>,
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
            known: Memory::of(REMEMBERED),
        }
    }

    /// Makes the wallet's default key, which covers its projects with context headers. `budget` is what
    /// the wallet's organizations let a new key spend.
    ///
    /// # Errors
    /// [`KeyError::Create`] while one is live.
    pub async fn issue_default(
        &self,
        address: WalletAddress,
        budget: Option<KeyBudget>,
    ) -> Result<IssuedKey, KeyError> {
        let spec = KeySpec {
            name: "default".into(),
            budget,
            ..KeySpec::default()
        };
        self.issue_as(address, spec, true).await
    }

    /// Makes a further key. Whether the wallet may use the scope is the caller's question to `orgs`.
    ///
    /// # Errors
    /// [`KeyError`] for a bad name, expiry, scope or rate.
    pub async fn issue(&self, address: WalletAddress, spec: KeySpec) -> Result<IssuedKey, KeyError> {
        self.issue_as(address, spec, false).await
    }

    async fn issue_as(
        &self,
        address: WalletAddress,
        spec: KeySpec,
        is_default: bool,
    ) -> Result<IssuedKey, KeyError> {
        let now = self.clock.now();
        let name = name(&spec.name)?;
        future(spec.expires_at, now)?;
        positive(spec.requests_per_minute)?;
        positive(spec.tokens_per_minute)?;
        let scope = &spec.scope;
        if scope.models.as_ref().is_some_and(Vec::is_empty)
            || scope.routes.as_ref().is_some_and(Vec::is_empty)
        {
            return Err(KeyError::EmptyScope);
        }
        let text = KeyText::sign(address, now, self.random.bytes16(), &self.signer)?;
        let row = self
            .store
            .create(NewApiKey {
                address,
                nonce: text.nonce,
                hash: hash_of(&text.api_key),
                name,
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
            api_key: text.api_key,
            message: text.message,
            row,
        })
    }

    /// The caller behind a key. The signature inside is checked before the store is asked, so that
    /// guesses cost no read.
    ///
    /// # Errors
    /// [`AuthError::InvalidKey`] for whatever is not a live key.
    pub async fn authenticate(&self, api_key: &str) -> Result<Principal, AuthError> {
        let now = self.clock.now();
        let hash = hash_of(api_key);
        let stamp = self.known.stamp(hash.0);
        let passed = |read| self.clock.monotonic().since(read);
        let recent = |(_, read): &(Arc<ApiKey>, MonotonicTime)| passed(*read) < LOOK_EVERY;
        let key = match self.known.get(hash.0) {
            Some(known) if recent(&known) => known.0,
            known => {
                if known.is_none() && !is_ours(api_key, self.signer.address()) {
                    return Err(AuthError::InvalidKey);
                }
                self.look_up(hash, stamp, now).await?
            }
        };
        if !key.is_live(now) {
            return Err(AuthError::InvalidKey);
        }
        Ok(Principal {
            address: key.address,
            credential: Credential::ApiKey(key),
        })
    }

    async fn look_up(&self, hash: KeyHash, stamp: u64, now: Timestamp) -> Result<Arc<ApiKey>, AuthError> {
        let key = self.store.find(hash).await?.ok_or(AuthError::InvalidKey)?;
        if !key.is_live(now) {
            return Err(AuthError::InvalidKey);
        }
        let seen = match key.last_used_at {
            Some(seen) if now.since(seen) < LOOK_EVERY => seen,
            _ => {
                self.store.touch(key.id, now).await?;
                now
            }
        };
        let key = Arc::new(key);
        let read = self.clock.monotonic().minus(now.since(seen));
        self.known.put(hash.0, stamp, (key.clone(), read));
        Ok(key)
    }

    /// One key of the wallet, revoked or not.
    ///
    /// # Errors
    /// [`KeyError::NotFound`] for another wallet's key as for none.
    pub async fn get(&self, address: WalletAddress, id: ApiKeyId) -> Result<ApiKey, KeyError> {
        self.store.get(address, id).await?.ok_or(KeyError::NotFound)
    }

    /// The wallet's keys, newest first: all, or only those that are (or are not) live now; and only
    /// those with this text in their name.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(
        &self,
        address: WalletAddress,
        live: Option<bool>,
        text: Option<String>,
        page: Page,
    ) -> Result<Listed<ApiKey>, StoreError> {
        let now = self.clock.now();
        let filter = KeyFilter {
            live: live.map(|live| (live, now)),
            text,
        };
        self.store.list(address, filter, page).await
    }

    /// Changes a live key's name, expiry, budget or rates, from the next request on.
    ///
    /// # Errors
    /// [`KeyError`] for bad values, a key that is not there, and one that is not live.
    pub async fn change(
        &self,
        address: WalletAddress,
        id: ApiKeyId,
        mut change: KeyChange,
    ) -> Result<ApiKey, KeyError> {
        let now = self.clock.now();
        if change.is_empty() {
            return Err(KeyError::NoChange);
        }
        change.name = change.name.as_deref().map(name).transpose()?;
        future(change.expires_at.flatten(), now)?;
        positive(change.requests_per_minute.flatten())?;
        positive(change.tokens_per_minute.flatten())?;
        let Some(changed) = self.store.change(address, id, change, now).await? else {
            return Err(self.not_live(address, id).await);
        };
        self.known.forget(changed.hash.0);
        Ok(changed)
    }

    /// Gives a live key a new secret. Authority, budget and its accounting stay; the old secret is
    /// dead on the next request. The default key rotates like any other and stays the default key.
    ///
    /// # Errors
    /// [`KeyError`] for a key that is not there, and one that is not live.
    pub async fn rotate(&self, address: WalletAddress, id: ApiKeyId) -> Result<IssuedKey, KeyError> {
        let now = self.clock.now();
        let text = KeyText::sign(address, now, self.random.bytes16(), &self.signer)?;
        let secret = KeySecret {
            nonce: text.nonce,
            hash: hash_of(&text.api_key),
            issued_at: Timestamp::from_seconds(now.seconds()),
        };
        let Some(rotated) = self.store.rotate(address, id, secret, now).await? else {
            return Err(self.not_live(address, id).await);
        };
        self.known.forget(rotated.old.0);
        Ok(IssuedKey {
            api_key: text.api_key,
            message: text.message,
            row: rotated.key,
        })
    }

    async fn not_live(&self, address: WalletAddress, id: ApiKeyId) -> KeyError {
        match self.store.get(address, id).await {
            Ok(Some(_)) => KeyError::NotLive,
            Ok(None) => KeyError::NotFound,
            Err(error) => error.into(),
        }
    }

    /// Revokes a key for ever; says whether it was live.
    ///
    /// # Errors
    /// The store's.
    pub async fn revoke(&self, address: WalletAddress, id: ApiKeyId) -> Result<bool, StoreError> {
        let revoked = self.store.revoke(address, id, self.clock.now()).await?;
        Ok(self.forget(revoked).is_some())
    }

    /// Revokes the wallet's default key for ever; gives it when there was a live one.
    ///
    /// # Errors
    /// The store's.
    pub async fn disable_default(&self, address: WalletAddress) -> Result<Option<ApiKeyId>, StoreError> {
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

    fn forget(&self, revoked: Option<ApiKey>) -> Option<ApiKeyId> {
        revoked.map(|key| {
            self.known.forget(key.hash.0);
            key.id
        })
    }
}

fn name(name: &str) -> Result<String, KeyError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > NAME_CHARS || name.chars().any(char::is_control) {
        return Err(KeyError::Name);
    }
    Ok(name.to_owned())
}

fn future(expiry: Option<Timestamp>, now: Timestamp) -> Result<(), KeyError> {
    if expiry.is_some_and(|at| at <= now) {
        return Err(KeyError::Expiry);
    }
    Ok(())
}

fn positive(rate: Option<u32>) -> Result<(), KeyError> {
    if rate == Some(0) {
        return Err(KeyError::Rate);
    }
    Ok(())
}
