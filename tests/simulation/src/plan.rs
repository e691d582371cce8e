//! What happens in a history: the setup, and steps with their times, all of them drawn from one seed.

mod words;

use crate::{parties, parties::CREATORS};
use haithe_billing::capture::Payee;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

/// How the ledger is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One process, with holds and balances in its memory.
    Memory,
    /// Several instances, with holds in the store.
    Shared,
}

/// What stays the same during a history.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    /// How the ledger is kept.
    pub mode: Mode,
    /// Instances of the server.
    pub instances: usize,
    /// Organizations, numbered from 1. The first one only deposits and calls: nothing may block it.
    pub orgs: i64,
    /// Decimals of the payment token.
    pub decimals: u8,
    /// Blocks until a deposit counts.
    pub confirmations: u64,
    /// Blocks until a batch counts.
    pub finality: u64,
    /// Blocks that are indexed at once.
    pub range: u64,
    /// Credits below this many nano-USDT wait for more of their kind.
    pub min_credit: i64,
    /// Calls in a batch.
    pub max_items: u32,
    /// Batches that are not final at the same time.
    pub max_open: u32,
    /// Seconds from one block to the next.
    pub block_seconds: u64,
    /// Second of the day at which the history starts.
    pub starts_at: i64,
    /// Seconds until everything has to settle.
    pub seconds: u64,
}

/// A call, from its hold to its capture.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Its number, from which its identifier follows.
    pub number: u64,
    /// The payer.
    pub org: i64,
    /// The instance that serves it.
    pub instance: usize,
    /// The most that it may cost, in nano-USDT.
    pub most: i64,
    /// The least, in nano-USDT.
    pub least: i64,
    /// What it does cost.
    pub lines: Vec<(Payee, i64)>,
    /// Seconds that the provider takes.
    pub provider: u64,
    /// The client leaves after so many steps of the request.
    pub leaves_after: Option<u32>,
    /// The budget of the caller's key, in nano-USDT.
    pub budget: Option<i64>,
    /// The capture is sent once more after its answer.
    pub repeats: bool,
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "`Display` says what each is")]
pub enum Action {
    Call(Call),
    Deposit {
        org: i64,
        nano: i64,
        dust: u32,
    },
    RequestWithdrawal {
        org: i64,
        nano: i64,
    },
    ExecuteWithdrawal {
        org: i64,
    },
    CancelWithdrawal {
        org: i64,
    },
    SetCap {
        org: i64,
        nano: Option<i64>,
    },
    CreatorWithdraws {
        creator: u8,
    },
    PlatformWithdraws,
    Pause {
        seconds: u64,
    },
    BlockPayee {
        org: i64,
        seconds: u64,
    },
    Crash {
        instance: usize,
        after: u32,
        down: u64,
    },
    Stall {
        instance: usize,
        seconds: u64,
    },
    StoreFails {
        instance: usize,
        requests: u32,
        applied: bool,
    },
    NodeAway {
        seconds: u64,
    },
    Reorg {
        depth: u64,
        loses: bool,
    },
    Stuck {
        seconds: u64,
    },
    RepeatEvents {
        seconds: u64,
    },
    RefuseBatches {
        calls: usize,
        seconds: u64,
    },
}

/// A step of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Seconds since the start.
    pub at: u64,
    /// What happens.
    pub action: Action,
}

/// A whole history before it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Decides the order of tasks, and what the chain does with transactions.
    pub seed: u64,
    /// What stays the same.
    pub setup: Setup,
    /// In order of time.
    pub steps: Vec<Step>,
    /// Turns of the executor in which the seed picks the next task; after them the one that waited longest runs.
    pub random_turns: u64,
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let setup = setup(&mut rng);
        let mut steps = Vec::new();
        let most = rng.random_range(20..90);
        for number in 0..most {
            let at = rng.random_range(120..setup.seconds);
            let action = action(&mut rng, &setup, number);
            steps.push(Step { at, action });
        }
        // A burst: calls that meet within seconds.
        let at = rng.random_range(200..setup.seconds);
        for number in 0..rng.random_range(0..12) {
            let call = Action::Call(call(&mut rng, &setup, most + number));
            steps.push(Step {
                at: at + rng.random_range(0..3),
                action: call,
            });
        }
        steps.sort_by_key(|step| step.at);
        Self {
            seed,
            setup,
            steps,
            random_turns: u64::MAX,
        }
    }
}

