//! [`ChainIndex`]: facts of the chain are applied once each, and taken back when their block goes.

use crate::{
    database::{Database, on_every_database},
    world::{CHAIN_ID, ORCHESTRATOR, World, contract_of, nano, wallet},
};
use std::time::Duration;

async fn a_database_belongs_to_one_chain_and_orchestrator(db: impl Database) {
    let index = db.index();
    index.bind(CHAIN_ID, ORCHESTRATOR, 7).await.unwrap();
    index.bind(CHAIN_ID, ORCHESTRATOR, 7).await.unwrap();
    assert!(index.bind(CHAIN_ID + 1, ORCHESTRATOR, 7).await.is_err());
    assert!(index.bind(CHAIN_ID, wallet(9), 7).await.is_err());
    let db = db.reopened().await;
    assert!(db.index().bind(CHAIN_ID + 1, ORCHESTRATOR, 7).await.is_err());
    db.index().bind(CHAIN_ID, ORCHESTRATOR, 7).await.unwrap();
}

async fn the_checkpoint_is_the_last_step_and_outlives_a_restart(db: impl Database) {
    let mut world = World::over(db).await;
    assert_eq!(world.db.index().checkpoint().await.unwrap(), None);
    world.mine_empty(3).await;
    assert_eq!(world.db.index().checkpoint().await.unwrap(), world.head());
    let world = world.reopened().await;
    assert_eq!(world.db.index().checkpoint().await.unwrap(), world.head());
}

async fn remembered_blocks_come_newest_first(db: impl Database) {
    let mut world = World::over(db).await;
    world.mine_empty(5).await;
    let recent = world.db.index().recent(3).await.unwrap();
    let numbers: Vec<u64> = recent.iter().map(|block| block.number).collect();
    assert_eq!(numbers, [5, 4, 3]);
    assert_eq!(recent.first().copied(), world.head());
}

async fn the_same_event_again_changes_nothing(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, _) = world.funded("Acme", nano(0)).await;
    let transfer = world.transfer_to(&org, nano(50));
    let (step, events) = world.next_block(vec![vec![transfer]]);
    let first = world.apply(step.clone()).await;
    assert_eq!((first.new_events, first.deposits_confirmed), (1, 1));
    let again = world.apply(step).await;
    assert_eq!((again.new_events, again.deposits_confirmed), (0, 0));
    let (mut next, _) = world.next_block(Vec::new());
    next.events = events;
    world.apply(next).await;
    assert_eq!(world.balance(&org).await.available, nano(50));
    world.assert_sound().await;
}

async fn one_transaction_may_deposit_twice(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, _) = world.funded("Acme", nano(0)).await;
    let transfer = world.transfer_to(&org, nano(50));
    world.mine(vec![vec![transfer.clone(), transfer]]).await;
    assert_eq!(world.balance(&org).await.available, nano(100));
}

