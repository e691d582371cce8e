//! Use case: keep sealed content for creators, by its SHA-256. Nothing else is kept.

use crate::{
    ports::CreatorStore,
    sealing::{SealedContent, SealingError},
};
use async_trait::async_trait;
use haithe_kernel::{Clock, Failure, Kind, StoreError, Timestamp, WalletAddress};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr, sync::Arc, time::Duration};

/// The SHA-256 of sealed content. Prints as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentDigest(pub [u8; 32]);

/// Not a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a SHA-256: 64 hexadecimal digits")]
pub struct DigestError;

impl ContentDigest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for ContentDigest {
    type Err = DigestError;
    fn from_str(text: &str) -> Result<Self, DigestError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| DigestError)?;
        Ok(Self(bytes))
    }
}

/// How much may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostingLimits {
    /// Most bytes of one sealed content.
    pub content_bytes: usize,
    /// Most contents of one wallet.
    pub wallet_contents: u64,
    /// Most bytes of one wallet.
    pub wallet_bytes: u64,
    /// Most bytes of all wallets.
    pub all_bytes: u64,
}

/// Sealed content to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct NewContent {
    pub owner: WalletAddress,
    pub digest: ContentDigest,
    pub bytes: Vec<u8>,
    pub at: Timestamp,
}

/// Why content is not kept.
#[derive(Debug, thiserror::Error)]
pub enum NotHosted {
    /// The wallet sells nothing.
    #[error("this wallet is not registered as a creator; register it with POST /api/v1/creator first")]
    NotACreator,
    /// Larger than allowed.
    #[error("sealed content may have at most {most} bytes")]
    TooLarge {
        /// Bytes allowed.
        most: usize,
    },
    /// Not the sealed form.
    #[error(transparent)]
    Form(#[from] SealingError),
    /// The wallet keeps as many as it may.
    #[error("this wallet keeps {most} contents, which is the most; delete one first")]
    TooMany {
        /// Contents allowed.
        most: u64,
    },
    /// The wallet's contents would take too much.
    #[error("the contents of this wallet would take more than {most} bytes; delete one first")]
    Full {
        /// Bytes allowed.
        most: u64,
    },
    /// There is no room for anybody.
    #[error("there is no room for more content; publish from an address of your own with `#sha256=`")]
    NoRoom,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure for NotHosted {
    fn kind(&self) -> Kind {
        match self {
            Self::NotACreator => Kind::Forbidden,
            Self::TooLarge { .. } => Kind::TooLarge,
            Self::Form(error) => error.kind(),
            Self::TooMany { .. } | Self::Full { .. } => Kind::Conflict,
            Self::NoRoom => Kind::Unavailable,
            Self::Store(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::NotACreator => "not_a_creator",
            Self::TooLarge { .. } => "content_too_large",
            Self::Form(error) => error.code(),
            Self::TooMany { .. } => "too_many_contents",
            Self::Full { .. } => "contents_full",
            Self::NoRoom => "hosting_full",
            Self::Store(error) => error.code(),
        }
    }
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Store(error) => error.retry_after(),
            _ => None,
        }
    }
}

/// Sealed content by its digest. The same bytes are kept once, for every wallet that brought them.
///
/// **Guarantees**: global. The limits hold over all processes.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait ContentStore: Send + Sync {
    /// Keeps it for its owner within the limits; says whether the owner has it only now. To bring the
    /// same again is no error and takes nothing of the quota.
    async fn put(&self, new: NewContent, limits: HostingLimits) -> Result<bool, NotHosted>;
    /// The bytes, whoever brought them.
    async fn get(&self, digest: ContentDigest) -> Result<Option<Vec<u8>>, StoreError>;
    /// Takes it away from the owner, and from everybody once nobody owns it; says whether the owner
    /// had it.
    async fn delete(&self, owner: WalletAddress, digest: ContentDigest) -> Result<bool, StoreError>;
    /// Deletes, for everybody, content to which no product on chain and no project has referred since
    /// `unreferenced_before`, as calls of this method found; returns how much was deleted. Content that
    /// is found without a reference for the first time counts from `now`, and so does content that is
    /// brought again.
    async fn expire(&self, now: Timestamp, unreferenced_before: Timestamp) -> Result<u64, StoreError>;
}

/// What was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Hosted {
    pub digest: ContentDigest,
    pub bytes: usize,
    /// Whether the wallet had not brought it before.
    pub new: bool,
}

/// Sealed content for creators.
pub struct Hosting {
    store: Arc<dyn ContentStore>,
    creators: Arc<dyn CreatorStore>,
    clock: Arc<dyn Clock>,
    limits: HostingLimits,
}

impl Hosting {
    /// Composes the use case.
    pub fn new(
        store: Arc<dyn ContentStore>,
        creators: Arc<dyn CreatorStore>,
        clock: Arc<dyn Clock>,
        limits: HostingLimits,
    ) -> Self {
        Self {
            store,
            creators,
            clock,
            limits,
        }
    }

    /// Whether the wallet may host content: only creators have something to sell.
    ///
    /// # Errors
    /// [`NotHosted::NotACreator`], and the store's.
    pub async fn admit(&self, owner: WalletAddress) -> Result<(), NotHosted> {
        match self.creators.find(owner).await? {
            Some(_) => Ok(()),
            None => Err(NotHosted::NotACreator),
        }
    }

