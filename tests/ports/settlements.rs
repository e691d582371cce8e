//! [`SettlementStore`]: calls become batches, one after the other, and nothing is settled twice.

use crate::{
    database::{Database, NOON, on_every_database},
    world::{World, capture, line, nano},
};
use haithe_billing::{
    batch::{BatchState, SealPolicy, Unsealed},
    capture::Payee,
    chain::SkipReason,
    hold::HoldError,
};
use haithe_kernel::{Clock, TokenUnits, Usdt};

async fn unsealed<D: Database>(world: &World<D>) -> Unsealed {
    let store = world.db.settlements();
    store.unsealed(world.seal_all(), NOON).await.unwrap()
}

async fn what_waits_is_counted_until_it_is_sealed(db: impl Database) {
    let mut world = World::over(db).await;
    assert_eq!(unsealed(&world).await, Unsealed::default());
    let (org, project) = world.funded("Acme", nano(100)).await;
    let (other, there) = world.funded("Other", nano(100)).await;
    world.spend(&org, &project, nano(10)).await;
    world.spend(&org, &project, nano(5)).await;
    world.spend(&other, &there, nano(7)).await;
    let waiting = unsealed(&world).await;
    assert_eq!((waiting.items(), waiting.amount()), (3, nano(22)));
    let of = |org| waiting.orgs.iter().find(|waiting| waiting.org == org).unwrap();
    assert_eq!((of(org.id).items, of(org.id).amount), (2, nano(15)));
    assert!(of(other.id).oldest.is_some());
    world.seal().await.unwrap();
    assert_eq!(unsealed(&world).await, Unsealed::default());
}

async fn a_batch_is_one_line_per_organization_and_sums_what_was_charged(db: impl Database) {
    let mut world = World::over(db).await;
    let (first, here) = world.funded("First", nano(100)).await;
    let (second, there) = world.funded("Second", nano(100)).await;
    for cost in [1, 2, 3] {
        world.spend(&first, &here, nano(cost)).await;
    }
    world.spend(&second, &there, nano(50)).await;
    let batch = world.seal().await.unwrap();
    assert_eq!((batch.seq, batch.lines.len(), batch.items.len()), (0, 2, 4));
    let line = batch.lines.iter().find(|line| line.org == first.id).unwrap();
    assert_eq!(line.address, first.address);
    let amounts: Vec<(Payee, Usdt)> = line.credits.iter().map(|c| (c.payee, c.amount)).collect();
    assert_eq!(amounts, [(Payee::Platform, nano(6))]);
    assert_eq!(line.credits[0].units, world.units(nano(6)));
    let stored = world.db.settlements().batch(0).await.unwrap();
    assert_eq!(stored, Some((batch, BatchState::Sealed)));
    assert_eq!(world.db.settlements().batch(1).await.unwrap(), None);
}

async fn states<D: Database>(world: &World<D>) -> Vec<(u64, BatchState)> {
    let open = world.db.settlements().open_batches().await.unwrap();
    open.into_iter()
        .map(|(batch, state)| (batch.seq, state))
        .collect()
}

async fn batches_follow_each_other_and_four_may_be_open(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", nano(100)).await;
    assert_eq!(world.seal().await, None, "nothing waits");
    let mut sealed = Vec::new();
    for seq in 0..4 {
        world.spend(&org, &project, nano(1)).await;
        sealed.push(world.seal().await.unwrap());
        assert_eq!(sealed[seq as usize].seq, seq);
    }
    world.spend(&org, &project, nano(2)).await;
    assert_eq!(world.seal().await, None, "four batches are open");
    let is_sealed = BatchState::Sealed;
    assert_eq!(states(&world).await, [0, 1, 2, 3].map(|seq| (seq, is_sealed)));
    world.finality = 2;
    let events = [&sealed[0], &sealed[1]].map(|batch| world.settled(batch, &[]));
    world.mine(events.to_vec()).await;
    let seen = BatchState::Seen;
    assert_eq!(
        states(&world).await,
        [(0, seen), (1, seen), (2, is_sealed), (3, is_sealed)]
    );
    assert_eq!(world.seal().await, None, "seen is not final");
    world.mine_empty(1).await;
    assert_eq!(states(&world).await, [(2, is_sealed), (3, is_sealed)]);
    let (_, state) = world.db.settlements().batch(0).await.unwrap().unwrap();
    assert_eq!(state, BatchState::Final);
    let next = world.seal().await.unwrap();
    assert_eq!((next.seq, next.items.len()), (4, 1));
    world.assert_sound().await;
}

