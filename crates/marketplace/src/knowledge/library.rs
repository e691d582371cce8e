//! What has been read: pieces and their index per content, in memory only and bounded.

use super::{
    Chunk, Format, Place, ReadLimits, Terms,
    addresses::{self, AddressesError},
    fuse::fuse,
    sense::{self, Sense, Vectors},
    vectors::nearest,
};
use crate::{
    Category,
    failures::{Failures, Pauses},
    ports::{Documents, Embedder, ExtractError, KnowledgeIndex, KnowledgeIndexer},
    sealing::Plaintext,
};
use futures::{StreamExt, stream};
use haithe_kernel::{Clock, Failure, FetchError, FetchRequest, Fetcher, Kind, StoreError};
use moka::{Expiry, future::Cache};
use sha2::{Digest, Sha256};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Bytes that are kept in memory over all products: pieces, their places and addresses, and indexes.
const KEPT_BYTES: u64 = 192 << 20;
/// What a document takes beside its pieces and its index, in bytes.
const OVERHEAD: usize = 512;
/// How long a document is kept that nobody asks.
const IDLE_FOR: Duration = Duration::from_secs(60 * 60);
/// How long fetched pages are answered from before they are fetched again.
const FETCHED_FOR: Duration = Duration::from_secs(15 * 60);
/// Pages fetched at a time.
const FETCHES: usize = 4;
/// Failures that are remembered, of each kind.
const MOST_FAILURES: u64 = 10_000;
/// How long a document that cannot be read is not read again: it does not change.
const UNREADABLE_FOR: Pauses = Pauses {
    first: Duration::from_secs(60),
    longest: Duration::from_secs(24 * 60 * 60),
};
/// How long a page that cannot be fetched, or holds no document, is not fetched again.
const UNFETCHED_FOR: Pauses = Pauses {
    first: Duration::from_secs(15),
    longest: Duration::from_secs(60 * 60),
};

/// The content of a product, decrypted.
#[derive(Clone)]
pub struct Content {
    /// The product's name.
    pub name: String,
    /// What the bytes are.
    pub category: Category,
    /// SHA-256 of the content, by which what was read of it is found again.
    pub digest: [u8; 32],
    /// The bytes.
    pub bytes: Arc<Plaintext>,
}

/// Nothing of the content itself is printed.
impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content")
            .field("name", &self.name)
            .field("category", &self.category)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// Why nothing can be answered from a product.
#[derive(Debug, Clone, thiserror::Error)]
pub enum KnowledgeError {
    /// It is a prompt or a tool.
    #[error("the product “{0}” is not knowledge")]
    NotKnowledge(String),
    /// Its document cannot be read.
    #[error("the product “{0}” cannot be read: {1}")]
    Extract(String, #[source] ExtractError),
    /// Its addresses are malformed.
    #[error("the product “{0}” cannot be read: {1}")]
    Addresses(String, #[source] AddressesError),
    /// None of its addresses answered.
    #[error("the product “{0}” cannot be fetched: {1}")]
    Fetch(String, #[source] Arc<FetchError>),
    /// None of its addresses answered with a document.
    #[error("the product “{0}” cannot be fetched: its addresses gave no document")]
    NoDocument(String),
    /// The index failed.
    #[error(transparent)]
    Store(#[from] Arc<StoreError>),
}

impl KnowledgeError {
    /// The same about the product of this name: products of several creators may share content.
    fn about(self, product: &str) -> Self {
        let name = product.to_owned();
        match self {
            Self::NotKnowledge(_) => Self::NotKnowledge(name),
            Self::Extract(_, error) => Self::Extract(name, error),
            Self::Addresses(_, error) => Self::Addresses(name, error),
            Self::Fetch(_, error) => Self::Fetch(name, error),
            Self::NoDocument(_) => Self::NoDocument(name),
            Self::Store(error) => Self::Store(error),
        }
    }

    /// Whether fetching the page again at once would most likely fail in the same way.
    fn lasts(&self) -> bool {
        match self {
            Self::Fetch(_, error) => !matches!(**error, FetchError::Busy),
            Self::NoDocument(_) => true,
            Self::Extract(_, error) => !matches!(error, ExtractError::Unavailable(_)),
            Self::NotKnowledge(_) | Self::Addresses(..) | Self::Store(_) => false,
        }
    }
}

impl Failure for KnowledgeError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotKnowledge(_) | Self::Addresses(..) => Kind::Unprocessable,
            Self::Extract(_, error) => error.kind(),
            Self::Fetch(..) | Self::NoDocument(_) => Kind::Upstream,
            Self::Store(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::NotKnowledge(_) => "product_not_knowledge",
            Self::Addresses(..) => "product_addresses_malformed",
            Self::Extract(_, error) => error.code(),
            Self::Fetch(..) | Self::NoDocument(_) => "product_not_fetched",
            Self::Store(error) => error.code(),
        }
    }
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Extract(_, error) => error.retry_after(),
            Self::Store(error) => error.retry_after(),
            _ => None,
        }
    }
}

