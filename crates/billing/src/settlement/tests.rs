use super::*;
use crate::{
    batch::{BatchLine, SealedItem, WaitingCharges},
    ports::{MockSettlementStore, MockSettler},
};
use haithe_kernel::{CallId, Decimals, FixedClock, OrgId, Usdt, WalletAddress};
use mockall::predicate::eq;
use std::{sync::Mutex, time::Duration};
use uuid::Uuid;

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

fn policy() -> SealPolicy {
    SealPolicy {
        max_items: 100,
        max_amount: Usdt::whole(10),
        max_age: MINUTE,
        max_lines: 10,
        max_credits_per_line: 10,
        ..SealPolicy::new(Decimals::new(6).unwrap())
    }
}

fn batch(seq: u64) -> Batch {
    Batch {
        seq,
        root: [1; 32],
        lines: vec![BatchLine {
            org: OrgId(1),
            address: WalletAddress::new([1; 20]),
            credits: Vec::new(),
            since: NOW,
        }],
        payouts: Vec::new(),
        items: vec![SealedItem {
            call: CallId(Uuid::from_u128(1)),
            line: 0,
            leaf: [1; 32],
        }]
        .into(),
        carry: Vec::new(),
        sealed_at: NOW,
    }
}

fn waiting(items: u64, amount: i32, age: Duration) -> Unsealed {
    let waiting = WaitingCharges {
        org: OrgId(1),
        items,
        amount: Usdt::whole(amount),
        oldest: Some(NOW.minus(age)),
        skipped: 0,
        withdrawing: false,
    };
    Unsealed {
        orgs: vec![waiting],
        overdue: 0,
    }
}

struct Scene {
    clock: Arc<FixedClock>,
    gate: Arc<SettlementGate>,
    settlement: Settlement,
}

fn scene(store: MockSettlementStore, settler: MockSettler) -> Scene {
    let clock = Arc::new(FixedClock::at(NOW));
    let gate = Arc::new(SettlementGate::new(clock.clone(), DAY));
    let settlement = Settlement::new(
        Arc::new(store),
        Arc::new(settler),
        clock.clone(),
        gate.clone(),
        policy(),
    );
    Scene {
        clock,
        gate,
        settlement,
    }
}

/// A store in which these batches are open and this waits.
fn store(open: &[(u64, BatchState)], waiting: Unsealed) -> MockSettlementStore {
    let open: Vec<_> = open.iter().map(|(seq, state)| (batch(*seq), *state)).collect();
    let mut store = MockSettlementStore::new();
    store.expect_open_batches().returning(move || Ok(open.clone()));
    store.expect_unsealed().returning(move |_, _| Ok(waiting.clone()));
    store
}

fn open(seq: u64, state: BatchState) -> MockSettlementStore {
    store(&[(seq, state)], Unsealed::default())
}

fn queued(settler: &mut MockSettler) {
    settler.expect_submit().returning(|_| Ok(Submission::Queued));
}

fn refused(settler: &mut MockSettler) {
    settler.expect_submit().returning(|_| {
        Ok(Submission::Refused {
            reason: "too much".to_owned(),
        })
    });
}

fn next_is(next: u64) -> MockSettler {
    let mut settler = MockSettler::new();
    settler.expect_next_sequence().returning(move || Ok(next));
    settler
}

/// Whether a batch is sealed (and sent) when this waits.
async fn seals(waiting: Unsealed) -> bool {
    let mut store = store(&[], waiting);
    store
        .expect_seal()
        .with(eq(policy()), eq(NOW))
        .returning(|_, _| Ok(Some(batch(5))));
    let mut settler = next_is(5);
    queued(&mut settler);
    let scene = scene(store, settler);
    let submitted = SettlementProgress::Submitted {
        seq: 5,
        calls: 1,
        lines: 1,
    };
    match scene.settlement.step().await.unwrap() {
        SettlementProgress::Idle => false,
        progress => {
            assert_eq!(progress, submitted);
            true
        }
    }
}

#[tokio::test]
async fn a_batch_is_due_by_count_by_amount_or_by_age() {
    let young = Duration::from_secs(59);
    assert!(!seals(Unsealed::default()).await);
    assert!(!seals(waiting(99, 9, young)).await);
    assert!(seals(waiting(100, 0, young)).await);
    assert!(seals(waiting(1, 10, young)).await);
    assert!(seals(waiting(1, 0, MINUTE)).await);
}

#[tokio::test]
async fn an_open_batch_is_sent_again_until_the_contract_has_it() {
    let mut settler = next_is(5);
    settler
        .expect_submit()
        .with(eq(batch(5)))
        .times(2)
        .returning(|_| Ok(Submission::Queued));
    let mut store = open(5, BatchState::Sealed);
    store.expect_seal().never();
    let scene = scene(store, settler);
    for _ in 0..2 {
        let progress = scene.settlement.step().await.unwrap();
        assert!(matches!(progress, SettlementProgress::Submitted { seq: 5, .. }));
    }
}

