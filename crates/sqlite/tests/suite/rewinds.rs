//! However the chain is cut into steps, and however often it changes its mind, the end is the same.

use crate::fixture::{
    Fixture, NOON, OWNER, contract, created, deposit, hash, nano, settling, transfer, units, wallet,
};
use haithe_billing::{
    batch::Batch,
    capture::Payee,
    chain::{BlockRef, ChainEvent, EventBody, IndexStep, SkipReason},
    ports::{ChainIndex, Ledger},
};
use haithe_kernel::{CallId, OrgId};
use proptest::prelude::*;
use sqlx::Row;
use std::time::Duration;
use uuid::Uuid;

/// Blocks of the story; those before are common to all runs.
const BLOCKS: u64 = 12;
const FIRST: u64 = 2;

/// An event of the story, in a block of it.
fn event() -> impl Strategy<Value = EventBody> {
    let org = 1..=3u8;
    let wallets = 1..=4u8;
    prop_oneof![
        3 => (org.clone(), 1..2_000i64, 0..1_000_000_000u128)
            .prop_map(|(org, amount, dust)| transfer(wallet(0xdd), contract(org), units(nano(amount)) + dust)),
        1 => (org.clone(), wallets.clone()).prop_map(|(org, to)| EventBody::OwnershipTransferred {
            org: contract(org), from: OWNER, to: wallet(to),
        }),
        2 => (org.clone(), wallets, 0..=2u8).prop_map(|(org, who, role)| EventBody::RoleChanged {
            org: contract(org), wallet: wallet(who), role,
        }),
        1 => (org.clone(), proptest::option::of(0..5_000i64)).prop_map(|(org, cap)| EventBody::DailyCapChanged {
            org: contract(org), cap: cap.map(|cap| units(nano(cap))), effective_at: NOON,
        }),
        1 => (org.clone(), 1..3_000i64).prop_map(|(org, amount)| EventBody::WithdrawalRequested {
            org: contract(org), to: OWNER, amount: Some(units(nano(amount))),
            ready_at: NOON.plus(Duration::from_secs(200_000)),
        }),
        1 => org.clone().prop_map(|org| EventBody::WithdrawalCancelled { org: contract(org) }),
        1 => (org.clone(), 1..900i64).prop_map(|(org, amount)| EventBody::WithdrawalExecuted {
            org: contract(org), to: OWNER, amount: Some(units(nano(amount))),
        }),
        1 => product_event(),
        1 => (org, any::<bool>()).prop_map(|(org, on)| match on {
            true => EventBody::ProductEnabled { org: contract(org), product: wallet(0x77), max_price: Some(1) },
            false => EventBody::ProductDisabled { org: contract(org), product: wallet(0x77) },
        }),
        1 => Just(EventBody::PlatformWithdrawn { to: OWNER, amount: Some(units(nano(3))) }),
        1 => Just(EventBody::Paused),
        1 => Just(EventBody::Unpaused),
    ]
}

fn product_added() -> EventBody {
    EventBody::ProductAdded {
        index: 0,
        product: wallet(0x77),
        creator: wallet(8),
        name: "Facts".into(),
        uri: "https://creator.example".into(),
        encrypted_key: "00".into(),
        category: "promptset".into(),
        price: Some(1),
    }
}

/// The contract executes nothing after its window, and organization 3 and the product are
/// not there from the start.
fn is_possible(body: &EventBody, block: u64) -> bool {
    match body {
        EventBody::Transfer { .. } => true,
        EventBody::WithdrawalExecuted { .. } if block * 40_000 > 286_400 => false,
        EventBody::ProductEnabled { .. }
        | EventBody::PriceChanged { .. }
        | EventBody::PriceScheduled { .. }
        | EventBody::ProductRetired { .. } => block > FIRST,
        EventBody::RoleChanged { org, .. }
        | EventBody::OwnershipTransferred { org, .. }
        | EventBody::DailyCapChanged { org, .. }
        | EventBody::ProductDisabled { org, .. }
        | EventBody::WithdrawalRequested { org, .. }
        | EventBody::WithdrawalExecuted { org, .. }
        | EventBody::WithdrawalCancelled { org } => *org != contract(3) || block > FIRST,
        _ => true,
    }
}