async fn an_organization_funded_in_the_block_of_its_creation_has_its_money(db: impl Database) {
    let mut world = World::over(db).await;
    let created = world.organization_created("Acme", wallet(1));
    let (other, _) = world.funded("Other", nano(0)).await;
    let haithe_billing::chain::EventBody::OrganizationCreated { org: address, .. } = created else {
        unreachable!()
    };
    let transfer = match world.transfer_to(&other, nano(9)) {
        haithe_billing::chain::EventBody::Transfer { from, amount, .. } => {
            haithe_billing::chain::EventBody::Transfer {
                from,
                to: address,
                amount,
            }
        }
        _ => unreachable!(),
    };
    world.mine(vec![vec![created], vec![transfer]]).await;
    let org = world
        .db
        .orgs()
        .find_by_address(contract_of("Acme"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(world.balance(&org).await.available, nano(9));
}

async fn every_organizations_contract_is_watched(db: impl Database) {
    let mut world = World::over(db).await;
    let first = world.organization("First", wallet(1)).await;
    let second = world.organization("Second", wallet(1)).await;
    world
        .db
        .orgs()
        .delete(second.id, crate::world::act(wallet(1)))
        .await
        .unwrap();
    let mut watched = world.db.index().organizations().await.unwrap();
    watched.sort();
    let mut expected = vec![first.address, second.address];
    expected.sort();
    assert_eq!(watched, expected, "a deleted organization keeps settling");
}

async fn a_rewind_forgets_what_its_blocks_said(db: impl Database) {
    let mut world = World::over(db).await;
    world.confirmations = 2;
    world.finality = 4;
    let org = world.organization("Acme", wallet(1)).await;
    world.deposit(&org, nano(50)).await;
    world.mine_empty(1).await;
    assert_eq!(world.balance(&org).await.available, nano(50));
    world.rewind(2).await;
    assert_eq!(world.db.index().checkpoint().await.unwrap(), world.head());
    let balance = world.balance(&org).await;
    assert_eq!((balance.available, balance.onchain), (nano(0), nano(0)));
    world.assert_sound().await;
    let recent = world.db.index().recent(100).await.unwrap();
    assert_eq!(recent.first().copied(), world.head());
}

async fn a_deposit_mined_again_on_another_branch_counts_once(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let transfer = world.transfer_to(&org, nano(50));
    let (step, events) = world.next_block(vec![vec![transfer]]);
    world.apply(step).await;
    for _ in 0..3 {
        world.rewind(1).await;
        assert_eq!(world.balance(&org).await.available, nano(0));
        let (mut step, _) = world.next_block(Vec::new());
        step.events = events.clone();
        for event in &mut step.events {
            event.block = step.to.number;
            event.block_hash = step.to.hash;
        }
        world.apply(step).await;
        assert_eq!(world.balance(&org).await.available, nano(50));
    }
    world.assert_sound().await;
}

async fn an_organization_whose_creation_is_rewound_is_gone_until_it_is_mined_again(db: impl Database) {
    let mut world = World::over(db).await;
    world.mine_empty(1).await;
    let created = world.organization_created("Acme", wallet(1));
    world.mine_one(created.clone()).await;
    world.rewind(1).await;
    assert_eq!(
        world
            .db
            .orgs()
            .find_by_address(contract_of("Acme"))
            .await
            .unwrap(),
        None
    );
    world.mine_one(created).await;
    let org = world
        .db
        .orgs()
        .find_by_address(contract_of("Acme"))
        .await
        .unwrap()
        .unwrap();
    world.deposit(&org, nano(5)).await;
    assert_eq!(world.balance(&org).await.available, nano(5));
}

async fn dust_below_a_nano_is_reported_and_not_credited(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let transfer = haithe_billing::chain::EventBody::Transfer {
        from: wallet(9),
        to: org.address,
        amount: Some(5_000_000_000 + 123_456_789),
    };
    let (step, _) = world.next_block(vec![vec![transfer]]);
    let effects = world.apply(step).await;
    assert_eq!(effects.dust.get(), 123_456_789);
    assert_eq!(world.balance(&org).await.available, nano(5));
    let snapshot = world.db.books().snapshot().await.unwrap();
    assert_eq!(snapshot.orgs[0].dust.get(), 123_456_789);
    world.assert_sound().await;
}

async fn the_withdrawal_delay_is_recorded_and_outlives_a_restart(db: impl Database) {
    let index = db.index();
    assert_eq!(index.withdrawal_delay().await.unwrap(), None);
    index.bind(CHAIN_ID, ORCHESTRATOR, 7).await.unwrap();
    assert_eq!(index.withdrawal_delay().await.unwrap(), None);
    let delay = Duration::from_secs(86_400);
    index.record_withdrawal_delay(delay).await.unwrap();
    index.bind(CHAIN_ID, ORCHESTRATOR, 7).await.unwrap();
    assert_eq!(index.withdrawal_delay().await.unwrap(), Some(delay));
    let db = db.reopened().await;
    assert_eq!(db.index().withdrawal_delay().await.unwrap(), Some(delay));
}

on_every_database!(
    a_database_belongs_to_one_chain_and_orchestrator,
    the_withdrawal_delay_is_recorded_and_outlives_a_restart,
    the_checkpoint_is_the_last_step_and_outlives_a_restart,
    remembered_blocks_come_newest_first,
    the_same_event_again_changes_nothing,
    one_transaction_may_deposit_twice,
    an_organization_funded_in_the_block_of_its_creation_has_its_money,
    every_organizations_contract_is_watched,
    a_rewind_forgets_what_its_blocks_said,
    a_deposit_mined_again_on_another_branch_counts_once,
    an_organization_whose_creation_is_rewound_is_gone_until_it_is_mined_again,
    dust_below_a_nano_is_reported_and_not_credited,
);
