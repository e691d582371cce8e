//! Use case: browse products, say something about one's own, and use them in projects.

use crate::{
    catalog::{
        Creator, CreatorStatistics, NewCreator, PageChange, ProductFilter, ProductPage, ProjectProduct,
    },
    ports::{
        ContentAcceptance, CreatorRegistrar, CreatorStore, EnabledContent, Enabling, ProductStore,
        RegisterError,
    },
    usability::ProductFault,
};
use haithe_kernel::{
    ClientNetwork, Clock, Failure, Kind, Listed, NameProblem, OrgId, Page, ProductId, ProjectId, StoreError,
    Usdt, WalletAddress, name_problem,
};
use haithe_orgs::UnsignedTransaction;
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

/// A rule about products that was broken.
#[derive(Debug, thiserror::Error)]
pub enum MarketError {
    /// There is none.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// Somebody else's product.
    #[error("only its creator may do this to a product")]
    NotTheCreator,
    /// A description that cannot be shown.
    #[error(
        "a description has at most {DESCRIPTION_CHARS} characters and no control characters but line breaks"
    )]
    Description,
    /// A picture that cannot be shown.
    #[error("photo_url must be an https address of at most {PHOTO_URL_BYTES} bytes")]
    Photo,
    /// A change without content.
    #[error("nothing to change: give description or photo_url")]
    NothingToChange,
    /// It can never be used as it is published.
    #[error("this product can never be used as it is published: {0}")]
    Unusable(ProductFault),
    /// The project does not use the product.
    #[error("this project does not use this product; enable it first")]
    NotEnabled,
    /// The creator published other content meanwhile.
    #[error("the creator has published other content since; read the project's products and accept it again")]
    ContentChanged,
    /// The organization's contract must accept it first.
    #[error(
        "the organization's contract has not enabled this product; its owner or an admin calls enableProduct first"
    )]
    NotOnChain,
    /// The price rose above what the organization accepted.
    #[error("this product's price is above what the organization accepted on chain; enable it there again")]
    TooExpensive,
    /// The project has as many products as it may have.
    #[error("a project can have at most {most} products; disable another one first")]
    TooManyProducts {
        /// The bound.
        most: u32,
    },
    /// What a creator says of itself is too long or has control characters.
    #[error("{0} must have 1 to {1} bytes and no control characters")]
    Text(&'static str, usize),
    /// A text that looks like another one.
    #[error("{0} {1}")]
    Deceptive(&'static str, NameProblem),
    /// No registration.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure for MarketError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound(_) => Kind::NotFound,
            Self::NotTheCreator => Kind::Forbidden,
            Self::Description
            | Self::Photo
            | Self::NothingToChange
            | Self::Text(..)
            | Self::Deceptive(..) => Kind::Invalid,
            Self::Register(error) => error.kind(),
            Self::Unusable(_) => Kind::Unprocessable,
            Self::NotOnChain
            | Self::TooExpensive
            | Self::TooManyProducts { .. }
            | Self::NotEnabled
            | Self::ContentChanged => Kind::Conflict,
            Self::Store(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::NotTheCreator => "forbidden",
            Self::Description => "invalid_description",
            Self::Photo => "invalid_photo_url",
            Self::NothingToChange => "nothing_to_change",
            Self::Text(..) | Self::Deceptive(..) => "invalid_text",
            Self::Register(error) => error.code(),
            Self::Unusable(_) => "product_unusable",
            Self::NotEnabled => "product_not_enabled",
            Self::ContentChanged => "content_changed",
            Self::NotOnChain => "product_not_enabled_on_chain",
            Self::TooExpensive => "product_price_above_maximum",
            Self::TooManyProducts { .. } => "too_many_products",
            Self::Store(error) => error.code(),
        }
    }
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Store(error) => error.retry_after(),
            Self::Register(error) => error.retry_after(),
            _ => None,
        }
    }
    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Unusable(fault) => fault.details(),
            _ => Vec::new(),
        }
    }
}

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
        org: OrgId,
        project: ProjectId,
        id: ProductId,
        content: EnabledContent,
    ) -> Result<(), MarketError> {
        if let Some(fault) = self.product(id).await?.unusable() {
            return Err(MarketError::Unusable(fault));
        }
        let (most, now) = (self.max_products, self.clock.now());
        let enabling = self.products.enable(org, project, id, content, most, now);
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
        project: ProjectId,
        id: ProductId,
        uri: String,
    ) -> Result<(), MarketError> {
        match self.products.accept_content(project, id, uri).await? {
            ContentAcceptance::Accepted => Ok(()),
            ContentAcceptance::NotEnabled => Err(MarketError::NotEnabled),
            ContentAcceptance::Changed => Err(MarketError::ContentChanged),
        }
    }

    /// Takes a product away from a project; one that was not there is no error.
    ///
    /// # Errors
    /// [`MarketError::NotFound`] when there is no such product at all.
    pub async fn disable(&self, project: ProjectId, id: ProductId) -> Result<(), MarketError> {
        if !self.products.disable(project, id).await? {
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
mod tests {
    use super::*;
    use crate::{
        catalog::Uses,
        ports::{MockCreatorRegistrar, MockCreatorStore, MockProductStore},
        product::{Category, Product},
    };
    use haithe_kernel::{FixedClock, Timestamp};

    const CREATOR: WalletAddress = WalletAddress::new([7; 20]);

    fn page() -> ProductPage {
        ProductPage {
            product: Product {
                id: ProductId(1),
                address: WalletAddress::new([8; 20]),
                creator: CREATOR,
                name: "facts".into(),
                category: Some(Category::KnowledgeText),
                price_per_call: Some(Usdt::whole(1)),
                next_price: None,
                created_at: Timestamp::from_seconds(0),
                retired: false,
                confirmed: true,
            },
            category: "knowledge:text".into(),
            description: None,
            photo_url: None,
            uses: Uses::default(),
            content_fault: None,
        }
    }

    fn market(products: MockProductStore) -> Market {
        let clock = FixedClock::at(Timestamp::from_seconds(1));
        Market::new(
            Arc::new(MockCreatorStore::new()),
            Arc::new(products),
            Arc::new(MockCreatorRegistrar::new()),
            Arc::new(clock),
            32,
        )
    }

    fn showing(page: ProductPage) -> MockProductStore {
        let mut products = MockProductStore::new();
        products.expect_find().returning(move |_| Ok(Some(page.clone())));
        products
    }

    #[tokio::test]
    async fn what_nobody_can_pay_or_understand_is_never_enabled() {
        let mut retired = page();
        retired.product.retired = true;
        let mut strange = page();
        strange.product.category = None;
        let mut priceless = page();
        priceless.product.price_per_call = None;
        let mut broken = page();
        broken.content_fault = Some(ProductFault::new(
            crate::usability::ProductField::Uri,
            "it has no SHA-256",
        ));
        for unusable in [retired, strange, priceless, broken] {
            let mut products = showing(unusable);
            products.expect_enable().never();
            let refused = market(products)
                .enable(
                    OrgId(1),
                    ProjectId(1),
                    ProductId(1),
                    EnabledContent {
                        uri: String::new(),
                        follow_updates: None,
                    },
                )
                .await;
            assert!(matches!(refused, Err(MarketError::Unusable(_))));
        }
    }

    #[tokio::test]
    async fn only_its_creator_describes_a_product_and_only_in_bounds() {
        let mut products = showing(page());
        products.expect_describe().never();
        let market = market(products);
        let change = |description: &str, photo: &str| PageChange {
            description: Some(Some(description.to_owned())),
            photo_url: Some(Some(photo.to_owned())),
        };
        let good = change("Facts.", "https://p.example/a.png");
        let stranger = market
            .describe(WalletAddress::new([9; 20]), ProductId(1), good)
            .await;
        assert!(matches!(stranger, Err(MarketError::NotTheCreator)));
        let nothing = market
            .describe(CREATOR, ProductId(1), PageChange::default())
            .await;
        assert!(matches!(nothing, Err(MarketError::NothingToChange)));
        for bad in ["a\u{0}b", &"x".repeat(DESCRIPTION_CHARS + 1)] {
            let refused = market
                .describe(CREATOR, ProductId(1), change(bad, "https://p.example/"))
                .await;
            assert!(matches!(refused, Err(MarketError::Description)));
        }
        for bad in [
            "http://p.example/a.png",
            "javascript:alert(1)",
            "data:image/png;base64,AA",
            "https://user@p.example/",
            "https://",
            "https://p.example/a b",
            "../a.png",
        ] {
            let refused = market.describe(CREATOR, ProductId(1), change("x", bad)).await;
            assert!(matches!(refused, Err(MarketError::Photo)), "{bad}");
        }
    }

    #[test]
    fn the_price_of_a_project_is_the_sum_of_what_can_be_used() {
        let mut retired = page();
        retired.product.retired = true;
        let used = |page| ProjectProduct {
            page,
            pin: crate::usability::ContentPin {
                uri: String::new(),
                follow_updates: false,
            },
            published_uri: String::new(),
        };
        let all = [page(), page(), retired].map(used);
        assert_eq!(Market::price_per_call(&all), Usdt::whole(2));
        assert_eq!(Market::price_per_call(&[]), Usdt::ZERO);
    }
}