/// What the use case needs from outside.
pub struct Tools {
    /// Reads documents.
    pub documents: Arc<dyn Documents>,
    /// Makes indexes.
    pub indexer: Arc<dyn KnowledgeIndexer>,
    /// Fetches pages.
    pub fetcher: Arc<dyn Fetcher>,
    /// Finds what is said in other words; without it, words alone decide.
    pub embedder: Option<Arc<dyn Embedder>>,
    /// Bounds how long a question waits for vectors.
    pub clock: Arc<dyn Clock>,
}

/// The pieces of one content, and how they are found.
pub(super) struct Shelf {
    chunks: Arc<[Chunk]>,
    /// Where the pieces from each page begin, and its address; in order. Empty unless fetched.
    addresses: Vec<(usize, String)>,
    index: Arc<dyn KnowledgeIndex>,
    /// What the pieces' vectors are kept by.
    texts: [u8; 32],
    bytes: usize,
    fetched: bool,
}

/// A question and what it is asked of, as vectors.
pub(super) struct Sensed {
    /// One per shelf.
    vectors: Vec<Option<Vectors>>,
    asked: Vec<f32>,
}

impl Sensed {
    /// What [`Shelf::rank`] takes for shelf number `at`.
    pub(super) fn of_shelf(&self, at: usize) -> Option<(&[Vec<f32>], &[f32])> {
        let vectors = self.vectors.get(at)?.as_ref()?;
        Some((vectors, &self.asked))
    }
}

/// A piece on a shelf.
pub(super) struct Piece<'a> {
    pub(super) chunk: &'a Chunk,
    pub(super) address: Option<&'a str>,
}

impl Shelf {
    pub(super) fn piece(&self, at: usize) -> Option<Piece<'_>> {
        let pages = self.addresses.partition_point(|(first, _)| *first <= at);
        let address = pages.checked_sub(1).and_then(|page| self.addresses.get(page));
        Some(Piece {
            chunk: self.chunks.get(at)?,
            address: address.map(|(_, address)| address.as_str()),
        })
    }

    /// Positions of the pieces that fit best, by their words and, where there are vectors of them and
    /// of the question, by their sense.
    pub(super) async fn rank(
        &self,
        terms: &Terms,
        sense: Option<(&[Vec<f32>], &[f32])>,
        limit: u32,
    ) -> Result<Vec<usize>, KnowledgeError> {
        let hits = self.index.search(terms.clone(), limit).await.map_err(Arc::new)?;
        let mut rankings = vec![hits.into_iter().map(|hit| hit.chunk).collect()];
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if let Some((vectors, asked)) = sense {
            rankings.push(nearest(vectors, asked, limit));
        }
        Ok(fuse(&rankings)
            .into_iter()
            .map(|(chunk, _)| chunk)
            .take(limit)
            .collect())
    }
}

/// Fetched pages age; what was sold as bytes does not.
struct Ageing;

impl Expiry<([u8; 32], Category), Arc<Shelf>> for Ageing {
    fn expire_after_create(
        &self,
        _: &([u8; 32], Category),
        shelf: &Arc<Shelf>,
        _: Instant,
    ) -> Option<Duration> {
        shelf.fetched.then_some(FETCHED_FOR)
    }
}

