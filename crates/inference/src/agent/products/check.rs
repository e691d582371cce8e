//! Use case: whether a product can be used, found out exactly as a call finds it out.

use super::open::{OpenError, ProductOpener, Purpose};
use haithe_kernel::{Clock, ProductId, StoreError, WalletAddress};
use haithe_marketplace::{
    Market, MarketError,
    hosting::ContentDigest,
    loading::ProductSource,
    ports::{EnabledContent, ProductStore},
    usability::{ProductFault, digest_of},
};
use haithe_orgs::{Caller, ProjectAccess};
use std::sync::Arc;

/// A check does what a call does that can offer tools.
const CALL: Purpose = Purpose::Call { tools: true };
/// The name of a product that is not published yet.
const DRAFT: &str = "draft";

/// What became of opening a product as a call would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProductCheck {
    /// A call would use it.
    Usable,
    /// A call would be refused now, and may succeed later.
    Unavailable(String),
    /// Every call will be refused while it is published like this.
    Unusable(ProductFault),
}

/// Checks products, and lets projects use those that can be used.
pub struct ProductChecks {
    store: Arc<dyn ProductStore>,
    market: Arc<Market>,
    opener: Arc<ProductOpener>,
    clock: Arc<dyn Clock>,
}

impl ProductChecks {
    /// Composes the use case.
    pub fn new(
        store: Arc<dyn ProductStore>,
        market: Arc<Market>,
        opener: Arc<ProductOpener>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            store,
            market,
            opener,
            clock,
        }
    }

    /// Opens what a creator is about to publish.
    pub async fn draft(&self, source: &ProductSource) -> ProductCheck {
        verdict(
            self.opener
                .open((ProductId(0), DRAFT), source, CALL)
                .await
                .map(drop),
        )
    }

    /// Opens the caller's published product, and stores whether it can ever be used.
    ///
    /// # Errors
    /// [`MarketError::NotFound`], [`MarketError::NotTheCreator`], and the store's.
    pub async fn of_creator(
        &self,
        caller: WalletAddress,
        id: ProductId,
    ) -> Result<ProductCheck, MarketError> {
        let source = self.source(id).await?;
        if source.creator != caller {
            return Err(MarketError::NotTheCreator);
        }
        Ok(self.published(id, &source, CALL).await?)
    }

    /// Makes a product one of a project's, with the content that is published now.
    ///
    /// # Errors
    /// [`MarketError::Unusable`] for a product that can never be used as it is published, and
    /// [`Market::enable`]'s. One that cannot be loaded now is enabled.
    pub async fn enable(
        &self,
        by: Caller,
        access: &ProjectAccess,
        id: ProductId,
        follow_updates: Option<bool>,
    ) -> Result<(), MarketError> {
        let source = self.usable(id).await?;
        let content = EnabledContent {
            uri: source.uri,
            follow_updates,
        };
        let used = (access.org.id, access.project.id);
        self.market.enable(by, used, id, content).await
    }

    /// Makes a project use the content that is published now. `expected` is the content that the caller
    /// looked at.
    ///
    /// # Errors
    /// [`MarketError::ContentChanged`] when other content is published, [`MarketError::Unusable`],
    /// [`MarketError::NotEnabled`].
    pub async fn accept_content(
        &self,
        by: Caller,
        access: &ProjectAccess,
        id: ProductId,
        expected: Option<ContentDigest>,
    ) -> Result<(), MarketError> {
        let source = self.usable(id).await?;
        if expected.is_some() && digest_of(&source.uri) != expected {
            return Err(MarketError::ContentChanged);
        }
        let used = (access.org.id, access.project.id);
        self.market.accept_content(by, used, id, source.uri).await
    }

    /// Where the product's published content is, unless it can never be used.
    async fn usable(&self, id: ProductId) -> Result<ProductSource, MarketError> {
        let source = self.source(id).await?;
        match self.published(id, &source, Purpose::Verdict).await? {
            ProductCheck::Unusable(fault) => Err(MarketError::Unusable(fault)),
            ProductCheck::Usable | ProductCheck::Unavailable(_) => Ok(source),
        }
    }

    async fn published(
        &self,
        id: ProductId,
        source: &ProductSource,
        purpose: Purpose,
    ) -> Result<ProductCheck, StoreError> {
        let name = self.store.find(id).await?.map(|page| page.product.name);
        let name = name.unwrap_or_else(|| DRAFT.to_owned());
        let check = verdict(self.opener.open((id, &name), source, purpose).await.map(drop));
        let fault = match &check {
            ProductCheck::Usable => None,
            ProductCheck::Unusable(fault) => Some(fault.clone()),
            ProductCheck::Unavailable(_) => return Ok(check),
        };
        let now = self.clock.now();
        self.store.note_fault(id, source.uri.clone(), fault, now).await?;
        Ok(check)
    }

    async fn source(&self, id: ProductId) -> Result<ProductSource, MarketError> {
        let source = self.store.source(id).await?;
        source.ok_or(MarketError::NotFound("product"))
    }
}

fn verdict(opened: Result<(), OpenError>) -> ProductCheck {
    match opened {
        Ok(()) => ProductCheck::Usable,
        Err(error) => match error.fault() {
            Some(fault) => ProductCheck::Unusable(fault),
            None => ProductCheck::Unavailable(error.to_string()),
        },
    }
}
