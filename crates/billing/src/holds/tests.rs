use super::*;
use crate::{
    capture::Payee,
    fixtures::{line, usage},
    ports::MockLedger,
};
use haithe_kernel::{FixedClock, Timestamp};
use mockall::{Sequence, predicate::eq};
use std::{future::pending, time::Duration};
use uuid::Uuid;

const CALL: CallId = CallId(Uuid::from_u128(7));
const ORG: OrgId = OrgId(4);

fn holds(ledger: MockLedger) -> (Arc<FixedClock>, Holds) {
    let clock = Arc::new(FixedClock::at(Timestamp::from_seconds(1_000_000)));
    let gate = SettlementGate::new(clock.clone(), Duration::from_secs(400));
    (clock, Holds::new(Arc::new(ledger), Arc::new(gate)))
}

fn request() -> HoldRequest {
    HoldRequest {
        call: CALL,
        org: ORG,
        most: Usdt::whole(3),
        least: Usdt::whole(1),
        budgets: Vec::new(),
        expenditure: ExpenditureScope::ApiKey,
    }
}

fn lines() -> Vec<PriceLine> {
    vec![line(Payee::Platform, 2)]
}

fn broken() -> StoreError {
    StoreError::new("the disk is full")
}

fn granting() -> MockLedger {
    let mut ledger = MockLedger::new();
    ledger
        .expect_hold()
        .with(eq(request()))
        .once()
        .returning(|_| Ok(Usdt::whole(3)));
    ledger
}

#[tokio::test]
async fn a_dropped_hold_is_given_back_once() {
    let mut ledger = granting();
    ledger.expect_release().with(eq(CALL)).once().return_const(());
    let hold = holds(ledger).1.hold(request()).await.unwrap();
    assert_eq!(
        (hold.call(), hold.org(), hold.amount()),
        (CALL, ORG, Usdt::whole(3))
    );
    drop(hold);
}

#[tokio::test]
async fn a_released_hold_is_given_back_once() {
    let mut ledger = granting();
    ledger.expect_release().with(eq(CALL)).once().return_const(());
    holds(ledger).1.hold(request()).await.unwrap().release();
}

#[tokio::test]
async fn a_captured_hold_is_not_given_back_again() {
    let mut ledger = granting();
    let captured = Captured {
        charged: Usdt::whole(2),
        lost: Usdt::ZERO,
        spent_before: Usdt::ZERO,
    };
    let expected = Capture {
        call: CALL,
        org: ORG,
        lines: lines(),
        usage: usage(),
        expenditure: ExpenditureScope::ApiKey,
    };
    ledger
        .expect_capture()
        .with(eq(expected))
        .once()
        .returning(move |_| Ok(captured));
    ledger.expect_release().never();
    let hold = holds(ledger).1.hold(request()).await.unwrap();
    assert_eq!(hold.capture(lines(), usage()).await.unwrap(), captured);
}

#[tokio::test]
async fn a_failed_capture_keeps_the_hold_until_it_succeeds_or_is_given_up() {
    let mut ledger = granting();
    let mut order = Sequence::new();
    ledger
        .expect_capture()
        .times(2)
        .in_sequence(&mut order)
        .returning(|_| Err(broken()));
    ledger
        .expect_release()
        .with(eq(CALL))
        .once()
        .in_sequence(&mut order)
        .return_const(());
    let hold = holds(ledger).1.hold(request()).await.unwrap();
    let failed = hold.capture(lines(), usage()).await.unwrap_err();
    assert_eq!(failed.code(), "storage_unavailable");
    let failed = failed.hold.capture(lines(), usage()).await.unwrap_err();
    let error = StoreError::from(failed);
    assert_eq!(error.code(), "storage_unavailable");
}

#[tokio::test]
async fn a_refused_call_holds_nothing() {
    let mut ledger = MockLedger::new();
    ledger
        .expect_hold()
        .once()
        .returning(|_| Err(HoldError::DailyCap { left: Usdt::ZERO }));
    ledger.expect_release().never();
    let refused = holds(ledger).1.hold(request()).await;
    assert!(matches!(refused, Err(HoldError::DailyCap { .. })));
}

#[tokio::test]
async fn a_store_that_failed_while_holding_is_asked_to_let_go() {
    let mut ledger = MockLedger::new();
    ledger.expect_hold().once().returning(|_| Err(broken().into()));
    ledger.expect_release().with(eq(CALL)).once().return_const(());
    let refused = holds(ledger).1.hold(request()).await;
    assert!(matches!(refused, Err(HoldError::Store(_))));
}

#[tokio::test]
async fn a_caller_that_vanishes_while_the_ledger_decides_leaks_nothing() {
    struct Slow(std::sync::Mutex<Vec<CallId>>);
    #[async_trait::async_trait]
    impl Ledger for Slow {
        async fn totals(&self) -> Result<crate::ledger::LedgerTotals, StoreError> {
            unreachable!("holds do not ask for totals")
        }

        async fn hold(&self, _: HoldRequest) -> Result<Usdt, HoldError> {
            pending().await
        }
        async fn available(&self, _: HoldRequest) -> Result<Usdt, HoldError> {
            pending().await
        }
        fn release(&self, call: CallId) {
            self.0.lock().unwrap().push(call);
        }
        async fn capture(&self, _: Capture) -> Result<Captured, StoreError> {
            Err(broken())
        }
        async fn balance(&self, _: OrgId) -> Result<crate::ledger::Balance, StoreError> {
            Err(broken())
        }
        async fn expenditure(&self, _: OrgId) -> Result<Usdt, StoreError> {
            Err(broken())
        }
    }
    let ledger = Arc::new(Slow(std::sync::Mutex::default()));
    let clock = Arc::new(FixedClock::at(Timestamp::from_seconds(0)));
    let gate = SettlementGate::new(clock, Duration::from_secs(400));
    let holds = Holds::new(ledger.clone(), Arc::new(gate));
    tokio::select! {
        biased;
        _ = holds.hold(request()) => panic!("the ledger never answers"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(*ledger.0.lock().unwrap(), [CALL]);
}

#[tokio::test]
async fn while_settlement_lags_the_ledger_is_not_even_asked() {
    let mut ledger = MockLedger::new();
    ledger.expect_hold().never();
    ledger.expect_release().never();
    let (clock, holds) = holds(ledger);
    clock.advance(Duration::from_secs(101));
    let refused = holds.hold(request()).await;
    assert!(matches!(refused, Err(HoldError::SettlementDelayed)));
}

#[tokio::test]
async fn what_is_available_is_asked_without_a_hold_and_not_while_settlement_lags() {
    let mut ledger = MockLedger::new();
    ledger.expect_hold().never();
    ledger.expect_release().never();
    ledger
        .expect_available()
        .with(eq(request()))
        .once()
        .returning(|_| Ok(Usdt::whole(2)));
    let (clock, holds) = holds(ledger);
    assert!(matches!(holds.available(request()).await, Ok(amount) if amount == Usdt::whole(2)));
    clock.advance(Duration::from_secs(101));
    let refused = holds.available(request()).await;
    assert!(matches!(refused, Err(HoldError::SettlementDelayed)));
}
