//! Rules about products, without a database or a chain.

use super::*;
use crate::{
    catalog::Uses,
    ports::{MockCreatorRegistrar, MockCreatorStore, MockProductStore},
    product::{Category, Product},
    usability::{ContentPin, ProductFault, ProductField},
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
    broken.content_fault = Some(ProductFault::new(ProductField::Uri, "it has no SHA-256"));
    for unusable in [retired, strange, priceless, broken] {
        let mut products = showing(unusable);
        products.expect_enable().never();
        let refused = market(products)
            .enable(
                CREATOR.into(),
                (OrgId(1), ProjectId(1)),
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
        pin: ContentPin {
            uri: String::new(),
            follow_updates: false,
        },
        published_uri: String::new(),
    };
    let all = [page(), page(), retired].map(used);
    assert_eq!(Market::price_per_call(&all), Usdt::whole(2));
    assert_eq!(Market::price_per_call(&[]), Usdt::ZERO);
}
