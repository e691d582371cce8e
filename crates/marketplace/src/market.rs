//! Use case: browse products, say something about one's own, and use them in projects.

mod error;

pub use error::MarketError;

use crate::{
    catalog::{
        Creator, CreatorStatistics, NewCreator, PageChange, ProductFilter, ProductPage, ProjectProduct,
    },
    ports::{
        ContentAcceptance, CreatorRegistrar, CreatorStore, EnabledContent, Enabling, ProductStore,
        RegisterError,
    },
};
use haithe_kernel::{
    ClientNetwork, Clock, Listed, OrgId, Page, ProductId, ProjectId, Usdt, WalletAddress, name_problem,
};
use haithe_orgs::{Caller, UnsignedTransaction};
use std::sync::Arc;
use url::Url;

/// Longest address of a creator's page, in bytes; the contract takes more.
const URI_BYTES: usize = 1_024;
/// Longest public key, in bytes.
const KEY_BYTES: usize = 1_024;
/// Longest description, in characters.
const DESCRIPTION_CHARS: usize = 4_000;
/// Longest address of a picture, in bytes.
const PHOTO_URL_BYTES: usize = 2_048;

/// The marketplace.
pub struct Market {
    creators: Arc<dyn CreatorStore>,
    products: Arc<dyn ProductStore>,
    registrar: Arc<dyn CreatorRegistrar>,
    clock: Arc<dyn Clock>,
    max_products: u32,
}

impl Market {
    /// Composes the use case. A project has at most `max_products` products.
    pub fn new(
        creators: Arc<dyn CreatorStore>,
        products: Arc<dyn ProductStore>,
        registrar: Arc<dyn CreatorRegistrar>,
        clock: Arc<dyn Clock>,
        max_products: u32,
    ) -> Self {
        Self {
            creators,
            products,
            registrar,
            clock,
            max_products,
        }
    }

    /// Registers the wallet as a creator; gives the seed of its identity.
    ///
    /// # Errors
    /// [`MarketError::Text`], and why the chain did not.
    pub async fn register(
        &self,
        new: NewCreator,
        network: Option<ClientNetwork>,
    ) -> Result<[u8; 32], MarketError> {
        self.expect_new(&new).await?;
        Ok(self.registrar.register(new, network).await?)
    }

    /// The transaction by which the wallet registers itself as a creator.
    ///
    /// # Errors
    /// [`MarketError::Text`]; [`RegisterError::Registered`] for a wallet that is registered.
    pub async fn registration(&self, new: NewCreator) -> Result<UnsignedTransaction, MarketError> {
        self.expect_new(&new).await?;
        Ok(self.registrar.transaction(new))
    }

    async fn expect_new(&self, new: &NewCreator) -> Result<(), MarketError> {
        for (name, text, most) in [("uri", &new.uri, URI_BYTES), ("pub_key", &new.pub_key, KEY_BYTES)] {
            if text.is_empty() || text.len() > most || text.chars().any(char::is_control) {
                return Err(MarketError::Text(name, most));
            }
            if let Some(problem) = name_problem(text) {
                return Err(MarketError::Deceptive(name, problem));
            }
        }
        if self.creators.find(new.address).await?.is_some() {
            return Err(RegisterError::Registered.into());
        }
        Ok(())
    }

