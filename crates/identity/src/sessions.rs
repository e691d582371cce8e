//! Use case: recognise, list and revoke sessions.

use crate::{
    Credential, Principal,
    authenticator::AuthError,
    memory::{LOOK_EVERY, Memory},
    ports::SessionStore,
    session::{Account, Session, SessionId},
    token::Tokens,
};
use haithe_kernel::{Clock, Listed, MonotonicTime, Page, StoreError, Timestamp, WalletAddress};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Verified sessions kept in memory.
const REMEMBERED: u64 = 50_000;

/// The name of the session behind a token's `jti`.
pub(crate) fn session_id(jti: &str) -> SessionId {
    SessionId(Sha256::digest(jti.as_bytes()).into())
}

/// Recognises, lists and revokes sessions.
pub struct Sessions {
    store: Arc<dyn SessionStore>,
    tokens: Arc<Tokens>,
    clock: Arc<dyn Clock>,
    /// Live sessions: whose each is, and when its use was last written.
    live: Memory<(WalletAddress, MonotonicTime)>,
}

impl Sessions {
    /// Composes the use case.
    pub fn new(store: Arc<dyn SessionStore>, tokens: Arc<Tokens>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            tokens,
            clock,
            live: Memory::of(REMEMBERED),
        }
    }

    /// The caller behind a session token.
    ///
    /// # Errors
    /// [`AuthError::InvalidToken`] for whatever is not a live session's token.
    pub async fn authenticate(&self, token: &str) -> Result<Principal, AuthError> {
        let now = self.clock.now();
        let facts = self.tokens.verify(token, now).ok_or(AuthError::InvalidToken)?;
        let id = session_id(&facts.jti);
        let stamp = self.live.stamp(id.0);
        let known = self.live.get(id.0);
        let passed = |read| self.clock.monotonic().since(read);
        let recent = known.filter(|(_, read)| passed(*read) < LOOK_EVERY);
        let address = match recent {
            Some((address, _)) => address,
            None => self.look_up(id, stamp, now).await?,
        };
        // A session's token names the session's own wallet.
        if address != facts.address {
            return Err(AuthError::InvalidToken);
        }
        Ok(Principal {
            address: facts.address,
            credential: Credential::Session(id),
        })
    }

    async fn look_up(&self, id: SessionId, stamp: u64, now: Timestamp) -> Result<WalletAddress, AuthError> {
        let session = self.store.find(id, now).await?.ok_or(AuthError::InvalidToken)?;
        let mut seen = session.last_seen_at;
        if now.since(seen) >= LOOK_EVERY {
            self.store.touch(id, now).await?;
            seen = now;
        }
        let read = self.clock.monotonic().minus(now.since(seen));
        self.live.put(id.0, stamp, (session.address, read));
        Ok(session.address)
    }

    /// Ends one session of the wallet; says whether there was one.
    ///
    /// # Errors
    /// The store's.
    pub async fn revoke(&self, address: WalletAddress, id: SessionId) -> Result<bool, StoreError> {
        let revoked = self.store.revoke(address, id).await?;
        self.live.forget(id.0);
        Ok(revoked)
    }

    /// Ends every session of the wallet, but `kept`; says how many there were.
    ///
    /// # Errors
    /// The store's.
    pub async fn revoke_all(
        &self,
        address: WalletAddress,
        kept: Option<SessionId>,
    ) -> Result<usize, StoreError> {
        let revoked = self.store.revoke_all(address, kept).await?;
        for id in &revoked {
            self.live.forget(id.0);
        }
        Ok(revoked.len())
    }

    /// The wallet's live sessions, newest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(&self, address: WalletAddress, page: Page) -> Result<Listed<Session>, StoreError> {
        self.store.list(address, self.clock.now(), page).await
    }

    /// The wallet's account.
    ///
    /// # Errors
    /// The store's.
    pub async fn account(&self, address: WalletAddress) -> Result<Option<Account>, StoreError> {
        self.store.account(address).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ports::MockSessionStore, token::TOKEN_LIFE};
    use haithe_kernel::FixedClock;
    use secrecy::SecretString;
    use std::{
        sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
        time::Duration,
    };

    const WALLET: WalletAddress = WalletAddress::new([1; 20]);

    fn tokens() -> Arc<Tokens> {
        Arc::new(Tokens::new(&SecretString::from("0123456789abcdef0123456789abcdef")).unwrap())
    }

    fn clock() -> Arc<FixedClock> {
        Arc::new(FixedClock::at(Timestamp::from_seconds(1_700_000_000)))
    }

    fn token() -> String {
        tokens().sign(WALLET, "a", clock().now()).unwrap()
    }

    fn session(id: SessionId, at: Timestamp) -> Session {
        Session {
            id,
            address: WALLET,
            ip: None,
            user_agent: None,
            created_at: at,
            last_seen_at: at,
            expires_at: at.plus(TOKEN_LIFE),
        }
    }

    /// A store with one session while `live`.
    fn store(live: &Arc<AtomicBool>) -> MockSessionStore {
        let mut store = MockSessionStore::new();
        let seen = live.clone();
        store
            .expect_find()
            .returning(move |id, now| Ok(seen.load(Ordering::SeqCst).then(|| session(id, now))));
        let one = live.clone();
        store
            .expect_revoke()
            .returning(move |_, _| Ok(one.swap(false, Ordering::SeqCst)));
        let all = live.clone();
        store.expect_revoke_all().returning(move |_, _| {
            let was = all.swap(false, Ordering::SeqCst);
            Ok(was.then(|| session_id("a")).into_iter().collect())
        });
        store
    }

    #[tokio::test]
    async fn a_revoked_session_is_refused_on_the_next_request_although_it_was_remembered() {
        for all in [false, true] {
            let live = Arc::new(AtomicBool::new(true));
            let sessions = Sessions::new(Arc::new(store(&live)), tokens(), clock());
            sessions.authenticate(&token()).await.unwrap();
            sessions.authenticate(&token()).await.unwrap();
            if all {
                assert_eq!(sessions.revoke_all(WALLET, None).await.unwrap(), 1);
            } else {
                assert!(sessions.revoke(WALLET, session_id("a")).await.unwrap());
            }
            let refused = sessions.authenticate(&token()).await;
            assert!(matches!(refused, Err(AuthError::InvalidToken)));
        }
    }

    #[tokio::test]
    async fn a_session_that_is_remembered_costs_one_read_and_one_write_a_minute() {
        let reads = Arc::new(AtomicUsize::new(0));
        let writes = Arc::new(AtomicUsize::new(0));
        let seen = Arc::new(AtomicI64::new(clock().now().micros()));
        let mut store = MockSessionStore::new();
        let (read, last) = (reads.clone(), seen.clone());
        store.expect_find().returning(move |id, _| {
            read.fetch_add(1, Ordering::SeqCst);
            let at = Timestamp::from_micros(last.load(Ordering::SeqCst));
            Ok(Some(session(id, at)))
        });
        let written = writes.clone();
        store.expect_touch().returning(move |_, at| {
            written.fetch_add(1, Ordering::SeqCst);
            seen.store(at.micros(), Ordering::SeqCst);
            Ok(())
        });
        let clock = clock();
        let sessions = Sessions::new(Arc::new(store), tokens(), clock.clone());
        for _ in 0..6 {
            sessions.authenticate(&token()).await.unwrap();
            sessions.authenticate(&token()).await.unwrap();
            clock.advance(Duration::from_secs(30));
        }
        let made = (reads.load(Ordering::SeqCst), writes.load(Ordering::SeqCst));
        assert_eq!(made, (3, 2), "at 0, 60 and 120 seconds");
    }

    #[tokio::test]
    async fn a_token_of_another_wallet_opens_nobodys_session() {
        let live = Arc::new(AtomicBool::new(true));
        let sessions = Sessions::new(Arc::new(store(&live)), tokens(), clock());
        let stolen = tokens()
            .sign(WalletAddress::new([2; 20]), "a", clock().now())
            .unwrap();
        for _ in 0..2 {
            let refused = sessions.authenticate(&stolen).await;
            assert!(
                matches!(refused, Err(AuthError::InvalidToken)),
                "remembered or not"
            );
            sessions.authenticate(&token()).await.unwrap();
        }
    }
}