async fn dissolved_batches_wait_again(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", nano(100)).await;
    let mut calls = Vec::new();
    for cost in 1..=3 {
        calls.push(world.spend(&org, &project, nano(cost)).await);
        world.seal().await.unwrap();
    }
    let store = world.db.settlements();
    assert!(!store.dissolve(3).await.unwrap(), "there is no such batch");
    assert!(store.dissolve(1).await.unwrap());
    assert_eq!(store.batch(1).await.unwrap(), None);
    assert_eq!(unsealed(&world).await.amount(), nano(5));
    let again = world.seal().await.unwrap();
    assert_eq!(again.seq, 1);
    let sealed: Vec<_> = again.items.iter().map(|item| item.call).collect();
    assert_eq!(sealed, calls[1..]);
    let first = store.batch(0).await.unwrap().unwrap().0;
    let events = [&first, &again].map(|batch| world.settled(batch, &[]));
    world.mine(events.to_vec()).await;
    assert!(!store.dissolve(0).await.unwrap(), "they are settled");
    assert_eq!(world.balance(&org).await.unsettled, nano(0));
    world.assert_sound().await;
}

async fn calls_that_are_set_aside_are_in_no_batch_and_do_not_count(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", nano(100)).await;
    let aside = world.spend(&org, &project, nano(1)).await;
    let other = world.spend(&org, &project, nano(2)).await;
    let store = world.db.settlements();
    store.set_aside(vec![aside], "a test".into()).await.unwrap();
    assert_eq!(unsealed(&world).await.items(), 1);
    let batch = world.seal().await.unwrap();
    assert_eq!(batch.items[0].call, other);
    assert_eq!(batch.items.len(), 1);
}

async fn many_who_seal_at_once_make_one_batch(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", nano(100)).await;
    world.spend(&org, &project, nano(1)).await;
    let (policy, now) = (world.seal_all(), world.db.setup().clock.now());
    let sealers = (0..8).map(|_| {
        let store = world.db.settlements();
        tokio::spawn(async move { store.seal(policy, now).await.unwrap() })
    });
    let sealed = futures::future::join_all(sealers).await;
    assert_eq!(
        sealed
            .into_iter()
            .filter(|sealed| sealed.as_ref().unwrap().is_some())
            .count(),
        1
    );
}

async fn the_policy_bounds_a_batch_and_the_oldest_go_first(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", nano(100)).await;
    let mut calls = Vec::new();
    for cost in 1..=5 {
        calls.push(world.spend(&org, &project, nano(cost)).await);
    }
    let policy = SealPolicy {
        max_items: 3,
        ..world.seal_all()
    };
    let batch = world.db.settlements().seal(policy, NOON).await.unwrap().unwrap();
    let sealed: Vec<_> = batch.items.iter().map(|item| item.call).collect();
    assert_eq!(sealed, calls[..3]);
    assert_eq!(unsealed(&world).await.items(), 2);
}

async fn an_open_batch_outlives_a_restart_unchanged(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", nano(100)).await;
    world.spend(&org, &project, nano(1)).await;
    let batch = world.seal().await.unwrap();
    let world = world.reopened().await;
    let open = world.db.settlements().open_batches().await.unwrap();
    assert_eq!(open, [(batch, BatchState::Sealed)]);
    assert_eq!(world.seal().await, None);
}

async fn a_settlement_whose_block_is_gone_counts_when_it_is_mined_again(db: impl Database) {
    let mut world = World::over(db).await;
    world.finality = 3;
    let (org, project) = world.funded("Acme", nano(100)).await;
    world.mine_empty(3).await;
    world.spend(&org, &project, nano(40)).await;
    let batch = world.seal().await.unwrap();
    let events = world.settled(&batch, &[]);
    world.mine(vec![events.clone()]).await;
    assert_eq!(world.balance(&org).await.onchain, nano(60));
    world.rewind(1).await;
    let (_, state) = world.db.settlements().batch(0).await.unwrap().unwrap();
    assert_eq!(state, BatchState::Sealed);
    assert_eq!(world.balance(&org).await.onchain, nano(100));
    world.mine(vec![events]).await;
    world.mine_empty(3).await;
    let balance = world.balance(&org).await;
    assert_eq!(
        (balance.available, balance.unsettled, balance.onchain),
        (nano(60), nano(0), nano(60))
    );
    world.assert_sound().await;
}

async fn a_skipped_line_waits_again_in_full_and_others_are_settled(db: impl Database) {
    let mut world = World::over(db).await;
    let (first, here) = world.funded("First", nano(100)).await;
    let (second, there) = world.funded("Second", nano(100)).await;
    let retried = world.spend(&first, &here, nano(10)).await;
    world.spend(&second, &there, nano(20)).await;
    let batch = world.seal().await.unwrap();
    let number = batch.lines.iter().position(|line| line.org == first.id).unwrap() as u32;
    let old_leaf = leaf_of(&world, retried).await;
    let events = world.settled(&batch, &[(number, SkipReason::DailyCap)]);
    world.mine(vec![events]).await;
    assert_eq!(world.balance(&first).await.unsettled, nano(10));
    assert_eq!(world.balance(&second).await.unsettled, nano(0));
    let batch = world.seal().await.unwrap();
    assert_eq!((batch.seq, batch.items.len()), (1, 1));
    assert_eq!(batch.items[0].call, retried);
    assert_ne!(
        leaf_of(&world, retried).await,
        old_leaf,
        "a receipt queued again has a new leaf"
    );
    let events = world.settled(&batch, &[]);
    world.mine(vec![events]).await;
    assert_eq!(world.balance(&first).await.unsettled, nano(0));
    world.assert_sound().await;
}

