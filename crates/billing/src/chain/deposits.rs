//! Deposits: token transfers to an organization's contract that are not settlement, and what its address held
//! when the contract was created there.
//!
//! A deposit is noted at first sight and counts once its block is confirmed. A transfer in a transaction that
//! settles one of our batches is part of that settlement. One that a withdrawal of another organization caused
//! is a deposit here all the same: it arrived.

use super::{
    AlarmKind, ChainEvent, DroppedDeposit, Effect, EventBody, IndexAlarm, OrgBalances, PendingDeposit,
    SeenDeposit, SkipReason, SkipState, suspension,
};
use crate::ledger::{Account, Entry, TokenScale, Transfer};
use haithe_kernel::{OrgId, Usdt};

/// What decides whether money that reached an organization's address is a deposit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InwardView {
    /// The organization at the address.
    pub org: OrgId,
    /// The deposit counts from this block on at the earliest: the one that created the organization.
    pub not_before: u64,
    /// The organization was created there later. Its creation reports the whole balance of the address
    /// ([`EventBody::OrganizationFunded`]), so the transfer does not count by itself.
    pub precedes_creation: bool,
    /// The same transaction settles one of our batches.
    pub is_settlement: bool,
}

/// The deposit that follows from an event, if it is one. Transfers of zero, which any wallet can make
/// without limit, are ignored.
pub fn note(event: &ChainEvent, view: &InwardView, scale: TokenScale) -> Option<Effect> {
    let units = match event.body {
        EventBody::Transfer { .. } if view.precedes_creation => return None,
        EventBody::Transfer { amount, .. } | EventBody::OrganizationFunded { amount, .. } => amount,
        _ => return None,
    };
    if view.is_settlement || units == Some(0) {
        return None;
    }
    let money = scale.money(units);
    let dust = money.and_then(|(_, dust)| i64::try_from(dust).ok());
    Some(Effect::NoteDeposit(SeenDeposit {
        event: event.id(),
        org: view.org,
        block: event.block.max(view.not_before),
        units,
        amount: money.map(|(amount, _)| amount),
        dust: dust.unwrap_or(0),
    }))
}

/// Books a deposit whose block is confirmed. One that covers everything unsettled resets the count of lines that
/// were skipped because of insufficient funds.
pub fn confirm(deposit: &PendingDeposit, balances: &OrgBalances, skips: &SkipState) -> Vec<Effect> {
    let PendingDeposit {
        event, org, amount, ..
    } = *deposit;
    let after = (
        balances.chain.checked_sub(amount),
        balances.available.checked_add(amount),
    );
    let (Some(chain), Some(_)) = after else {
        let detail = format!("a deposit would take organization {org} beyond the range of money");
        let (block, at) = (deposit.seen_block, deposit.seen_at);
        let alarm = IndexAlarm::about(AlarmKind::DepositOutOfRange, event, block, at, &detail);
        return vec![Effect::RefuseDeposit { event, org }, Effect::RaiseAlarm(alarm)];
    };
    let mut effects = Vec::new();
    if amount.is_positive() {
        effects.push(Effect::Book(Entry {
            key: format!("deposit/{event}"),
            at: deposit.seen_at,
            block: Some(deposit.block),
            transfers: vec![Transfer::new(
                Account::ChainOrg(org),
                Account::Available(org),
                amount,
            )],
        }));
    }
    let dust = deposit.dust;
    effects.push(Effect::ConfirmDeposit { event, org, dust });
    let units = balances.dust.saturating_add(dust);
    effects.push(Effect::SetDust { org, units });
    let holds = Usdt::ZERO.saturating_sub(chain);
    let covered = holds >= balances.unsettled;
    effects.extend(suspension::readmit(
        org,
        covered,
        SkipReason::InsufficientFunds,
        skips,
    ));
    effects
}