fn product_event() -> impl Strategy<Value = EventBody> {
    let product = wallet(0x77);
    prop_oneof![
        (0..10i64).prop_map(move |price| EventBody::PriceChanged {
            product,
            price: Some(units(nano(price)))
        }),
        (0..10i64, 1..10i64, 0..600_000u64).prop_map(move |(price, rise, after)| EventBody::PriceScheduled {
            product,
            price: Some(units(nano(price))),
            next_price: Some(units(nano(price + rise))),
            next_price_at: NOON.plus(Duration::from_secs(after)),
        }),
        (1..3u8, 0..600_000u64).prop_map(|(to, after)| EventBody::PayoutAddressProposed {
            creator: wallet(8),
            payout: wallet(to),
            effective_at: NOON.plus(Duration::from_secs(after)),
        }),
        Just(EventBody::PayoutAddressCancelled { creator: wallet(8) }),
        Just(EventBody::ProductRetired { product }),
        (1..4u64).prop_map(|id| EventBody::CreatorRegistered {
            creator: wallet(8),
            id,
            uri: "https://creator.example".into(),
            pub_key: "04".into(),
        }),
    ]
}

/// What one run does next.
#[derive(Debug, Clone)]
enum Move {
    /// Indexes so many more blocks in one step.
    Forward(u64),
    /// Goes so many blocks back.
    Back(u64),
    /// Indexes so many blocks of another branch, with this event in each, and goes back.
    Astray(u64, EventBody),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => (1..5u64).prop_map(Move::Forward),
        2 => (1..6u64).prop_map(Move::Back),
        2 => (1..4u64, event()).prop_map(|(blocks, event)| Move::Astray(blocks, event)),
    ];
    prop::collection::vec(one, 0..14)
}

/// The story: what each block holds, beside what [`Run::events`] puts into some.
fn story() -> impl Strategy<Value = Vec<Vec<EventBody>>> {
    let blocks = usize::try_from(BLOCKS).unwrap();
    prop::collection::vec(prop::collection::vec(event(), 0..3), blocks..=blocks)
}

struct Run {
    fixture: Fixture,
    batch: Batch,
    blocks: Vec<Vec<EventBody>>,
    skip: bool,
    /// The newest block of the story that is indexed.
    at: u64,
    astray: u64,
}

impl Run {
    async fn start(blocks: Vec<Vec<EventBody>>, skip: bool) -> Self {
        let mut fixture = Fixture::new().await;
        fixture
            .mine(vec![
                created(1),
                created(2),
                deposit(1, nano(5_000)),
                deposit(2, nano(5_000)),
            ])
            .await;
        for (number, org) in [(1u8, fixture.org(1).await), (2, fixture.org(2).await)] {
            let call = CallId(Uuid::from_bytes([number; 16]));
            let mut capture = crate::fixture::capture(call, org, lines(fixture.org(3 - number).await));
            capture.usage.model_name = format!("model {number}");
            fixture
                .ledger()
                .hold(crate::fixture::exactly(call, org, nano(700)))
                .await
                .unwrap();
            fixture.ledger().capture(capture).await.unwrap();
        }
        let batch = fixture.seal().await.unwrap();
        Self {
            fixture,
            batch,
            blocks,
            skip,
            at: FIRST - 1,
            astray: 0,
        }
    }

    /// A block of the story.
    fn block(&self, number: u64) -> BlockRef {
        if number < FIRST {
            return self.fixture.head.unwrap();
        }
        BlockRef {
            number,
            hash: hash(number, 7),
            parent: hash(number - 1, 7),
            // Two days pass in the middle, which voids requests that were not executed.
            time: NOON.plus(Duration::from_secs(number * 40_000)),
        }
    }