async fn three_skips_in_a_row_suspend_and_a_settled_line_readmits(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", nano(100)).await;
    world.spend(&org, &project, nano(10)).await;
    for round in 0..3 {
        assert!(
            world.hold(&org, nano(1)).await.is_ok(),
            "not yet after {round} skips"
        );
        let batch = world.seal().await.unwrap();
        let events = world.settled(&batch, &[(0, SkipReason::InsufficientFunds)]);
        world.mine(vec![events]).await;
    }
    assert!(matches!(
        world.hold(&org, nano(1)).await,
        Err(HoldError::Suspended)
    ));
    let waiting = unsealed(&world).await;
    assert_eq!((waiting.items(), waiting.skipped()), (0, 1));
    world.settle().await;
    world.hold(&org, nano(1)).await.unwrap();
    world.assert_sound().await;
}

async fn what_is_below_a_base_unit_is_carried_to_later_batches(db: impl Database) {
    drop(db);
    let mut world = World::<crate::sqlite::SqliteDatabase>::with_decimals(6).await;
    let (org, project) = world.funded("Acme", Usdt::whole(1)).await;
    let mut settled = TokenUnits::ZERO;
    for _ in 0..10 {
        world.spend(&org, &project, nano(1_700)).await;
        let batch = world.settle().await;
        for credit in batch.lines.iter().flat_map(|line| &line.credits) {
            assert_eq!(credit.amount.nano() % 1_000, 0, "whole units only");
            settled = settled.checked_add(credit.units).unwrap();
        }
    }
    assert_eq!(settled, TokenUnits::new(17));
    let balance = world.balance(&org).await;
    assert_eq!(
        (balance.unsettled, balance.onchain),
        (nano(0), nano(1_000_000_000 - 17_000))
    );
    world.assert_sound().await;
}

async fn payees_are_kept_apart_in_a_line(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", nano(100)).await;
    let (seller, _) = world.funded("Seller", nano(0)).await;
    let creator = Payee::Creator(crate::world::wallet(8));
    for _ in 0..2 {
        let call = world.hold(&org, nano(20)).await.unwrap();
        let lines = vec![
            line(Payee::Platform, nano(1)),
            line(creator, nano(2)),
            line(Payee::Organization(seller.id), nano(3)),
            line(Payee::Platform, nano(4)),
        ];
        world
            .db
            .ledger()
            .capture(capture(call, org.id, &project, lines))
            .await
            .unwrap();
    }
    let batch = world.settle().await;
    let mut credits: Vec<_> = batch.lines[0]
        .credits
        .iter()
        .map(|c| (c.payee, c.amount, c.address))
        .collect();
    credits.sort_by_key(|(_, amount, _)| *amount);
    assert_eq!(credits[0], (creator, nano(4), crate::world::wallet(8)));
    assert_eq!(
        credits[1],
        (Payee::Organization(seller.id), nano(6), seller.address)
    );
    assert_eq!((credits[2].0, credits[2].1), (Payee::Platform, nano(10)));
    assert_eq!(world.balance(&seller).await.available, nano(6));
    world.assert_sound().await;
}

async fn leaf_of<D: Database>(world: &World<D>, call: haithe_kernel::CallId) -> [u8; 32] {
    let receipt = world.db.books().receipt(call).await.unwrap().unwrap();
    receipt.settlement.unwrap().leaf
}

on_every_database!(
    what_waits_is_counted_until_it_is_sealed,
    a_batch_is_one_line_per_organization_and_sums_what_was_charged,
    batches_follow_each_other_and_four_may_be_open,
    dissolved_batches_wait_again,
    calls_that_are_set_aside_are_in_no_batch_and_do_not_count,
    many_who_seal_at_once_make_one_batch,
    the_policy_bounds_a_batch_and_the_oldest_go_first,
    an_open_batch_outlives_a_restart_unchanged,
    a_settlement_whose_block_is_gone_counts_when_it_is_mined_again,
    a_skipped_line_waits_again_in_full_and_others_are_settled,
    three_skips_in_a_row_suspend_and_a_settled_line_readmits,
    what_is_below_a_base_unit_is_carried_to_later_batches,
    payees_are_kept_apart_in_a_line,
);
