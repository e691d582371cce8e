//! The contracts' state and what transactions do to it, as `abi/src` has it, without gas and signatures.

mod settle;

use crate::parties::{self, OUTSIDE};
use haithe_billing::{
    batch::Batch,
    chain::{ChainEvent, EventBody, Hash32, PauseClock},
    treasury::WITHDRAWAL_WINDOW,
    usage::Day,
};
use haithe_kernel::{Timestamp, WalletAddress};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How long an owner waits between the request and the execution of a withdrawal.
pub const WITHDRAWAL_DELAY: Duration = Duration::from_secs(4_800);
/// How long a lower cap waits.
const CAP_DELAY: Duration = Duration::from_secs(600);

/// What a transaction does.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it; amounts are base units")]
pub enum Act {
    Create {
        org: i64,
    },
    Register {
        creator: u8,
    },
    Deposit {
        org: i64,
        units: u128,
    },
    Request {
        org: i64,
        units: u128,
    },
    Execute {
        org: i64,
    },
    Cancel {
        org: i64,
    },
    SetCap {
        org: i64,
        units: Option<u128>,
    },
    CreatorWithdraws {
        creator: u8,
    },
    PlatformWithdraws {
        units: u128,
    },
    Pause,
    Unpause,
    Settle(Arc<Batch>),
    /// A self-transfer that only uses a nonce.
    Nothing,
}

/// An organization's contract.
#[derive(Debug, Clone, Default)]
pub struct Organization {
    /// The token's balance.
    pub balance: u128,
    cap: Option<u128>,
    next_cap: Option<(Option<u128>, Timestamp)>,
    spent: (Option<Day>, u128),
    /// The open request: how much, and from which active time on.
    pub request: Option<(u128, Timestamp)>,
    /// Everything that batches took from it.
    pub settled: u128,
}

/// Everything that the contracts store.
#[derive(Debug, Clone, Default)]
pub struct Contract {
    /// By address.
    pub orgs: BTreeMap<WalletAddress, Organization>,
    /// The orchestrator's token balance.
    pub orchestrator: u128,
    /// The platform's share of it, escrow included.
    pub platform: u128,
    /// What creators can withdraw of it.
    pub creators: BTreeMap<WalletAddress, u128>,
    /// The next batch.
    pub next_batch: u64,
    /// The hashes of settled batches.
    pub hashes: BTreeMap<u64, Hash32>,
    pauses: PauseClock,
    /// The next nonce of the server's key.
    pub nonce: u64,
}

/// What surrounds a transaction and is no state of the contracts.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Transfers to these contracts fail.
    pub blocked: Vec<WalletAddress>,
    /// Whether a failed transfer is reported with its receiver.
    pub names_receiver: bool,
    /// Batches with more calls are refused.
    pub most_calls: Option<usize>,
}

/// The hash under which the contract stores a batch.
pub fn batch_hash(batch: &Batch) -> Hash32 {
    let mut hash = batch.root;
    let mut mix = |bytes: &[u8]| {
        for (at, byte) in bytes.iter().enumerate() {
            let slot = &mut hash[at % 32];
            *slot = slot.wrapping_mul(31).wrapping_add(*byte);
            hash.rotate_left(1);
        }
    };
    mix(&batch.seq.to_be_bytes());
    let credits = batch.lines.iter().flat_map(|line| &line.credits);
    for credit in credits.chain(&batch.payouts) {
        mix(&credit.units.get().to_be_bytes());
        mix(credit.address.as_bytes());
    }
    hash
}

impl Contract {
    /// Whether a pause is in force.
    pub fn is_paused(&self, now: Timestamp) -> bool {
        self.pauses.ends_at(now).is_some()
    }

    /// Block time less all time spent paused.
    pub fn active_time(&self, now: Timestamp) -> Timestamp {
        now.minus(self.pauses.until(now))
    }

    /// Runs a transaction; `None` when it is reverted. The state is as before then.
    pub fn run(&mut self, act: &Act, now: Timestamp, around: &Surroundings) -> Option<Vec<EventBody>> {
        let before = self.clone();
        let events = self.try_run(act, now, around);
        if events.is_none() {
            *self = before;
        }
        events
    }