#[tokio::test]
async fn after_a_crash_a_batch_that_is_on_chain_is_not_sent_again() {
    for stored in [Some([7; 32]), None] {
        let mut settler = next_is(6);
        settler
            .expect_settled_hash()
            .with(eq(5))
            .returning(move |_| Ok(stored));
        settler
            .expect_expected_hash()
            .with(eq(batch(5)))
            .returning(|_| Ok([7; 32]));
        settler.expect_submit().never();
        let scene = scene(open(5, BatchState::Sealed), settler);
        let progress = scene.settlement.step().await.unwrap();
        assert_eq!(progress, SettlementProgress::Confirming { seq: 5 });
    }
}

#[tokio::test]
async fn another_batch_under_our_number_stops_settlement() {
    let mut settler = next_is(6);
    settler.expect_settled_hash().returning(|_| Ok(Some([8; 32])));
    settler.expect_expected_hash().returning(|_| Ok([7; 32]));
    settler.expect_submit().never();
    let scene = scene(open(5, BatchState::Sealed), settler);
    let error = scene.settlement.step().await.unwrap_err();
    assert!(matches!(error, SettlementError::Foreign { seq: 5 }));
}

#[tokio::test]
async fn a_contract_that_lost_settled_batches_stops_settlement() {
    let mut settler = next_is(3);
    settler.expect_submit().never();
    let scene = scene(open(5, BatchState::Sealed), settler);
    let error = scene.settlement.step().await.unwrap_err();
    assert!(matches!(error, SettlementError::Behind { seq: 5, next: 3 }));
}

#[tokio::test]
async fn while_batches_are_seen_and_nothing_is_due_the_chain_is_left_alone() {
    let scene = scene(open(5, BatchState::Seen), MockSettler::new());
    let progress = scene.settlement.step().await.unwrap();
    assert_eq!(progress, SettlementProgress::Confirming { seq: 5 });
}

#[tokio::test]
async fn up_to_four_batches_are_in_flight_before_the_first_is_final() {
    let three = [
        (5, BatchState::Seen),
        (6, BatchState::Sealed),
        (7, BatchState::Sealed),
    ];
    let mut few = store(&three, waiting(1, 0, MINUTE));
    few.expect_seal().once().returning(|_, _| Ok(Some(batch(8))));
    let mut settler = next_is(6);
    let sent = Arc::new(Mutex::new(Vec::new()));
    let log = sent.clone();
    settler.expect_submit().returning(move |batch| {
        log.lock().unwrap().push(batch.seq);
        Ok(Submission::Queued)
    });
    let scene_of_three = scene(few, settler);
    let progress = scene_of_three.settlement.step().await.unwrap();
    assert!(matches!(progress, SettlementProgress::Submitted { seq: 8, .. }));
    assert_eq!(*sent.lock().unwrap(), [6, 7, 8]);

    let four = [three[0], three[1], three[2], (8, BatchState::Sealed)];
    let mut many = store(&four, waiting(1, 0, MINUTE));
    many.expect_seal().never();
    let mut settler = next_is(6);
    queued(&mut settler);
    scene(many, settler).settlement.step().await.unwrap();
}

#[tokio::test]
async fn a_refused_batch_is_dissolved_and_the_next_one_is_smaller() {
    let mut store = store(&[(5, BatchState::Sealed)], waiting(100, 0, MINUTE));
    store.expect_dissolve().with(eq(5)).returning(|_| Ok(true));
    store
        .expect_set_aside()
        .once()
        .withf(|calls, reason| calls.len() == 1 && reason.contains("too much"))
        .returning(|_, _| Ok(()));
    store
        .expect_seal()
        .with(eq(policy().shrunk(1)), eq(NOW))
        .returning(|_, _| Ok(None));
    let mut settler = next_is(5);
    refused(&mut settler);
    let scene = scene(store, settler);
    let progress = scene.settlement.step().await.unwrap();
    assert_eq!(progress, SettlementProgress::Dissolved { seq: 5 });
}

#[tokio::test]
async fn a_refused_batch_that_may_reach_the_chain_is_kept() {
    let mut store = open(5, BatchState::Sealed);
    store.expect_dissolve().returning(|_| Ok(false));
    store.expect_set_aside().never();
    let mut settler = next_is(5);
    refused(&mut settler);
    let scene = scene(store, settler);
    let progress = scene.settlement.step().await.unwrap();
    assert_eq!(progress, SettlementProgress::Confirming { seq: 5 });
}

