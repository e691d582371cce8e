use super::*;
use crate::{
    ledger::Balance,
    ports::{MockLedger, MockTreasuryStore},
};
use haithe_kernel::{Failure, FixedClock, Kind, ModelId, OrgUid, Usdt};
use haithe_orgs::{
    OrgRole, OrganizationPorts, Standing,
    model::ZERO_ADDRESS,
    ports::{
        MockChainSync, MockOpenCalls, MockOrgDeployer, MockOrgMemberStore, MockOrgModelStore, MockOrgStore,
        MockOwnerTransactions, MockStandingStore,
    },
};
use proptest::prelude::*;
use std::time::Duration;
use uuid::Uuid;

const OWNER: WalletAddress = WalletAddress::new([1; 20]);
const ADMIN: WalletAddress = WalletAddress::new([2; 20]);
const STRANGER: WalletAddress = WalletAddress::new([3; 20]);
const CONTRACT: WalletAddress = WalletAddress::new([9; 20]);
const ORG: OrgId = OrgId(1);
const NOW: Timestamp = Timestamp::from_seconds(1_000_000);
const DAY: Duration = Duration::from_secs(86_400);
const CLOCK: ActiveClock = ActiveClock {
    head: NOW,
    paused_for: Duration::ZERO,
    paused_until: None,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_seconds(second)
}

fn units(amount: u128) -> TokenUnits {
    TokenUnits::new(amount)
}

fn organizations() -> Organizations {
    let mut orgs = MockOrgStore::new();
    orgs.expect_find().returning(|id| {
        Ok((id == ORG).then(|| Organization {
            id: ORG,
            uid: OrgUid::new(Uuid::from_u128(1)),
            address: CONTRACT,
            orchestrator_index: 1,
            name: "acme".into(),
            owner: OWNER,
            created_at: at(0),
            deleted_at: None,
            confirmed: true,
        }))
    });
    let mut standings = MockStandingStore::new();
    standings.expect_standing().returning(|_, _, who| {
        Ok(Standing {
            owner: who == OWNER,
            org: (who == ADMIN).then_some(OrgRole::Admin),
            ..Standing::default()
        })
    });
    let ports = OrganizationPorts {
        orgs: Arc::new(orgs),
        standings: Arc::new(standings),
        members: Arc::new(MockOrgMemberStore::new()),
        models: Arc::new(MockOrgModelStore::new()),
        deployer: Arc::new(MockOrgDeployer::new()),
        transactions: Arc::new(MockOwnerTransactions::new()),
        chain: Arc::new(MockChainSync::new()),
        calls: Arc::new(MockOpenCalls::new()),
        clock: Arc::new(FixedClock::at(NOW)),
    };
    Organizations::new(ports, ModelId(1))
}

fn withdrawal(ready_at: Timestamp, end: Option<WithdrawalEnd>) -> Withdrawal {
    Withdrawal {
        id: 1,
        tx: [7; 32],
        requested_at: at(0),
        to: OWNER,
        amount: Some(5),
        ready_at,
        end,
        settled: false,
    }
}

/// A treasury of 100 USDT with this newest withdrawal.
fn treasury(newest: Option<Withdrawal>, clock: ActiveClock) -> Treasury {
    let mut store = MockTreasuryStore::new();
    store.expect_clock().returning(move || Ok(clock));
    store.expect_withdrawals().returning(move |_, _| {
        Ok(Listed {
            items: newest.into_iter().collect(),
            total: u64::from(newest.is_some()),
        })
    });
    let mut ledger = MockLedger::new();
    ledger.expect_balance().returning(|_| {
        Ok(Balance {
            available: Usdt::whole(100),
            ..Balance::default()
        })
    });
    let mut transactions = MockOwnerTransactions::new();
    transactions
        .expect_encode()
        .returning(|from, to, call| UnsignedTransaction {
            from,
            to,
            data: format!("{call:?}").into_bytes(),
            chain_id: 1,
            summary: call.summary(from, to),
        });
    let mut chain = MockChainSync::new();
    chain.expect_catch_up().returning(|| true);
    let ports = TreasuryPorts {
        store: Arc::new(store),
        ledger: Arc::new(ledger),
        transactions: Arc::new(transactions),
        chain: Arc::new(chain),
        clock: Arc::new(FixedClock::at(NOW)),
    };
    Treasury::new(Arc::new(organizations()), ports, Decimals::new(18).unwrap())
}