/// All shelves.
pub(super) struct Library {
    documents: Arc<dyn Documents>,
    indexer: Arc<dyn KnowledgeIndexer>,
    fetcher: Arc<dyn Fetcher>,
    sense: Option<Sense>,
    clock: Arc<dyn Clock>,
    limits: ReadLimits,
    shelves: Cache<([u8; 32], Category), Arc<Shelf>>,
    /// Documents that cannot be read, by the SHA-256 of their bytes and the format.
    unreadable: Failures<([u8; 32], Format), ExtractError>,
    /// Pages that cannot be used, by the SHA-256 of their addresses.
    unfetched: Failures<[u8; 32], KnowledgeError>,
}

impl Library {
    pub(super) fn new(tools: Tools, limits: ReadLimits) -> Self {
        let shelves = Cache::builder()
            .max_capacity(KEPT_BYTES)
            .weigher(|_, shelf: &Arc<Shelf>| u32::try_from(shelf.bytes).unwrap_or(u32::MAX))
            .expire_after(Ageing)
            .time_to_idle(IDLE_FOR)
            .build();
        Self {
            documents: tools.documents,
            indexer: tools.indexer,
            fetcher: tools.fetcher,
            sense: tools
                .embedder
                .map(|embedder| Sense::new(embedder, tools.clock.clone())),
            clock: tools.clock,
            limits,
            shelves,
            unreadable: Failures::new(UNREADABLE_FOR, MOST_FAILURES),
            unfetched: Failures::new(UNFETCHED_FOR, MOST_FAILURES),
        }
    }

    /// What was read of the content. Callers that ask for the same one at once wait for one reading.
    pub(super) async fn shelf(&self, content: &Content) -> Result<Arc<Shelf>, KnowledgeError> {
        self.shelves
            .try_get_with((content.digest, content.category), self.read(content))
            .await
            .map_err(|error: Arc<KnowledgeError>| (*error).clone().about(&content.name))
    }

    /// The vectors of each shelf's pieces and of the question, for those shelves that have any. An
    /// embedder that fails costs quality, not the answer.
    pub(super) async fn sense(&self, shelves: &[Arc<Shelf>], question: &str) -> Option<Sensed> {
        let sense = self.sense.as_ref()?;
        let until = self.clock.monotonic().plus(sense::WITHIN);
        let mut vectors = Vec::with_capacity(shelves.len());
        for shelf in shelves {
            vectors.push(sense.of_pieces(&shelf.chunks, shelf.texts, until).await);
        }
        if vectors.iter().all(Option::is_none) {
            return None;
        }
        let asked = sense.of_question(question).await?;
        Some(Sensed { vectors, asked })
    }

    async fn read(&self, content: &Content) -> Result<Arc<Shelf>, KnowledgeError> {
        let format = match content.category {
            Category::KnowledgeText => Format::Text,
            Category::KnowledgeHtml => Format::Html,
            Category::KnowledgePdf => Format::Pdf,
            Category::KnowledgeCsv => Format::Csv,
            Category::KnowledgeUrl => return self.fetch(content).await,
            Category::PromptSet | Category::ToolRpc | Category::Mcp => {
                return Err(KnowledgeError::NotKnowledge(content.name.clone()));
            }
        };
        let bytes = || Arc::from(&**content.bytes);
        let chunks = self.extract(content, (content.digest, format), bytes).await?;
        self.shelve(chunks, Vec::new(), false).await
    }

    /// The pieces of a document. One that could not be read is not read again for a while, whoever
    /// asks.
    async fn extract(
        &self,
        content: &Content,
        document: ([u8; 32], Format),
        bytes: impl FnOnce() -> Arc<[u8]> + Send,
    ) -> Result<Vec<Chunk>, KnowledgeError> {
        let failed = |error| KnowledgeError::Extract(content.name.clone(), error);
        if let Some(error) = self.unreadable.current(&document, self.clock.monotonic()).await {
            return Err(failed(error));
        }
        match self.documents.extract(document.1, bytes(), self.limits).await {
            Ok(chunks) => {
                self.unreadable.forget(&document).await;
                Ok(chunks)
            }
            Err(error) => {
                if !matches!(error, ExtractError::Unavailable(_)) {
                    let (error, now) = (error.clone(), self.clock.monotonic());
                    self.unreadable.remember(document, error, now).await;
                }
                Err(failed(error))
            }
        }
    }

