//! [`CreatorStore`]: who may publish, as the chain says, and no longer when their block goes.

use crate::{
    database::{Database, on_every_database},
    world::{World, wallet},
};
use haithe_billing::chain::EventBody;
use haithe_kernel::Page;

fn registered(number: u8) -> EventBody {
    EventBody::CreatorRegistered {
        creator: wallet(number),
        id: u64::from(number),
        uri: format!("https://example.com/{number}"),
        pub_key: "04".into(),
    }
}

async fn numbers(db: &impl Database, page: Page) -> (Vec<u8>, u64) {
    let listed = db.creators().list(page).await.unwrap();
    let numbers = listed.items.iter().map(|creator| creator.address.as_bytes()[0]);
    (numbers.collect(), listed.total)
}

async fn creators_are_found_by_wallet_and_listed_newest_first(db: impl Database) {
    let mut world = World::over(db).await;
    assert_eq!(numbers(&world.db, Page::FIRST).await, (vec![], 0));
    let first = world.mine_one(registered(1)).await;
    world.mine(vec![vec![registered(2)], vec![registered(3)]]).await;
    let world = world.reopened().await;
    assert_eq!(numbers(&world.db, Page::FIRST).await, (vec![3, 2, 1], 3));
    assert_eq!(numbers(&world.db, Page::new(1, 1).unwrap()).await, (vec![2], 3));
    assert_eq!(numbers(&world.db, Page::new(5, 9).unwrap()).await, (vec![], 3));
    let found = world.db.creators().find(wallet(1)).await.unwrap().unwrap();
    assert_eq!(
        (found.address, found.uri.as_str()),
        (wallet(1), "https://example.com/1")
    );
    assert_eq!(found.created_at, first.block_time);
    assert_eq!(world.db.creators().find(wallet(9)).await.unwrap(), None);
}

async fn a_creator_of_a_block_that_went_is_none(db: impl Database) {
    let mut world = World::over(db).await;
    world.finality = 10;
    world.mine_one(registered(1)).await;
    world.mine_one(registered(2)).await;
    world.rewind(1).await;
    assert_eq!(numbers(&world.db, Page::FIRST).await, (vec![1], 1));
    assert_eq!(world.db.creators().find(wallet(2)).await.unwrap(), None);
}

on_every_database!(
    creators_are_found_by_wallet_and_listed_newest_first,
    a_creator_of_a_block_that_went_is_none,
);
