//! Random chains.

use super::{event, memory::ORCHESTRATOR, time_of};
use crate::{
    batch::BatchCredit,
    capture::Payee,
    chain::{BlockRef, ChainEvent, EventBody, SkipReason, StoredBatch, StoredLine},
};
use haithe_kernel::{OrgId, Timestamp, TokenUnits, Usdt, WalletAddress};
use proptest::prelude::*;
use std::time::Duration;

/// The blocks of a story; the first block is the same in all of them.
pub(super) const FIRST: u64 = 2;
pub(super) const LAST: u64 = 13;
/// Base units in a nano-USDT.
pub(super) const NANO: u128 = 1_000_000_000;
const PRODUCT: WalletAddress = WalletAddress::new([0x77; 20]);
pub(super) const CREATOR: WalletAddress = WalletAddress::new([8; 20]);

pub(super) fn wallet(number: u8) -> WalletAddress {
    WalletAddress::new([number; 20])
}

pub(super) fn contract(number: u8) -> WalletAddress {
    WalletAddress::new([0xc0 + number; 20])
}

pub(super) fn units(nano: i64) -> u128 {
    u128::try_from(nano).unwrap() * NANO
}

pub(super) fn later(seconds: u64) -> Timestamp {
    time_of(FIRST).plus(Duration::from_secs(seconds))
}

pub(super) fn created(number: u8) -> EventBody {
    EventBody::OrganizationCreated {
        index: number.into(),
        org: contract(number),
        owner: wallet(1),
        name: format!("org {number}"),
    }
}

pub(super) fn transfer(to: u8, units: u128) -> EventBody {
    EventBody::Transfer {
        from: wallet(0xdd),
        to: contract(to),
        amount: Some(units),
    }
}

fn money() -> impl Strategy<Value = EventBody> {
    let org = || 1..=3u8;
    prop_oneof![
        4 => (org(), 0..2_000i64, 0..NANO).prop_map(|(org, nano, dust)| transfer(org, units(nano) + dust)),
        1 => (org(), 0..5i64).prop_map(|(org, nano)| EventBody::OrganizationFunded {
            org: contract(org), amount: Some(units(nano)),
        }),
        2 => (org(), 1..3_000i64).prop_map(|(org, nano)| EventBody::WithdrawalRequested {
            org: contract(org), to: wallet(1), amount: Some(units(nano)), ready_at: later(150_000),
        }),
        1 => org().prop_map(|org| EventBody::WithdrawalCancelled { org: contract(org) }),
        1 => (org(), 1..900i64, 0..3u128).prop_map(|(org, nano, dust)| EventBody::WithdrawalExecuted {
            org: contract(org), to: wallet(1), amount: Some(units(nano) + dust),
        }),
        1 => (1..9i64).prop_map(|nano| EventBody::PlatformWithdrawn { to: wallet(1), amount: Some(units(nano)) }),
        1 => (1..9i64).prop_map(|nano| EventBody::CreatorWithdrawn {
            creator: CREATOR, amount: Some(units(nano)),
        }),
        1 => Just(EventBody::Paused),
        1 => Just(EventBody::Unpaused),
    ]
}

fn directory() -> impl Strategy<Value = EventBody> {
    let org = || 1..=3u8;
    prop_oneof![
        (org(), 1..=4u8).prop_map(|(org, to)| EventBody::OwnershipTransferred {
            org: contract(org),
            from: wallet(1),
            to: wallet(to),
        }),
        (org(), 0..=2u8).prop_map(|(org, to)| EventBody::OwnershipOffered {
            org: contract(org),
            to: wallet(to)
        }),
        (org(), 1..=4u8, 0..=3u8).prop_map(|(org, who, role)| EventBody::RoleChanged {
            org: contract(org),
            wallet: wallet(who),
            role,
        }),
        (org(), proptest::option::of(0..5_000i64)).prop_map(|(org, cap)| EventBody::DailyCapChanged {
            org: contract(org),
            cap: cap.map(units),
            effective_at: later(0),
        }),
        (0..10i64).prop_map(|price| EventBody::PriceChanged {
            product: PRODUCT,
            price: Some(units(price))
        }),
        (0..10i64, 1..10i64, 0..500_000u64).prop_map(|(price, rise, after)| EventBody::PriceScheduled {
            product: PRODUCT,
            price: Some(units(price)),
            next_price: Some(units(price + rise)),
            next_price_at: later(after),
        }),
        Just(EventBody::ProductRetired { product: PRODUCT }),
        (0..9u8).prop_map(|uri| EventBody::UriChanged {
            product: PRODUCT,
            uri: uri.to_string()
        }),
        (org(), any::<bool>()).prop_map(|(org, on)| match on {
            true => EventBody::ProductEnabled {
                org: contract(org),
                product: PRODUCT,
                max_price: Some(1)
            },
            false => EventBody::ProductDisabled {
                org: contract(org),
                product: PRODUCT
            },
        }),
        (1..4u64).prop_map(|id| EventBody::CreatorRegistered {
            creator: CREATOR,
            id,
            uri: String::new(),
            pub_key: String::new(),
        }),
        (0..3u8, 0..500_000u64).prop_map(|(to, after)| EventBody::PayoutAddressProposed {
            creator: CREATOR,
            payout: wallet(to),
            effective_at: later(after),
        }),
        Just(EventBody::PayoutAddressCancelled { creator: CREATOR }),
    ]
}

