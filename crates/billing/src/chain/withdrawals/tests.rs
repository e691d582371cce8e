use super::*;
use crate::chain::{LogId, tests::event};
use haithe_kernel::{Decimals, WalletAddress};
use proptest::prelude::*;

const ORG: OrgId = OrgId(1);
const READY_AT: Timestamp = Timestamp::from_seconds(1_000);
/// Base units in a nano-USDT of a token with 18 decimals.
const NANO: u128 = 1_000_000_000;

fn scale() -> TokenScale {
    TokenScale::of(Decimals::new(18).unwrap())
}

fn nano(nano: i64) -> Usdt {
    Usdt::from_nano(nano)
}

fn requested(amount: ChainAmount) -> ChainEvent {
    let body = EventBody::WithdrawalRequested {
        org: WalletAddress::new([1; 20]),
        to: WalletAddress::new([2; 20]),
        amount,
        ready_at: READY_AT,
    };
    event(10, 3, body)
}

fn executed(amount: ChainAmount) -> ChainEvent {
    let body = EventBody::WithdrawalExecuted {
        org: WalletAddress::new([1; 20]),
        to: WalletAddress::new([2; 20]),
        amount,
    };
    event(20, 0, body)
}

fn cancelled() -> ChainEvent {
    let org = WalletAddress::new([1; 20]);
    event(20, 0, EventBody::WithdrawalCancelled { org })
}

fn request(frozen: i64) -> StoredRequest {
    StoredRequest {
        event: LogId {
            tx: [5; 32],
            log_index: 3,
        },
        org: ORG,
        block: 10,
        requested_at: Timestamp::from_seconds(100),
        frozen: nano(frozen),
        ready_at: READY_AT,
        end: None,
        booked: None,
        dust_change: 0,
    }
}

fn balances(available: i64, withdrawing: i64) -> OrgBalances {
    OrgBalances {
        available: nano(available),
        withdrawing: nano(withdrawing),
        ..OrgBalances::default()
    }
}

#[test]
fn a_request_freezes_its_amount_rounded_up_or_all_there_is() {
    let most = MAX_FROZEN.nano();
    for (amount, available, withdrawing, frozen, clamped) in [
        (Some(60 * NANO), 100, 0, 60, false),
        (Some(60 * NANO + 1), 100, 0, 61, false),
        (Some(300 * NANO), 100, 0, 300, false),
        (None, 100, 0, 100, true),
        (Some(u128::MAX), 100, 0, 100, true),
        (None, -5, 0, 0, true),
        (Some(60 * NANO), 100, most - 50, 50, true),
        (Some(50 * NANO), 100, most - 50, 50, false),
        (Some(60 * NANO), 100, most + 5, 0, true),
    ] {
        let effects = freeze(
            &requested(amount),
            ORG,
            &balances(available, withdrawing),
            scale(),
        );
        let [Effect::Freeze(request), Effect::Book(entry)] = &effects[..] else {
            panic!("{effects:?}")
        };
        let case = (amount, available, withdrawing);
        assert_eq!(
            (request.frozen.nano(), request.clamped),
            (frozen, clamped),
            "{case:?}"
        );
        let moved = Transfer::new(Account::Available(ORG), Account::Withdrawing(ORG), request.frozen);
        assert_eq!(entry.transfers, [moved]);
    }
}

#[test]
fn only_an_open_request_ends_and_a_void_one_may_be_cancelled() {
    let ended = StoredRequest {
        end: Some((SeenEnd::Cancelled, 15)),
        ..request(60)
    };
    let void = StoredRequest {
        booked: Some((BookedEnd::Void, 18)),
        ..request(60)
    };
    let outcome = |event: &ChainEvent, newest: Option<&StoredRequest>| match end(event, ORG, newest) {
        Some(Effect::EndRequest { end, block: 20, .. }) => end.as_str(),
        Some(Effect::RaiseAlarm(alarm)) => alarm.kind.as_str(),
        None => "nothing",
        other => panic!("{other:?}"),
    };
    for (event, newest, expected) in [
        (executed(Some(1)), Some(&request(60)), "executed"),
        (cancelled(), Some(&request(60)), "cancelled"),
        (executed(Some(1)), None, "unknown_withdrawal"),
        (cancelled(), None, "unknown_withdrawal"),
        (cancelled(), Some(&ended), "unknown_withdrawal"),
        (cancelled(), Some(&void), "nothing"),
        (executed(Some(1)), Some(&void), "unknown_withdrawal"),
        (requested(Some(1)), Some(&request(60)), "nothing"),
    ] {
        assert_eq!(outcome(&event, newest), expected, "{event:?} {newest:?}");
    }
}

#[test]
fn a_request_is_over_once_its_end_or_the_end_of_its_window_is_final() {
    let window_ends = READY_AT.plus(WITHDRAWAL_WINDOW);
    let second = std::time::Duration::from_secs(1);
    let with = |end| StoredRequest {
        end: Some((end, 20)),
        ..request(60)
    };
    let late = Some(window_ends.plus(second));
    for (request, last_final, active, expected) in [
        (
            with(SeenEnd::Executed(Some(1))),
            20,
            None,
            Some((BookedEnd::Executed, 20)),
        ),
        (with(SeenEnd::Executed(Some(1))), 19, late, None),
        (
            with(SeenEnd::Cancelled),
            25,
            None,
            Some((BookedEnd::Cancelled, 20)),
        ),
        (with(SeenEnd::Cancelled), 19, late, None),
        (request(60), 30, late, Some((BookedEnd::Void, 30))),
        (request(60), 30, Some(window_ends), None),
        (request(60), 30, None, None),
        (request(60), 9, late, None),
    ] {
        assert_eq!(
            is_over(&request, last_final, active),
            expected,
            "{request:?} {last_final}"
        );
    }
}

