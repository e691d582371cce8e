//! [`ProductStore`]: products as the chain says, their pages, and which project uses which.

use crate::{
    database::{Database, NOON, on_every_database},
    figures::Used,
    world::{World, nano, wallet},
};
use haithe_billing::{capture::PriceLine, chain::EventBody};
use haithe_kernel::{OrgId, Page, ProductId, ProjectId, Usdt, WalletAddress};
use haithe_marketplace::{
    Category, PageChange, ProductFilter, ProductOrder, ProductPage,
    catalog::ProjectProduct,
    ports::{CallProduct, ContentAcceptance, EnabledContent, Enabling, ProductAcceptance},
    usability::{ContentPin, ProductFault, ProductField},
};
use std::time::Duration;

/// Units of a token of 18 decimals in one nano-USDT.
const UNITS: u128 = 1_000_000_000;

/// What a project accepts of a product that was added by [`added`].
fn content(follow_updates: Option<bool>) -> EnabledContent {
    EnabledContent {
        uri: URI.into(),
        follow_updates,
    }
}

const URI: &str = "https://example.com/sealed";

fn contract(number: u8) -> WalletAddress {
    wallet(0x80 + number)
}

/// Product `number` by the creator, at a price of so many nano-USDT.
fn added(number: u8, creator: u8, category: &str, price: u128) -> EventBody {
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
async fn market<D: Database>(db: D) -> World<D> {
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

fn number(page: &ProductPage) -> u8 {
    page.product.address.as_bytes()[0] - 0x80
}

async fn page_of(db: &impl Database, wanted: u8) -> ProductPage {
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

/// An organization with a project, whose contract accepts product 1 up to 300 nano-USDT.
async fn user<D: Database>(world: &mut World<D>) -> (OrgId, ProjectId) {
    let (org, project) = world.funded("Acme", Usdt::ZERO).await;
    accept(world, &org, 1, Some(300 * UNITS)).await;
    (org.id, project.id)
}

async fn accept<D: Database>(
    world: &mut World<D>,
    org: &haithe_orgs::Organization,
    number: u8,
    max_price: Option<u128>,
) {
    let enabled = EventBody::ProductEnabled {
        org: org.address,
        product: contract(number),
        max_price,
    };
    world.mine_one(enabled).await;
}

async fn a_project_uses_what_its_organizations_contract_accepts(db: impl Database) {
    let mut world = market(db).await;
    let (org, project) = user(&mut world).await;
    let first = page_of(&world.db, 1).await.product.id;
    let second = page_of(&world.db, 2).await.product.id;
    let products = world.db.products();
    let enable = async |product| {
        products
            .enable(org, project, product, content(None), 32, NOON)
            .await
            .unwrap()
    };
    assert_eq!(enable(first).await, Enabling::Enabled);
    assert_eq!(enable(first).await, Enabling::Enabled, "twice is no error");
    assert_eq!(enable(second).await, Enabling::NotOnChain);
    assert_eq!(enable(ProductId(999)).await, Enabling::NotOnChain);
    let price = EventBody::PriceChanged {
        product: contract(1),
        price: Some(301 * UNITS),
    };
    world.mine_one(price).await;
    assert_eq!(enable(first).await, Enabling::TooExpensive);
    let used = products.of_project(project).await.unwrap();
    assert_eq!(
        used.iter().map(|used| number(&used.page)).collect::<Vec<_>>(),
        [1],
        "enabled before"
    );
    assert!(products.disable(project, first).await.unwrap());
    assert!(!products.disable(project, first).await.unwrap());
    assert_eq!(products.of_project(project).await.unwrap(), []);
}

async fn a_projects_products_come_in_the_order_they_were_enabled(db: impl Database) {
    let mut world = market(db).await;
    let (org, project) = world.funded("Acme", Usdt::ZERO).await;
    let other = world.project(&org).await;
    for number in 1..=3 {
        accept(&mut world, &org, number, None).await;
    }
    let products = world.db.products();
    for (seconds, number) in [(1, 3), (2, 1), (3, 2)] {
        let id = page_of(&world.db, number).await.product.id;
        let at = NOON.plus(Duration::from_secs(seconds));
        products
            .enable(org.id, project.id, id, content(None), 32, at)
            .await
            .unwrap();
    }
    let world = world.reopened().await;
    let products = world.db.products();
    let used = products.of_project(project.id).await.unwrap();
    assert_eq!(
        used.iter().map(|used| number(&used.page)).collect::<Vec<_>>(),
        [3, 1, 2]
    );
    assert_eq!(products.of_project(other.id).await.unwrap(), []);
}

/// Uses of every product: calls and projects, by its number.
async fn uses(db: &impl Database, order: ProductOrder) -> Vec<(u8, u64, u64)> {
    let filter = ProductFilter {
        order,
        ..ProductFilter::default()
    };
    let listed = db.products().list(filter, Page::FIRST).await.unwrap();
    let row = |page: &ProductPage| (number(page), page.uses.calls, page.uses.projects);
    listed.items.iter().map(row).collect()
}

async fn calls_and_projects_are_counted_and_sorted_by(db: impl Database) {
    let mut world = market(db).await;
    for number in 1..=2 {
        let registered = EventBody::CreatorRegistered {
            creator: wallet(number),
            id: u64::from(number),
            uri: "https://creator.example".into(),
            pub_key: "04ab".into(),
        };
        world.mine_one(registered).await;
    }
    let (org, project) = world.funded("Acme", nano(1_000)).await;
    let other = world.project(&org).await;
    let mut ids = Vec::new();
    for number in 1..=4 {
        accept(&mut world, &org, number, None).await;
        ids.push(page_of(&world.db, number).await.product.id);
    }
    for (project, number) in [(&project, 0), (&project, 1), (&other, 1), (&other, 2)] {
        let products = world.db.products();
        products
            .enable(org.id, project.id, ids[number], content(None), 32, NOON)
            .await
            .unwrap();
    }
    assert_eq!(
        uses(&world.db, ProductOrder::Calls).await,
        [(4, 0, 0), (3, 0, 1), (2, 0, 2), (1, 0, 1)]
    );
    let free = |number: usize| PriceLine::product(ids[number], wallet(1), nano(0));
    for lines in [
        vec![free(0)],
        vec![free(0), free(2)],
        vec![free(0), free(1)],
        vec![free(1)],
    ] {
        let used = Used {
            project: &project,
            key: None,
            model: 1,
            day: 0,
            lines,
        };
        world.used(org.id, used).await;
    }
    let world = world.reopened().await;
    let called = [(1, 3, 1), (2, 2, 2), (3, 1, 1), (4, 0, 0)];
    assert_eq!(uses(&world.db, ProductOrder::Calls).await, called);
    let mut newest = called;
    newest.reverse();
    assert_eq!(uses(&world.db, ProductOrder::Newest).await, newest);

    let creators = world.db.creators();
    let of = async |creator| {
        let statistics = creators.statistics(wallet(creator)).await.unwrap()?;
        Some((
            statistics.products,
            statistics.uses.calls,
            statistics.uses.projects,
        ))
    };
    assert_eq!(of(1).await, Some((2, 5, 2)), "a project counts once");
    assert_eq!(of(2).await, Some((2, 1, 1)));
    assert_eq!(of(9).await, None, "no creator");
    world.db.products().disable(project.id, ids[0]).await.unwrap();
    world.db.products().disable(project.id, ids[1]).await.unwrap();
    assert_eq!(of(1).await, Some((2, 5, 1)));
}

fn hosted(digit: char) -> String {
    format!("haithe:sha256:{}", String::from(digit).repeat(64))
}

async fn publishes(world: &mut World<impl Database>, uri: &str) {
    let changed = EventBody::UriChanged {
        product: contract(1),
        uri: uri.into(),
    };
    world.mine_one(changed).await;
}

async fn a_project_keeps_the_content_it_accepted_until_it_accepts_other_content(db: impl Database) {
    let mut world = market(db).await;
    let (org, project) = user(&mut world).await;
    let product = page_of(&world.db, 1).await.product.id;
    let (old, new) = (hosted('1'), hosted('2'));
    publishes(&mut world, &old).await;
    let products = world.db.products();
    let accepting = |uri: &str, follow_updates| EnabledContent {
        uri: uri.into(),
        follow_updates,
    };
    let enable = async |content| {
        let enabled = products.enable(org, project, product, content, 32, NOON).await;
        assert_eq!(enabled.unwrap(), Enabling::Enabled);
    };
    let state = async || -> (CallProduct, ProjectProduct) {
        let called = products.for_call(project).await.unwrap().remove(0);
        (called, products.of_project(project).await.unwrap().remove(0))
    };
    enable(accepting(&old, None)).await;
    publishes(&mut world, &new).await;
    enable(accepting(&new, None)).await;
    let (called, listed) = state().await;
    assert_eq!(
        (called.source.uri, called.outdated),
        (old.clone(), true),
        "enabling again changes nothing"
    );
    let pin = ContentPin {
        uri: old.clone(),
        follow_updates: false,
    };
    assert_eq!((listed.pin, listed.published_uri), (pin, new.clone()));

    let accept = async |uri: &str| {
        products
            .accept_content(project, product, uri.into())
            .await
            .unwrap()
    };
    assert_eq!(accept(&old).await, ContentAcceptance::Changed);
    assert_eq!(accept(&new).await, ContentAcceptance::Accepted);
    let unused = products.accept_content(project, ProductId(999), new.clone());
    assert_eq!(unused.await.unwrap(), ContentAcceptance::NotEnabled);
    let (called, _) = state().await;
    assert_eq!((called.source.uri, called.outdated), (new.clone(), false));

    enable(accepting(&new, Some(true))).await;
    let latest = hosted('3');
    publishes(&mut world, &latest).await;
    let (called, listed) = state().await;
    assert_eq!(
        (called.source.uri, called.outdated),
        (latest.clone(), false),
        "updates are followed"
    );
    assert!(listed.pin.follow_updates);
    enable(accepting(&latest, Some(false))).await;
    publishes(&mut world, &new).await;
    let (called, _) = state().await;
    assert_eq!(
        (called.source.uri, called.outdated),
        (latest, true),
        "and not any more"
    );
}

async fn a_call_finds_what_the_contract_accepts_at_the_price_in_force(db: impl Database) {
    let mut world = market(db).await;
    let (org, project) = user(&mut world).await;
    let first = page_of(&world.db, 1).await.product.id;
    let products = world.db.products();
    let enabled = products
        .enable(org, project, first, content(None), 32, NOON)
        .await;
    assert_eq!(enabled.unwrap(), Enabling::Enabled);
    let found = async || products.for_call(project).await.unwrap().remove(0).acceptance;
    assert_eq!(found().await, ProductAcceptance::Accepted);
    let price = EventBody::PriceChanged {
        product: contract(1),
        price: Some(301 * UNITS),
    };
    world.mine_one(price).await;
    assert_eq!(found().await, ProductAcceptance::AboveMaximum(Some(nano(300))));
}

async fn a_fault_counts_for_the_content_it_was_found_in(db: impl Database) {
    let mut world = market(db).await;
    let product = page_of(&world.db, 1).await.product.id;
    let shown = page_of(&world.db, 1).await.content_fault;
    assert_eq!(
        shown.map(|fault| fault.field),
        Some(ProductField::Uri),
        "it has no SHA-256"
    );
    let (bad, good) = (hosted('1'), hosted('2'));
    publishes(&mut world, &bad).await;
    // The words alone show that the key cannot be read, whatever is stored.
    let shown = page_of(&world.db, 1).await.content_fault;
    assert_eq!(shown.map(|fault| fault.field), Some(ProductField::EncryptedKey));
    let fault = ProductFault {
        field: ProductField::Content,
        pointer: Some("/url".into()),
        reason: "the address is not allowed".into(),
    };
    let (org, project) = user(&mut world).await;
    let products = world.db.products();
    let accepted = EnabledContent {
        uri: bad.clone(),
        follow_updates: Some(true),
    };
    products
        .enable(org, project, product, accepted, 32, NOON)
        .await
        .unwrap();
    let noted = async || products.for_call(project).await.unwrap().remove(0).fault_noted;
    assert!(!noted().await);
    products
        .note_fault(product, bad.clone(), Some(fault.clone()), NOON)
        .await
        .unwrap();
    products
        .note_fault(product, bad.clone(), Some(fault), NOON)
        .await
        .unwrap();
    assert!(noted().await);
    publishes(&mut world, &good).await;
    assert!(!noted().await, "other content");
    publishes(&mut world, &bad).await;
    assert!(noted().await);
    products.note_fault(product, bad, None, NOON).await.unwrap();
    assert!(!noted().await);
}

on_every_database!(
    calls_and_projects_are_counted_and_sorted_by,
    what_the_chain_says_reads_back,
    lists_filter_order_and_page,
    a_creators_newest_comes_with_the_count_of_all,
    a_page_changes_in_part_and_clears,
    the_chain_changes_a_products_price_and_retires_it,
    a_product_of_a_block_that_went_is_none,
    a_project_uses_what_its_organizations_contract_accepts,
    a_projects_products_come_in_the_order_they_were_enabled,
    a_project_keeps_the_content_it_accepted_until_it_accepts_other_content,
    a_call_finds_what_the_contract_accepts_at_the_price_in_force,
    a_fault_counts_for_the_content_it_was_found_in,
);