/// Blocks of a chain: what happens in each, and whether the batch's first line is skipped.
#[derive(Debug, Clone)]
pub(super) struct Story {
    blocks: Vec<Vec<EventBody>>,
    skip: bool,
}

pub(super) fn story() -> impl Strategy<Value = Story> {
    let one = prop_oneof![3 => money(), 2 => directory()];
    let count = usize::try_from(LAST - FIRST + 1).unwrap();
    let blocks = prop::collection::vec(prop::collection::vec(one, 0..4), count..=count);
    (blocks, any::<bool>()).prop_map(|(blocks, skip)| Story { blocks, skip })
}

pub(super) fn block(number: u64) -> BlockRef {
    BlockRef {
        number,
        hash: [u8::try_from(number).unwrap(); 32],
        parent: [u8::try_from(number - 1).unwrap(); 32],
        time: time_of(number),
    }
}

/// Two lines: organizations 1 and 2 pay the platform, a creator, and each other.
pub(super) fn batch() -> StoredBatch {
    let credit = |payee, address, nano| BatchCredit {
        payee,
        address,
        units: TokenUnits::new(units(nano)),
        amount: Usdt::from_nano(nano),
        escrow: false,
    };
    let line = |line: u32, payer: u8, payee: u8| StoredLine {
        line,
        org: OrgId(payer.into()),
        address: contract(payer),
        skipped: None,
        credits: vec![
            credit(Payee::Platform, wallet(0), 400),
            credit(Payee::Creator(CREATOR), CREATOR, 200),
            credit(Payee::Organization(OrgId(payee.into())), contract(payee), 100),
        ],
    };
    StoredBatch {
        seq: 0,
        root: [5; 32],
        settled: None,
        is_final: false,
        payouts_skipped: false,
        lines: vec![line(0, 1, 2), line(1, 2, 1)],
        payouts: Vec::new(),
    }
}

/// What happens in one transaction of its own each, but for the settlement.
pub(super) fn in_block(number: u64, bodies: Vec<EventBody>) -> Vec<ChainEvent> {
    (0u64..)
        .zip(bodies)
        .map(|(position, body)| event(number, position, body))
        .collect()
}

impl Story {
    pub(super) fn events(&self, number: u64) -> Vec<ChainEvent> {
        let index = usize::try_from(number - FIRST).unwrap();
        // Organization 3 and the product are created in the second block, and no contract executes a withdrawal
        // after its window.
        let is_possible = |body: &&EventBody| match body {
            EventBody::Transfer { .. } => true,
            // A contract knows the product that it enables.
            EventBody::ProductEnabled { .. } | EventBody::ProductDisabled { .. } if number == FIRST => false,
            EventBody::WithdrawalExecuted { .. } if time_of(number) > later(150_000 + 86_400) => false,
            body => body
                .subject()
                .is_none_or(|about| about == contract(1) || about == contract(2) || number > FIRST),
        };
        let mut bodies: Vec<EventBody> = self.blocks[index].iter().filter(is_possible).cloned().collect();
        if number == FIRST + 1 {
            bodies.insert(0, created(3));
            bodies.insert(
                1,
                EventBody::ProductAdded {
                    index: 0,
                    product: PRODUCT,
                    creator: CREATOR,
                    name: "Facts".to_owned(),
                    uri: String::new(),
                    encrypted_key: String::new(),
                    category: "promptset".to_owned(),
                    price: Some(units(3)),
                },
            );
        }
        let mut events = in_block(number, bodies);
        if number == FIRST + 5 {
            events.extend(self.settlement(number, u64::try_from(events.len()).unwrap()));
        }
        events
    }

    fn settlement(&self, number: u64, position: u64) -> Vec<ChainEvent> {
        let skipped = EventBody::LineSkipped {
            seq: 0,
            line: 0,
            org: contract(1),
            amount: Some(units(700)),
            reason: SkipReason::DailyCap,
            payee: None,
        };
        let settled = EventBody::BatchSettled {
            seq: 0,
            hash: [6; 32],
            root: [5; 32],
            total: Some(units(if self.skip { 700 } else { 1_400 })),
            skipped: self.skip.into(),
        };
        let moved = EventBody::Transfer {
            from: ORCHESTRATOR,
            to: contract(1),
            amount: Some(units(100)),
        };
        let bodies = self.skip.then_some(skipped).into_iter().chain([moved, settled]);
        let tx = event(number, position, EventBody::Paused).tx;
        (position..)
            .zip(bodies)
            .map(|(position, body)| ChainEvent {
                tx,
                ..event(number, position, body)
            })
            .collect()
    }
}

/// A fact whose effect does not depend on what was before.
pub(super) fn facts() -> impl Strategy<Value = EventBody> {
    prop_oneof![
        (1..=2u8, 0..2_000i64, 0..NANO).prop_map(|(org, nano, dust)| transfer(org, units(nano) + dust)),
        (1..9i64).prop_map(|nano| EventBody::CreatorWithdrawn {
            creator: CREATOR,
            amount: Some(units(nano)),
        }),
        (1..9i64).prop_map(|nano| EventBody::PlatformWithdrawn {
            to: wallet(1),
            amount: Some(units(nano)),
        }),
        (1..=2u8, 0..5_000i64).prop_map(|(org, cap)| EventBody::DailyCapChanged {
            org: contract(org),
            cap: Some(units(cap)),
            effective_at: later(0),
        }),
        Just(EventBody::BatchSettled {
            seq: 0,
            hash: [6; 32],
            root: [5; 32],
            total: Some(units(1_400)),
            skipped: 0,
        }),
    ]
}
