//! What people can do in the random sequences.

use proptest::{collection::vec, prelude::*};

/// Organizations and creators there are: two of each.
pub const PAIR: usize = 2;

/// The payer of a line that pays escrow out.
pub const ESCROW: usize = PAIR + 1;

/// Something somebody does. Amounts are whole tokens.
#[derive(Clone, Debug)]
pub enum Step {
    Deposit {
        org: usize,
        amount: u64,
    },
    /// `ahead` is how far the sequence number is from the right one.
    Settle {
        lines: Vec<LineStep>,
        ahead: u64,
    },
    Request {
        org: usize,
        amount: u64,
    },
    Execute {
        org: usize,
    },
    Cancel {
        org: usize,
    },
    /// `None` removes the cap.
    SetCap {
        org: usize,
        cap: Option<u64>,
    },
    CreatorWithdraws {
        creator: usize,
    },
    PlatformWithdraws,
    /// Somebody sends tokens to the orchestrator by mistake.
    Stray {
        amount: u64,
    },
    RecoverStray,
    Pause,
    Unpause,
    Wait {
        hours: u64,
    },
    /// The token begins or stops to return false; only a tricky token can.
    TokenRefuses(bool),
    /// Somebody tries what they have no right to.
    Trespass {
        who: Intruder,
        deed: Deed,
    },
}

/// A line of a batch.
#[derive(Clone, Debug)]
pub struct LineStep {
    /// Which organization pays; `PAIR` is one that does not exist, [`ESCROW`] the orchestrator.
    pub org: usize,
    pub platform: u64,
    pub credits: Vec<(PayeeStep, u64)>,
}

#[derive(Clone, Copy, Debug)]
pub enum PayeeStep {
    Org(usize),
    Creator(usize),
    Stranger,
}

/// Somebody without the right to what they try.
#[derive(Clone, Copy, Debug)]
pub enum Intruder {
    Stranger,
    /// Administrator of the first organization.
    Administrator,
    /// Owner of the other organization.
    Rival,
    Server,
    Guardian,
}

/// What they try, on the first organization and the first creator.
#[derive(Clone, Copy, Debug)]
pub enum Deed {
    Pull,
    TransferFrom,
    SettleLine,
    Request,
    Execute,
    Cancel,
    SetCap,
    TakeOwnership,
    RegisterFunds,
    PayCreator,
    WithdrawFunds,
    WithdrawFundsTo,
    RedirectFunds,
    WithdrawPlatform,
    RecoverStray,
    BecomeServer,
    Unpause,
}

pub fn any_step() -> impl Strategy<Value = Step> {
    let org = 0..PAIR;
    let amount = 0..200u64;
    let hours = prop::sample::select(vec![1, 11, 23, 24, 25, 47, 100, 200]);
    prop_oneof![
        10 => (org.clone(), 0..400u64).prop_map(|(org, amount)| Step::Deposit { org, amount }),
        20 => vec(any_line(), 1..5).prop_map(|lines| Step::Settle { lines, ahead: 0 }),
        2 => (vec(any_line(), 0..2), 0..3u64).prop_map(|(lines, ahead)| Step::Settle { lines, ahead }),
        4 => (org.clone(), amount.clone()).prop_map(|(org, amount)| Step::Request { org, amount }),
        4 => org.clone().prop_map(|org| Step::Execute { org }),
        1 => org.clone().prop_map(|org| Step::Cancel { org }),
        3 => (org, prop::option::of(amount.clone())).prop_map(|(org, cap)| Step::SetCap { org, cap }),
        3 => (0..PAIR).prop_map(|creator| Step::CreatorWithdraws { creator }),
        2 => Just(Step::PlatformWithdraws),
        1 => amount.prop_map(|amount| Step::Stray { amount }),
        1 => Just(Step::RecoverStray),
        1 => Just(Step::Pause),
        1 => Just(Step::Unpause),
        8 => hours.prop_map(|hours| Step::Wait { hours }),
        2 => any::<bool>().prop_map(Step::TokenRefuses),
        6 => (any_intruder(), any_deed()).prop_map(|(who, deed)| Step::Trespass { who, deed }),
    ]
}

fn any_line() -> impl Strategy<Value = LineStep> {
    let org = prop_oneof![6 => Just(0), 6 => Just(1), 1 => Just(PAIR), 2 => Just(ESCROW)];
    let payee = prop_oneof![
        3 => (0..PAIR).prop_map(PayeeStep::Org),
        6 => (0..PAIR).prop_map(PayeeStep::Creator),
        1 => Just(PayeeStep::Stranger),
    ];
    let platform = prop_oneof![4 => 0..40u64, 1 => Just(0)];
    let line = (org, platform, any::<bool>(), vec((payee, 0..40u64), 0..4));
    line.prop_map(|(org, platform, none, credits)| LineStep {
        org,
        platform: if org == ESCROW && none { 0 } else { platform },
        credits,
    })
}

fn any_intruder() -> impl Strategy<Value = Intruder> {
    use Intruder::*;
    prop::sample::select(vec![Stranger, Administrator, Rival, Server, Guardian])
}

fn any_deed() -> impl Strategy<Value = Deed> {
    use Deed::*;
    prop::sample::select(vec![
        Pull,
        TransferFrom,
        SettleLine,
        Request,
        Execute,
        Cancel,
        SetCap,
        TakeOwnership,
        RegisterFunds,
        PayCreator,
        WithdrawFunds,
        WithdrawFundsTo,
        RedirectFunds,
        WithdrawPlatform,
        RecoverStray,
        BecomeServer,
        Unpause,
    ])
}