fn code<T: std::fmt::Debug>(refused: Result<T, TreasuryError>) -> &'static str {
    refused.unwrap_err().code()
}

#[tokio::test]
async fn only_the_owner_moves_money_and_administrators_watch() {
    let treasury = treasury(Some(withdrawal(NOW, None)), CLOCK);
    let some = units(1_000_000_000);
    for (who, kind) in [(ADMIN, Kind::Forbidden), (STRANGER, Kind::NotFound)] {
        let refusals = [
            treasury.request(who, ORG, None, some).await.unwrap_err(),
            treasury.execute(who, ORG).await.unwrap_err(),
            treasury.cancel(who, ORG).await.unwrap_err(),
            treasury.set_daily_cap(who, ORG, None).await.unwrap_err(),
        ];
        for refused in refusals {
            assert_eq!(refused.kind(), kind);
        }
    }
    assert!(treasury.withdrawals(ADMIN, ORG, Page::FIRST).await.is_ok());
    let hidden = treasury.withdrawals(STRANGER, ORG, Page::FIRST).await;
    assert_eq!(code(hidden), "not_found");
}

#[tokio::test]
async fn a_request_that_the_contract_or_the_ledger_would_regret_is_refused() {
    let none = treasury(None, CLOCK);
    let all = units(100 * 10u128.pow(18));
    let request = async |to, amount| none.request(OWNER, ORG, to, amount).await;
    assert_eq!(code(request(Some(ZERO_ADDRESS), all).await), "invalid_payee");
    assert_eq!(code(request(Some(CONTRACT), all).await), "invalid_payee");
    assert_eq!(code(request(None, units(0)).await), "invalid_amount");
    let more = units(all.get() + 10u128.pow(9));
    assert_eq!(code(request(None, more).await), "insufficient_balance");
    assert_eq!(
        code(request(None, units(u128::MAX)).await),
        "insufficient_balance"
    );
    let signed = request(None, all).await.unwrap();
    assert_eq!((signed.from, signed.to), (OWNER, CONTRACT));
    let call = String::from_utf8(signed.data).unwrap();
    assert!(
        call.starts_with("RequestWithdrawal") && call.contains(&OWNER.to_string()),
        "{call}"
    );

    for open in [NOW, NOW.plus(DAY)] {
        let treasury = treasury(Some(withdrawal(open, None)), CLOCK);
        assert_eq!(
            code(treasury.request(OWNER, ORG, None, all).await),
            "withdrawal_open"
        );
    }
    for over in [
        withdrawal(NOW.minus(2 * DAY), None),
        withdrawal(NOW, Some(WithdrawalEnd::Cancelled)),
        withdrawal(NOW, Some(WithdrawalEnd::Executed(Some(5)))),
    ] {
        assert!(
            treasury(Some(over), CLOCK)
                .request(OWNER, ORG, None, all)
                .await
                .is_ok()
        );
    }
}

#[tokio::test]
async fn it_is_executed_in_its_window_and_cancelled_before_its_end() {
    let (early, ready, void) = (NOW.plus(DAY), NOW.minus(DAY), NOW.minus(2 * DAY));
    let of = |ready_at| treasury(Some(withdrawal(ready_at, None)), CLOCK);
    assert_eq!(code(of(early).execute(OWNER, ORG).await), "withdrawal_too_early");
    assert!(of(early).cancel(OWNER, ORG).await.is_ok());
    assert!(of(ready).execute(OWNER, ORG).await.is_ok());
    assert!(of(ready).cancel(OWNER, ORG).await.is_ok());
    assert_eq!(code(of(void).execute(OWNER, ORG).await), "no_withdrawal");
    assert_eq!(code(of(void).cancel(OWNER, ORG).await), "no_withdrawal");
    let paused = ActiveClock {
        paused_until: Some(NOW.plus(DAY)),
        ..CLOCK
    };
    let paused = treasury(Some(withdrawal(ready, None)), paused);
    assert_eq!(code(paused.execute(OWNER, ORG).await), "contracts_paused");
    assert!(paused.cancel(OWNER, ORG).await.is_ok());
}