    fn try_run(&mut self, act: &Act, now: Timestamp, around: &Surroundings) -> Option<Vec<EventBody>> {
        Some(match act {
            Act::Create { org } => {
                let address = parties::contract(*org);
                self.orgs.insert(address, Organization::default());
                vec![EventBody::OrganizationCreated {
                    index: u64::try_from(org - 1).ok()?,
                    org: address,
                    owner: OUTSIDE,
                    name: format!("Organization {org}"),
                }]
            }
            Act::Register { creator } => vec![EventBody::CreatorRegistered {
                creator: parties::creator(*creator),
                id: u64::from(*creator) + 1,
                uri: String::new(),
                pub_key: String::new(),
            }],
            Act::Deposit { org, units } => {
                let to = parties::contract(*org);
                self.orgs.get_mut(&to)?.balance += units;
                vec![transfer(OUTSIDE, to, *units)]
            }
            Act::Request { org, units } => self.request(parties::contract(*org), *units, now)?,
            Act::Execute { org } => self.execute(parties::contract(*org), now)?,
            Act::Cancel { org } => {
                let address = parties::contract(*org);
                self.orgs.get_mut(&address)?.request.take()?;
                vec![EventBody::WithdrawalCancelled { org: address }]
            }
            Act::SetCap { org, units } => self.set_cap(parties::contract(*org), *units, now)?,
            Act::CreatorWithdraws { creator } => {
                let wallet = parties::creator(*creator);
                let amount = self.creators.remove(&wallet)?;
                self.orchestrator = self.orchestrator.checked_sub(amount)?;
                vec![EventBody::CreatorWithdrawn {
                    creator: wallet,
                    amount: Some(amount),
                }]
            }
            Act::PlatformWithdraws { units } => {
                self.platform = self.platform.checked_sub(*units)?;
                self.orchestrator = self.orchestrator.checked_sub(*units)?;
                vec![EventBody::PlatformWithdrawn {
                    to: OUTSIDE,
                    amount: Some(*units),
                }]
            }
            Act::Pause => self.pause(EventBody::Paused, now),
            Act::Unpause => self.pause(EventBody::Unpaused, now),
            Act::Settle(batch) => self.settle(batch, now, around)?,
            Act::Nothing => Vec::new(),
        })
    }

    fn pause(&mut self, body: EventBody, now: Timestamp) -> Vec<EventBody> {
        let event = ChainEvent {
            block: 0,
            block_hash: [0; 32],
            block_time: now,
            tx: [0; 32],
            log_index: 0,
            body: body.clone(),
        };
        self.pauses.see(&event);
        vec![body]
    }

    fn request(&mut self, address: WalletAddress, units: u128, now: Timestamp) -> Option<Vec<EventBody>> {
        let active = self.active_time(now);
        let org = self.orgs.get_mut(&address)?;
        if org
            .request
            .is_some_and(|(_, ready)| active <= ready.plus(WITHDRAWAL_WINDOW))
        {
            return None;
        }
        let ready_at = active.plus(WITHDRAWAL_DELAY);
        org.request = Some((units, ready_at));
        Some(vec![EventBody::WithdrawalRequested {
            org: address,
            to: OUTSIDE,
            amount: Some(units),
            ready_at,
        }])
    }

    fn execute(&mut self, address: WalletAddress, now: Timestamp) -> Option<Vec<EventBody>> {
        let (active, paused) = (self.active_time(now), self.is_paused(now));
        let org = self.orgs.get_mut(&address)?;
        let (units, ready) = org.request?;
        if paused || active < ready || active > ready.plus(WITHDRAWAL_WINDOW) {
            return None;
        }
        org.request = None;
        let paid = units.min(org.balance);
        org.balance -= paid;
        Some(vec![
            transfer(address, OUTSIDE, paid),
            EventBody::WithdrawalExecuted {
                org: address,
                to: OUTSIDE,
                amount: Some(paid),
            },
        ])
    }

    fn set_cap(
        &mut self,
        address: WalletAddress,
        units: Option<u128>,
        now: Timestamp,
    ) -> Option<Vec<EventBody>> {
        let org = self.orgs.get_mut(&address)?;
        org.advance_cap(now);
        let rises = match (org.cap, units) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(cap), Some(new)) => new >= cap,
        };
        let effective_at = if rises { now } else { now.plus(CAP_DELAY) };
        if rises {
            (org.cap, org.next_cap) = (units, None);
        } else {
            org.next_cap = Some((units, effective_at));
        }
        Some(vec![EventBody::DailyCapChanged {
            org: address,
            cap: Some(units.unwrap_or(u128::MAX)),
            effective_at,
        }])
    }
}

impl Organization {
    fn advance_cap(&mut self, now: Timestamp) {
        if let Some((cap, at)) = self.next_cap
            && at <= now
        {
            (self.cap, self.next_cap) = (cap, None);
        }
    }
}

fn transfer(from: WalletAddress, to: WalletAddress, units: u128) -> EventBody {
    EventBody::Transfer {
        from,
        to,
        amount: Some(units),
    }
}