/// What booking an executed request of 60 nano moves, in nano, and how it changes the dust.
fn executing(units: u128, dust: i64) -> (Vec<i64>, i64) {
    let request = StoredRequest {
        end: Some((SeenEnd::Executed(Some(units)), 20)),
        ..request(60)
    };
    let at = Timestamp::from_seconds(200);
    let effects = close(&request, (BookedEnd::Executed, 20), at, dust, scale());
    let [
        Effect::Book(entry),
        Effect::CloseRequest {
            dust: closed_with, ..
        },
        Effect::SetDust { units, .. },
    ] = &effects[..]
    else {
        panic!("{effects:?}")
    };
    assert_eq!(dust + closed_with, *units);
    assert!(entry.key.ends_with("/3/done"), "{}", entry.key);
    let moved = entry
        .transfers
        .iter()
        .map(|transfer| transfer.amount.nano().max(0));
    (moved.collect(), *closed_with)
}

#[test]
fn an_executed_request_pays_from_what_it_froze_and_frees_the_rest() {
    // Frozen to chain, frozen to available, available to chain.
    assert_eq!(executing(60 * NANO, 0), (vec![60, 0, 0], 0));
    assert_eq!(executing(40 * NANO, 0), (vec![40, 20, 0], 0));
    assert_eq!(executing(70 * NANO, 0), (vec![60, 0, 10], 0));
    assert_eq!(
        executing(40 * NANO + 7, 7),
        (vec![40, 20, 0], -7),
        "from the dust"
    );
    let rest = i64::try_from(NANO).unwrap() - 7;
    assert_eq!(
        executing(40 * NANO + 7, 6),
        (vec![41, 19, 0], rest),
        "from one nano more"
    );
}

#[test]
fn a_cancelled_or_void_request_frees_all_of_it() {
    for end in [BookedEnd::Cancelled, BookedEnd::Void] {
        let effects = close(&request(60), (end, 20), READY_AT, 5, scale());
        let [
            Effect::Book(entry),
            Effect::CloseRequest { end: closed, .. },
            Effect::SetDust { units: 5, .. },
        ] = &effects[..]
        else {
            panic!("{effects:?}")
        };
        assert_eq!(*closed, end);
        assert!(entry.key.ends_with("/3/void"), "{}", entry.key);
        let freed = Transfer::new(Account::Withdrawing(ORG), Account::Available(ORG), nano(60));
        assert_eq!(entry.transfers, [freed]);
    }
}

#[test]
fn a_payment_beyond_the_range_of_money_raises_an_alarm_and_stays_open() {
    let vast = StoredRequest {
        end: Some((SeenEnd::Executed(None), 20)),
        ..request(60)
    };
    let effects = close(&vast, (BookedEnd::Executed, 20), READY_AT, 0, scale());
    let [Effect::RaiseAlarm(alarm)] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!((alarm.kind, alarm.block), (AlarmKind::WithdrawalOutOfRange, 10));
}

#[test]
fn only_what_happened_in_dropped_blocks_is_taken_back() {
    let request = StoredRequest {
        end: Some((SeenEnd::Executed(Some(1)), 20)),
        booked: Some((BookedEnd::Executed, 20)),
        dust_change: 7,
        ..request(60)
    };
    let (event, org) = (request.event, ORG);
    assert_eq!(undo(&request, 10, 20), []);
    let reopened = [
        Effect::SetDust { org, units: 3 },
        Effect::ReopenRequest { event, org },
        Effect::ResumeRequest { event, org },
    ];
    assert_eq!(undo(&request, 10, 19), reopened);
    let mut dropped = reopened.to_vec();
    dropped.push(Effect::DropRequest { event, org });
    assert_eq!(undo(&request, 10, 9), dropped);
    let void = StoredRequest {
        end: None,
        booked: Some((BookedEnd::Void, 30)),
        ..request
    };
    assert_eq!(
        undo(&void, 10, 25).len(),
        2,
        "no end is known that could be forgotten"
    );
}

proptest! {
    /// Whatever is paid: the frozen money ends as available or paid, and units, nano and dust agree.
    #[test]
    fn booking_an_execution_conserves_money(
        frozen in 0..1_000i64,
        units in 0..2_000 * NANO,
        dust in 0..999_999_999i64,
    ) {
        let request = StoredRequest {
            end: Some((SeenEnd::Executed(Some(units)), 20)),
            ..request(frozen)
        };
        let effects = close(&request, (BookedEnd::Executed, 20), READY_AT, dust, scale());
        let mut change = std::collections::BTreeMap::<Account, i64>::new();
        let mut dust_change = 0;
        for effect in effects {
            match effect {
                Effect::Book(entry) => for transfer in entry.booked() {
                    *change.entry(transfer.source).or_default() -= transfer.amount.nano();
                    *change.entry(transfer.target).or_default() += transfer.amount.nano();
                },
                Effect::SetDust { units, .. } => dust_change = units - dust,
                _ => {}
            }
        }
        let of = |account| change.get(&account).copied().unwrap_or(0);
        prop_assert_eq!(of(Account::Withdrawing(ORG)), -frozen);
        let left = i128::from(of(Account::ChainOrg(ORG))) * i128::try_from(NANO).unwrap();
        prop_assert_eq!(left - i128::from(dust_change), i128::try_from(units).unwrap());
        prop_assert!(dust + dust_change >= 0);
    }
}
