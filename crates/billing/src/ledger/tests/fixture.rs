//! Organizations with money, calls and charges.

use super::super::{
    Account, CaptureDecision, ChainFigures, DecidedCapture, InTransit, LedgerState, OrgFacts, OrgMoney,
    StoreMark, TokenScale, Unheld,
};
use crate::{
    ExpenditureScope,
    capture::{Capture, Payee, PriceLine},
    fixtures::{CHAIN_ID, ORCHESTRATOR, line, usage},
    hold::HoldRequest,
    receipt::ReceiptContext,
    usage::Day,
};
use haithe_kernel::{CallId, Decimals, OrgId, OrgUid, Timestamp, Usdt, WalletAddress};
use std::collections::HashMap;
use uuid::Uuid;

pub(super) const ORG: OrgId = OrgId(1);
pub(super) const OTHER: OrgId = OrgId(2);
pub(super) const NOON: Timestamp = Timestamp::from_seconds(1_700_000_001);

pub(super) fn nano(nano: i64) -> Usdt {
    Usdt::from_nano(nano)
}

pub(super) fn call(number: u128) -> CallId {
    CallId(Uuid::from_u128(number))
}

/// One base unit is one nano-USDT.
pub(super) fn scale() -> TokenScale {
    TokenScale::of(Decimals::new(9).unwrap())
}

pub(super) fn facts(with: impl FnOnce(&mut ChainFigures)) -> OrgFacts {
    let mut figures = ChainFigures {
        dust: 0,
        daily_cap: None,
        day: Day::of(NOON),
        settled_on_day: 0,
        suspended: false,
        halted: false,
        in_transit: InTransit::default(),
    };
    with(&mut figures);
    OrgFacts::new(figures, scale())
}

/// What the store has for organizations with this much each.
pub(super) fn balances(deposit: i64) -> HashMap<Account, Usdt> {
    [ORG, OTHER]
        .into_iter()
        .flat_map(|org| {
            [
                (Account::ChainOrg(org), nano(-deposit)),
                (Account::Available(org), nano(deposit)),
            ]
        })
        .collect()
}

/// [`ORG`] and [`OTHER`] with this much each.
pub(super) fn state(deposit: i64) -> LedgerState {
    loaded(&balances(deposit), |_| 0)
}

/// [`ORG`] and [`OTHER`] as a store has them.
pub(super) fn loaded(balances: &HashMap<Account, Usdt>, spent: impl Fn(OrgId) -> i128) -> LedgerState {
    let mut state = LedgerState::new(StoreMark(0));
    for org in [ORG, OTHER] {
        let receipt = ReceiptContext {
            chain_id: CHAIN_ID,
            orchestrator: ORCHESTRATOR,
            org_uid: OrgUid::new(Uuid::nil()),
            org_address: WalletAddress::new([3; 20]),
        };
        let money = OrgMoney::new(org, balances, spent(org), facts(|_| {}), receipt);
        state.add_organization(org, money);
    }
    state
}

pub(super) fn request(number: u128, org: OrgId, most: i64, least: i64) -> HoldRequest {
    HoldRequest {
        call: call(number),
        org,
        most: nano(most),
        least: nano(least),
        budgets: Vec::new(),
        expenditure: ExpenditureScope::Organization,
    }
}

pub(super) fn capture_of(number: u128, org: OrgId, lines: Vec<PriceLine>) -> Capture {
    Capture {
        call: call(number),
        org,
        lines,
        usage: usage(),
        expenditure: ExpenditureScope::Organization,
    }
}

pub(super) fn capture(number: u128, org: OrgId, cost: i64) -> Capture {
    capture_of(number, org, vec![line(Payee::Platform, cost)])
}

/// The decision over a capture that must be taken.
pub(super) fn decided(state: &mut LedgerState, capture: &Capture) -> DecidedCapture {
    match state.capture(capture, Unheld::Charge) {
        Ok(CaptureDecision::Decided(decided)) => decided,
        other => panic!("not decided: {other:?}"),
    }
}
