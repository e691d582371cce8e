//! [`EarningsStore`]: from the line of a charge to what a creator withdrew.

use crate::{
    database::{Database, NOON, on_every_database},
    figures::{CREATOR, TODAY, Used, product},
    world::{World, line, nano, wallet},
};
use haithe_billing::{
    capture::Payee,
    chain::{EventBody, SkipReason},
    earnings::{Earned, PayoutAddress, PayoutRecord},
    receipt::ReceiptDocument,
    usage::Day,
};
use haithe_kernel::{Page, WalletAddress};
use std::time::Duration;

impl<D: Database> World<D> {
    async fn earned(&self) -> Earned {
        self.db.earnings().earned(CREATOR).await.unwrap()
    }

    async fn payout(&self) -> PayoutRecord {
        self.db.earnings().payout(CREATOR).await.unwrap()
    }
}

fn registered() -> EventBody {
    EventBody::CreatorRegistered {
        creator: CREATOR,
        id: 5,
        uri: "https://creator.example".into(),
        pub_key: "04ab".into(),
    }
}

async fn a_product_s_price_goes_from_the_call_to_its_creator(db: impl Database) {
    let mut world = World::over(db).await;
    world.mine_one(registered()).await;
    let (org, project) = world.funded("Acme", nano(1_000)).await;
    let used = |lines| Used {
        project: &project,
        key: None,
        model: 1,
        day: 0,
        lines,
    };
    let first = vec![line(Payee::Platform, nano(10)), product(1, 30), product(2, 0)];
    let call = world.used(org.id, used(first.clone())).await;
    world.used(org.id, used(vec![product(1, 5), product(2, 7)])).await;

    let receipt = world.db.books().receipt(call).await.unwrap().unwrap();
    let document = ReceiptDocument::parse(&receipt.sealed.json).unwrap();
    assert_eq!((document.lines, document.charged), (first, nano(40)));
    let earned = world.earned().await;
    assert_eq!(
        (earned.charged, earned.pending(), earned.settled),
        (nano(42), nano(42), nano(0))
    );
    assert_eq!((earned.identity, earned.withdrawable()), (Some(5), nano(0)));
    let by_product = world
        .db
        .earnings()
        .by_product(CREATOR, None, None, Page::FIRST)
        .await
        .unwrap();
    let products: Vec<_> = by_product
        .items
        .iter()
        .map(|p| (p.product.0, p.calls, p.charged.nano()))
        .collect();
    assert_eq!((products, by_product.total), (vec![(1, 2, 35), (2, 2, 7)], 2));
    let tomorrow = Some(Day(TODAY.0 + 1));
    let none = world
        .db
        .earnings()
        .by_product(CREATOR, tomorrow, None, Page::FIRST)
        .await
        .unwrap();
    assert_eq!((none.items.len(), none.total), (0, 0));

    let batch = world.seal().await.unwrap();
    let credits = &batch.lines[0].credits;
    let credited: Vec<_> = credits
        .iter()
        .map(|credit| (credit.payee, credit.amount))
        .collect();
    assert_eq!(
        credited,
        [(Payee::Platform, nano(10)), (Payee::Creator(CREATOR), nano(42))]
    );
    world.finality = 2;
    let events = world.settled(&batch, &[]);
    world.mine(vec![events]).await;
    assert_eq!(world.earned().await.settled, nano(0), "seen is not final");
    world.mine_empty(1).await;
    let earned = world.earned().await;
    assert_eq!(
        (earned.pending(), earned.settled, earned.withdrawable()),
        (nano(0), nano(42), nano(42))
    );

    let payout = EventBody::CreatorWithdrawn {
        creator: CREATOR,
        amount: Some(world.units(nano(42)).get()),
    };
    world.mine_one(payout).await;
    let earned = world.earned().await;
    assert_eq!(
        (earned.leaving, earned.withdrawn, earned.withdrawable()),
        (nano(42), nano(0), nano(0))
    );
    world.mine_empty(1).await;
    let earned = world.earned().await;
    assert_eq!(
        (earned.leaving, earned.withdrawn, earned.withdrawable()),
        (nano(0), nano(42), nano(0))
    );
    assert_eq!((earned.charged, earned.settled), (nano(42), nano(42)));
    let snapshot = world.db.books().snapshot().await.unwrap();
    assert_eq!(
        snapshot.orchestrator_mirror,
        nano(10),
        "the platform's part is left"
    );
    world.assert_sound().await;
}

