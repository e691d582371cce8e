//! Use case: ask a wallet to prove itself.

use crate::{
    challenge::{NonceHash, StoredChallenge},
    ports::ChallengeStore,
    signature::personal_digest,
    siwe::{STATEMENT, SignIn, SiweMessage},
};
use haithe_kernel::{ClientIp, Clock, Failure, Kind, Random, StoreError, Timestamp, WalletAddress};
use std::{sync::Arc, time::Duration};

/// How long a challenge may be signed.
pub const CHALLENGE_LIFE: Duration = Duration::from_secs(5 * 60);

/// Why no challenge was issued.
#[derive(Debug, thiserror::Error)]
pub enum ChallengeError {
    /// The browser's `Origin` is none of the configured sites.
    #[error("this site may not ask people to sign in to Haithe")]
    ForeignSite,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure for ChallengeError {
    fn kind(&self) -> Kind {
        match self {
            Self::ForeignSite => Kind::Forbidden,
            Self::Store(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::ForeignSite => "site_not_allowed",
            Self::Store(error) => error.code(),
        }
    }
}

/// A challenge on its way to the wallet.
#[derive(Debug, Clone)]
pub struct IssuedChallenge {
    /// The exact text to sign.
    pub text: String,
    /// Its parts, for clients that compose the text themselves.
    pub siwe: SiweMessage,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// How many older challenges had to make way: somebody asks for more than can be of use.
    pub evicted: u64,
}

/// Issues challenges.
pub struct Challenges {
    store: Arc<dyn ChallengeStore>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    sign_in: Arc<SignIn>,
}

impl Challenges {
    /// Composes the use case.
    pub fn new(
        store: Arc<dyn ChallengeStore>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        sign_in: Arc<SignIn>,
    ) -> Self {
        Self {
            store,
            clock,
            random,
            sign_in,
        }
    }

    /// Issues a challenge to `address`, shown by the site of `origin`.
    ///
    /// # Errors
    /// [`ChallengeError::ForeignSite`] for an origin that is not configured.
    pub async fn issue(
        &self,
        address: WalletAddress,
        origin: Option<&str>,
        ip: Option<ClientIp>,
    ) -> Result<IssuedChallenge, ChallengeError> {
        let site = self.sign_in.site(origin).ok_or(ChallengeError::ForeignSite)?;
        let now = whole_seconds(self.clock.now());
        let expires_at = now.plus(CHALLENGE_LIFE);
        let siwe = SiweMessage {
            scheme: None,
            domain: site.domain.clone(),
            address,
            statement: Some(STATEMENT.to_owned()),
            uri: site.uri.to_string(),
            chain_id: self.sign_in.chain_id,
            nonce: hex::encode(self.random.bytes16()),
            issued_at: now,
            expiration_time: Some(expires_at),
            not_before: None,
            request_id: None,
            resources: None,
        };
        let text = siwe.text();
        let evicted = self
            .store
            .put(StoredChallenge {
                address,
                digest: personal_digest(text.as_bytes()),
                nonce: NonceHash::of(&siwe.nonce),
                site: site.origin.clone(),
                network: ip.map(ClientIp::network),
                issued_at: now,
                expires_at,
            })
            .await?;
        Ok(IssuedChallenge {
            text,
            siwe,
            expires_at,
            evicted,
        })
    }
}

/// The text shows whole seconds; so does everything derived from it.
fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_seconds(at.seconds())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ports::MockChallengeStore, siwe::Site};
    use haithe_kernel::{FixedClock, MockRandom};

    fn site(origin: &str) -> Site {
        Site {
            domain: origin.trim_start_matches("https://").into(),
            uri: format!("{origin}/login").parse().unwrap(),
            origin: origin.into(),
        }
    }

    fn challenges(store: MockChallengeStore) -> Challenges {
        let mut random = MockRandom::new();
        random.expect_bytes16().returning(|| [7; 16]);
        Challenges::new(
            Arc::new(store),
            Arc::new(FixedClock::at(Timestamp::from_micros(1_700_000_000_123_456))),
            Arc::new(random),
            Arc::new(SignIn {
                first: site("https://one.example"),
                others: vec![site("https://two.example")],
                chain_id: 137,
            }),
        )
    }

    #[tokio::test]
    async fn the_origin_chooses_the_site_and_what_is_stored_is_the_texts() {
        let mut store = MockChallengeStore::new();
        let (seen, put) = std::sync::mpsc::channel();
        store.expect_put().returning(move |challenge| {
            seen.send(challenge).unwrap();
            Ok(2)
        });
        let address = WalletAddress::new([1; 20]);
        let issued = challenges(store)
            .issue(address, Some("https://two.example"), None)
            .await
            .unwrap();
        let stored = put.recv().unwrap();
        assert!(issued.text.starts_with("two.example wants you"));
        assert_eq!(stored.digest, personal_digest(issued.text.as_bytes()));
        assert_eq!(stored.nonce, NonceHash::of(&issued.siwe.nonce));
        assert_eq!(stored.site, "https://two.example");
        assert_eq!(stored.expires_at.since(stored.issued_at), CHALLENGE_LIFE);
        assert_eq!((stored.expires_at, issued.evicted), (issued.expires_at, 2));
        assert_eq!(issued.text.parse(), Ok(issued.siwe), "what we write we read");
        assert_eq!(stored.address, address);
    }

    #[tokio::test]
    async fn a_foreign_site_gets_no_challenge() {
        let mut store = MockChallengeStore::new();
        store.expect_put().never();
        let refused = challenges(store)
            .issue(WalletAddress::new([1; 20]), Some("https://evil.example"), None)
            .await;
        assert_eq!(refused.unwrap_err().code(), "site_not_allowed");
    }
}