    fn events(&self, number: u64) -> Vec<ChainEvent> {
        let index = usize::try_from(number - FIRST).unwrap();
        let possible = |body: &&EventBody| is_possible(body, number);
        let bodies = self.blocks[index].iter().filter(possible);
        let mut transactions: Vec<Vec<EventBody>> = bodies.map(|body| vec![body.clone()]).collect();
        if number == FIRST + 1 {
            transactions.insert(0, vec![created(3), product_added()]);
        }
        if number == FIRST + 5 {
            let skipped = if self.skip {
                vec![(1, SkipReason::DailyCap)]
            } else {
                Vec::new()
            };
            transactions.push(settling(&self.batch, &skipped));
        }
        let mut events = Vec::new();
        for (position, bodies) in (0u64..).zip(transactions) {
            for body in bodies {
                events.push(ChainEvent {
                    block: number,
                    block_hash: self.block(number).hash,
                    block_time: self.block(number).time,
                    tx: hash(number * 1_000 + position, 3),
                    log_index: events.len() as u64,
                    body,
                });
            }
        }
        events
    }

    async fn forward(&mut self, count: u64) {
        let to = (self.at + count).min(FIRST + BLOCKS - 1);
        if to > self.at {
            let events = (self.at + 1..=to)
                .flat_map(|number| self.events(number))
                .collect();
            let blocks = (self.at + 1..=to).map(|number| self.block(number)).collect();
            self.apply(events, blocks, self.block(to)).await;
            self.at = to;
        }
    }

    async fn apply(&self, events: Vec<ChainEvent>, blocks: Vec<BlockRef>, to: BlockRef) {
        let step = IndexStep {
            events,
            blocks,
            to,
            confirmed: to.number.saturating_sub(1),
            last_final: to.number.saturating_sub(3),
        };
        self.fixture.index().apply(step).await.unwrap();
    }

    async fn back(&mut self, count: u64) {
        self.at = self.at.saturating_sub(count).max(FIRST - 1);
        self.fixture.index().rewind(self.block(self.at)).await.unwrap();
    }

    async fn astray(&mut self, count: u64, body: EventBody) {
        self.astray += 1;
        let mut to = self.block(self.at);
        let (mut events, mut blocks) = (Vec::new(), Vec::new());
        for number in self.at + 1..=self.at + count {
            to = BlockRef {
                number,
                hash: hash(number, 1_000 + self.astray),
                ..self.block(number)
            };
            blocks.push(to);
            events.push(ChainEvent {
                block: number,
                block_hash: to.hash,
                block_time: to.time,
                tx: hash(number, 2_000 + self.astray),
                log_index: 0,
                body: body.clone(),
            });
        }
        self.apply(events, blocks, to).await;
        self.fixture.index().rewind(self.block(self.at)).await.unwrap();
    }

    /// To the end of the story, and on until all of it is final.
    async fn finish(mut self) -> Self {
        self.forward(BLOCKS).await;
        let last = FIRST + BLOCKS - 1;
        for number in last + 1..last + 12 {
            let block = self.block(number);
            self.apply(Vec::new(), vec![block], block).await;
        }
        self.fixture.assert_sound().await;
        self
    }

    /// Everything that must be the same, without the numbers that the database gave.
    async fn state(&self) -> Vec<String> {
        let mut stranger = self.fixture.stranger().await;
        let mut state = Vec::new();
        for sql in STATE {
            let rows = sqlx::query(*sql).fetch_all(&mut stranger).await.unwrap();
            state.extend(rows.iter().map(|row| row.get::<String, _>(0)));
            state.push("--".into());
        }
        // Money, in base units: parts of a nano may have left as dust or as a nano more.
        let rows = sqlx::query(
            "SELECT hex(o.address), a.balance, u.balance, w.balance, c.balance, b.dust FROM organizations o
             JOIN org_books b ON b.org_id = o.id
             JOIN ledger_accounts a ON a.name = 'org/' || o.id || '/available'
             JOIN ledger_accounts u ON u.name = 'org/' || o.id || '/unsettled'
             JOIN ledger_accounts w ON w.name = 'org/' || o.id || '/withdrawing'
             JOIN ledger_accounts c ON c.name = 'chain/' || o.id WHERE o.on_chain = 1 ORDER BY 1",
        )
        .fetch_all(&mut stranger)
        .await
        .unwrap();
        for row in rows {
            let nano = |column| i128::from(row.get::<i64, _>(column)) * 1_000_000_000;
            let dust = i128::from(row.get::<i64, _>(5));
            let (address, unsettled, withdrawing): (String, _, _) = (row.get(0), nano(2), nano(3));
            let (available, chain) = (nano(1) + dust, dust - nano(4));
            state.push(format!("{address} {available} {unsettled} {withdrawing} {chain}"));
        }
        state
    }
}