    /// Reads every page that answers. One that does not is missing until the next fetch; none at all
    /// is an error.
    async fn fetch(&self, content: &Content) -> Result<Arc<Shelf>, KnowledgeError> {
        let addresses = addresses::parse(&content.bytes)
            .map_err(|error| KnowledgeError::Addresses(content.name.clone(), error))?;
        let pages: Vec<_> = stream::iter(addresses)
            .map(|address| async move { (address.to_string(), self.page(content, address.as_str()).await) })
            .buffered(FETCHES)
            .collect()
            .await;
        let mut chunks = Vec::new();
        let mut begins = Vec::new();
        let mut failure = None;
        let mut room = self.limits.text_bytes;
        for (address, page) in pages {
            match page {
                Ok(page) => {
                    let bytes = page.iter().map(|chunk| chunk.text.len()).sum();
                    room = room.checked_sub(bytes).ok_or_else(|| {
                        KnowledgeError::Extract(content.name.clone(), ExtractError::TooLarge("bytes of text"))
                    })?;
                    begins.push((chunks.len(), address));
                    chunks.extend(page);
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
            Some(failure) if chunks.is_empty() => Err(failure),
            _ => self.shelve(chunks, begins, true).await,
        }
    }

    /// The pieces of a page. One that gave no document is not fetched again for a while, whoever asks.
    async fn page(&self, content: &Content, address: &str) -> Result<Vec<Chunk>, KnowledgeError> {
        let key: [u8; 32] = Sha256::digest(address).into();
        if let Some(error) = self.unfetched.current(&key, self.clock.monotonic()).await {
            return Err(error.about(&content.name));
        }
        let read = self.fetched(content, address).await;
        match &read {
            Ok(_) => self.unfetched.forget(&key).await,
            Err(error) if error.lasts() => {
                let now = self.clock.monotonic();
                self.unfetched.remember(key, error.clone(), now).await;
            }
            Err(_) => {}
        }
        read
    }

    async fn fetched(&self, content: &Content, address: &str) -> Result<Vec<Chunk>, KnowledgeError> {
        let answer = self.fetcher.fetch(FetchRequest::get(address)).await;
        let answer = answer.map_err(|error| KnowledgeError::Fetch(content.name.clone(), Arc::new(error)))?;
        let format = (answer.status == 200)
            .then(|| addresses::format_of(&answer))
            .flatten();
        let format = format.ok_or_else(|| KnowledgeError::NoDocument(content.name.clone()))?;
        let digest: [u8; 32] = Sha256::digest(&answer.body).into();
        self.extract(content, (digest, format), || answer.body.into())
            .await
    }

    async fn shelve(
        &self,
        chunks: Vec<Chunk>,
        addresses: Vec<(usize, String)>,
        fetched: bool,
    ) -> Result<Arc<Shelf>, KnowledgeError> {
        let chunks: Arc<[Chunk]> = chunks.into();
        let index = self.indexer.index(chunks.clone()).await.map_err(Arc::new)?;
        Ok(Arc::new(Shelf {
            bytes: weight(&chunks, &addresses).saturating_add(index.bytes()),
            texts: self.sense.as_ref().map_or([0; 32], |_| sense::digest(&chunks)),
            chunks,
            addresses,
            index,
            fetched,
        }))
    }
}

/// Bytes that a document takes beside its index.
fn weight(chunks: &[Chunk], addresses: &[(usize, String)]) -> usize {
    let piece = |chunk: &Chunk| {
        let place = match &chunk.place {
            Place::Heading(heading) => heading.capacity(),
            Place::Page(_) | Place::Rows(..) | Place::Lines(..) => 0,
        };
        size_of::<Chunk>() + chunk.text.capacity() + place
    };
    let page = |(_, address): &(usize, String)| size_of::<(usize, String)>() + address.capacity();
    let pieces = chunks.iter().map(piece).sum::<usize>();
    OVERHEAD + pieces + addresses.iter().map(page).sum::<usize>()
}
