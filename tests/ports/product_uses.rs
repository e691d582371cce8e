//! [`ProductStore`]: which project uses which product, with which content, and what that costs.

use crate::{
    database::{Database, NOON, on_every_database},
    figures::Used,
    products::{UNITS, content, contract, market, number, page_of},
    world::{World, act, nano, wallet},
};
use haithe_billing::{capture::PriceLine, chain::EventBody};
use haithe_kernel::{OrgId, Page, ProductId, ProjectId, Usdt};
use haithe_marketplace::{
    ProductFilter, ProductOrder, ProductPage,
    catalog::ProjectProduct,
    ports::{CallProduct, ContentAcceptance, EnabledContent, Enabling, ProductAcceptance},
    usability::{ContentPin, ProductFault, ProductField},
};
use haithe_orgs::{AuditAction, Caller};
use std::time::Duration;

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
            .enable((org, project), product, content(None), 32, act(wallet(1)))
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
    assert!(
        products
            .disable((org, project), first, act(wallet(1)))
            .await
            .unwrap()
    );
    assert!(
        !products
            .disable((org, project), first, act(wallet(1)))
            .await
            .unwrap()
    );
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
            .enable(
                (org.id, project.id),
                id,
                content(None),
                32,
                Caller::from(wallet(1)).acts(at),
            )
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
            .enable(
                (org.id, project.id),
                ids[number],
                content(None),
                32,
                act(wallet(1)),
            )
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
    world
        .db
        .products()
        .disable((org.id, project.id), ids[0], act(wallet(1)))
        .await
        .unwrap();
    world
        .db
        .products()
        .disable((org.id, project.id), ids[1], act(wallet(1)))
        .await
        .unwrap();
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
        let enabled = products
            .enable((org, project), product, content, 32, act(wallet(1)))
            .await;
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
            .accept_content((org, project), product, uri.into(), act(wallet(1)))
            .await
            .unwrap()
    };
    assert_eq!(accept(&old).await, ContentAcceptance::Changed);
    assert_eq!(accept(&new).await, ContentAcceptance::Accepted);
    let unused = products.accept_content((org, project), ProductId(999), new.clone(), act(wallet(1)));
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
        .enable((org, project), first, content(None), 32, act(wallet(1)))
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
        .enable((org, project), product, accepted, 32, act(wallet(1)))
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

async fn each_change_of_a_projects_products_is_audited_once(db: impl Database) {
    let mut world = market(db).await;
    let (org, project) = user(&mut world).await;
    let product = page_of(&world.db, 1).await.product.id;
    let (old, new) = (hosted('1'), hosted('2'));
    publishes(&mut world, &old).await;
    let products = world.db.products();
    let (used, by) = ((org, project), || act(wallet(2)));
    let accepting = |uri: &str, follow_updates| EnabledContent {
        uri: uri.into(),
        follow_updates,
    };
    let refused = products.enable(used, ProductId(999), accepting(&old, None), 32, by());
    assert_eq!(refused.await.unwrap(), Enabling::NotOnChain);
    for _ in 0..2 {
        let enabled = products.enable(used, product, accepting(&old, None), 32, by());
        assert_eq!(enabled.await.unwrap(), Enabling::Enabled);
    }
    publishes(&mut world, &new).await;
    for _ in 0..2 {
        let accepted = products.accept_content(used, product, new.clone(), by());
        assert_eq!(accepted.await.unwrap(), ContentAcceptance::Accepted);
    }
    products
        .enable(used, product, accepting(&new, Some(true)), 32, by())
        .await
        .unwrap();
    assert!(products.disable(used, product, by()).await.unwrap());
    assert!(!products.disable(used, product, by()).await.unwrap());

    let lines = world
        .db
        .audit()
        .of_org(org, None, Page::FIRST)
        .await
        .unwrap()
        .items;
    let product = Some(product.to_string());
    let lines = lines.into_iter().rev().filter(|line| line.subject == product);
    let lines: Vec<_> = lines
        .map(|line| {
            assert_eq!((line.act, line.project), (by(), Some(project)));
            (line.action, line.before, line.after)
        })
        .collect();
    let row = |follows: bool, uri: &str| {
        let price = nano(300);
        Some(format!(
            "price_per_call_usdt={price} follow_updates={follows} content={uri}"
        ))
    };
    let expected = [
        (AuditAction::ProductEnabled, None, row(false, &old)),
        (AuditAction::ProductContentAccepted, Some(old), Some(new.clone())),
        (AuditAction::ProductEnabled, row(false, &new), row(true, &new)),
        (AuditAction::ProductDisabled, row(true, &new), None),
    ];
    assert_eq!(lines, expected);
}

on_every_database!(
    calls_and_projects_are_counted_and_sorted_by,
    a_project_uses_what_its_organizations_contract_accepts,
    a_projects_products_come_in_the_order_they_were_enabled,
    a_project_keeps_the_content_it_accepted_until_it_accepts_other_content,
    a_call_finds_what_the_contract_accepts_at_the_price_in_force,
    a_fault_counts_for_the_content_it_was_found_in,
    each_change_of_a_projects_products_is_audited_once,
);
