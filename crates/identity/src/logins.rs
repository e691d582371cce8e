//! Use cases: log in with a signed challenge, and everything a session is good for.

use crate::{
    Credential, Principal,
    challenge::MessageDigest,
    ports::{ChallengeStore, ContractWallets, SessionStore, WalletCheckError},
    session::{Account, Session, SessionId},
    signature::{WalletSignature, personal_digest},
    token::{TOKEN_LIFE, TokenError, Tokens},
};
use haithe_kernel::{Clock, Failure, Kind, Random, StoreError, Timestamp, WalletAddress};
use moka::sync::Cache;
use sha2::{Digest, Sha256};
use std::{net::IpAddr, sync::Arc, time::Duration};

/// How often a session's last use is written.
const TOUCH_EVERY: Duration = Duration::from_secs(60);
/// Verified sessions kept in memory.
const CACHED_SESSIONS: u64 = 50_000;
/// Longest `User-Agent` kept.
const USER_AGENT_CHARS: usize = 256;

/// A login attempt, parsed.
#[derive(Debug, Clone)]
pub struct LoginRequest {
    /// Whose challenge: the address, or the signed text itself.
    pub claim: LoginClaim,
    /// The signature.
    pub signature: WalletSignature,
    /// Where from.
    pub ip: Option<IpAddr>,
    /// The client.
    pub user_agent: Option<String>,
}

/// What a login names.
#[derive(Debug, Clone)]
pub enum LoginClaim {
    /// Any live challenge of this address.
    Address(WalletAddress),
    /// The challenge with exactly this text, of this address.
    Message {
        /// The address written in the message.
        address: WalletAddress,
        /// The text that was signed.
        message: String,
    },
}

impl LoginClaim {
    /// Reads the address out of an EIP-4361 text (its second line).
    pub fn from_message(message: String) -> Option<Self> {
        let address = message.lines().nth(1)?.parse().ok()?;
        Some(Self::Message { address, message })
    }

    const fn address(&self) -> WalletAddress {
        match self {
            Self::Address(address) | Self::Message { address, .. } => *address,
        }
    }
}

