//! [`ProductStore`]: products as the chain says, and their pages.

use crate::{
    database::{Database, NOON, on_every_database},
    world::{World, wallet},
};
use haithe_billing::chain::EventBody;
use haithe_kernel::{Page, ProductId, Usdt, WalletAddress};
use haithe_marketplace::{
    Category, PageChange, ProductFilter, ProductOrder, ProductPage, ports::EnabledContent,
};

/// Units of a token of 18 decimals in one nano-USDT.
pub const UNITS: u128 = 1_000_000_000;

/// What a project accepts of a product that was added by [`added`].
pub fn content(follow_updates: Option<bool>) -> EnabledContent {
    EnabledContent {
        uri: URI.into(),
        follow_updates,
    }
}

const URI: &str = "https://example.com/sealed";

pub fn contract(number: u8) -> WalletAddress {
    wallet(0x80 + number)
}

/// Product `number` by the creator, at a price of so many nano-USDT.
pub fn added(number: u8, creator: u8, category: &str, price: u128) -> EventBody {
    EventBody::ProductAdded {
        index: u64::from(number),
        product: contract(number),
        creator: wallet(creator),
        name: format!("Product {number}"),
        uri: URI.into(),
        encrypted_key: "00".into(),
        category: category.into(),
        price: Some(price * UNITS),
    }
}

/// Four products: two of each of two creators, the last one of a category that we do not know.
pub async fn market<D: Database>(db: D) -> World<D> {
    let mut world = World::over(db).await;
    for product in [
        added(1, 1, "promptset", 300),
        added(2, 1, "knowledge:text", 100),
        added(3, 2, "promptset", 200),
        added(4, 2, "tool:rs", 0),
    ] {
        world.mine_one(product).await;
    }
    world
}

async fn numbers(db: &impl Database, filter: ProductFilter, page: Page) -> (Vec<u8>, u64) {
    let listed = db.products().list(filter, page).await.unwrap();
    (listed.items.iter().map(number).collect(), listed.total)
}

pub fn number(page: &ProductPage) -> u8 {
    page.product.address.as_bytes()[0] - 0x80
}

pub async fn page_of(db: &impl Database, wanted: u8) -> ProductPage {
    let listed = db.products().list(ProductFilter::default(), Page::FIRST).await;
    let listed = listed.unwrap().items;
    listed.into_iter().find(|page| number(page) == wanted).unwrap()
}

async fn what_the_chain_says_reads_back(db: impl Database) {
    let world = market(db).await.reopened().await;
    let page = page_of(&world.db, 1).await;
    let product = &page.product;
    assert_eq!((product.creator, product.name.as_str()), (wallet(1), "Product 1"));
    assert_eq!(product.category, Some(Category::PromptSet));
    assert_eq!(product.price_per_call, Some(Usdt::from_nano(300)));
    assert!(!product.retired && product.created_at > NOON);
    assert_eq!((&page.description, &page.photo_url), (&None, &None));
    assert_eq!(world.db.products().find(product.id).await.unwrap(), Some(page));
    assert_eq!(world.db.products().find(ProductId(999)).await.unwrap(), None);
    let unknown = page_of(&world.db, 4).await;
    assert_eq!(
        (unknown.product.category, unknown.category.as_str()),
        (None, "tool:rs")
    );
}

