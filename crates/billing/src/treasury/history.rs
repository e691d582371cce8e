//! What follows from the index's events: the contracts' time, changes of the daily cap, and the ends of
//! withdrawals.

use super::{ActiveClock, CapChange, WithdrawalEnd};
use crate::chain::{ChainEvent, EventBody, PauseClock};
use haithe_kernel::{Timestamp, TokenUnits};

impl ActiveClock {
    /// The contracts' time at the newest indexed block, whose time is `head`; `pauses` are its events in the
    /// order of the chain.
    pub fn after<'a>(head: Timestamp, pauses: impl IntoIterator<Item = &'a ChainEvent>) -> Self {
        let mut paused = PauseClock::default();
        for event in pauses {
            paused.see(event);
        }
        Self {
            head,
            paused_for: paused.until(head),
            paused_until: paused.ends_at(head),
        }
    }
}

/// What a contract's events say about its daily cap, in the contracts' active time; both lists are in the order
/// of the chain. A cap that no day can reach is none.
pub fn cap_changes(events: &[ChainEvent], pauses: &[ChainEvent]) -> Vec<CapChange> {
    let (mut paused, mut pauses) = (PauseClock::default(), pauses.iter().peekable());
    let mut changes = Vec::with_capacity(events.len());
    for event in events {
        while let Some(pause) = pauses.next_if(|pause| pause.position() < event.position()) {
            paused.see(pause);
        }
        let EventBody::DailyCapChanged {
            cap, effective_at, ..
        } = &event.body
        else {
            continue;
        };
        changes.push(CapChange {
            said_at: event.block_time.minus(paused.until(event.block_time)),
            effective_at: *effective_at,
            cap: cap.filter(|cap| *cap < u128::MAX).map(TokenUnits::new),
        });
    }
    changes
}

impl WithdrawalEnd {
    /// How a withdrawal ended, if it did: as it was seen on chain, or by its window, when it was booked without
    /// an end on chain.
    pub const fn of(seen: Option<Self>, is_booked: bool) -> Option<Self> {
        match seen {
            Some(seen) => Some(seen),
            None if is_booked => Some(Self::Void),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haithe_kernel::WalletAddress;
    use std::time::Duration;

    const DAY: Duration = Duration::from_secs(86_400);

    const fn day(day: i64) -> Timestamp {
        Timestamp::from_seconds(day * 86_400)
    }

    /// An event in the block of this number, which is mined that many days after 1970-01-01.
    fn event(block: u32, log_index: u64, body: EventBody) -> ChainEvent {
        ChainEvent {
            block: block.into(),
            block_hash: [0; 32],
            block_time: day(block.into()),
            tx: [0; 32],
            log_index,
            body,
        }
    }

    fn cap(block: u32, log_index: u64, cap: Option<u128>) -> ChainEvent {
        let body = EventBody::DailyCapChanged {
            org: WalletAddress::new([1; 20]),
            cap,
            effective_at: day(50),
        };
        event(block, log_index, body)
    }

    #[test]
    fn the_clock_stands_still_during_a_pause() {
        let pauses = [
            event(10, 0, EventBody::Paused),
            event(12, 0, EventBody::Unpaused),
            event(30, 0, EventBody::Paused),
        ];
        let clock = ActiveClock::after(day(20), &pauses[..2]);
        assert_eq!((clock.head, clock.paused_for), (day(20), 2 * DAY));
        assert_eq!(clock.paused_until, None);
        let clock = ActiveClock::after(day(31), &pauses);
        assert_eq!((clock.paused_for, clock.paused_until), (3 * DAY, Some(day(37))));
    }

    #[test]
    fn a_cap_is_changed_in_active_time() {
        let pauses = [event(10, 5, EventBody::Paused), event(12, 0, EventBody::Unpaused)];
        let events = [
            cap(10, 4, Some(1)),
            cap(11, 0, Some(2)),
            cap(20, 0, Some(u128::MAX)),
            cap(21, 0, None),
        ];
        let changes = cap_changes(&events, &pauses);
        let said: Vec<_> = changes.iter().map(|change| change.said_at).collect();
        assert_eq!(said, [day(10), day(10), day(18), day(19)]);
        let caps: Vec<_> = changes.iter().map(|change| change.cap).collect();
        let expected = [Some(1), Some(2), None, None].map(|cap| cap.map(TokenUnits::new));
        assert_eq!(caps, expected);
        assert!(changes.iter().all(|change| change.effective_at == day(50)));
    }

    #[test]
    fn a_withdrawal_without_an_end_on_chain_ends_when_it_is_booked() {
        let executed = Some(WithdrawalEnd::Executed(Some(5)));
        assert_eq!(WithdrawalEnd::of(executed, false), executed);
        assert_eq!(WithdrawalEnd::of(executed, true), executed);
        assert_eq!(WithdrawalEnd::of(None, true), Some(WithdrawalEnd::Void));
        assert_eq!(WithdrawalEnd::of(None, false), None);
    }
}
