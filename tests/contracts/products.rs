//! Products: their makers, their prices, and who may enable them.

use alloy::primitives::{Address, U256};

use crate::{
    bindings::{HaitheOrchestrator, HaitheOrganization, HaitheProduct},
    world::{Org, People, World, event},
};

struct Scene {
    world: World,
    org: Org,
    product: Address,
}

/// A product of cora for 5 tokens, and an organization of alice.
async fn scene() -> Scene {
    let world = World::plain().await;
    let org = world.org(world.organization("acme", &world.people.alice, 10).await);
    world.creator(&world.people.cora).await;
    let product = world.product_of(&world.people.cora, "book", world.usdt(5)).await;
    Scene { world, org, product }
}

#[tokio::test]
async fn a_product_says_what_it_was_made_with() {
    let Scene { world, product, .. } = scene().await;
    let contract = world.product(product);
    assert_eq!(contract.name().call().await.unwrap(), "book");
    assert_eq!(contract.uri().call().await.unwrap(), "https://content.example/1");
    assert_eq!(contract.iv().call().await.unwrap(), "00");
    assert_eq!(contract.encryptedKeyForTEE().call().await.unwrap(), "ab");
    assert_eq!(contract.category().call().await.unwrap(), "knowledge:text");
    assert_eq!(contract.pricePerCall().call().await.unwrap(), world.usdt(5));
    assert_eq!(
        contract.creator().call().await.unwrap(),
        world.people.cora.address
    );
    assert!(!contract.retired().call().await.unwrap());
    assert!(world.hub.isProduct(product).call().await.unwrap());
    assert_eq!(world.hub.products(U256::ZERO).call().await.unwrap(), product);
    assert_eq!(world.hub.productsCount().call().await.unwrap(), U256::ONE);
    assert!(world.hub.productNameExists("book".into()).call().await.unwrap());
}

#[tokio::test]
async fn enabling_pins_todays_price() {
    let Scene { world, org, product } = scene().await;
    let People { alice, cora, .. } = &world.people;
    let receipt = world.act(alice, org.enableProduct_0(product)).await;
    let enabled: HaitheOrchestrator::ProductEnabled = event(&receipt);
    assert_eq!((enabled.organization, enabled.product), (*org.address(), product));
    assert_eq!(enabled.maxPrice, world.usdt(5));

    let receipt = world
        .act(cora, world.product(product).setPricePerCall(world.usdt(50)))
        .await;
    let changed: HaitheOrchestrator::PriceChanged = event(&receipt);
    assert_eq!((changed.product, changed.pricePerCall), (product, world.usdt(50)));
    assert_eq!(
        org.maxPriceOf(product).call().await.unwrap(),
        world.usdt(5),
        "the maximum stays"
    );

    world.act(alice, org.enableProduct_0(product)).await;
    assert_eq!(
        org.maxPriceOf(product).call().await.unwrap(),
        world.usdt(50),
        "until the new price is accepted"
    );
    assert_eq!(org.getEnabledProducts().call().await.unwrap(), [product]);
}

#[tokio::test]
async fn a_maximum_can_be_named_and_protects_against_a_raise_in_the_same_block() {
    let Scene { world, org, product } = scene().await;
    let alice = &world.people.alice;
    let above: HaitheOrganization::PriceAboveMaximum = world
        .refused(alice, org.enableProduct_1(product, world.usdt(4)))
        .await;
    assert_eq!((above.price, above.maxPrice), (world.usdt(5), world.usdt(4)));
    world
        .act(alice, org.enableProduct_1(product, world.usdt(8)))
        .await;
    assert_eq!(org.maxPriceOf(product).call().await.unwrap(), world.usdt(8));
}