async fn lists_filter_order_and_page(db: impl Database) {
    let world = market(db).await;
    let all = ProductFilter::default;
    let change = PageChange {
        description: Some(Some("about 100% of CATS_".into())),
        photo_url: None,
    };
    let second = page_of(&world.db, 2).await.product.id;
    world.db.products().describe(second, change).await.unwrap();
    let of = |category: &str| ProductFilter {
        category: Some(category.into()),
        ..all()
    };
    let by = |creator| ProductFilter {
        creator: Some(wallet(creator)),
        ..all()
    };
    let with = |text: &str| ProductFilter {
        text: Some(text.into()),
        ..all()
    };
    let cheapest = ProductFilter {
        order: ProductOrder::Price,
        ..all()
    };
    for (filter, expected) in [
        (all(), vec![4, 3, 2, 1]),
        (cheapest.clone(), vec![4, 2, 3, 1]),
        (of("promptset"), vec![3, 1]),
        (of("mcp"), vec![]),
        (by(1), vec![2, 1]),
        (by(9), vec![]),
        (with("product 3"), vec![3]),
        (with("cats"), vec![2]),
        (with("100%"), vec![2]),
        (with("0%0"), vec![]),
        (with("s_"), vec![2]),
        (with("_"), vec![2]),
        (
            ProductFilter {
                creator: Some(wallet(2)),
                ..of("promptset")
            },
            vec![3],
        ),
    ] {
        let total = expected.len() as u64;
        let found = numbers(&world.db, filter.clone(), Page::FIRST).await;
        assert_eq!(found, (expected, total), "{filter:?}");
    }
    let page = Page::new(2, 1).unwrap();
    assert_eq!(numbers(&world.db, all(), page).await, (vec![3, 2], 4));
    assert_eq!(numbers(&world.db, cheapest, page).await, (vec![2, 3], 4));
}

async fn a_creators_newest_comes_with_the_count_of_all(db: impl Database) {
    let world = market(db).await;
    let products = world.db.products();
    let (newest, total) = products.newest(wallet(1)).await.unwrap();
    assert_eq!((newest.as_ref().map(number), total), (Some(2), 4));
    let (none, total) = products.newest(wallet(9)).await.unwrap();
    assert_eq!((none, total), (None, 4));
}

async fn a_page_changes_in_part_and_clears(db: impl Database) {
    let world = market(db).await;
    let products = world.db.products();
    let id = page_of(&world.db, 1).await.product.id;
    let text = |text: &str| Some(Some(text.to_owned()));
    let said = |page: Option<ProductPage>| page.map(|page| (page.description, page.photo_url));
    let some = |text: &str| Some(text.to_owned());
    for (description, photo_url, expected) in [
        (text("words"), None, (some("words"), None)),
        (
            None,
            text("https://example.com/a.png"),
            (some("words"), some("https://example.com/a.png")),
        ),
        (None, None, (some("words"), some("https://example.com/a.png"))),
        (Some(None), None, (None, some("https://example.com/a.png"))),
    ] {
        let change = PageChange {
            description,
            photo_url,
        };
        let changed = products.describe(id, change.clone()).await.unwrap();
        assert_eq!(said(changed), Some(expected.clone()), "{change:?}");
        assert_eq!(said(products.find(id).await.unwrap()), Some(expected));
    }
    let unknown = products.describe(ProductId(999), PageChange::default()).await;
    assert_eq!(unknown.unwrap(), None);
}

async fn the_chain_changes_a_products_price_and_retires_it(db: impl Database) {
    let mut world = market(db).await;
    let product = contract(1);
    let price = |price| EventBody::PriceChanged { product, price };
    world.mine_one(price(Some(7 * UNITS + 5))).await;
    let page = page_of(&world.db, 1).await;
    assert_eq!(
        page.product.price_per_call,
        Some(Usdt::from_nano(7)),
        "rounded down"
    );
    world.mine_one(price(None)).await;
    let page = page_of(&world.db, 1).await;
    assert_eq!(page.product.price_per_call, None);
    assert!(page.unusable().is_some());
    world.mine_one(EventBody::ProductRetired { product }).await;
    assert!(page_of(&world.db, 1).await.product.retired, "listed all the same");
}

async fn a_product_of_a_block_that_went_is_none(db: impl Database) {
    let mut world = market(db).await;
    world.finality = 10;
    world.mine_one(added(5, 1, "promptset", 1)).await;
    let id = page_of(&world.db, 5).await.product.id;
    world.rewind(1).await;
    assert_eq!(world.db.products().find(id).await.unwrap(), None);
    assert_eq!(
        numbers(&world.db, ProductFilter::default(), Page::FIRST).await.1,
        4
    );
}

on_every_database!(
    what_the_chain_says_reads_back,
    lists_filter_order_and_page,
    a_creators_newest_comes_with_the_count_of_all,
    a_page_changes_in_part_and_clears,
    the_chain_changes_a_products_price_and_retires_it,
    a_product_of_a_block_that_went_is_none,
);
