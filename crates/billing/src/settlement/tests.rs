use super::*;
use crate::{
    batch::{BatchLine, SealedItem},
    ports::{MockSettlementStore, MockSettler},
};
use haithe_kernel::{CallId, Decimals, FixedClock, OrgId, Usdt, WalletAddress};
use mockall::predicate::eq;
use std::time::Duration;
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
        decimals: Decimals::new(6).unwrap(),
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
        }],
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
    Unsealed {
        items,
        amount: Usdt::whole(amount),
        oldest: Some(NOW.minus(age)),
        skipped: 0,
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

fn open(state: Option<BatchState>) -> MockSettlementStore {
    let mut store = MockSettlementStore::new();
    store
        .expect_open_batch()
        .returning(move || Ok(state.map(|state| (batch(5), state))));
    store
}

fn next_is(next: u64) -> MockSettler {
    let mut settler = MockSettler::new();
    settler.expect_next_sequence().returning(move || Ok(next));
    settler
}

/// Whether a batch is sealed (and sent) when this waits.
async fn seals(waiting: Unsealed) -> bool {
    let mut store = open(None);
    store.expect_unsealed().returning(move || Ok(waiting));
    store
        .expect_seal()
        .with(eq(policy()), eq(NOW))
        .returning(|_, _| Ok(Some(batch(5))));
    let mut settler = next_is(5);
    settler.expect_submit().with(eq(batch(5))).returning(|_| Ok(()));
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
        .returning(|_| Ok(()));
    let mut store = open(Some(BatchState::Sealed));
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
        let scene = scene(open(Some(BatchState::Sealed)), settler);
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
    let scene = scene(open(Some(BatchState::Sealed)), settler);
    let error = scene.settlement.step().await.unwrap_err();
    assert!(matches!(error, SettlementError::Foreign { seq: 5 }));
}

#[tokio::test]
async fn a_contract_that_lost_settled_batches_stops_settlement() {
    let mut settler = next_is(3);
    settler.expect_submit().never();
    let scene = scene(open(Some(BatchState::Sealed)), settler);
    let error = scene.settlement.step().await.unwrap_err();
    assert!(matches!(error, SettlementError::Behind { seq: 5, next: 3 }));
}

#[tokio::test]
async fn while_a_batch_is_seen_and_not_final_no_other_is_sealed_and_the_chain_is_left_alone() {
    let scene = scene(open(Some(BatchState::Seen)), MockSettler::new());
    let progress = scene.settlement.step().await.unwrap();
    assert_eq!(progress, SettlementProgress::Confirming { seq: 5 });
}

#[tokio::test]
async fn in_a_hurry_whatever_waits_is_sealed_once() {
    let mut store = open(None);
    store
        .expect_unsealed()
        .returning(|| Ok(waiting(1, 0, Duration::ZERO)));
    store.expect_seal().once().returning(|_, _| Ok(Some(batch(5))));
    let mut settler = next_is(5);
    settler.expect_submit().returning(|_| Ok(()));
    let scene = scene(store, settler);
    assert_eq!(scene.settlement.step().await.unwrap(), SettlementProgress::Idle);
    scene.settlement.hurry();
    let progress = scene.settlement.step().await.unwrap();
    assert!(matches!(progress, SettlementProgress::Submitted { .. }));
    assert_eq!(scene.settlement.step().await.unwrap(), SettlementProgress::Idle);
}

#[tokio::test]
async fn a_failed_seal_is_still_in_a_hurry() {
    let mut store = open(None);
    store
        .expect_unsealed()
        .returning(|| Ok(waiting(1, 0, Duration::ZERO)));
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
    let mut store = open(None);
    let skipped = Unsealed {
        skipped: 3,
        ..Unsealed::default()
    };
    store.expect_unsealed().returning(move || Ok(skipped));
    store.expect_seal().times(2).returning(|_, _| Ok(Some(batch(5))));
    let mut settler = next_is(5);
    settler.expect_submit().times(2).returning(|_| Ok(()));
    let scene = scene(store, settler);
    for _ in 0..25 {
        scene.settlement.step().await.unwrap();
        scene.clock.advance(MINUTE);
    }
}

#[tokio::test]
async fn the_gate_learns_the_age_of_the_oldest_charge_until_it_is_settled() {
    let mut store = MockSettlementStore::new();
    let answers = [None, Some(BatchState::Sealed), Some(BatchState::Seen), None];
    let mut answers = answers.into_iter();
    store.expect_open_batch().returning(move || {
        let state = answers.next().unwrap();
        Ok(state.map(|state| (batch(5), state)))
    });
    let mut unsealed = [waiting(1, 0, 2 * MINUTE), Unsealed::default()].into_iter();
    store
        .expect_unsealed()
        .returning(move || Ok(unsealed.next().unwrap()));
    store.expect_seal().once().returning(|_, _| Ok(Some(batch(5))));
    let mut settler = next_is(5);
    settler.expect_submit().returning(|_| Ok(()));
    let scene = scene(store, settler);

    for minutes in 2..=4 {
        scene.settlement.step().await.unwrap();
        assert_eq!(scene.gate.lag().settlement, minutes * MINUTE);
        scene.clock.advance(MINUTE);
    }
    scene.settlement.step().await.unwrap();
    assert_eq!(scene.gate.lag().settlement, Duration::ZERO);
}

#[tokio::test]
async fn after_a_restart_an_open_batch_is_as_old_as_its_seal() {
    let mut settler = next_is(5);
    settler.expect_submit().returning(|_| Ok(()));
    let scene = scene(open(Some(BatchState::Sealed)), settler);
    scene.clock.advance(7 * 60 * MINUTE);
    scene.gate.settled_through(NOW.plus(7 * 60 * MINUTE));
    scene.settlement.step().await.unwrap();
    assert_eq!(scene.gate.lag().settlement, 7 * 60 * MINUTE);
    assert!(
        scene.gate.admit().is_err(),
        "beyond a quarter of the withdrawal delay"
    );
}

#[tokio::test]
async fn what_cannot_be_settled_at_all_closes_the_gate_in_time() {
    let mut settler = MockSettler::new();
    settler
        .expect_next_sequence()
        .returning(|| Err(ChainError::unavailable("no node")));
    let scene = scene(open(Some(BatchState::Sealed)), settler);
    for _ in 0..7 {
        assert!(scene.settlement.step().await.is_err());
        scene.gate.indexed_through(scene.clock.now());
        scene.clock.advance(60 * MINUTE);
    }
    assert!(scene.gate.admit().is_err());
}