fn lines(payee: OrgId) -> Vec<haithe_billing::capture::PriceLine> {
    vec![
        crate::fixture::line(Payee::Platform, nano(400)),
        crate::fixture::line(Payee::Creator(wallet(8)), nano(200)),
        crate::fixture::line(Payee::Organization(payee), nano(100)),
    ]
}

const STATE: &[&str] = &[
    "SELECT hex(address) || orchestrator_index || name || hex(owner) || created_at
     FROM organizations WHERE on_chain = 1 ORDER BY 1",
    "SELECT hex(o.address) || hex(m.wallet_address) || m.role || m.created_at
     FROM org_members m JOIN organizations o ON o.id = m.org_id WHERE o.on_chain = 1 ORDER BY 1",
    "SELECT hex(address) || name || coalesce(price_per_call, '-') || coalesce(next_price, '-') ||
            coalesce(next_price_at, '-') || retired || created_at
     FROM products WHERE on_chain = 1 ORDER BY 1",
    "SELECT hex(wallet_address) || identity_id || created_at || coalesce(hex(payout_address), '-') ||
            coalesce(hex(next_payout_address), '-') || coalesce(next_payout_at, '-') FROM creators ORDER BY 1",
    "SELECT hex(o.address) || hex(p.address) || max_price_units FROM org_products e
     JOIN organizations o ON o.id = e.org_id JOIN products p ON p.id = e.product_id WHERE o.on_chain = 1 ORDER BY 1",
    "SELECT hex(e.tx) || e.log_index || d.units || d.confirmed || d.block
     FROM deposits d JOIN chain_events e ON e.id = d.id ORDER BY 1",
    "SELECT hex(e.tx) || e.log_index || w.frozen || coalesce(replace(booked, 'void', 'cancelled'), '-')
     FROM withdrawals w JOIN chain_events e ON e.id = w.id ORDER BY 1",
    "SELECT hex(tx) || log_index || block || kind || body FROM chain_events ORDER BY 1",
    "SELECT name || balance FROM ledger_accounts
     WHERE name IN ('platform', 'platform/loss', 'chain/orchestrator') OR name LIKE 'creator/%' ORDER BY 1",
    "SELECT hex(o.address) || coalesce(b.daily_cap, '-') FROM org_books b
     JOIN organizations o ON o.id = b.org_id WHERE o.on_chain = 1 ORDER BY 1",
    "SELECT seq || hex(root) || hex(settled_tx) || final FROM batches ORDER BY 1",
    "SELECT seq || '/' || line || coalesce(skipped, '-') FROM batch_lines ORDER BY 1",
    "SELECT hex(call) || coalesce(batch_seq, '-') || skipped FROM usage_records ORDER BY 1",
    "SELECT hex(o.address) || c.payee || c.amount FROM settlement_carry c
     JOIN organizations o ON o.id = c.org_id WHERE c.amount <> 0 ORDER BY 1",
    "SELECT kind FROM alarms ORDER BY 1",
    "SELECT number || hex(hash) || time FROM chain_blocks WHERE number >= 2 AND number >= (SELECT max(number) - 3 FROM chain_blocks) ORDER BY 1",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_way_through_the_chain_ends_where_the_straight_way_does(
        blocks in story(),
        skip: bool,
        moves in moves(),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut straight = Run::start(blocks.clone(), skip).await;
            for _ in 0..BLOCKS {
                straight.forward(1).await;
            }
            let straight = straight.finish().await;
            let mut winding = Run::start(blocks, skip).await;
            for step in moves {
                match step {
                    Move::Forward(count) => winding.forward(count).await,
                    Move::Back(count) => winding.back(count).await,
                    Move::Astray(count, body) => winding.astray(count, body).await,
                }
                winding.fixture.assert_sound().await;
            }
            let winding = winding.finish().await;
            let (straight, winding) = (straight.state().await, winding.state().await);
            for (winding, straight) in winding.iter().zip(&straight) {
                assert_eq!(winding, straight);
            }
            assert_eq!(winding.len(), straight.len());
        });
    }
}