/// Why a login failed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// No live challenge fits the signature: it is wrong, expired, used, or another wallet's.
    /// Deliberately one answer.
    #[error(
        "the signature matches no live challenge of this address; request a new nonce and sign it exactly as given"
    )]
    Refused,
    /// A smart wallet's signature could not be checked.
    #[error(transparent)]
    Wallet(#[from] WalletCheckError),
    /// A token could not be signed.
    #[error("the session could not be opened")]
    Token(#[from] TokenError),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure for LoginError {
    fn kind(&self) -> Kind {
        match self {
            Self::Refused => Kind::Unauthenticated,
            Self::Wallet(error) => error.kind(),
            Self::Token(_) => Kind::Internal,
            Self::Store(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Refused => "login_refused",
            Self::Wallet(error) => error.code(),
            Self::Token(_) => "internal",
            Self::Store(error) => error.code(),
        }
    }
}

/// A fresh session.
#[derive(Debug, Clone)]
pub struct LoggedIn {
    /// The wallet.
    pub address: WalletAddress,
    /// Its token; shown once.
    pub token: String,
}

/// Turns signed challenges into sessions.
pub struct Logins {
    challenges: Arc<dyn ChallengeStore>,
    sessions: Arc<dyn SessionStore>,
    wallets: Option<Arc<dyn ContractWallets>>,
    tokens: Arc<Tokens>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Logins {
    /// Composes the use case; without `wallets` only plain wallets (EOA) can log in.
    pub fn new(
        challenges: Arc<dyn ChallengeStore>,
        sessions: Arc<dyn SessionStore>,
        wallets: Option<Arc<dyn ContractWallets>>,
        tokens: Arc<Tokens>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            challenges,
            sessions,
            wallets,
            tokens,
            clock,
            random,
        }
    }

    /// Checks the signature, uses the challenge up and opens a session.
    ///
    /// # Errors
    /// [`LoginError::Refused`] unless the signature covers a live challenge of the address; of
    /// concurrent attempts on one challenge exactly one succeeds.
    pub async fn log_in(&self, request: LoginRequest) -> Result<LoggedIn, LoginError> {
        let now = self.clock.now();
        let address = request.claim.address();
        let candidates = match &request.claim {
            LoginClaim::Address(address) => self.challenges.live(*address, now).await?,
            LoginClaim::Message { message, .. } => vec![personal_digest(message.as_bytes())],
        };
        let digest = self
            .signed(address, &candidates, &request.signature)
            .await?
            .ok_or(LoginError::Refused)?;
        if !self.challenges.take(address, digest, now).await? {
            return Err(LoginError::Refused);
        }
        let jti = hex::encode(self.random.bytes16());
        let token = self.tokens.sign(address, &jti, now)?;
        self.sessions
            .open(Session {
                id: session_id(&jti),
                address,
                ip: request.ip,
                user_agent: request
                    .user_agent
                    .map(|agent| agent.chars().take(USER_AGENT_CHARS).collect()),
                created_at: now,
                last_seen_at: now,
                expires_at: now.plus(TOKEN_LIFE),
            })
            .await?;
        Ok(LoggedIn { address, token })
    }

    /// The first candidate that the wallet signed. Plain recovery first: it needs no chain.
    async fn signed(
        &self,
        address: WalletAddress,
        candidates: &[MessageDigest],
        signature: &WalletSignature,
    ) -> Result<Option<MessageDigest>, LoginError> {
        let recovered = candidates
            .iter()
            .find(|digest| signature.recover(**digest) == Ok(address));
        if let Some(digest) = recovered {
            return Ok(Some(*digest));
        }
        let Some(wallets) = &self.wallets else {
            return Ok(None);
        };
        for digest in candidates {
            if wallets
                .accepts(address, *digest, signature.as_bytes().to_vec())
                .await?
            {
                return Ok(Some(*digest));
            }
        }
        Ok(None)
    }
}

/// The name of the session behind a token's `jti`.
fn session_id(jti: &str) -> SessionId {
    SessionId(Sha256::digest(jti.as_bytes()).into())
}

/// Why a credential is not accepted. One answer for every reason.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// No credential where one is needed.
    #[error("authentication is required: send `Authorization: Bearer <token>`")]
    Missing,
    /// Malformed, expired, revoked or forged.
    #[error(
        "the credential is not valid: it is malformed, expired or revoked; log in again or create a new key"
    )]
    Invalid,
    /// An API key where only a session will do.
    #[error("API keys work under /api/v1beta only; log in with a wallet for this")]
    KeyNotAccepted,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure for AuthError {
    fn kind(&self) -> Kind {
        match self {
            Self::Missing | Self::Invalid => Kind::Unauthenticated,
            Self::KeyNotAccepted => Kind::Forbidden,
            Self::Store(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Missing => "authentication_required",
            Self::Invalid => "invalid_api_key",
            Self::KeyNotAccepted => "session_required",
            Self::Store(error) => error.code(),
        }
    }
}

/// Recognises, lists and revokes sessions.
pub struct Sessions {
    store: Arc<dyn SessionStore>,
    tokens: Arc<Tokens>,
    clock: Arc<dyn Clock>,
    /// Live sessions and when their use was last written. Evicted on revocation.
    live: Cache<SessionId, Timestamp>,
}

impl Sessions {
    /// Composes the use case.
    pub fn new(store: Arc<dyn SessionStore>, tokens: Arc<Tokens>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            tokens,
            clock,
            live: Cache::new(CACHED_SESSIONS),
        }
    }

    /// The caller behind a session token.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] for whatever is not a live session's token.
    pub async fn authenticate(&self, token: &str) -> Result<Principal, AuthError> {
        let now = self.clock.now();
        let facts = self.tokens.verify(token, now).ok_or(AuthError::Invalid)?;
        let id = session_id(&facts.jti);
        let written = match self.live.get(&id) {
            Some(written) => written,
            None => {
                let session = self.store.find(id, now).await?.ok_or(AuthError::Invalid)?;
                if session.address != facts.address {
                    return Err(AuthError::Invalid);
                }
                self.live.insert(id, session.last_seen_at);
                // A revocation between the read and the insert must win.
                if self.store.find(id, now).await?.is_none() {
                    self.live.invalidate(&id);
                    return Err(AuthError::Invalid);
                }
                session.last_seen_at
            }
        };
        if now.since(written) >= TOUCH_EVERY {
            self.store.touch(id, now).await?;
            if self.live.contains_key(&id) {
                self.live.insert(id, now);
            }
        }
        Ok(Principal {
            address: facts.address,
            credential: Credential::Session(id),
        })
    }

    /// Ends one session of the wallet; says whether there was one.
    ///
    /// # Errors
    /// The store's.
    pub async fn revoke(&self, address: WalletAddress, id: SessionId) -> Result<bool, StoreError> {
        let revoked = self.store.revoke(address, id).await?;
        self.live.invalidate(&id);
        Ok(revoked)
    }

    /// Ends every session of the wallet; says how many there were.
    ///
    /// # Errors
    /// The store's.
    pub async fn revoke_all(&self, address: WalletAddress) -> Result<usize, StoreError> {
        let revoked = self.store.revoke_all(address).await?;
        for id in &revoked {
            self.live.invalidate(id);
        }
        Ok(revoked.len())
    }

    /// The wallet's live sessions, newest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(&self, address: WalletAddress) -> Result<Vec<Session>, StoreError> {
        self.store.list(address, self.clock.now()).await
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
    use crate::{
        ports::{MockChallengeStore, MockContractWallets, MockSessionStore},
        signature::MessageSigner,
    };
    use haithe_kernel::{FixedClock, MockRandom};
    use secrecy::SecretString;
    use std::sync::atomic::{AtomicBool, Ordering};

    const TEXT: &str = "some text";

    fn signer(byte: u8) -> MessageSigner {
        MessageSigner::from_hex(&SecretString::from(hex::encode([byte; 32]))).unwrap()
    }

    fn signature(signer: &MessageSigner, text: &str) -> WalletSignature {
        hex::encode(signer.sign(text.as_bytes()).unwrap())
            .parse()
            .unwrap()
    }

    fn tokens() -> Arc<Tokens> {
        Arc::new(Tokens::new(&SecretString::from("0123456789abcdef0123456789abcdef")).unwrap())
    }

    fn clock() -> Arc<FixedClock> {
        Arc::new(FixedClock::at(Timestamp::from_seconds(1_700_000_000)))
    }

    fn logins(
        challenges: MockChallengeStore,
        sessions: MockSessionStore,
        wallets: Option<MockContractWallets>,
    ) -> Logins {
        let mut random = MockRandom::new();
        random.expect_bytes16().returning(|| [9; 16]);
        let wallets = wallets.map(|wallets| Arc::new(wallets) as Arc<dyn ContractWallets>);
        Logins::new(
            Arc::new(challenges),
            Arc::new(sessions),
            wallets,
            tokens(),
            clock(),
            Arc::new(random),
        )
    }

    fn request(claim: LoginClaim, signature: WalletSignature) -> LoginRequest {
        LoginRequest {
            claim,
            signature,
            ip: None,
            user_agent: None,
        }
    }

    #[tokio::test]
    async fn a_signed_challenge_is_used_up_and_opens_a_session_whose_token_is_accepted() {
        let wallet = signer(1);
        let mut challenges = MockChallengeStore::new();
        challenges
            .expect_live()
            .returning(|_, _| Ok(vec![personal_digest(b"older"), personal_digest(TEXT.as_bytes())]));
        challenges
            .expect_take()
            .withf(|_, digest, _| *digest == personal_digest(TEXT.as_bytes()))
            .once()
            .returning(|_, _, _| Ok(true));
        let mut sessions = MockSessionStore::new();
        let (opened, session) = std::sync::mpsc::channel();
        sessions.expect_open().once().returning(move |session| {
            opened.send(session).unwrap();
            Ok(())
        });
        let claim = LoginClaim::Address(wallet.address());
        let login = logins(challenges, sessions, None)
            .log_in(request(claim, signature(&wallet, TEXT)))
            .await
            .unwrap();
        let facts = tokens()
            .verify(&login.token, Timestamp::from_seconds(1_700_000_000))
            .unwrap();
        assert_eq!(facts.address, wallet.address());
        assert_eq!(session.recv().unwrap().id, session_id(&facts.jti));
    }

    #[tokio::test]
    async fn wrong_foreign_and_used_signatures_open_nothing() {
        let wallet = signer(1);
        for (signed_by, text, live) in [(1, "other text", true), (2, TEXT, true), (1, TEXT, false)] {
            let mut challenges = MockChallengeStore::new();
            challenges
                .expect_live()
                .returning(|_, _| Ok(vec![personal_digest(TEXT.as_bytes())]));
            challenges.expect_take().returning(move |_, _, _| Ok(live));
            let mut sessions = MockSessionStore::new();
            sessions.expect_open().never();
            let claim = LoginClaim::Address(wallet.address());
            let attempt = request(claim, signature(&signer(signed_by), text));
            let refused = logins(challenges, sessions, None)
                .log_in(attempt)
                .await
                .unwrap_err();
            assert!(matches!(refused, LoginError::Refused));
        }
    }

    #[tokio::test]
    async fn a_plain_wallet_never_asks_the_chain_and_a_smart_one_does() {
        let wallet = signer(1);
        let live = |challenges: &mut MockChallengeStore| {
            challenges
                .expect_live()
                .returning(|_, _| Ok(vec![personal_digest(TEXT.as_bytes())]));
            challenges.expect_take().returning(|_, _, _| Ok(true));
        };
        let sessions = || {
            let mut sessions = MockSessionStore::new();
            sessions.expect_open().returning(|_| Ok(()));
            sessions
        };
        let mut challenges = MockChallengeStore::new();
        live(&mut challenges);
        let mut unasked = MockContractWallets::new();
        unasked.expect_accepts().never();
        let plain = request(LoginClaim::Address(wallet.address()), signature(&wallet, TEXT));
        logins(challenges, sessions(), Some(unasked))
            .log_in(plain)
            .await
            .unwrap();

        let contract = WalletAddress::new([5; 20]);
        let mut challenges = MockChallengeStore::new();
        live(&mut challenges);
        let mut asked = MockContractWallets::new();
        asked
            .expect_accepts()
            .withf(move |address, _, _| *address == contract)
            .once()
            .returning(|_, _, _| Ok(true));
        let smart = request(LoginClaim::Address(contract), signature(&wallet, TEXT));
        let login = logins(challenges, sessions(), Some(asked))
            .log_in(smart)
            .await
            .unwrap();
        assert_eq!(login.address, contract);
    }

    #[test]
    fn the_address_of_a_message_claim_is_its_second_line() {
        let address = signer(1).address();
        let text = format!(
            "x wants you to sign in with your Ethereum account:\n{}\n\n...",
            address.checksummed()
        );
        assert_eq!(LoginClaim::from_message(text).unwrap().address(), address);
        assert!(LoginClaim::from_message("nonsense".into()).is_none());
    }

    #[tokio::test]
    async fn a_revoked_session_is_refused_on_the_next_request_although_it_was_cached() {
        let live = Arc::new(AtomicBool::new(true));
        let address = WalletAddress::new([1; 20]);
        let token = tokens()
            .sign(address, "a", Timestamp::from_seconds(1_700_000_000))
            .unwrap();
        let mut store = MockSessionStore::new();
        let seen = live.clone();
        store.expect_find().returning(move |id, now| {
            Ok(seen.load(Ordering::SeqCst).then(|| Session {
                id,
                address,
                ip: None,
                user_agent: None,
                created_at: now,
                last_seen_at: now,
                expires_at: now.plus(TOKEN_LIFE),
            }))
        });
        let revoked = live.clone();
        store
            .expect_revoke()
            .returning(move |_, _| Ok(revoked.swap(false, Ordering::SeqCst)));
        let sessions = Sessions::new(Arc::new(store), tokens(), clock());
        let principal = sessions.authenticate(&token).await.unwrap();
        sessions.authenticate(&token).await.unwrap();
        let Credential::Session(id) = principal.credential else {
            panic!("a session")
        };
        assert!(sessions.revoke(address, id).await.unwrap());
        assert!(matches!(
            sessions.authenticate(&token).await,
            Err(AuthError::Invalid)
        ));
    }
}