fn setup(rng: &mut StdRng) -> Setup {
    let mode = if rng.random_bool(0.4) {
        Mode::Memory
    } else {
        Mode::Shared
    };
    let confirmations = rng.random_range(1..4);
    Setup {
        mode,
        instances: if mode == Mode::Memory {
            1
        } else {
            rng.random_range(2..4)
        },
        orgs: rng.random_range(2..5),
        decimals: *[6, 9, 18].choose(rng).expect("not empty"),
        confirmations,
        finality: confirmations + rng.random_range(1..5),
        range: rng.random_range(1..20),
        min_credit: *[0, 0, 5_000_000].choose(rng).expect("not empty"),
        max_items: rng.random_range(2..30),
        max_open: rng.random_range(1..5),
        block_seconds: rng.random_range(20..60),
        starts_at: rng.random_range(0..86_400),
        seconds: rng.random_range(1_800..9_000),
    }
}

/// Prices from nothing to a multiple of what organizations usually have.
fn price(rng: &mut StdRng) -> i64 {
    match rng.random_range(0..10) {
        0 => 0,
        1 => rng.random_range(1..2_000),
        2 => rng.random_range(100_000_000..2_000_000_000),
        _ => rng.random_range(1_000..40_000_000),
    }
}

fn call(rng: &mut StdRng, setup: &Setup, number: u64) -> Call {
    let org = rng.random_range(1..=setup.orgs);
    let payees = 1 + CREATORS + u8::try_from(setup.orgs).expect("few organizations");
    let mut lines = Vec::new();
    for _ in 0..rng.random_range(1..4) {
        let payee = parties::payee(rng.random_range(0..payees));
        if payee != Payee::Organization(haithe_kernel::OrgId(org)) {
            lines.push((payee, price(rng)));
        }
    }
    let cost: i64 = lines.iter().map(|(_, nano)| nano).sum();
    // Mostly the hold covers the call; sometimes the provider returns more than that.
    let most = if rng.random_bool(0.8) {
        cost + price(rng)
    } else {
        price(rng)
    };
    Call {
        number,
        org,
        instance: rng.random_range(0..setup.instances),
        most,
        least: if rng.random_bool(0.5) { most } else { most / 4 },
        lines,
        provider: rng.random_range(0..90),
        leaves_after: rng.random_bool(0.15).then(|| rng.random_range(1..8)),
        budget: rng.random_bool(0.2).then(|| price(rng) * 3),
        repeats: rng.random_bool(0.2),
    }
}

fn action(rng: &mut StdRng, setup: &Setup, number: u64) -> Action {
    let instance = rng.random_range(0..setup.instances);
    let org = rng.random_range(1..=setup.orgs);
    // The first organization only deposits and calls.
    let other = rng.random_range(2..=setup.orgs);
    match rng.random_range(0..100) {
        0..50 => Action::Call(call(rng, setup, number)),
        50..58 => Action::Deposit {
            org,
            nano: rng.random_range(0..500_000_000),
            dust: if rng.random_bool(0.2) {
                rng.random_range(0..1_000_000_000)
            } else {
                0
            },
        },
        58..62 => Action::RequestWithdrawal {
            org: other,
            nano: rng.random_range(1..600_000_000),
        },
        62..65 => Action::ExecuteWithdrawal { org: other },
        65..67 => Action::CancelWithdrawal { org: other },
        67..69 => Action::SetCap {
            org: other,
            nano: rng.random_bool(0.7).then(|| rng.random_range(0..300_000_000)),
        },
        69 => Action::CreatorWithdraws {
            creator: rng.random_range(0..CREATORS),
        },
        70 => Action::PlatformWithdraws,
        71 => Action::Pause {
            seconds: rng.random_range(30..600),
        },
        72..75 => Action::BlockPayee {
            org: other,
            seconds: rng.random_range(60..2_400),
        },
        75..80 => Action::Crash {
            instance,
            after: rng.random_range(0..40),
            down: rng.random_range(1..200),
        },
        80..83 => Action::Stall {
            instance,
            seconds: rng.random_range(5..300),
        },
        83..88 => Action::StoreFails {
            instance,
            requests: rng.random_range(1..4),
            applied: rng.random_bool(0.6),
        },
        88..90 => Action::NodeAway {
            seconds: rng.random_range(10..200),
        },
        90..95 => Action::Reorg {
            depth: rng.random_range(1..setup.finality),
            loses: rng.random_bool(0.4),
        },
        95..97 => Action::Stuck {
            seconds: rng.random_range(60..900),
        },
        97 => Action::RepeatEvents {
            seconds: rng.random_range(60..900),
        },
        _ => Action::RefuseBatches {
            calls: rng.random_range(0..4),
            seconds: rng.random_range(60..600),
        },
    }
}
