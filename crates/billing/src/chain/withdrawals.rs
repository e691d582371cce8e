//! Withdrawals: frozen at first sight, ended when the end is final.
//!
//! A request freezes its whole amount, also against later deposits. It ends by being executed, by being
//! cancelled, or by its window passing without either; each frees what is left once it is final. A request for
//! more than the ledger can count (an owner who asks for "everything" as 2²⁵⁶−1) freezes what there is and halts
//! all spending until it has ended.

use super::{
    AlarmKind, BookedEnd, ChainAmount, ChainEvent, Effect, EventBody, FrozenRequest, IndexAlarm, OrgBalances,
    SeenEnd, StoredRequest,
};
use crate::{
    ledger::{Account, Entry, TokenScale, Transfer},
    treasury::WITHDRAWAL_WINDOW,
};
use haithe_kernel::{OrgId, Timestamp, Usdt};

/// All requests of an organization together freeze at most this much: far beyond any balance, and far from the
/// end of the range.
pub const MAX_FROZEN: Usdt = Usdt::from_nano(1 << 62);

/// Freezes what a request asks for.
pub fn freeze(event: &ChainEvent, org: OrgId, balances: &OrgBalances, scale: TokenScale) -> Vec<Effect> {
    let EventBody::WithdrawalRequested {
        amount: units,
        ready_at,
        ..
    } = event.body
    else {
        return Vec::new();
    };
    let room = MAX_FROZEN.saturating_sub(balances.withdrawing).max(Usdt::ZERO);
    let asked = rounded_up(units, scale).filter(|asked| *asked <= room);
    let frozen = asked.unwrap_or_else(|| balances.available.clamp(Usdt::ZERO, room));
    let request = FrozenRequest {
        event: event.id(),
        org,
        block: event.block,
        units,
        frozen,
        clamped: asked.is_none(),
        ready_at,
    };
    let entry = Entry {
        key: format!("withdrawal/{}", event.id()),
        at: event.block_time,
        block: Some(event.block),
        transfers: vec![Transfer::new(
            Account::Available(org),
            Account::Withdrawing(org),
            frozen,
        )],
    };
    vec![Effect::Freeze(request), Effect::Book(entry)]
}

/// In nano-USDT, rounded up: a part of a nano must not stay spendable. `None` beyond the range of money.
fn rounded_up(units: ChainAmount, scale: TokenScale) -> Option<Usdt> {
    let (nano, rest) = scale.money(units)?;
    Some(if rest == 0 {
        nano
    } else {
        nano.saturating_add(Usdt::from_nano(1))
    })
}

/// Notes how the organization's newest request ended. An alarm is raised when no request is open.
pub fn end(event: &ChainEvent, org: OrgId, newest: Option<&StoredRequest>) -> Option<Effect> {
    let end = match event.body {
        EventBody::WithdrawalExecuted { amount, .. } => SeenEnd::Executed(amount),
        EventBody::WithdrawalCancelled { .. } => SeenEnd::Cancelled,
        _ => return None,
    };
    match newest {
        Some(open) if open.end.is_none() && open.booked.is_none() => Some(Effect::EndRequest {
            event: open.event,
            org,
            end,
            block: event.block,
        }),
        // A request whose window has passed can still be cancelled, which changes nothing.
        Some(StoredRequest {
            booked: Some((BookedEnd::Void, _)),
            ..
        }) if end == SeenEnd::Cancelled => None,
        _ => {
            let how = end.as_str();
            let detail = format!("a withdrawal of organization {org} was {how} and no open request is known");
            let alarm = IndexAlarm::of(AlarmKind::UnknownWithdrawal, event, &detail);
            Some(Effect::RaiseAlarm(alarm))
        }
    }
}

