//! The gas allowance of a line: `GasModel::MEASURED` has the contract's constants, and no line takes more,
//! whatever it credits, however often its payees were paid before, and with a token that is dearer than
//! OpenZeppelin's.
//!
//! A line's gas is measured by calling `settleLine` as the orchestrator itself, in a transaction of its own:
//! all storage is cold, so it is at least what the same line takes inside of a batch.

use alloy::{
    primitives::{Address, Bytes, U256},
    rpc::types::TransactionRequest,
    sol_types::SolError,
};
use haithe_billing::batch::{CreditCounts, GasModel};

use crate::{
    bindings::{HaitheOrchestrator, Line},
    gas_bound::Cast,
    scene::{ANY_ROOT, line},
    world::{DELAY, GAS_LIMIT, HOUR, Money, Person, TOKEN_SILENT, TOKEN_TAKES_FEE, World},
};

/// Gas that the dearest supported token's `transfer` takes beyond OpenZeppelin's ERC20.
pub const EXTRA_GAS: u64 = 15_000;

/// In percent: how much more than measured an allowance must be.
const MARGIN: u64 = 20;

/// How exactly gas is measured.
const PRECISION: u64 = 64;

/// A world whose token takes `EXTRA_GAS` more per transfer.
pub async fn slow_token() -> World {
    let world = World::with(Money::Tricky(6)).await;
    let call = world.token.setExtraGas(U256::from(EXTRA_GAS));
    world.act(&world.people.mallory, call).await;
    world
}

/// Gas of a transaction before its first instruction.
fn intrinsic(calldata: &Bytes) -> u64 {
    let bytes = calldata.iter().map(|byte| if *byte == 0 { 4 } else { 16 });
    21_000 + bytes.sum::<u64>()
}

/// The call of a line as the contract makes it, and its gas before the first instruction.
fn call_of(world: &World, line: &Line) -> (TransactionRequest, u64) {
    let call = world.hub.settleLine(line.clone());
    let before = intrinsic(call.calldata());
    (call.into_transaction_request(), before)
}

/// The least gas limit with which the call of a line succeeds, at most [`PRECISION`] too high.
pub async fn gas_of(world: &World, line: &Line) -> u64 {
    let (request, before) = call_of(world, line);
    let hub = *world.hub.address();
    let (mut fails, mut works) = (before, GAS_LIMIT);
    let with = async |gas| world.simulate_with_gas(hub, request.clone(), gas).await;
    with(works).await.expect("the line is settled");
    while fails + PRECISION < works {
        let middle = fails.midpoint(works);
        if with(middle).await.is_ok() {
            works = middle;
        } else {
            fails = middle;
        }
    }
    works - before
}

/// Figures of one kind of lines: how many credits, and the gas.
struct Measured<'a> {
    what: String,
    cast: &'a Cast,
    figures: Vec<(u64, u64)>,
}

impl<'a> Measured<'a> {
    fn of(what: String, cast: &'a Cast) -> Self {
        Self {
            what,
            cast,
            figures: Vec::new(),
        }
    }

    /// Asserts that the allowance exceeds the line's gas by the margin.
    async fn add(&mut self, line: &Line) {
        let count = line.credits.len() as u64;
        let gas = gas_of(&self.cast.world, line).await;
        let limit = GasModel::MEASURED.line_limit(self.cast.counts(line));
        println!("{:<64} {count:>3} credits: {gas:>8} of {limit:>8} gas", self.what);
        assert!(
            gas * (100 + MARGIN) <= limit * 100,
            "{} x {count}: {gas} of {limit}",
            self.what
        );
        self.figures.push((count, gas));
    }

    /// Asserts that no credit more takes more than its allowance, so that the allowance holds for every
    /// number of credits.
    fn grows_within_the_allowance(&self) {
        for pair in self.figures.windows(2) {
            let [(few, low), (many, high)] = [pair[0], pair[1]];
            let each = (high - low).div_ceil(many - few);
            assert!(
                each * (100 + MARGIN) <= GasModel::MEASURED.credit_allowance * 100,
                "{}: {each} gas per credit between {few} and {many}",
                self.what
            );
        }
    }
}

/// Measures lines of every kind and size as things are now. `platform` is the platform's share.
async fn measure(cast: &Cast, what: &str, org: Address, platform: U256) {
    let amount = U256::from(1_000);
    let mut plain = Measured::of(format!("{what}, platform only"), cast);
    plain.add(&line(org, platform, &[])).await;
    for (kind, counts) in [
        ("creators", &[1, 64][..]),
        ("organizations", &[1, 8, 64]),
        ("both", &[128]),
    ] {
        let mut measured = Measured::of(format!("{what}, {kind}"), cast);
        measured.figures.clone_from(&plain.figures);
        for &count in counts {
            let payees: Vec<Address> = match kind {
                "creators" => cast.creators[..count].to_vec(),
                "organizations" => cast.shops[..count].to_vec(),
                _ => [&cast.shops[..count / 2], &cast.creators[..count / 2]].concat(),
            };
            let credits: Vec<_> = payees.into_iter().map(|payee| (payee, amount)).collect();
            measured.add(&line(org, platform, &credits)).await;
        }
        measured.grows_within_the_allowance();
    }
}

/// Two payers and 64 payees of each kind. There was a pause and the second payer lowers its cap, so that every
/// path that reads storage is taken. The storage of the first payer's cap is empty.
async fn cast(world: World) -> Cast {
    let cast = Cast::on(world, 2, 64, 64).await;
    let world = &cast.world;
    let people = &world.people;
    world.act(&people.guardian, world.hub.pause()).await;
    world.chain.advance_time(HOUR);
    world.act(&people.operator, world.hub.unpause()).await;
    let org = world.org(cast.payers[1]);
    world.act(&people.alice, org.setDailyCap(world.usdt(900))).await;
    cast
}

