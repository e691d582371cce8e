//! Use case: ask a wallet to prove itself.

use crate::{
    challenge::StoredChallenge,
    ports::ChallengeStore,
    signature::personal_digest,
    siwe::{STATEMENT, Site, SiweMessage},
};
use haithe_kernel::{Clock, Failure, Kind, Random, StoreError, Timestamp, WalletAddress};
use std::{net::IpAddr, sync::Arc, time::Duration};

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
}

/// Issues challenges. The first site is the one for clients that send no `Origin`.
pub struct Challenges {
    store: Arc<dyn ChallengeStore>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    default_site: Site,
    other_sites: Vec<Site>,
    chain_id: u64,
}

impl Challenges {
    /// Composes the use case. Challenges name `chain_id` (EIP-155).
    pub fn new(
        store: Arc<dyn ChallengeStore>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        default_site: Site,
        other_sites: Vec<Site>,
        chain_id: u64,
    ) -> Self {
        Self {
            store,
            clock,
            random,
            default_site,
            other_sites,
            chain_id,
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
        ip: Option<IpAddr>,
    ) -> Result<IssuedChallenge, ChallengeError> {
        let site = self.site(origin)?;
        let now = whole_seconds(self.clock.now());
        let siwe = SiweMessage {
            domain: site.domain.clone(),
            address,
            statement: STATEMENT,
            uri: site.uri.to_string(),
            version: "1",
            chain_id: self.chain_id,
            nonce: hex::encode(self.random.bytes16()),
            issued_at: now,
            expiration_time: now.plus(CHALLENGE_LIFE),
        };
        let text = siwe.text();
        self.store
            .put(StoredChallenge {
                address,
                digest: personal_digest(text.as_bytes()),
                ip,
                issued_at: now,
                expires_at: siwe.expiration_time,
            })
            .await?;
        Ok(IssuedChallenge { text, siwe })
    }

    fn site(&self, origin: Option<&str>) -> Result<&Site, ChallengeError> {
        let Some(origin) = origin else {
            return Ok(&self.default_site);
        };
        std::iter::once(&self.default_site)
            .chain(&self.other_sites)
            .find(|site| site.origin == origin)
            .ok_or(ChallengeError::ForeignSite)
    }
}

/// The text shows whole seconds; so does everything derived from it.
fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_seconds(at.seconds())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::ports::MockChallengeStore;
    use haithe_kernel::{FixedClock, MockRandom};

    pub(crate) fn site(origin: &str) -> Site {
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
            site("https://one.example"),
            vec![site("https://two.example")],
            137,
        )
    }

    #[tokio::test]
    async fn the_origin_chooses_the_site_and_the_stored_digest_is_that_of_the_text() {
        let mut store = MockChallengeStore::new();
        let (seen, put) = std::sync::mpsc::channel();
        store.expect_put().returning(move |challenge| {
            seen.send(challenge).unwrap();
            Ok(())
        });
        let address = WalletAddress::new([1; 20]);
        let issued = challenges(store)
            .issue(address, Some("https://two.example"), None)
            .await
            .unwrap();
        let stored = put.recv().unwrap();
        assert!(issued.text.starts_with("two.example wants you"));
        assert_eq!(stored.digest, personal_digest(issued.text.as_bytes()));
        assert_eq!(stored.expires_at.since(stored.issued_at), CHALLENGE_LIFE);
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
