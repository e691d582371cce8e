//! Skipped lines, carry and suspension.

use crate::fixture::{
    Fixture, NOON, contract, created, deposit, line, nano, seal_all, settling, units, wallet,
};
use haithe_billing::{
    batch::{BatchState, SealPolicy, Unsealed},
    capture::Payee,
    chain::{EventBody, SkipReason},
    hold::HoldError,
    outbox::{NewTx, TxPurpose, TxState},
    ports::{Books, Ledger, SettlementStore, TxOutbox},
};
use haithe_kernel::{Decimals, OrgId};

/// Skips the line of the only organization this often.
async fn skip(fixture: &mut Fixture, times: usize, reason: SkipReason) {
    for _ in 0..times {
        let batch = fixture.seal().await.unwrap();
        fixture
            .mine_transactions(vec![settling(&batch, &[(0, reason)])])
            .await;
    }
}

async fn unsealed(fixture: &Fixture) -> Unsealed {
    fixture.settlements().unsealed(seal_all(), NOON).await.unwrap()
}

async fn is_suspended(fixture: &Fixture, org: OrgId) -> bool {
    match fixture.hold(org, nano(1)).await {
        Ok(call) => {
            fixture.ledger().release(call);
            false
        }
        Err(HoldError::Suspended) => true,
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_that_covers_what_is_unsettled_admits_again() {
    let (mut fixture, org) = Fixture::funded(nano(100)).await;
    fixture.spend(org, nano(30)).await;
    skip(&mut fixture, 3, SkipReason::InsufficientFunds).await;
    assert!(is_suspended(&fixture, org).await);
    let fixture = fixture.reopened().await;
    assert!(is_suspended(&fixture, org).await, "also after a restart");
    let mut fixture = fixture;
    fixture.mine(vec![deposit(1, nano(1))]).await;
    assert!(!is_suspended(&fixture, org).await);
    skip(&mut fixture, 2, SkipReason::InsufficientFunds).await;
    assert!(!is_suspended(&fixture, org).await, "the count began anew");
    skip(&mut fixture, 1, SkipReason::InsufficientFunds).await;
    assert!(is_suspended(&fixture, org).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daily_cap_that_covers_what_is_unsettled_admits_again_and_a_deposit_does_not() {
    let (mut fixture, org) = Fixture::funded(nano(100)).await;
    fixture.spend(org, nano(30)).await;
    skip(&mut fixture, 3, SkipReason::DailyCap).await;
    fixture.mine(vec![deposit(1, nano(1))]).await;
    assert!(is_suspended(&fixture, org).await);
    let cap = |amount| EventBody::DailyCapChanged {
        org: contract(1),
        cap: Some(units(nano(amount))),
        effective_at: NOON,
    };
    fixture.mine(vec![cap(29)]).await;
    assert!(is_suspended(&fixture, org).await);
    fixture.mine(vec![cap(1000)]).await;
    assert!(!is_suspended(&fixture, org).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reason_counts_and_one_of_a_payee_does_not_suspend() {
    let (mut fixture, org) = Fixture::funded(nano(100)).await;
    pay(&fixture, org, &[9], 30).await;
    skip(&mut fixture, 2, SkipReason::UnknownPayee).await;
    assert!(!is_suspended(&fixture, org).await);
    // A line that pays nobody else: the payer's money cannot be moved.
    let (mut fixture, org) = Fixture::funded(nano(100)).await;
    fixture.spend(org, nano(30)).await;
    skip(&mut fixture, 3, SkipReason::TransferFailed).await;
    assert!(is_suspended(&fixture, org).await);
}

/// Finding 13: after three skips that a payee causes, its credit goes to escrow and the rest settles.
#[tokio::test(flavor = "multi_thread")]
async fn a_payee_that_cannot_be_paid_goes_to_escrow_and_is_paid_out_later() {
    let (mut fixture, org) = Fixture::funded(nano(100)).await;
    pay(&fixture, org, &[8, 9], 10).await;
    for _ in 0..3 {
        let batch = fixture.seal().await.unwrap();
        let mut events = settling(&batch, &[(0, SkipReason::UnknownPayee)]);
        for event in &mut events {
            if let EventBody::LineSkipped { payee, .. } = event {
                *payee = Some(wallet(9));
            }
        }
        fixture.mine_transactions(vec![events]).await;
        assert!(!is_suspended(&fixture, org).await);
    }
    let batch = fixture.seal().await.unwrap();
    let escrowed: Vec<_> = batch.lines[0]
        .credits
        .iter()
        .map(|c| (c.payee, c.escrow))
        .collect();
    assert_eq!(
        escrowed,
        [
            (Payee::Creator(wallet(8)), false),
            (Payee::Creator(wallet(9)), true)
        ]
    );
    let before = fixture.head.unwrap();
    fixture.mine_transactions(vec![settling(&batch, &[])]).await;
    assert_eq!(fixture.balance(org).await.unsettled, nano(0));
    let snapshot = fixture.books().snapshot().await.unwrap();
    assert_eq!(
        (snapshot.escrow, snapshot.orchestrator_mirror),
        (nano(10), nano(20))
    );
    fixture.assert_sound().await;
    // Not registered: it waits. A reorganization undoes the escrow like any other posting.
    assert_eq!(fixture.seal().await, None);
    fixture.rewind(before).await;
    assert_eq!(fixture.books().snapshot().await.unwrap().escrow, nano(0));
    fixture.mine_transactions(vec![settling(&batch, &[])]).await;

    let registered = EventBody::CreatorRegistered {
        creator: wallet(9),
        id: 1,
        uri: "https://me.example".into(),
        pub_key: "04".into(),
    };
    fixture.mine(vec![registered]).await;
    let batch = fixture.seal().await.unwrap();
    assert_eq!((batch.lines.len(), batch.items.len()), (0, 0));
    assert_eq!(batch.payouts[0].payee, Payee::Creator(wallet(9)));
    fixture.mine_transactions(vec![settling(&batch, &[])]).await;
    let snapshot = fixture.books().snapshot().await.unwrap();
    assert_eq!(
        (snapshot.escrow, snapshot.orchestrator_mirror),
        (nano(0), nano(20))
    );
    fixture.assert_sound().await;
    // It is paid directly again.
    pay(&fixture, org, &[9], 10).await;
    let batch = fixture.seal().await.unwrap();
    assert!(!batch.lines[0].credits[0].escrow);
}

/// Finding 13: a transfer that fails without naming its receiver is isolated: the payer's next lines
/// credit one organization each, until the one at fault is known.
#[tokio::test(flavor = "multi_thread")]
async fn an_unnamed_failure_is_isolated_to_the_organization_that_cannot_be_paid() {
    let (mut fixture, org) = Fixture::funded(nano(1_000)).await;
    fixture.mine(vec![created(2), created(3)]).await;
    let (good, bad) = (fixture.org(2).await, fixture.org(3).await);
    for payee in [bad, good] {
        let call = fixture.hold(org, nano(10)).await.unwrap();
        let lines = vec![line(Payee::Organization(payee), nano(10))];
        let capture = crate::fixture::capture(call, org, lines);
        fixture.ledger().capture(capture).await.unwrap();
    }
    let mut batches = 0;
    while fixture.balance(org).await.unsettled != nano(0) {
        batches += 1;
        assert!(batches < 12, "it does not end");
        let batch = fixture.seal().await.unwrap();
        let credits = &batch.lines[0].credits;
        let fails = credits
            .iter()
            .any(|credit| credit.payee == Payee::Organization(bad) && !credit.escrow);
        if batches > 1 {
            let transfers = credits.iter().filter(|credit| !credit.escrow).count();
            assert!(transfers <= 1 || !fails, "one organization at a time");
        }
        let skipped = [(0, SkipReason::TransferFailed)];
        let skipped = if fails { &skipped[..] } else { &[] };
        fixture.mine_transactions(vec![settling(&batch, skipped)]).await;
        assert!(!is_suspended(&fixture, org).await);
    }
    assert_eq!(fixture.balance(good).await.available, nano(10));
    assert_eq!(fixture.balance(bad).await.available, nano(0));
    assert_eq!(fixture.books().snapshot().await.unwrap().escrow, nano(10));
    fixture.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_organization_keeps_nobody_waiting() {
    let (mut fixture, bad) = Fixture::funded(nano(100)).await;
    for _ in 0..5 {
        fixture.spend(bad, nano(1)).await;
    }
    skip(&mut fixture, 3, SkipReason::InsufficientFunds).await;
    fixture.mine(vec![created(2), deposit(2, nano(100))]).await;
    let good = fixture.org(2).await;
    fixture.spend(good, nano(1)).await;
    fixture.spend(good, nano(1)).await;
    let waiting = unsealed(&fixture).await;
    assert_eq!((waiting.items(), waiting.skipped()), (2, 5));
    let policy = SealPolicy {
        max_items: 3,
        ..seal_all()
    };
    let batch = fixture.settlements().seal(policy, NOON).await.unwrap().unwrap();
    let per_org = |org| batch.lines.iter().filter(|line| line.org == org).count();
    assert_eq!((batch.items.len(), per_org(good), per_org(bad)), (3, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_holds_no_more_organizations_and_payees_than_its_policy_says() {
    let (mut fixture, first) = Fixture::funded(nano(100)).await;
    fixture.mine(vec![created(2), deposit(2, nano(100))]).await;
    let second = fixture.org(2).await;
    for payee in 1..=5 {
        let call = fixture.hold(first, nano(1)).await.unwrap();
        let lines = vec![line(Payee::Creator(wallet(payee)), nano(1))];
        fixture
            .ledger()
            .capture(crate::fixture::capture(call, first, lines))
            .await
            .unwrap();
    }
    fixture.spend(second, nano(1)).await;
    let policy = SealPolicy {
        max_lines: 1,
        max_credits_per_line: 2,
        ..seal_all()
    };
    let batch = fixture.settlements().seal(policy, NOON).await.unwrap().unwrap();
    assert_eq!((batch.lines.len(), batch.items.len()), (1, 2));
    fixture.mine_transactions(vec![settling(&batch, &[])]).await;
    let rest = fixture.seal().await.unwrap();
    assert_eq!((rest.lines.len(), rest.items.len()), (2, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skipped_line_gives_the_carry_back() {
    let (mut fixture, org) = Fixture::funded(nano(1_000_000)).await;
    let six = SealPolicy {
        decimals: Decimals::new(6).unwrap(),
        ..seal_all()
    };
    fixture.spend(org, nano(1_700)).await;
    let first = fixture.settlements().seal(six, NOON).await.unwrap().unwrap();
    assert_eq!(first.carry[0].1, nano(700));
    fixture.mine_transactions(vec![settling(&first, &[])]).await;
    fixture.spend(org, nano(500)).await;
    let second = fixture.settlements().seal(six, NOON).await.unwrap().unwrap();
    assert_eq!(
        (second.lines[0].credits[0].amount, second.carry[0].1),
        (nano(1_000), nano(200))
    );
    fixture
        .mine_transactions(vec![settling(&second, &[(0, SkipReason::DailyCap)])])
        .await;
    let third = fixture.settlements().seal(six, NOON).await.unwrap().unwrap();
    assert_eq!(
        (third.lines[0].credits[0].amount, third.carry[0].1),
        (nano(1_000), nano(200))
    );
    fixture.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_a_final_batch_that_is_rewound_is_settled_anew() {
    let (mut fixture, org) = Fixture::funded(nano(100)).await;
    let call = fixture.spend(org, nano(30)).await;
    let batch = fixture.seal().await.unwrap();
    let before = fixture.head.unwrap();
    fixture
        .mine_transactions(vec![settling(&batch, &[(0, SkipReason::DailyCap)])])
        .await;
    assert_eq!(unsealed(&fixture).await.skipped(), 1);
    fixture.rewind(before).await;
    assert_eq!(unsealed(&fixture).await.skipped(), 0);
    let receipt = fixture.books().receipt(call).await.unwrap().unwrap();
    assert_eq!(receipt.settlement.unwrap().state, BatchState::Sealed);
    fixture.mine_transactions(vec![settling(&batch, &[])]).await;
    assert_eq!(fixture.balance(org).await.unsettled, nano(0));
    fixture.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_moved_on_to_a_later_batch_are_left_there_with_an_alarm() {
    let (mut fixture, org) = Fixture::funded(nano(100)).await;
    fixture.spend(org, nano(30)).await;
    let batch = fixture.seal().await.unwrap();
    let before = fixture.head.unwrap();
    fixture
        .mine_transactions(vec![settling(&batch, &[(0, SkipReason::DailyCap)])])
        .await;
    fixture.seal().await.unwrap();
    fixture.rewind(before).await;
    let alarms = haithe_sqlite::SqliteChainIndex::new(&fixture.db)
        .alarms()
        .await
        .unwrap();
    assert_eq!(alarms[0].kind, "final_batch_rewound");
    fixture.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daily_cap_counts_what_was_settled_today_and_forgets_it_tomorrow() {
    let (mut fixture, org) = Fixture::funded(nano(1_000)).await;
    let cap = EventBody::DailyCapChanged {
        org: contract(1),
        cap: Some(units(nano(100))),
        effective_at: NOON,
    };
    fixture.mine(vec![cap]).await;
    fixture.spend(org, nano(60)).await;
    let batch = fixture.seal().await.unwrap();
    fixture.mine_transactions(vec![settling(&batch, &[])]).await;
    match fixture.hold(org, nano(41)).await {
        Err(HoldError::DailyCap { left }) => assert_eq!(left, nano(40)),
        other => panic!("{other:?}"),
    }
    fixture
        .clock
        .advance(std::time::Duration::from_secs(crate::fixture::DAY));
    fixture.hold(org, nano(100)).await.unwrap();
    assert!(fixture.hold(org, nano(1)).await.is_err());
}

/// Spends so much on one creator.
async fn pay(fixture: &Fixture, org: OrgId, payees: &[u8], amount: i64) {
    let total = nano(amount * i64::try_from(payees.len()).unwrap());
    let call = fixture.hold(org, total).await.unwrap();
    let lines = payees
        .iter()
        .map(|payee| line(Payee::Creator(wallet(*payee)), nano(amount)))
        .collect();
    fixture
        .ledger()
        .capture(crate::fixture::capture(call, org, lines))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skipped_line_behind_later_batches_takes_back_its_own_change_of_the_carry() {
    let (mut fixture, org) = Fixture::funded(nano(1_000_000)).await;
    let six = SealPolicy {
        decimals: Decimals::new(6).unwrap(),
        ..seal_all()
    };
    let seal = async |fixture: &Fixture| fixture.settlements().seal(six, NOON).await.unwrap().unwrap();
    fixture.spend(org, nano(1_700)).await;
    let first = seal(&fixture).await;
    fixture.spend(org, nano(1_400)).await;
    let second = seal(&fixture).await;
    assert_eq!(
        second.lines[0].credits[0].amount,
        nano(2_000),
        "with 700 of the first"
    );
    fixture
        .mine_transactions(vec![settling(&first, &[(0, SkipReason::TransferFailed)])])
        .await;
    fixture.mine_transactions(vec![settling(&second, &[])]).await;
    // 1,400 were due and 2,000 were paid: what waits is 1,700 less 600.
    let third = seal(&fixture).await;
    assert_eq!(third.lines[0].credits[0].amount, nano(1_000));
    assert_eq!(third.carry[0].1, nano(100));
    fixture.mine_transactions(vec![settling(&third, &[])]).await;
    assert_eq!(fixture.balance(org).await.unsettled, nano(100));
    fixture.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dissolved_batch_leaves_no_trace_and_its_calls_are_sealed_again() {
    let (mut fixture, org) = Fixture::funded(nano(1_000_000)).await;
    let six = SealPolicy {
        decimals: Decimals::new(6).unwrap(),
        ..seal_all()
    };
    let store = fixture.settlements();
    let mut sealed = Vec::new();
    for cost in [1_700, 1_400, 900] {
        fixture.spend(org, nano(cost)).await;
        sealed.push(store.seal(six, NOON).await.unwrap().unwrap());
    }
    assert!(store.dissolve(1).await.unwrap());
    let open = store.open_batches().await.unwrap();
    assert_eq!(open.iter().map(|(batch, _)| batch.seq).collect::<Vec<_>>(), [0]);
    let again = store.seal(six, NOON).await.unwrap().unwrap();
    assert_eq!((again.seq, again.items.len()), (1, 2));
    assert_eq!(again.lines[0].credits[0].amount, nano(3_000), "700 + 1,400 + 900");
    fixture
        .mine_transactions(vec![settling(&sealed[0], &[]), settling(&again, &[])])
        .await;
    assert_eq!(fixture.balance(org).await.unsettled, nano(0));
    assert!(!store.dissolve(1).await.unwrap(), "it was settled");
    fixture.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_transaction_has_a_nonce_is_not_dissolved() {
    let (fixture, org) = Fixture::funded(nano(100)).await;
    fixture.spend(org, nano(1)).await;
    fixture.seal().await.unwrap();
    let outbox = haithe_sqlite::SqliteTxOutbox::new(&fixture.db);
    let queued = |key: &str| NewTx {
        key: key.to_owned(),
        purpose: TxPurpose::SettleBatch,
        signer: wallet(7),
        to: None,
        data: vec![1],
        on_behalf: None,
        created_at: NOON,
    };
    let sent = outbox.enqueue(queued("retry/2/settle/0")).await.unwrap();
    outbox.assign_nonce(sent.id, 0).await.unwrap();
    assert!(!fixture.settlements().dissolve(0).await.unwrap());
    outbox.close(sent.id, Some("reverted".into())).await.unwrap();
    let waiting = outbox.enqueue(queued("retry/3/settle/0")).await.unwrap();
    assert!(fixture.settlements().dissolve(0).await.unwrap());
    let closed = outbox.find("retry/3/settle/0".into()).await.unwrap().unwrap();
    assert_eq!(closed.state, TxState::Failed);
    assert!(outbox.assign_nonce(waiting.id, 1).await.is_err(), "it is closed");
}

/// Finding 2: a call that no batch can contain stops nobody, and raises one alarm.
#[tokio::test(flavor = "multi_thread")]
async fn an_unsealable_call_is_set_aside_with_one_alarm() {
    let (mut fixture, bad) = Fixture::funded(nano(1_000)).await;
    fixture.mine(vec![created(2), deposit(2, nano(100))]).await;
    let good = fixture.org(2).await;
    let payees: Vec<u8> = (1..=51).collect();
    pay(&fixture, bad, &payees, 1).await;
    fixture.spend(bad, nano(1)).await;
    fixture.spend(good, nano(1)).await;
    let batch = fixture.seal().await.unwrap();
    assert_eq!(
        batch.items.len(),
        2,
        "the other call of the same organization, too"
    );
    assert_eq!(unsealed(&fixture).await.items(), 0, "it does not count");
    for _ in 0..3 {
        assert_eq!(fixture.seal().await, None);
    }
    let alarms = fixture.index().alarms().await.unwrap();
    let kinds: Vec<&str> = alarms.iter().map(|alarm| alarm.kind.as_str()).collect();
    assert_eq!(kinds, ["unsealable_charge"]);
    let fixture = fixture.reopened().await;
    assert_eq!(fixture.seal().await, None);
    assert_eq!(
        fixture.index().alarms().await.unwrap().len(),
        1,
        "also after a restart"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_credit_is_carried_until_it_is_worth_its_gas_or_a_week_old() {
    let (mut fixture, org) = Fixture::funded(nano(1_000)).await;
    let policy = SealPolicy {
        min_credit: nano(10),
        ..seal_all()
    };
    let store = fixture.settlements();
    pay(&fixture, org, &[1, 2, 3], 4).await;
    let first = store.seal(policy, NOON).await.unwrap().unwrap();
    assert_eq!(first.lines[0].credits, []);
    fixture.mine_transactions(vec![settling(&first, &[])]).await;
    pay(&fixture, org, &[1, 1, 1], 4).await;
    let second = store.seal(policy, NOON).await.unwrap().unwrap();
    assert_eq!(second.lines[0].credits[0].amount, nano(16));
    fixture.mine_transactions(vec![settling(&second, &[])]).await;
    assert_eq!(fixture.balance(org).await.unsettled, nano(8));
    let week = NOON.plus(policy.max_deferral);
    assert_eq!(store.unsealed(policy, week).await.unwrap().overdue, 2);
    let third = store.seal(policy, week).await.unwrap().unwrap();
    assert_eq!((third.items.len(), third.lines[0].credits.len()), (0, 2));
    fixture.mine_transactions(vec![settling(&third, &[])]).await;
    assert_eq!(fixture.balance(org).await.unsettled, nano(0));
    assert_eq!(store.unsealed(policy, week).await.unwrap(), Unsealed::default());
    fixture.assert_sound().await;
}