    /// Creators, newest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn creators(&self, page: Page) -> Result<Listed<Creator>, MarketError> {
        Ok(self.creators.list(page).await?)
    }

    /// One creator.
    ///
    /// # Errors
    /// [`MarketError::NotFound`].
    pub async fn creator(&self, address: WalletAddress) -> Result<Creator, MarketError> {
        let found = self.creators.find(address).await?;
        found.ok_or(MarketError::NotFound("creator"))
    }

    /// What a creator sells, and how much that is used.
    ///
    /// # Errors
    /// [`MarketError::NotFound`].
    pub async fn statistics(&self, address: WalletAddress) -> Result<CreatorStatistics, MarketError> {
        let found = self.creators.statistics(address).await?;
        found.ok_or(MarketError::NotFound("creator"))
    }

    /// Products that fit the filter.
    ///
    /// # Errors
    /// The store's.
    pub async fn products(
        &self,
        filter: ProductFilter,
        page: Page,
    ) -> Result<Listed<ProductPage>, MarketError> {
        Ok(self.products.list(filter, page).await?)
    }

    /// One product.
    ///
    /// # Errors
    /// [`MarketError::NotFound`].
    pub async fn product(&self, id: ProductId) -> Result<ProductPage, MarketError> {
        let found = self.products.find(id).await?;
        found.ok_or(MarketError::NotFound("product"))
    }

    /// The caller's newest product, and how many there are of all creators.
    ///
    /// # Errors
    /// The store's.
    pub async fn newest(&self, creator: WalletAddress) -> Result<(Option<ProductPage>, u64), MarketError> {
        Ok(self.products.newest(creator).await?)
    }

    /// Changes what is said about a product.
    ///
    /// # Errors
    /// [`MarketError::NotTheCreator`] and what a page must keep to.
    pub async fn describe(
        &self,
        caller: WalletAddress,
        id: ProductId,
        mut change: PageChange,
    ) -> Result<ProductPage, MarketError> {
        let page = self.product(id).await?;
        if page.product.creator != caller {
            return Err(MarketError::NotTheCreator);
        }
        if change == PageChange::default() {
            return Err(MarketError::NothingToChange);
        }
        change.description = change
            .description
            .map(|text| text.map(described).transpose())
            .transpose()?;
        change.photo_url = change
            .photo_url
            .map(|url| url.map(pictured).transpose())
            .transpose()?;
        let changed = self.products.describe(id, change).await?;
        changed.ok_or(MarketError::NotFound("product"))
    }

    /// Makes a product one of a project's with `content`, which was checked before. Whether the caller may
    /// is `orgs`' question, asked before.
    ///
    /// # Errors
    /// [`MarketError::Unusable`], [`MarketError::NotOnChain`], [`MarketError::TooExpensive`],
    /// [`MarketError::TooManyProducts`].
    pub async fn enable(
        &self,
        by: Caller,
        (org, project): (OrgId, ProjectId),
        id: ProductId,
        content: EnabledContent,
    ) -> Result<(), MarketError> {
        if let Some(fault) = self.product(id).await?.unusable() {
            return Err(MarketError::Unusable(fault));
        }
        let (most, act) = (self.max_products, by.acts(self.clock.now()));
        let enabling = self.products.enable((org, project), id, content, most, act);
        match enabling.await? {
            Enabling::Enabled => Ok(()),
            Enabling::NotOnChain => Err(MarketError::NotOnChain),
            Enabling::TooExpensive => Err(MarketError::TooExpensive),
            Enabling::TooMany => Err(MarketError::TooManyProducts { most }),
        }
    }

    /// Makes a project use the content that is published now at `uri`, which was checked before.
    ///
    /// # Errors
    /// [`MarketError::NotEnabled`], [`MarketError::ContentChanged`].
    pub async fn accept_content(
        &self,
        by: Caller,
        used: (OrgId, ProjectId),
        id: ProductId,
        uri: String,
    ) -> Result<(), MarketError> {
        let act = by.acts(self.clock.now());
        match self.products.accept_content(used, id, uri, act).await? {
            ContentAcceptance::Accepted => Ok(()),
            ContentAcceptance::NotEnabled => Err(MarketError::NotEnabled),
            ContentAcceptance::Changed => Err(MarketError::ContentChanged),
        }
    }

    /// Takes a product away from a project; one that was not there is no error.
    ///
    /// # Errors
    /// [`MarketError::NotFound`] when there is no such product at all.
    pub async fn disable(
        &self,
        by: Caller,
        used: (OrgId, ProjectId),
        id: ProductId,
    ) -> Result<(), MarketError> {
        let act = by.acts(self.clock.now());
        if !self.products.disable(used, id, act).await? {
            self.product(id).await?;
        }
        Ok(())
    }

    /// A project's products.
    ///
    /// # Errors
    /// The store's.
    pub async fn of_project(&self, project: ProjectId) -> Result<Vec<ProjectProduct>, MarketError> {
        Ok(self.products.of_project(project).await?)
    }

    /// What the products of a project cost together per call. Those that cannot be used cost nothing.
    pub fn price_per_call(products: &[ProjectProduct]) -> Usdt {
        let pages = products.iter().map(|product| &product.page);
        let usable = pages.filter(|page| page.unusable().is_none());
        let prices = usable.filter_map(|page| page.product.price_per_call);
        prices.fold(Usdt::ZERO, |sum, price| {
            sum.checked_add(price).unwrap_or(Usdt::MAX)
        })
    }
}

fn described(text: String) -> Result<String, MarketError> {
    let shown = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    if text.chars().count() > DESCRIPTION_CHARS || !text.chars().all(shown) {
        return Err(MarketError::Description);
    }
    Ok(text)
}

fn pictured(text: String) -> Result<String, MarketError> {
    let fits = text.len() <= PHOTO_URL_BYTES && !text.chars().any(|c| c.is_control() || c.is_whitespace());
    let url = Url::parse(&text).ok().filter(|_| fits);
    let safe = |url: &Url| url.scheme() == "https" && url.has_host() && url.username().is_empty();
    match url {
        Some(url) if safe(&url) => Ok(text),
        _ => Err(MarketError::Photo),
    }
}

#[cfg(test)]
mod tests;