#[tokio::test]
async fn a_disabled_product_is_gone_and_can_come_back() {
    let Scene { world, org, product } = scene().await;
    let alice = &world.people.alice;
    let other = world.product_of(&world.people.cora, "song", U256::ZERO).await;
    world.act(alice, org.enableProduct_0(product)).await;
    world.act(alice, org.enableProduct_0(other)).await;
    assert_eq!(org.enabledProducts().call().await.unwrap(), [product, other]);

    let receipt = world.act(alice, org.disableProduct(product)).await;

    let disabled: HaitheOrchestrator::ProductDisabled = event(&receipt);
    assert_eq!(
        (disabled.organization, disabled.product),
        (*org.address(), product)
    );
    assert_eq!(org.getEnabledProducts().call().await.unwrap(), [other]);
    assert_eq!(org.maxPriceOf(product).call().await.unwrap(), U256::ZERO);
    let _: HaitheOrganization::ProductNotEnabled = world.refused(alice, org.disableProduct(product)).await;
    world.act(alice, org.enableProduct_0(product)).await;
}

#[tokio::test]
async fn administrators_choose_products_and_members_do_not() {
    let Scene { world, org, product } = scene().await;
    let People {
        alice,
        bob,
        walter,
        server,
        mallory,
        ..
    } = &world.people;
    world.act(alice, org.setRole(walter.address, 2)).await;
    world.act(alice, org.setRole(bob.address, 1)).await;
    world.act(walter, org.enableProduct_0(product)).await;
    for person in [bob, server, mallory] {
        type Refusal = HaitheOrganization::NotAdmin;
        let _: Refusal = world.refused(person, org.enableProduct_0(product)).await;
        let _: Refusal = world
            .refused(person, org.enableProduct_1(product, U256::MAX))
            .await;
        let _: Refusal = world.refused(person, org.disableProduct(product)).await;
    }
    world.act(walter, org.disableProduct(product)).await;
}

#[tokio::test]
async fn what_is_no_product_cannot_be_enabled() {
    let Scene { world, org, .. } = scene().await;
    for stranger in [
        *org.address(),
        *world.token.address(),
        world.people.mallory.address,
    ] {
        type Refusal = HaitheOrganization::UnknownProduct;
        let _: Refusal = world
            .refused(&world.people.alice, org.enableProduct_0(stranger))
            .await;
        let _: Refusal = world
            .refused(&world.people.alice, org.enableProduct_1(stranger, U256::MAX))
            .await;
    }
}

#[tokio::test]
async fn only_the_creator_changes_a_product() {
    let Scene { world, product, .. } = scene().await;
    let People {
        cora,
        alice,
        server,
        operator,
        mallory,
        ..
    } = &world.people;
    let contract = world.product(product);
    for person in [alice, server, operator, mallory] {
        type Refusal = HaitheProduct::NotCreator;
        let _: Refusal = world.refused(person, contract.setPricePerCall(U256::ZERO)).await;
        let _: Refusal = world
            .refused(person, contract.setUri("https://evil.example".into()))
            .await;
        let _: Refusal = world.refused(person, contract.retire()).await;
    }
    let receipt = world
        .act(cora, contract.setUri("https://content.example/2".into()))
        .await;
    let changed: HaitheOrchestrator::UriChanged = event(&receipt);
    assert_eq!(
        (changed.product, changed.uri.as_str()),
        (product, "https://content.example/2")
    );
    let _: HaitheProduct::BadText = world.refused(cora, contract.setUri("x".repeat(2049))).await;
}

#[tokio::test]
async fn a_retired_product_is_neither_enabled_nor_changed() {
    let Scene { world, org, product } = scene().await;
    let People { cora, alice, .. } = &world.people;
    let contract = world.product(product);
    let receipt = world.act(cora, contract.retire()).await;
    let retired: HaitheOrchestrator::ProductRetired = event(&receipt);
    assert_eq!(retired.product, product);
    let _: HaitheOrganization::ProductIsRetired = world.refused(alice, org.enableProduct_0(product)).await;
    let _: HaitheProduct::ProductIsRetired = world.refused(cora, contract.setPricePerCall(U256::ONE)).await;
    let _: HaitheProduct::ProductIsRetired = world.refused(cora, contract.retire()).await;
}

#[tokio::test]
async fn only_registered_creators_add_products() {
    let world = World::plain().await;
    let [name, uri, iv, key, category] = ["n", "u", "i", "k", "c"].map(String::from);
    let call = world.hub.addProduct(name, uri, iv, key, category, U256::ZERO);
    let error: HaitheOrchestrator::UnknownCreator = world.refused(&world.people.mallory, call).await;
    assert_eq!(error.creator, world.people.mallory.address);
}
