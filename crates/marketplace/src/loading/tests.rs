//! Loading over mocked ports.

use super::*;
use crate::usability::ProductField;
use crate::{
    enclave::{EnclaveError, MockEnclave},
    hosting::MockContentStore,
    sealing::{ContentKey, EnclaveSecretKey, SealingError, seal},
};
use haithe_kernel::{Failure, FetchError, Fetched, FixedClock, Kind, MockFetcher, Timestamp};

const CREATOR: WalletAddress = WalletAddress::new([7; 20]);

/// What a creator made, and where it lies.
struct Made {
    source: ProductSource,
    sealed: Vec<u8>,
}

fn enclave() -> EnclaveSecretKey {
    EnclaveSecretKey::new(&[3; 32]).unwrap()
}

fn made(category: &str, content: &[u8]) -> Made {
    let key = ContentKey::new([9; 32]);
    let sealed = seal(content, &key, [1; 12]).unwrap();
    let wrapped = enclave().public_key().wrap(&key, CREATOR, &[5; 32]).unwrap();
    let digest = ContentDigest::of(&sealed);
    Made {
        source: ProductSource {
            uri: format!("https://a.example/sealed#sha256={digest}"),
            encrypted_key: wrapped.to_string(),
            category: category.into(),
            creator: CREATOR,
        },
        sealed,
    }
}

/// Ports where nothing is hosted and the enclave has its key.
struct Scene {
    hosted: MockContentStore,
    fetcher: MockFetcher,
    clock: Arc<FixedClock>,
    limits: CacheLimits,
}

impl Default for Scene {
    fn default() -> Self {
        Self {
            hosted: MockContentStore::new(),
            fetcher: MockFetcher::new(),
            clock: Arc::new(FixedClock::at(Timestamp::from_seconds(1_000))),
            limits: CacheLimits {
                bytes: 10_000,
                time: Duration::from_secs(600),
            },
        }
    }
}

impl Scene {
    /// Fetched this many times, with this answer.
    fn fetching(mut self, times: usize, status: u16, body: Vec<u8>) -> Self {
        self.hosted.expect_get().returning(|_| Ok(None));
        self.fetcher
            .expect_fetch()
            .withf(|request| request.url == "https://a.example/sealed" && request.most_bytes == 5_000)
            .times(times)
            .returning(move |_| {
                Ok(Fetched {
                    status,
                    headers: Vec::new(),
                    body: body.clone(),
                    url: "https://a.example/sealed".into(),
                })
            });
        self
    }

    fn hosting(mut self, sealed: Vec<u8>) -> Self {
        let digest = ContentDigest::of(&sealed);
        self.hosted
            .expect_get()
            .returning(move |asked| Ok((asked == digest).then(|| sealed.clone())));
        self
    }

    fn contents(self) -> ProductContents {
        let mut enclave_port = MockEnclave::new();
        enclave_port
            .expect_unwrap()
            .returning(|wrapped, creator| Ok(enclave().unwrap(wrapped, creator)?));
        let ports = ContentPorts {
            hosted: Arc::new(self.hosted),
            fetcher: Arc::new(self.fetcher),
            enclave: Arc::new(enclave_port),
            clock: self.clock,
        };
        ProductContents::new(ports, self.limits, 5_000)
    }
}