/// Takes a deposit back whose block is dropped, where the organization has so many base units of `dust`. Its entry
/// is reversed with all others of the block.
pub fn undo(deposit: &DroppedDeposit, dust: i64) -> Vec<Effect> {
    let (event, org) = (deposit.event, deposit.org);
    let mut effects = Vec::new();
    if deposit.confirmed {
        let units = dust.saturating_sub(deposit.dust);
        effects.push(Effect::SetDust { org, units });
    }
    effects.push(Effect::DropDeposit { event, org });
    effects
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::{LogId, tests::event};
    use haithe_kernel::{Decimals, Timestamp, WalletAddress};

    const ORG: OrgId = OrgId(1);
    const CONTRACT: WalletAddress = WalletAddress::new([1; 20]);
    const VIEW: InwardView = InwardView {
        org: ORG,
        not_before: 0,
        precedes_creation: false,
        is_settlement: false,
    };

    fn scale() -> TokenScale {
        TokenScale::of(Decimals::new(18).unwrap())
    }

    fn transfer(amount: Option<u128>) -> ChainEvent {
        event(
            10,
            3,
            EventBody::Transfer {
                from: WalletAddress::new([9; 20]),
                to: CONTRACT,
                amount,
            },
        )
    }

    fn funded(amount: u128) -> ChainEvent {
        event(
            10,
            4,
            EventBody::OrganizationFunded {
                org: CONTRACT,
                amount: Some(amount),
            },
        )
    }

    #[test]
    fn what_reaches_an_organization_is_a_deposit_unless_it_is_settlement() {
        let gone = InwardView {
            precedes_creation: true,
            ..VIEW
        };
        let settled = InwardView {
            is_settlement: true,
            ..VIEW
        };
        let later = InwardView {
            not_before: 12,
            ..VIEW
        };
        let noted = |event: &ChainEvent, view: &InwardView| match note(event, view, scale()) {
            Some(Effect::NoteDeposit(deposit)) => {
                Some((deposit.block, deposit.amount.map(Usdt::nano), deposit.dust))
            }
            None => None,
            other => panic!("{other:?}"),
        };
        let amount = Some(5_000_000_007);
        for (event, view, expected) in [
            (transfer(amount), VIEW, Some((10, Some(5), 7))),
            (transfer(amount), later, Some((12, Some(5), 7))),
            (transfer(amount), gone, None),
            (transfer(amount), settled, None),
            (transfer(Some(0)), VIEW, None),
            (transfer(None), VIEW, Some((10, None, 0))),
            (transfer(Some(u128::MAX)), VIEW, Some((10, None, 0))),
            (transfer(Some(6)), VIEW, Some((10, Some(0), 6))),
            (funded(1_000_000_000), gone, Some((10, Some(1), 0))),
            (event(1, 1, EventBody::Paused), VIEW, None),
        ] {
            assert_eq!(noted(&event, &view), expected, "{event:?} {view:?}");
        }
    }

    fn pending(amount: i64, dust: i64) -> PendingDeposit {
        PendingDeposit {
            event: LogId {
                tx: [5; 32],
                log_index: 3,
            },
            seen_block: 10,
            seen_at: Timestamp::from_seconds(100),
            org: ORG,
            block: 12,
            amount: Usdt::from_nano(amount),
            dust,
        }
    }

    fn balances(chain: i64, unsettled: i64) -> OrgBalances {
        OrgBalances {
            chain: Usdt::from_nano(chain),
            available: Usdt::from_nano(-chain - unsettled),
            unsettled: Usdt::from_nano(unsettled),
            ..OrgBalances::default()
        }
    }

    #[test]
    fn a_confirmed_deposit_moves_from_the_mirror_to_the_available_balance() {
        let before = OrgBalances {
            dust: 5,
            ..balances(-10, 0)
        };
        let effects = confirm(&pending(50, 7), &before, &SkipState::default());
        let [
            Effect::Book(entry),
            Effect::ConfirmDeposit { dust: 7, .. },
            Effect::SetDust { units: 12, .. },
        ] = &effects[..]
        else {
            panic!("{effects:?}")
        };
        assert_eq!(entry.key, format!("deposit/0x{}/3", "05".repeat(32)));
        assert_eq!(entry.block, Some(12));
        let moved = Transfer::new(
            Account::ChainOrg(ORG),
            Account::Available(ORG),
            Usdt::from_nano(50),
        );
        assert_eq!(entry.transfers, [moved]);
    }

    #[test]
    fn dust_alone_is_confirmed_without_an_entry() {
        let effects = confirm(&pending(0, 7), &balances(0, 0), &SkipState::default());
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Book(_))));
        assert!(matches!(effects[0], Effect::ConfirmDeposit { .. }));
    }

    #[test]
    fn a_deposit_beyond_the_range_of_money_is_refused_with_an_alarm() {
        let effects = confirm(&pending(i64::MAX, 0), &balances(-10, 0), &SkipState::default());
        let [Effect::RefuseDeposit { .. }, Effect::RaiseAlarm(alarm)] = &effects[..] else {
            panic!("{effects:?}")
        };
        assert_eq!((alarm.kind, alarm.block), (AlarmKind::DepositOutOfRange, 10));
    }

    #[test]
    fn a_deposit_that_covers_what_is_unsettled_ends_the_count_of_skipped_lines() {
        let skips = SkipState {
            newest: Some(SkipReason::InsufficientFunds),
            next_final: 8,
        };
        for (amount, ends) in [(19, false), (20, true), (21, true)] {
            let effects = confirm(&pending(amount, 0), &balances(-10, 30), &skips);
            let ended = effects.contains(&Effect::CountSkipsFrom { org: ORG, seq: 8 });
            assert_eq!(ended, ends, "{amount}");
        }
    }

    #[test]
    fn a_dropped_deposit_takes_its_dust_back_if_it_was_booked() {
        let dropped = |confirmed| DroppedDeposit {
            event: pending(0, 0).event,
            org: ORG,
            dust: 7,
            confirmed,
        };
        let unbooked = Effect::SetDust { org: ORG, units: 3 };
        assert!(undo(&dropped(true), 10).contains(&unbooked));
        assert_eq!(undo(&dropped(false), 10).len(), 1, "only the deposit is dropped");
    }
}
