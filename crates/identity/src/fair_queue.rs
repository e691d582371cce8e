//! Fair admission to a few places: which of the waiting checks of contract signatures runs next.
//!
//! A check runs the code of a contract that the client names, on a node with few places. Served in
//! order of arrival, one client with slow contracts takes every place and nobody else logs in. Here a
//! client network holds a few places at most, so does one wallet, and clients take turns.

use std::collections::{BTreeMap, VecDeque};

/// Bounds of a [`FairQueue`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FairLimits {
    /// Places.
    pub places: usize,
    /// Places that one client holds at most.
    pub per_client: usize,
    /// Places that checks of one wallet hold at most.
    pub per_wallet: usize,
    /// Checks of one client that wait at most.
    pub waiting_per_client: usize,
}

/// The client has as many checks waiting as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many signature checks of this client are waiting")]
pub struct QueueFull;

/// Names a check in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TurnId(u64);

/// Who waits and who runs. A pure data structure: whoever owns it wakes those it admits.
#[derive(Debug)]
pub struct FairQueue<C, W> {
    limits: FairLimits,
    next: u64,
    running: BTreeMap<TurnId, (C, W)>,
    waiting: BTreeMap<C, VecDeque<(TurnId, W)>>,
    /// Clients with waiting checks, the one served longest ago first.
    turns: VecDeque<C>,
}

impl<C: Copy + Ord, W: Copy + Eq> FairQueue<C, W> {
    /// Nobody waits and nobody runs.
    pub const fn new(limits: FairLimits) -> Self {
        Self {
            limits,
            next: 0,
            running: BTreeMap::new(),
            waiting: BTreeMap::new(),
            turns: VecDeque::new(),
        }
    }

    /// Puts a check into the queue of its client. It runs once [`FairQueue::admit`] names it.
    ///
    /// # Errors
    /// [`QueueFull`].
    pub fn join(&mut self, client: C, wallet: W) -> Result<TurnId, QueueFull> {
        let waiting = self.waiting.entry(client).or_default();
        if waiting.len() >= self.limits.waiting_per_client {
            return Err(QueueFull);
        }
        if waiting.is_empty() {
            self.turns.push_back(client);
        }
        let id = TurnId(self.next);
        self.next += 1;
        waiting.push_back((id, wallet));
        Ok(id)
    }

    /// The next check that may run, which then holds a place; `None` when none may.
    pub fn admit(&mut self) -> Option<TurnId> {
        if self.running.len() >= self.limits.places {
            return None;
        }
        let (at, client, place) = self.turns.iter().enumerate().find_map(|(at, client)| {
            let place = self.first_admissible(*client)?;
            Some((at, *client, place))
        })?;
        let waiting = self.waiting.get_mut(&client)?;
        let (id, wallet) = waiting.remove(place)?;
        let more = !waiting.is_empty();
        self.turns.remove(at);
        if more {
            self.turns.push_back(client);
        } else {
            self.waiting.remove(&client);
        }
        self.running.insert(id, (client, wallet));
        Some(id)
    }

    /// Where in the client's queue the first check stands that no limit holds back.
    fn first_admissible(&self, client: C) -> Option<usize> {
        let held = self.running.values().filter(|(other, _)| *other == client);
        if held.count() >= self.limits.per_client {
            return None;
        }
        self.waiting.get(&client)?.iter().position(|(_, wallet)| {
            let held = self.running.values().filter(|(_, other)| other == wallet);
            held.count() < self.limits.per_wallet
        })
    }

    /// A check ended, or its client does not wait any more. Unknown checks are ignored.
    pub fn leave(&mut self, id: TurnId) {
        if self.running.remove(&id).is_some() {
            return;
        }
        self.waiting.retain(|_, waiting| {
            waiting.retain(|(other, _)| *other != id);
            !waiting.is_empty()
        });
        let waiting = &self.waiting;
        self.turns.retain(|client| waiting.contains_key(client));
    }

    /// Checks that hold a place.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Checks that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.values().map(VecDeque::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: FairLimits = FairLimits {
        places: 4,
        per_client: 2,
        per_wallet: 3,
        waiting_per_client: 8,
    };

    fn queue() -> FairQueue<u8, u8> {
        FairQueue::new(LIMITS)
    }

    #[test]
    fn one_client_never_holds_every_place() {
        let mut queue = queue();
        for wallet in 0..8 {
            queue.join(1, wallet).unwrap();
        }
        assert!(queue.join(1, 9).is_err(), "its queue is bounded, too");
        assert!(queue.admit().is_some() && queue.admit().is_some());
        assert_eq!(queue.admit(), None);
        let other = queue.join(2, 20).unwrap();
        assert_eq!(queue.admit(), Some(other), "another client does not wait");
    }

    #[test]
    fn clients_take_turns() {
        let mut queue = FairQueue::new(FairLimits { places: 1, ..LIMITS });
        let flood: Vec<_> = (0..4).map(|wallet| queue.join(1, wallet).unwrap()).collect();
        let late = queue.join(2, 20).unwrap();
        let mut order = Vec::new();
        while let Some(id) = queue.admit() {
            order.push(id);
            queue.leave(id);
        }
        assert_eq!(order, [flood[0], late, flood[1], flood[2], flood[3]]);
    }

    #[test]
    fn one_wallet_never_holds_every_place_through_many_clients() {
        let mut queue = queue();
        for client in 1..=4 {
            queue.join(client, 7).unwrap();
        }
        let admitted = std::iter::from_fn(|| queue.admit()).count();
        assert_eq!(admitted, LIMITS.per_wallet);
        let other = queue.join(9, 8).unwrap();
        assert_eq!(queue.admit(), Some(other));
    }

    #[test]
    fn a_check_behind_a_busy_wallet_of_the_same_client_passes_it() {
        let mut queue = FairQueue::new(FairLimits {
            per_wallet: 1,
            ..LIMITS
        });
        queue.join(1, 7).unwrap();
        queue.admit().unwrap();
        queue.join(2, 7).unwrap();
        let behind = queue.join(2, 8).unwrap();
        assert_eq!(queue.admit(), Some(behind));
    }

    proptest! {
        #[test]
        fn limits_hold_and_nobody_is_forgotten(
            steps in prop::collection::vec((0u8..4, 0u8..6, 0u8..4), 1..200),
        ) {
            let mut queue = queue();
            let (mut joined, mut running, mut ended) = (0, Vec::new(), 0);
            for (what, client, wallet) in steps {
                match what {
                    0 | 1 => joined += usize::from(queue.join(client, wallet).is_ok()),
                    2 => running.extend(queue.admit()),
                    _ => if !running.is_empty() {
                        queue.leave(running.remove(0));
                        ended += 1;
                    },
                }
                prop_assert!(queue.running() <= LIMITS.places);
                for client in 0..6 {
                    let held = queue.running.values().filter(|(other, _)| *other == client).count();
                    prop_assert!(held <= LIMITS.per_client);
                }
                for wallet in 0..4 {
                    let held = queue.running.values().filter(|(_, other)| *other == wallet).count();
                    prop_assert!(held <= LIMITS.per_wallet);
                }
                prop_assert_eq!(joined, ended + queue.running() + queue.waiting());
                prop_assert_eq!(queue.turns.len(), queue.waiting.len());
            }
            // Once those that run end, everybody is served.
            for id in running {
                queue.leave(id);
                ended += 1;
            }
            while let Some(id) = queue.admit() {
                queue.leave(id);
                ended += 1;
            }
            prop_assert_eq!(ended, joined);
        }
    }
}