    /// Deletes content that no product has referred to for `period`; returns how much was deleted. To be
    /// called once in a while.
    ///
    /// # Errors
    /// The store's.
    pub async fn expire(&self, period: Duration) -> Result<u64, StoreError> {
        let now = self.clock.now();
        self.store.expire(now, now.minus(period)).await
    }

    /// How much may be kept.
    pub const fn limits(&self) -> HostingLimits {
        self.limits
    }

    /// Keeps sealed content. What is not in the sealed form is refused.
    ///
    /// # Errors
    /// [`NotHosted`].
    pub async fn host(&self, owner: WalletAddress, bytes: Vec<u8>) -> Result<Hosted, NotHosted> {
        let most = self.limits.content_bytes;
        if bytes.len() > most {
            return Err(NotHosted::TooLarge { most });
        }
        SealedContent::parse(&bytes)?;
        self.admit(owner).await?;
        let digest = ContentDigest::of(&bytes);
        let size = bytes.len();
        let new = NewContent {
            owner,
            digest,
            bytes,
            at: self.clock.now(),
        };
        let new = self.store.put(new, self.limits).await?;
        Ok(Hosted {
            digest,
            bytes: size,
            new,
        })
    }

    /// What is kept under a digest.
    ///
    /// # Errors
    /// The store's.
    pub async fn content(&self, digest: ContentDigest) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.get(digest).await
    }

    /// Keeps it no longer for this wallet; says whether the wallet had it.
    ///
    /// # Errors
    /// The store's.
    pub async fn delete(&self, owner: WalletAddress, digest: ContentDigest) -> Result<bool, StoreError> {
        self.store.delete(owner, digest).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalog::Creator,
        ports::MockCreatorStore,
        sealing::{ContentKey, seal},
    };
    use haithe_kernel::FixedClock;

    const OWNER: WalletAddress = WalletAddress::new([1; 20]);

    fn hosting(store: MockContentStore) -> Hosting {
        hosting_of(store, true)
    }

    fn hosting_of(store: MockContentStore, registered: bool) -> Hosting {
        let mut creators = MockCreatorStore::new();
        creators.expect_find().returning(move |address| {
            let creator = Creator {
                address,
                uri: String::new(),
                created_at: Timestamp::from_seconds(1),
            };
            Ok(registered.then_some(creator))
        });
        let limits = HostingLimits {
            content_bytes: 100,
            wallet_contents: 2,
            wallet_bytes: 150,
            all_bytes: 1_000,
        };
        let clock = FixedClock::at(Timestamp::from_seconds(5));
        Hosting::new(Arc::new(store), Arc::new(creators), Arc::new(clock), limits)
    }

    fn sealed(length: usize) -> Vec<u8> {
        seal(&vec![7; length], &ContentKey::new([1; 32]), [2; 12]).unwrap()
    }

    #[tokio::test]
    async fn sealed_content_is_kept_under_its_digest() {
        let content = sealed(20);
        let digest = ContentDigest::of(&content);
        let mut store = MockContentStore::new();
        let expected = content.clone();
        store
            .expect_put()
            .withf(move |new, _| new.digest == digest && new.bytes == expected && new.owner == OWNER)
            .returning(|_, _| Ok(true));
        let hosted = hosting(store).host(OWNER, content).await.unwrap();
        assert_eq!((hosted.digest, hosted.bytes, hosted.new), (digest, 56, true));
    }

    #[tokio::test]
    async fn nothing_in_the_clear_and_nothing_too_large_is_kept() {
        let mut store = MockContentStore::new();
        store.expect_put().never();
        let hosting = hosting(store);
        for plain in [&b"[\"be kind\"]"[..], b"", b"%PDF-1.7", b"HSC\x01"] {
            let refused = hosting.host(OWNER, plain.to_vec()).await.unwrap_err();
            assert_eq!(refused.code(), "not_sealed");
        }
        let refused = hosting.host(OWNER, sealed(65)).await.unwrap_err();
        assert_eq!(refused.code(), "content_too_large");
    }

    #[tokio::test]
    async fn only_creators_host_content() {
        let mut store = MockContentStore::new();
        store.expect_put().never();
        let refused = hosting_of(store, false)
            .host(OWNER, sealed(20))
            .await
            .unwrap_err();
        assert_eq!(
            (refused.kind(), refused.code()),
            (Kind::Forbidden, "not_a_creator")
        );
    }

    #[tokio::test]
    async fn content_expires_when_it_has_had_no_product_for_the_whole_period() {
        let mut store = MockContentStore::new();
        store
            .expect_expire()
            .withf(|now, before| (now.seconds(), before.seconds()) == (5, -15))
            .returning(|_, _| Ok(3));
        let expired = hosting(store).expire(Duration::from_secs(20)).await;
        assert_eq!(expired.unwrap(), 3);
    }

    #[test]
    fn a_digest_reads_back() {
        let digest = ContentDigest::of(b"x");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(digest.to_string().to_uppercase().parse(), Ok(digest));
        for bad in ["", "ab", &"zz".repeat(32), &format!("0x{digest}")] {
            assert_eq!(bad.parse::<ContentDigest>(), Err(DigestError));
        }
    }
}
