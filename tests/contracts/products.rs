//! Products: their makers, their prices, and who may enable them.

use alloy::primitives::{Address, U256, keccak256};

use crate::{
    bindings::{HaitheOrchestrator, HaitheOrganization, HaitheProduct},
    world::{NOTICE, Org, People, World, event, events},
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
async fn enabling_pins_the_price_in_force() {
    let Scene { world, org, product } = scene().await;
    let People { alice, cora, .. } = &world.people;
    let receipt = world.act(alice, org.enableProduct_0(product)).await;
    let enabled: HaitheOrchestrator::ProductEnabled = event(&receipt);
    assert_eq!((enabled.organization, enabled.product), (*org.address(), product));
    assert_eq!(enabled.maxPrice, world.usdt(5));

    world
        .act(cora, world.product(product).setPricePerCall(world.usdt(50)))
        .await;
    world.act(alice, org.enableProduct_0(product)).await;
    assert_eq!(
        org.maxPriceOf(product).call().await.unwrap(),
        world.usdt(5),
        "an announced price is not accepted"
    );

    world.chain.advance_time(NOTICE);
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
async fn a_higher_price_takes_effect_after_the_notice() {
    let Scene { world, product, .. } = scene().await;
    let cora = &world.people.cora;
    let contract = world.product(product);
    assert_eq!(world.hub.priceNotice().call().await.unwrap(), NOTICE);

    let receipt = world.act(cora, contract.setPricePerCall(world.usdt(9))).await;

    let at = world.time_of(&receipt).await + NOTICE;
    let scheduled: HaitheOrchestrator::PriceScheduled = event(&receipt);
    assert_eq!((scheduled.product, scheduled.nextPriceAt), (product, at));
    assert_eq!(
        (scheduled.price, scheduled.nextPrice),
        (world.usdt(5), world.usdt(9))
    );
    assert!(events::<HaitheOrchestrator::PriceChanged>(&receipt).is_empty());
    assert_eq!(contract.pricePerCall().call().await.unwrap(), world.usdt(5));
    assert_eq!(contract.nextPrice().call().await.unwrap(), world.usdt(9));
    assert_eq!(contract.nextPriceAt().call().await.unwrap(), U256::from(at));

    world.next_block_at(at);
    assert_eq!(
        contract.pricePerCall().call().await.unwrap(),
        world.usdt(5),
        "a second before"
    );
    world.chain.advance_time(1);
    assert_eq!(contract.pricePerCall().call().await.unwrap(), world.usdt(9));
    assert_eq!(contract.nextPrice().call().await.unwrap(), U256::ZERO);
    assert_eq!(contract.nextPriceAt().call().await.unwrap(), U256::ZERO);
    assert_eq!(contract.priceRoseAt().call().await.unwrap(), U256::from(at));
}

#[tokio::test]
async fn a_price_that_is_not_higher_acts_at_once_and_cancels_a_rise() {
    let Scene { world, product, .. } = scene().await;
    let cora = &world.people.cora;
    let contract = world.product(product);
    for whole in [5, 4] {
        world.act(cora, contract.setPricePerCall(world.usdt(9))).await;
        let receipt = world.act(cora, contract.setPricePerCall(world.usdt(whole))).await;
        let changed: HaitheOrchestrator::PriceChanged = event(&receipt);
        assert_eq!(
            (changed.product, changed.pricePerCall),
            (product, world.usdt(whole))
        );
        assert_eq!(contract.nextPriceAt().call().await.unwrap(), U256::ZERO);
        world.chain.advance_time(NOTICE + 1);
        assert_eq!(
            contract.pricePerCall().call().await.unwrap(),
            world.usdt(whole),
            "the announced rise is cancelled"
        );
    }
}

#[tokio::test]
async fn a_replaced_rise_waits_the_whole_notice_again() {
    let Scene { world, product, .. } = scene().await;
    let cora = &world.people.cora;
    let contract = world.product(product);
    world.act(cora, contract.setPricePerCall(world.usdt(500))).await;
    world.chain.advance_time(NOTICE - 10);
    let receipt = world.act(cora, contract.setPricePerCall(world.usdt(6))).await;
    let at = world.time_of(&receipt).await + NOTICE;
    assert_eq!(contract.nextPriceAt().call().await.unwrap(), U256::from(at));
    world.chain.advance_time(100);
    assert_eq!(
        contract.pricePerCall().call().await.unwrap(),
        world.usdt(5),
        "the first rise never came into force"
    );
}

#[tokio::test]
async fn a_rise_that_comes_due_before_the_enabling_is_mined_is_not_pinned() {
    let Scene { world, org, product } = scene().await;
    let People { alice, cora, .. } = &world.people;
    let contract = world.product(product);
    let receipt = world.act(cora, contract.setPricePerCall(world.usdt(499))).await;
    let at = world.time_of(&receipt).await + NOTICE;
    // Alice saw the price of 5 and signed; her transaction is mined just after the rise.
    world.next_block_at(at + 1);
    let rose: HaitheOrganization::PriceJustRose = world.refused(alice, org.enableProduct_0(product)).await;
    assert_eq!(
        (rose.price, rose.readyAt),
        (world.usdt(499), U256::from(at + 600))
    );
    // A cut by one unit does not hide the rise.
    let cut = world.usdt(499) - U256::ONE;
    world.act(cora, contract.setPricePerCall(cut)).await;
    let _: HaitheOrganization::PriceJustRose = world.refused(alice, org.enableProduct_0(product)).await;
    let _: HaitheOrganization::PriceAboveMaximum = world
        .refused(alice, org.enableProduct_1(product, world.usdt(5)))
        .await;
    world.chain.advance_time(600);
    world.act(alice, org.enableProduct_0(product)).await;
    assert_eq!(org.maxPriceOf(product).call().await.unwrap(), cut);
}

#[tokio::test]
async fn enabling_can_name_the_content_it_agrees_to() {
    let Scene { world, org, product } = scene().await;
    let People { alice, cora, .. } = &world.people;
    let seen = keccak256("https://content.example/1");
    let enable = |hash| org.enableProduct_2(product, world.usdt(5), hash);
    world.act(alice, enable(seen)).await;
    world.act(alice, org.disableProduct(product)).await;

    let uri = "https://content.example/2";
    world.act(cora, world.product(product).setUri(uri.into())).await;

    let swapped: HaitheOrganization::UriHasChanged = world.refused(alice, enable(seen)).await;
    assert_eq!((swapped.expected, swapped.found), (seen, keccak256(uri)));
    world.act(alice, enable(keccak256(uri))).await;
    let _: HaitheOrganization::NotAdmin = world.refused(cora, enable(keccak256(uri))).await;
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