#[test]
fn active_time_stands_still_during_a_pause_and_no_longer() {
    let clock = ActiveClock {
        head: at(100),
        paused_for: Duration::from_secs(30),
        paused_until: Some(at(150)),
    };
    assert_eq!(clock.active(at(100)), at(70));
    assert_eq!(clock.active(at(140)), at(70));
    assert!(clock.is_paused(at(149)));
    assert_eq!(clock.active(at(160)), at(80));
    assert!(!clock.is_paused(at(150)));
    assert_eq!(clock.clock_time(at(90), at(160)), at(170));
    assert_eq!(clock.active(at(20)), at(70), "the chain is ahead of our clock");
}

#[test]
fn the_daily_cap_rises_at_once_and_falls_in_time() {
    let change = |said: i64, from: i64, cap: Option<u128>| CapChange {
        said_at: at(said),
        effective_at: at(from),
        cap: cap.map(TokenUnits::new),
    };
    let seen = |changes: &[CapChange], now| {
        let cap = DailyCap::after(changes, at(now));
        (
            cap.current.map(TokenUnits::get),
            cap.scheduled.map(|(cap, from)| (cap.get(), from)),
        )
    };
    assert_eq!(seen(&[], 5), (None, None));
    let mut said = vec![change(0, 0, Some(100)), change(10, 20, Some(40))];
    assert_eq!(seen(&said, 15), (Some(100), Some((40, at(20)))));
    assert_eq!(seen(&said, 20), (Some(40), None));
    said.push(change(15, 25, Some(60)));
    assert_eq!(
        seen(&said, 16),
        (Some(100), Some((60, at(25)))),
        "it replaces the first"
    );
    said.push(change(30, 30, Some(70)));
    assert_eq!(seen(&said, 30), (Some(70), None), "it was 60 by then");
    said.push(change(31, 41, Some(1)));
    said.push(change(35, 35, None));
    assert_eq!(seen(&said, 99), (None, None), "a raise drops what was scheduled");
}

proptest! {
    /// Against the contract's own words: `_cap`, `_nextCap`, `_nextCapAt`.
    #[test]
    fn the_daily_cap_is_what_the_contract_says(
        steps in prop::collection::vec((0i64..30, 0u128..5), 0..12),
        delay in 1i64..40,
        last in 0i64..60,
    ) {
        let (mut now, mut cap, mut next) = (0, 9u128, None::<(u128, i64)>);
        let mut changes = vec![CapChange { said_at: at(0), effective_at: at(0), cap: Some(units(cap)) }];
        for (later, wanted) in steps {
            now += later;
            let current = next.filter(|(_, from)| now >= *from).map_or(cap, |(next, _)| next);
            let from = if wanted >= current { now } else { now + delay };
            (cap, next) = if wanted >= current { (wanted, None) } else { (current, Some((wanted, from))) };
            changes.push(CapChange { said_at: at(now), effective_at: at(from), cap: Some(units(wanted)) });
        }
        now += last;
        let in_force = next.filter(|(_, from)| now >= *from).map_or(cap, |(next, _)| next);
        let scheduled = next.filter(|(_, from)| now < *from).map(|(cap, from)| (units(cap), at(from)));
        let seen = DailyCap::after(&changes, at(now));
        prop_assert_eq!((seen.current, seen.scheduled), (Some(units(in_force)), scheduled));
    }
}