async fn holds(world: World, name: &str) {
    let cast = cast(world).await;
    let world = &cast.world;
    let hub = *world.hub.address();
    let [payer, lowered] = [cast.payers[0], cast.payers[1]];
    let cent = world.usdt(1) / U256::from(100);
    measure(&cast, &format!("{name}: first"), payer, cent).await;
    // Before the lower cap is in effect, the same storage is read.
    world.chain.advance_time(DELAY);
    measure(&cast, &format!("{name}: first, cap lowered"), lowered, cent).await;
    for payees in [&cast.creators, &cast.shops] {
        for payees in payees.chunks(32) {
            let credits: Vec<_> = payees.iter().map(|payee| (*payee, cent)).collect();
            world.settle(vec![line(payer, world.usdt(1), &credits)]).await;
        }
    }
    measure(&cast, &format!("{name}: repeated"), payer, cent).await;
    measure(&cast, &format!("{name}: escrow"), hub, U256::ZERO).await;
}

/// Finding 1: lines of up to 128 credits of both kinds, to payees that were never paid and that were, within
/// a cap that was lowered, and lines that pay escrow out, stay below their allowance by the margin.
#[tokio::test]
async fn no_line_takes_its_allowance() {
    holds(World::plain().await, "18 decimals").await;
    holds(World::with(Money::Tricky(6)).await, "silent token").await;
    holds(slow_token().await, &format!("{EXTRA_GAS} more per transfer")).await;
}

#[tokio::test]
async fn a_line_that_fails_reverts_with_its_reason_within_its_allowance() {
    let cast = cast(slow_token().await).await;
    let world = &cast.world;
    let cent = world.usdt(1) / U256::from(100);
    let fails = async |line: &Line| {
        let (request, before) = call_of(world, line);
        let limit = GasModel::MEASURED.line_limit(cast.counts(line));
        let hub = *world.hub.address();
        world
            .simulate_with_gas(hub, request, before + limit)
            .await
            .unwrap_err()
    };
    for count in [0, 1, 31] {
        let mut credits: Vec<_> = cast.shops[..count].iter().map(|shop| (*shop, cent)).collect();
        world.misbehave(TOKEN_TAKES_FEE).await;
        let fee = fails(&line(cast.payers[0], cent, &credits)).await;
        HaitheOrchestrator::WrongAmountReceived::abi_decode(&fee).unwrap();
        world.misbehave(TOKEN_SILENT).await;
        // Everything before the unknown payee is done and undone.
        credits.push((Person::named("a stranger").address, cent));
        let unknown = fails(&line(cast.payers[0], cent, &credits)).await;
        HaitheOrchestrator::UnknownPayee::abi_decode(&unknown).unwrap();
    }
}

/// A batch of one line with this many credits of each kind.
fn batch(cast: &Cast, creators: usize, shops: usize) -> (TransactionRequest, u64, CreditCounts) {
    let lines = cast.lines(1, &cast.creators[..creators], &cast.shops[..shops]);
    let counts = cast.counts(&lines[0]);
    let call = cast.world.hub.settleBatch(0, ANY_ROOT, lines);
    let before = intrinsic(call.calldata());
    (call.into_transaction_request(), before, counts)
}

#[tokio::test]
async fn the_contract_demands_the_allowance_of_the_model() {
    let cast = Cast::on(World::plain().await, 1, 64, 64).await;
    let server = cast.world.people.server.address;
    for (creators, shops) in [(0, 0), (1, 0), (0, 1), (33, 31), (64, 64)] {
        let (request, before, counts) = batch(&cast, creators, shops);
        // Enough to reach the line and not enough to start it.
        let gas = before + 140_000 + 1_000 * (creators + shops) as u64;
        let revert = cast
            .world
            .simulate_with_gas(server, request, gas)
            .await
            .unwrap_err();
        let error = HaitheOrchestrator::NotEnoughGas::abi_decode(&revert).unwrap();
        let expected = GasModel::MEASURED.line(counts).allowance;
        assert_eq!((error.line, error.needed), (U256::ZERO, U256::from(expected)));
    }
}

/// Whatever the gas limit is, a batch reverts or settles all of its lines: no line is skipped for a lack of
/// gas.
#[tokio::test]
async fn too_low_a_gas_limit_skips_no_line() {
    let cast = cast(slow_token().await).await;
    let server = cast.world.people.server.address;
    for (creators, shops) in [(0, 0), (0, 1), (32, 0), (0, 32), (64, 64)] {
        let (request, before, counts) = batch(&cast, creators, shops);
        let (mut fails, mut works) = (before, GasModel::MEASURED.alone(counts));
        let with = async |gas| {
            let output = cast.world.simulate_with_gas(server, request.clone(), gas).await;
            if let Ok(skipped) = &output {
                assert_eq!(
                    U256::from_be_slice(skipped),
                    U256::ZERO,
                    "{creators} x {shops} with {gas} gas"
                );
            }
            output.is_ok()
        };
        assert!(with(works).await, "{creators} x {shops}");
        while fails + 1 < works {
            let middle = fails.midpoint(works);
            if with(middle).await {
                works = middle;
            } else {
                fails = middle;
            }
        }
        println!("{creators} creators, {shops} organizations: at least {works} gas");
    }
}
