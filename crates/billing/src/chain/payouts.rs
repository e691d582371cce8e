//! What creators and the platform took out of the orchestrator, booked once final.

use super::{AlarmKind, ChainEvent, Effect, EventBody, IndexAlarm};
use crate::ledger::{Account, Entry, TokenScale, Transfer};

/// Books a final payout. An alarm is raised when it is not a whole amount of nano-USDT in range, because only
/// such amounts are ever credited.
pub fn pay(event: &ChainEvent, scale: TokenScale) -> Option<Effect> {
    let (account, amount) = match event.body {
        EventBody::CreatorWithdrawn { creator, amount } => (Account::Creator(creator), amount),
        EventBody::PlatformWithdrawn { amount, .. } => (Account::Platform, amount),
        _ => return None,
    };
    let Some((amount, 0)) = scale.money(amount) else {
        let detail = format!(
            "a payout from {account} is out of range or not a whole number of nano-USDT; credits always are"
        );
        let alarm = IndexAlarm::of(AlarmKind::PayoutOutOfRange, event, &detail);
        return Some(Effect::RaiseAlarm(alarm));
    };
    Some(Effect::Book(Entry {
        key: format!("payout/{}", event.id()),
        at: event.block_time,
        block: Some(event.block),
        transfers: vec![Transfer::new(account, Account::ChainOrchestrator, amount)],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::tests::event;
    use haithe_kernel::{Decimals, Usdt, WalletAddress};

    #[test]
    fn a_payout_leaves_the_account_and_the_mirror() {
        let scale = TokenScale::of(Decimals::new(18).unwrap());
        let wallet = WalletAddress::new([8; 20]);
        let creator = |amount| EventBody::CreatorWithdrawn {
            creator: wallet,
            amount,
        };
        let platform = EventBody::PlatformWithdrawn {
            to: wallet,
            amount: Some(3_000_000_000),
        };
        for (body, account) in [
            (creator(Some(3_000_000_000)), Some(Account::Creator(wallet))),
            (platform, Some(Account::Platform)),
            (creator(Some(1)), None),
            (creator(None), None),
        ] {
            match (pay(&event(10, 3, body), scale), account) {
                (Some(Effect::Book(entry)), Some(account)) => {
                    let paid = Transfer::new(account, Account::ChainOrchestrator, Usdt::from_nano(3));
                    assert_eq!((entry.block, entry.transfers), (Some(10), vec![paid]));
                }
                (Some(Effect::RaiseAlarm(alarm)), None) => {
                    assert_eq!(alarm.kind, AlarmKind::PayoutOutOfRange)
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(pay(&event(10, 3, EventBody::Paused), scale), None);
    }
}