/// How a request that is not booked is over once blocks up to `last_final` are final, and as of which block.
/// `active_time` is the contracts' time at `last_final`.
pub fn is_over(
    request: &StoredRequest,
    last_final: u64,
    active_time: Option<Timestamp>,
) -> Option<(BookedEnd, u64)> {
    let window_ends = request.ready_at.plus(WITHDRAWAL_WINDOW);
    match request.end {
        Some((SeenEnd::Executed(_), block)) => (block <= last_final).then_some((BookedEnd::Executed, block)),
        Some((SeenEnd::Cancelled, block)) => (block <= last_final).then_some((BookedEnd::Cancelled, block)),
        None => {
            let is_final = request.block <= last_final;
            let has_passed = active_time.is_some_and(|now| now > window_ends);
            (is_final && has_passed).then_some((BookedEnd::Void, last_final))
        }
    }
}

/// Books the end of a request as of `block`, whose time is `at`: [`is_over`] said so. `dust` are the base units
/// below a nano that the organization has.
pub fn close(
    request: &StoredRequest,
    (end, block): (BookedEnd, u64),
    at: Timestamp,
    dust: i64,
    scale: TokenScale,
) -> Vec<Effect> {
    let org = request.org;
    let (withdrawing, available, chain) = (
        Account::Withdrawing(org),
        Account::Available(org),
        Account::ChainOrg(org),
    );
    let (how, dust_change, transfers) = match (end, request.end) {
        // What was paid has left, the rest is free again.
        (BookedEnd::Executed, Some((SeenEnd::Executed(units), _))) => {
            let Some((paid, dust_change)) = paid(units, dust, scale) else {
                return vec![out_of_range(request)];
            };
            let from_frozen = paid.min(request.frozen);
            let transfers = vec![
                Transfer::new(withdrawing, chain, from_frozen),
                Transfer::new(withdrawing, available, request.frozen.saturating_sub(paid)),
                Transfer::new(available, chain, paid.saturating_sub(request.frozen)),
            ];
            ("done", dust_change, transfers)
        }
        // All of it is free again.
        _ => {
            let freed = Transfer::new(withdrawing, available, request.frozen);
            ("void", 0, vec![freed])
        }
    };
    let entry = Entry {
        key: format!("withdrawal/{}/{how}", request.event),
        at,
        block: Some(block),
        transfers,
    };
    let close = Effect::CloseRequest {
        event: request.event,
        org,
        end,
        block,
        dust: dust_change,
    };
    let units = dust.saturating_add(dust_change);
    vec![Effect::Book(entry), close, Effect::SetDust { org, units }]
}

fn out_of_range(request: &StoredRequest) -> Effect {
    let detail = format!(
        "a withdrawal of organization {} paid more than can be counted",
        request.org
    );
    let (block, at) = (request.block, request.requested_at);
    Effect::RaiseAlarm(IndexAlarm::about(
        AlarmKind::WithdrawalOutOfRange,
        request.event,
        block,
        at,
        &detail,
    ))
}

/// What a payment takes out of the balance, and how it changes the dust: base units below a nano come out of the
/// dust if it has them, else out of one nano more.
fn paid(units: ChainAmount, dust: i64, scale: TokenScale) -> Option<(Usdt, i64)> {
    let (nano, rest) = scale.money(units)?;
    Some(match i64::try_from(rest).ok()? {
        0 => (nano, 0),
        rest if rest <= dust => (nano, -rest),
        rest => (
            nano.saturating_add(Usdt::from_nano(1)),
            scale.units_per_nano() - rest,
        ),
    })
}

/// Takes back what happened to a request above `block`, where the organization has so many base units of `dust`.
/// Entries are reversed with all others of their blocks.
pub fn undo(request: &StoredRequest, dust: i64, block: u64) -> Vec<Effect> {
    let (event, org) = (request.event, request.org);
    let is_above = |at: &u64| *at > block;
    let mut effects = Vec::new();
    if request.booked.is_some_and(|(_, at)| is_above(&at)) {
        let units = dust.saturating_sub(request.dust_change);
        effects.push(Effect::SetDust { org, units });
        effects.push(Effect::ReopenRequest { event, org });
    }
    if request.end.is_some_and(|(_, at)| is_above(&at)) {
        effects.push(Effect::ResumeRequest { event, org });
    }
    if is_above(&request.block) {
        effects.push(Effect::DropRequest { event, org });
    }
    effects
}

#[cfg(test)]
mod tests;