fn texts(content: ProductContent) -> Vec<String> {
    match content {
        ProductContent::Prompts(prompts) => prompts.texts().to_vec(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn content_is_fetched_checked_opened_and_read_once() {
    let Made { source, sealed } = made("promptset", b"[\"Be kind.\"]");
    let contents = Scene::default().fetching(1, 200, sealed).contents();
    for _ in 0..3 {
        assert_eq!(texts(contents.open(&source).await.unwrap()), ["Be kind."]);
    }
}

#[tokio::test]
async fn what_is_hosted_here_is_never_fetched_wherever_it_was_published() {
    let Made { mut source, sealed } = made("knowledge:text", b"Facts.");
    let digest = ContentDigest::of(&sealed);
    let contents = Scene::default().hosting(sealed).contents();
    for uri in [source.uri.clone(), ContentUri::Hosted(digest).to_string()] {
        source.uri = uri;
        match contents.open(&source).await.unwrap() {
            ProductContent::Knowledge { bytes, .. } => assert_eq!(&**bytes, b"Facts."),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn each_reason_is_told() {
    let Made { source, sealed } = made("promptset", b"[\"Be kind.\"]");
    let reason = async |scene: Scene, change: &dyn Fn(&mut ProductSource)| {
        let mut changed = source.clone();
        change(&mut changed);
        let refused = scene.contents().open(&changed).await.unwrap_err();
        let expected = match refused.fault() {
            Some(_) => (Kind::Unprocessable, "product_unusable"),
            None => (Kind::Unavailable, "product_unavailable"),
        };
        assert_eq!((refused.kind(), refused.code()), expected);
        assert!(refused.to_string().starts_with("the product cannot be loaded: "));
        refused
    };
    let nothing = |_: &mut ProductSource| {};
    let refused = reason(Scene::default(), &|source| source.category = "tool:odd".into()).await;
    assert!(matches!(refused, LoadError::Category));
    let refused = reason(Scene::default(), &|source| {
        source.uri = "https://a.example/".into()
    })
    .await;
    assert!(matches!(refused, LoadError::Uri(_)));
    let refused = reason(Scene::default(), &|source| source.encrypted_key = "00".into()).await;
    assert!(matches!(refused, LoadError::Key(SealingError::NotWrapped)));
    let refused = reason(Scene::default(), &|source| {
        source.creator = WalletAddress::new([8; 20])
    })
    .await;
    let LoadError::Enclave(error) = refused else {
        panic!("{refused:?}")
    };
    assert!(matches!(&*error, EnclaveError::Sealing(SealingError::KeyRefused)));
    let elsewhere = Scene::default().hosting(b"other".to_vec());
    let hosted = format!("haithe:sha256:{}", ContentDigest::of(&sealed));
    let refused = reason(elsewhere, &|source| source.uri = hosted.clone()).await;
    assert!(matches!(refused, LoadError::Gone));
    let refused = reason(Scene::default().fetching(1, 404, sealed.clone()), &nothing).await;
    assert!(matches!(refused, LoadError::Status(404)));
    let refused = reason(Scene::default().fetching(1, 200, b"changed".to_vec()), &nothing).await;
    assert!(matches!(refused, LoadError::Digest));
    let plain = b"in the clear".to_vec();
    let pinned = format!("https://a.example/sealed#sha256={}", ContentDigest::of(&plain));
    let refused = reason(Scene::default().fetching(1, 200, plain), &|source| {
        source.uri = pinned.clone()
    })
    .await;
    assert!(matches!(refused, LoadError::Sealed(SealingError::NotSealed)));
    let other = seal(b"x", &ContentKey::new([1; 32]), [0; 12]).unwrap();
    let pinned = format!("https://a.example/sealed#sha256={}", ContentDigest::of(&other));
    let refused = reason(Scene::default().fetching(1, 200, other), &|source| {
        source.uri = pinned.clone()
    })
    .await;
    assert!(matches!(refused, LoadError::Sealed(SealingError::ContentRefused)));
    let refused = reason(Scene::default().fetching(1, 200, sealed.clone()), &|source| {
        source.category = "mcp".into();
    })
    .await;
    assert!(matches!(refused, LoadError::Content(_)));
}

#[tokio::test]
async fn what_is_wrong_with_published_words_or_bytes_is_wrong_for_ever_and_the_rest_for_now() {
    let Made { source, sealed } = made("promptset", b"[\"Be kind.\", 7]");
    let open = async |scene: Scene, source: &ProductSource| {
        let error = scene.contents().open(source).await.unwrap_err();
        (error.kind(), error.fault())
    };
    let (kind, fault) = open(Scene::default().hosting(sealed.clone()), &source).await;
    let fault = fault.unwrap();
    assert_eq!(kind, Kind::Unprocessable);
    assert_eq!(
        (fault.field, fault.pointer.as_deref()),
        (ProductField::Content, Some("/1"))
    );
    for (changed, field) in [
        (
            ProductSource {
                uri: "x".into(),
                ..source.clone()
            },
            ProductField::Uri,
        ),
        (
            ProductSource {
                category: "x".into(),
                ..source.clone()
            },
            ProductField::Category,
        ),
        (
            ProductSource {
                encrypted_key: "00".into(),
                ..source.clone()
            },
            ProductField::EncryptedKey,
        ),
        (
            ProductSource {
                creator: WalletAddress::new([8; 20]),
                ..source.clone()
            },
            ProductField::EncryptedKey,
        ),
    ] {
        let (_, fault) = open(Scene::default().hosting(sealed.clone()), &changed).await;
        assert_eq!(fault.map(|fault| fault.field), Some(field));
    }
    for (status, body) in [(404, sealed.clone()), (200, b"other bytes".to_vec())] {
        let (kind, fault) = open(Scene::default().fetching(1, status, body), &source).await;
        assert_eq!((kind, fault), (Kind::Unavailable, None));
    }
}

#[tokio::test]
async fn a_broken_address_is_asked_again_after_a_while_only() {
    let Made { source, .. } = made("promptset", b"[\"Be kind.\"]");
    let mut scene = Scene::default();
    scene.hosted.expect_get().returning(|_| Ok(None));
    scene
        .fetcher
        .expect_fetch()
        .times(2)
        .returning(|_| Err(FetchError::Late));
    let clock = scene.clock.clone();
    let contents = scene.contents();
    for _ in 0..3 {
        let refused = contents.open(&source).await.unwrap_err();
        assert!(matches!(refused, LoadError::Fetch(_)) && refused.retry_after() == Some(30));
    }
    clock.advance(Duration::from_secs(31));
    assert!(contents.open(&source).await.is_err());
}

#[tokio::test]
async fn content_in_the_clear_is_kept_for_a_time_and_then_wiped() {
    let Made { source, sealed } = made("promptset", b"[\"Be kind.\"]");
    let scene = Scene::default().fetching(2, 200, sealed);
    let clock = scene.clock.clone();
    let contents = scene.contents();
    contents.open(&source).await.unwrap();
    contents.sweep().await;
    assert!(contents.cache.bytes() > 0);
    clock.advance(Duration::from_secs(600));
    contents.sweep().await;
    assert_eq!(contents.cache.bytes(), 0);
    contents.open(&source).await.unwrap();
    clock.advance(Duration::from_secs(599));
    contents.open(&source).await.unwrap();
}

#[tokio::test]
async fn no_more_bytes_are_kept_than_configured() {
    let mut scene = Scene::default();
    scene.limits.bytes = 3_000;
    let all: Vec<Made> = (0..10u8)
        .map(|n| made("knowledge:text", &[n + 1; 1_000]))
        .collect();
    for made in &all {
        let digest = ContentDigest::of(&made.sealed);
        let sealed = made.sealed.clone();
        scene
            .hosted
            .expect_get()
            .withf(move |asked| *asked == digest)
            .returning(move |_| Ok(Some(sealed.clone())));
    }
    let contents = scene.contents();
    for made in &all {
        contents.open(&made.source).await.unwrap();
        contents.sweep().await;
        assert!(contents.cache.bytes() <= 3_000);
    }
}

#[tokio::test]
async fn one_creators_content_in_the_cache_opens_for_no_other() {
    let Made { mut source, sealed } = made("promptset", b"[\"Be kind.\"]");
    let contents = Scene::default().fetching(1, 200, sealed).contents();
    contents.open(&source).await.unwrap();
    source.creator = WalletAddress::new([8; 20]);
    assert!(matches!(contents.open(&source).await, Err(LoadError::Enclave(_))));
}
