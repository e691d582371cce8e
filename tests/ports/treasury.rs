//! [`TreasuryStore`]: withdrawals and daily caps, as the chain tells them.

use crate::{
    database::{Database, NOON, on_every_database},
    figures::DAY,
    world::{World, nano, wallet},
};
use haithe_billing::{
    chain::EventBody,
    treasury::{CapChange, WithdrawalEnd},
};
use haithe_kernel::{Page, Timestamp, TokenUnits};
use std::time::Duration;

async fn a_withdrawal_is_read_as_the_chain_tells_it(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, _) = world.funded("Acme", nano(100)).await;
    let treasury = world.db.treasury();
    assert_eq!(treasury.withdrawals(org.id, Page::FIRST).await.unwrap().total, 0);
    let ready_at = world.head().unwrap().time.plus(DAY);
    let to = wallet(3);
    let request = |amount| EventBody::WithdrawalRequested {
        org: org.address,
        to,
        amount,
        ready_at,
    };
    let requested = world.mine_one(request(Some(60))).await;
    let open = treasury.withdrawals(org.id, Page::FIRST).await.unwrap().items;
    let [open] = open[..] else { panic!("{open:?}") };
    assert_eq!((open.to, open.amount, open.ready_at), (to, Some(60), ready_at));
    assert_eq!((open.tx, open.requested_at), (requested.tx, requested.block_time));
    assert_eq!((open.end, open.settled), (None, false));
    world.finality = 3;
    world
        .mine_one(EventBody::WithdrawalCancelled { org: org.address })
        .await;
    let ended = treasury.withdrawals(org.id, Page::FIRST).await.unwrap().items[0];
    assert_eq!(
        (ended.end, ended.settled),
        (Some(WithdrawalEnd::Cancelled), false)
    );
    world.mine_empty(2).await;
    assert!(treasury.withdrawals(org.id, Page::FIRST).await.unwrap().items[0].settled);
    world.mine_one(request(None)).await;
    let newest = treasury
        .withdrawals(org.id, Page::new(1, 0).unwrap())
        .await
        .unwrap();
    assert_eq!(
        (newest.total, newest.items.len(), newest.items[0].amount),
        (2, 1, None)
    );
    assert!(newest.items[0].id > ended.id, "newest first");
}

async fn the_contracts_time_and_caps_are_read_with_their_pauses(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, _) = world.funded("Acme", nano(100)).await;
    let treasury = world.db.treasury();
    let clock = treasury.clock().await.unwrap();
    assert_eq!(
        (clock.head, clock.paused_until),
        (world.head().unwrap().time, None)
    );
    assert_eq!(clock.paused_for, Duration::ZERO);
    let cap = |cap: Option<u128>, effective_at: Timestamp| EventBody::DailyCapChanged {
        org: org.address,
        cap,
        effective_at,
    };
    let first = world.mine_one(cap(Some(9), NOON)).await;
    let paused = world.mine_one(EventBody::Paused).await;
    world.mine_empty(3).await;
    let clock = treasury.clock().await.unwrap();
    let so_far = clock.head.since(paused.block_time);
    assert_eq!(clock.paused_for, so_far);
    assert_eq!(clock.paused_until, Some(paused.block_time.plus(7 * DAY)));
    let second = world.mine_one(cap(Some(u128::MAX), NOON)).await;
    let changes = treasury.cap_changes(org.id).await.unwrap();
    let paused_by_then = second.block_time.since(paused.block_time);
    let newest = [
        CapChange {
            said_at: first.block_time,
            effective_at: NOON,
            cap: Some(TokenUnits::new(9)),
        },
        CapChange {
            said_at: second.block_time.minus(paused_by_then),
            effective_at: NOON,
            cap: None,
        },
    ];
    assert!(changes.ends_with(&newest), "{changes:?}");
}

on_every_database!(
    a_withdrawal_is_read_as_the_chain_tells_it,
    the_contracts_time_and_caps_are_read_with_their_pauses,
);