async fn what_a_skipped_line_owes_stays_pending_until_it_is_paid(db: impl Database) {
    let mut world = World::over(db).await;
    world.mine_one(registered()).await;
    let (org, project) = world.funded("Acme", nano(1_000)).await;
    let used = Used {
        project: &project,
        key: None,
        model: 1,
        day: 0,
        lines: vec![product(1, 8)],
    };
    world.used(org.id, used).await;
    let batch = world.seal().await.unwrap();
    let skipped = world.settled(&batch, &[(0, SkipReason::InsufficientFunds)]);
    world.mine(vec![skipped]).await;
    assert_eq!(world.earned().await.pending(), nano(8));
    world.settle().await;
    let earned = world.earned().await;
    assert_eq!((earned.pending(), earned.settled), (nano(0), nano(8)));
    world.assert_sound().await;
}

/// With a token of six decimals parts of a base unit are carried, and none is lost or paid twice.
async fn parts_of_a_base_unit_are_carried_to_the_creator(_db: impl Database) {
    let mut world = World::<crate::sqlite::SqliteDatabase>::with_decimals(6).await;
    world.mine_one(registered()).await;
    let (org, project) = world.funded("Acme", nano(100_000)).await;
    let mut charged = 0;
    for amount in [999, 1, 1_500, 700, 299, 1] {
        let used = Used {
            project: &project,
            key: None,
            model: 1,
            day: 0,
            lines: vec![line(Payee::Platform, nano(1_000)), product(1, amount)],
        };
        world.used(org.id, used).await;
        world.settle().await;
        charged += amount;
        let earned = world.earned().await;
        assert_eq!(earned.charged, nano(charged));
        assert_eq!(earned.settled, nano(charged / 1_000 * 1_000), "whole base units");
        assert_eq!(earned.pending(), nano(charged % 1_000), "and the rest is owed");
    }
    world.assert_sound().await;
}

async fn a_payout_address_stays_in_effect_until_the_announced_one_is(db: impl Database) {
    let mut world = World::over(db).await;
    let (old, new) = (wallet(0x31), wallet(0x32));
    let after = |seconds| NOON.plus(Duration::from_secs(seconds));
    let propose = |payout, at: u64| EventBody::PayoutAddressProposed {
        creator: CREATOR,
        payout,
        effective_at: after(at),
    };
    let payout = |current, next: Option<(WalletAddress, u64)>| PayoutAddress {
        current,
        next: next.map(|(to, at)| (to, after(at))),
    };
    assert_eq!(world.payout().await.identity, None);
    assert_eq!(world.payout().await.resolve(), PayoutAddress::default());

    // Block `n` has the time noon and `n` seconds.
    world.mine_one(registered()).await;
    assert_eq!(world.payout().await.identity, Some(5));
    world.mine_one(propose(old, 4)).await;
    assert_eq!(world.payout().await.resolve(), payout(None, Some((old, 4))));
    world.mine_empty(2).await;
    assert_eq!(world.payout().await.resolve(), payout(Some(old), None));
    world.mine_one(propose(new, 100)).await;
    assert_eq!(
        world.payout().await.resolve(),
        payout(Some(old), Some((new, 100)))
    );
    let cancelled = EventBody::PayoutAddressCancelled { creator: CREATOR };
    world.mine_one(cancelled).await;
    assert_eq!(world.payout().await.resolve(), payout(Some(old), None));
    // The zero address removes both at once.
    world.mine_one(propose(new, 100)).await;
    world.mine_one(propose(WalletAddress::new([0; 20]), 8)).await;
    let world = world.reopened().await;
    assert_eq!(world.payout().await.resolve(), PayoutAddress::default());
}

on_every_database!(
    a_payout_address_stays_in_effect_until_the_announced_one_is,
    a_product_s_price_goes_from_the_call_to_its_creator,
    what_a_skipped_line_owes_stays_pending_until_it_is_paid,
    parts_of_a_base_unit_are_carried_to_the_creator,
);
