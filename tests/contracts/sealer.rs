//! The sealer's batches on the real contract: histories of random tenants, with the bound as gas limit.

use std::collections::{BTreeMap, HashSet};

use alloy::primitives::{Address, B256, U256};
use haithe_billing::{
    batch::{Batch, BatchItem, GasModel, Payers, SealPolicy, Sealer, Verdict},
    capture::Payee,
    ports::SealInput,
};
use haithe_kernel::{CallId, Decimals, OrgId, Timestamp, Usdt, WalletAddress};
use rand::{Rng, SeedableRng, rngs::StdRng};
use uuid::Uuid;

use crate::{
    bindings::{HaitheOrchestrator, Line},
    scene::line,
    world::{Person, World, events},
};

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
const PAYERS: usize = 12;
const SHOPS: usize = 12;
const CREATORS: usize = 60;

/// Histories in the ordinary run; `HAITHE_DEEP=1` (`cargo xtask test --deep`) runs 10,000.
fn histories() -> usize {
    if std::env::var_os("HAITHE_DEEP").is_some() {
        10_000
    } else {
        200
    }
}

fn wallet(address: Address) -> WalletAddress {
    WalletAddress::new(address.into_array())
}

struct Tenants {
    world: World,
    orgs: Vec<Address>,
    creators: Vec<Address>,
    calls: u128,
}

impl Tenants {
    async fn new() -> Self {
        let world = World::plain().await;
        let mut orgs = Vec::new();
        for i in 0..PAYERS + SHOPS {
            let name = format!("org {i}");
            let org = world.organization(&name, &world.people.alice, 1_000_000).await;
            orgs.push(org);
        }
        let mut creators = Vec::new();
        for i in 0..CREATORS {
            let creator = Person::named(&format!("creator {i}"));
            world.creator(&creator).await;
            creators.push(creator.address);
        }
        Self {
            world,
            orgs,
            creators,
            calls: 0,
        }
    }

    /// A charge of a random payer; the first two payers are hostile and pay as many as they can.
    fn charge(&mut self, rng: &mut StdRng) -> BatchItem {
        self.calls += 1;
        let payer = rng.random_range(0..PAYERS);
        let most = if payer < 2 { 32 } else { 3 };
        let mut credits = BTreeMap::from([(Payee::Platform, Usdt::from_nano(1_000))]);
        for _ in 0..rng.random_range(0..=most) {
            let creator = self.creators[rng.random_range(0..CREATORS)];
            credits.insert(
                Payee::Creator(wallet(creator)),
                Usdt::from_nano(rng.random_range(1..5_000)),
            );
        }
        if rng.random_range(0..3) == 0 {
            let shop = PAYERS + rng.random_range(0..SHOPS);
            credits.insert(Payee::Organization(OrgId(shop as i64)), Usdt::from_nano(700));
        }
        BatchItem {
            call: CallId(Uuid::from_u128(self.calls)),
            org: OrgId(payer as i64),
            org_address: wallet(self.orgs[payer]),
            credits: credits.into_iter().collect(),
            receipt_hash: [7; 32],
            due_since: NOW,
        }
    }

    /// The next batch of what waits, as a store seals it.
    fn seal(&self, seq: u64, waiting: &mut Vec<BatchItem>, policy: &SealPolicy) -> Batch {
        let mut sealer = Sealer::new(*policy, NOW, Payers::default());
        let mut taken = HashSet::new();
        loop {
            for item in waiting.iter() {
                if !taken.contains(&item.call) && sealer.offer(item, &[]) == Verdict::Taken {
                    taken.insert(item.call);
                }
            }
            if sealer.next_pass().is_none() {
                break;
            }
        }
        let items = waiting
            .extract_if(.., |item| taken.contains(&item.call))
            .collect();
        let payee_orgs = self.orgs.iter().enumerate();
        let input = SealInput {
            items,
            payee_orgs: payee_orgs
                .map(|(id, org)| (OrgId(id as i64), wallet(*org)))
                .collect(),
            ..SealInput::default()
        };
        Batch::build(seq, input, policy, NOW).unwrap()
    }

    async fn settle(&self, batch: &Batch, policy: &SealPolicy) {
        let lines: Vec<Line> = batch
            .lines
            .iter()
            .map(|sealed| {
                let platform = sealed
                    .credits
                    .iter()
                    .find(|credit| credit.payee == Payee::Platform);
                let credits: Vec<_> = sealed
                    .credits
                    .iter()
                    .filter(|credit| credit.payee != Payee::Platform)
                    .map(|credit| {
                        let payee = Address::from(*credit.address.as_bytes());
                        (payee, U256::from(credit.units.get()))
                    })
                    .collect();
                let platform = platform.map_or(U256::ZERO, |credit| U256::from(credit.units.get()));
                line(Address::from(*sealed.address.as_bytes()), platform, &credits)
            })
            .collect();
        let bound = policy.gas.bound_of(&batch.lines, &batch.payouts);
        assert!(bound <= policy.batch_gas);
        let call = self
            .world
            .hub
            .settleBatch(batch.seq, B256::from(batch.root), lines);
        let receipt = self
            .world
            .attempt_with_gas(&self.world.people.server, call, bound)
            .await;
        assert!(
            receipt.status(),
            "batch {} needs more than {bound} gas",
            batch.seq
        );
        let skipped = events::<HaitheOrchestrator::LineSkipped>(&receipt).len();
        assert_eq!(skipped, 0, "batch {}", batch.seq);
    }
}

/// Finding 1: no batch of random tenants, hostile ones among them, exceeds its gas bound on chain.
#[tokio::test]
async fn every_batch_of_random_tenants_settles_within_its_bound() {
    let mut tenants = Tenants::new().await;
    let mut rng = StdRng::seed_from_u64(11);
    let mut seq = 0;
    for _ in 0..histories() {
        let policy = SealPolicy {
            batch_gas: rng.random_range(7_000_000..15_000_000),
            gas: GasModel::MEASURED,
            ..SealPolicy::new(Decimals::new(18).unwrap())
        };
        let mut waiting: Vec<_> = (0..rng.random_range(1..25))
            .map(|_| tenants.charge(&mut rng))
            .collect();
        while !waiting.is_empty() {
            let batch = tenants.seal(seq, &mut waiting, &policy);
            tenants.settle(&batch, &policy).await;
            seq += 1;
        }
    }
    println!("{seq} batches of {} calls", tenants.calls);
}