#[tokio::test]
async fn in_a_hurry_whatever_waits_is_sealed_once() {
    let mut store = store(&[], waiting(1, 0, Duration::ZERO));
    store.expect_seal().once().returning(|_, _| Ok(Some(batch(5))));
    let mut settler = next_is(5);
    queued(&mut settler);
    let scene = scene(store, settler);
    assert_eq!(scene.settlement.step().await.unwrap(), SettlementProgress::Idle);
    scene.settlement.hurry();
    let progress = scene.settlement.step().await.unwrap();
    assert!(matches!(progress, SettlementProgress::Submitted { .. }));
    assert_eq!(scene.settlement.step().await.unwrap(), SettlementProgress::Idle);
}

#[tokio::test]
async fn a_failed_seal_is_still_in_a_hurry() {
    let mut store = store(&[], waiting(1, 0, Duration::ZERO));
    store
        .expect_seal()
        .times(2)
        .returning(|_, _| Err(StoreError::new("busy")));
    let scene = scene(store, MockSettler::new());
    scene.settlement.hurry();
    for _ in 0..2 {
        let error = scene.settlement.step().await.unwrap_err();
        assert!(matches!(error, SettlementError::Store(_)));
    }
}

#[tokio::test]
async fn skipped_calls_alone_are_tried_again_only_now_and_then() {
    let mut skipped = waiting(0, 0, Duration::ZERO);
    skipped.orgs[0].oldest = None;
    skipped.orgs[0].skipped = 3;
    let mut store = store(&[], skipped);
    store.expect_seal().times(2).returning(|_, _| Ok(Some(batch(5))));
    let mut settler = next_is(5);
    queued(&mut settler);
    let scene = scene(store, settler);
    for _ in 0..25 {
        scene.settlement.step().await.unwrap();
        scene.clock.advance(MINUTE);
    }
}

#[tokio::test]
async fn the_gate_counts_the_oldest_charge_of_each_organization_until_it_is_settled() {
    let mut sealed = batch(5);
    sealed.lines[0].since = NOW.minus(2 * MINUTE);
    let mut open = [vec![], vec![(sealed, BatchState::Seen)], vec![]].into_iter();
    let mut store = MockSettlementStore::new();
    store
        .expect_open_batches()
        .returning(move || Ok(open.next().unwrap()));
    let mut waiting = [
        waiting(1, 0, Duration::from_secs(30)),
        Unsealed::default(),
        Unsealed::default(),
    ]
    .into_iter();
    store
        .expect_unsealed()
        .returning(move |_, _| Ok(waiting.next().unwrap()));
    let scene = scene(store, MockSettler::new());
    for age in [Duration::from_secs(30), 2 * MINUTE, Duration::ZERO] {
        scene.settlement.step().await.unwrap();
        assert_eq!(scene.gate.lag_of(OrgId(1)).settlement, age);
        assert_eq!(scene.gate.lag_of(OrgId(2)).settlement, Duration::ZERO);
    }
}

#[tokio::test]
async fn a_new_process_goes_on_with_the_ages_that_are_stored() {
    // No transaction and no question to the chain: the settler has no expectations.
    let scene = scene(store(&[], waiting(1, 0, DAY)), MockSettler::new());
    assert_eq!(scene.gate.lag_of(OrgId(1)).settlement, Duration::ZERO);
    scene.settlement.resume().await.unwrap();
    assert_eq!(scene.gate.lag_of(OrgId(1)).settlement, DAY);
    assert!(scene.gate.admit(OrgId(1)).is_err());
    assert!(
        scene.gate.admit(OrgId(2)).is_ok(),
        "another organization is not concerned"
    );
}

#[tokio::test]
async fn charges_too_small_to_settle_do_not_count_for_the_gate_and_are_not_sealed() {
    let mut store = store(&[], waiting(1, 1, 2 * MINUTE));
    store.expect_seal().never();
    let mut scene = scene(store, MockSettler::new());
    scene.settlement.policy.min_credit = Usdt::whole(2);
    assert_eq!(scene.settlement.step().await.unwrap(), SettlementProgress::Idle);
    assert_eq!(scene.gate.lag().settlement, Duration::ZERO);
}

#[tokio::test]
async fn what_cannot_be_settled_closes_the_gate_in_time_for_those_who_are_charged() {
    let mut settler = MockSettler::new();
    settler
        .expect_next_sequence()
        .returning(|| Err(ChainError::unavailable("no node")));
    let scene = scene(open(5, BatchState::Sealed), settler);
    for _ in 0..7 {
        assert!(scene.settlement.step().await.is_err());
        scene.gate.indexed_through(scene.clock.now());
        scene.clock.advance(60 * MINUTE);
    }
    assert!(scene.gate.admit(OrgId(1)).is_err());
    assert!(
        scene.gate.admit(OrgId(2)).is_ok(),
        "another organization has no old charge"
    );
}
