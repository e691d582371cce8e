//! Opening a product: one way for calls, for checks before publication and for enabling.

use super::{
    rpc::RpcCall,
    served::{self, OfferError},
};
use crate::agent::ServerTool;
use async_trait::async_trait;
use haithe_kernel::{Failure, Fetcher, Kind, ProductId};
use haithe_marketplace::{
    Category, Knowledge, KnowledgeError,
    content::ProductContent,
    knowledge::{Content, addresses},
    loading::{LoadError, ProductContents, ProductSource},
    ports::{ExtractError, ToolServers},
    usability::{ProductFault, ProductField},
};
use std::sync::Arc;

/// Opens the content of products.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait ProductLoader: Send + Sync {
    /// The content of a product that is published like this.
    async fn load(&self, source: &ProductSource) -> Result<ProductContent, LoadError>;
}

#[async_trait]
impl ProductLoader for ProductContents {
    async fn load(&self, source: &ProductSource) -> Result<ProductContent, LoadError> {
        self.open(source).await
    }
}

/// Why a product cannot be used. No text repeats its content.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its content cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// An address in its content is never called.
    #[error("the content's address is not allowed: its scheme, port or host is never called")]
    Address(&'static str),
    /// Its server of tools gives none.
    #[error(transparent)]
    Tools(#[from] OfferError),
    /// Its document cannot be read.
    #[error("{0}")]
    Knowledge(#[source] KnowledgeError, Category),
}

impl OpenError {
    /// Why no later attempt can succeed either, with the same words published; `None` when one can. This is
    /// the one place that decides between the two.
    pub fn fault(&self) -> Option<ProductFault> {
        let content = |pointer: Option<&str>| ProductFault {
            field: ProductField::Content,
            pointer: pointer.map(str::to_owned),
            reason: self.to_string(),
        };
        match self {
            Self::Load(error) => error.fault(),
            Self::Address(pointer) => Some(content(Some(pointer))),
            // What a server says, and whether it answers, can change.
            Self::Tools(_) => None,
            Self::Knowledge(KnowledgeError::Addresses(..), _) => Some(content(None)),
            // A document behind an address can change, the published one cannot.
            Self::Knowledge(KnowledgeError::Extract(_, error), category) => match error {
                _ if *category == Category::KnowledgeUrl => None,
                ExtractError::TooLarge(_)
                | ExtractError::Malformed(_)
                | ExtractError::Protected
                | ExtractError::Empty => Some(content(None)),
                ExtractError::Late | ExtractError::Unavailable(_) => None,
            },
            Self::Knowledge(..) => None,
        }
    }
}

impl Failure for OpenError {
    fn kind(&self) -> Kind {
        match self.fault() {
            Some(_) => Kind::Unprocessable,
            None => Kind::Unavailable,
        }
    }
    fn code(&self) -> &'static str {
        match self.fault() {
            Some(_) => "product_unusable",
            None => "product_unavailable",
        }
    }
}

/// What a product is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A call, or a check that does what a call does; `tools` says whether tools can be offered.
    Call { tools: bool },
    /// Finding out whether it can ever be used: no server and no page that its content names is called,
    /// because what they answer can change.
    Verdict,
}

/// What a product turned out to be.
pub(super) enum Opened {
    Prompts(Vec<String>),
    Tools(Vec<Arc<dyn ServerTool>>),
    Knowledge(Content),
    /// Tools that cannot be offered in this call: they cost nothing.
    Nothing,
}

/// Opens products the way that calls do.
pub struct ProductOpener {
    /// Opens their content.
    pub loader: Arc<dyn ProductLoader>,
    /// Reads documents.
    pub knowledge: Arc<Knowledge>,
    /// Calls the addresses of tools.
    pub fetcher: Arc<dyn Fetcher>,
    /// Calls servers of tools.
    pub servers: Arc<dyn ToolServers>,
}

impl ProductOpener {
    /// What a product of this number and name brings.
    pub(super) async fn open(
        &self,
        (id, name): (ProductId, &str),
        source: &ProductSource,
        purpose: Purpose,
    ) -> Result<Opened, OpenError> {
        let content = self.loader.load(source).await?;
        match content {
            ProductContent::Prompts(prompts) => Ok(Opened::Prompts(prompts.texts().to_vec())),
            ProductContent::Tool(_) | ProductContent::Mcp(_)
                if purpose == (Purpose::Call { tools: false }) =>
            {
                Ok(Opened::Nothing)
            }
            ProductContent::Tool(tool) => {
                let address = tool.sample_address().unwrap_or_default();
                self.expect_allowed(&address, "/url")?;
                Ok(Opened::Tools(vec![Arc::new(RpcCall {
                    product: id,
                    tool,
                    fetcher: Arc::clone(&self.fetcher),
                })]))
            }
            ProductContent::Mcp(endpoint) => {
                self.expect_allowed(endpoint.url().as_str(), "/url")?;
                if purpose == Purpose::Verdict {
                    return Ok(Opened::Nothing);
                }
                let offered = served::offered(self.servers.as_ref(), id, &endpoint).await;
                Ok(Opened::Tools(offered?))
            }
            ProductContent::Knowledge { form, bytes } => {
                if form == Category::KnowledgeUrl
                    && let Ok(all) = addresses::parse(&bytes)
                {
                    for address in &all {
                        self.expect_allowed(address.as_str(), "")?;
                    }
                    if purpose == Purpose::Verdict {
                        return Ok(Opened::Nothing);
                    }
                }
                let content = Content {
                    name: name.to_owned(),
                    category: form,
                    digest: bytes.sha256(),
                    bytes,
                };
                let read = self.knowledge.load(&content).await;
                read.map_err(|error| OpenError::Knowledge(error, form))?;
                Ok(Opened::Knowledge(content))
            }
        }
    }

    fn expect_allowed(&self, address: &str, pointer: &'static str) -> Result<(), OpenError> {
        if self.fetcher.refuses(address) {
            return Err(OpenError::Address(pointer));
        }
        Ok(())
    }
}
