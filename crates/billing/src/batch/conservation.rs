//! Properties over random histories: charging, sealing, settling, skipping, dissolving and rewinding in any
//! order never create or lose money, and what is taken back is exactly what was there.

mod store;

use super::*;
use proptest::prelude::*;
use store::Store;

const BASE_UNIT: i64 = 1_000;
const PAGE: usize = 3;

fn payee(number: u8) -> Payee {
    match number {
        0 => Payee::Platform,
        1 => Payee::Creator(WalletAddress::new([7; 20])),
        _ => Payee::Organization(OrgId(9)),
    }
}

fn contract(org: OrgId) -> WalletAddress {
    WalletAddress::new([u8::try_from(org.0).unwrap(); 20])
}

#[derive(Debug, Clone)]
enum Step {
    /// An organization is charged for a call: its payee and nano-USDT for each line.
    Charge(i64, Vec<(u8, i64)>),
    /// The next batch is sealed; the first flag is that all payers withdraw, the second that the creator
    /// cannot be paid.
    Seal(bool, bool),
    /// The first open batch settles; lines whose bit is set are skipped.
    Settle(u8),
    /// Open batches from this one on are dissolved.
    Dissolve(u8),
    /// The block of the batch that settled last is gone.
    Rewind,
}

impl Step {
    fn run(self, store: &mut Store) {
        store.second += 1;
        match self {
            Self::Charge(org, lines) => store.charge(org, &lines),
            Self::Seal(withdraw, escrow) => store.seal(withdraw, escrow),
            Self::Settle(mask) => store.settle(mask),
            Self::Dissolve(from) => store.dissolve(from),
            Self::Rewind => store.rewind(),
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let line = (0u8..3, prop_oneof![0i64..3, 0i64..2_500]);
    prop_oneof![
        4 => (1i64..4, prop::collection::vec(line, 0..4)).prop_map(|(org, lines)| Step::Charge(org, lines)),
        3 => (any::<bool>(), any::<bool>()).prop_map(|(withdraw, escrow)| Step::Seal(withdraw, escrow)),
        3 => prop_oneof![Just(0u8), any::<u8>()].prop_map(Step::Settle),
        1 => (0u8..4).prop_map(Step::Dissolve),
        1 => Just(Step::Rewind),
    ]
}

proptest! {
    #[test]
    fn no_history_creates_or_loses_money(
        steps in prop::collection::vec(step(), 1..60),
        min_credit in prop_oneof![Just(0), Just(BASE_UNIT * 2)],
    ) {
        let mut store = Store::new(min_credit);
        for step in steps {
            step.run(&mut store);
            store.assert_conserved();
        }
    }

    /// When everything that is open settles and payers withdraw, each payee got what it was owed, but for
    /// less than a base unit of each payer.
    #[test]
    fn settlement_ends_with_less_than_a_base_unit_left(steps in prop::collection::vec(step(), 1..40)) {
        let mut store = Store::new(0);
        for step in steps {
            step.run(&mut store);
        }
        for _ in 0..8 {
            store.second += 1;
            store.seal(true, false);
            store.settle(0);
        }
        store.assert_conserved();
        prop_assert_eq!(store.waiting.len(), 0);
        for carry in store.carry.values() {
            prop_assert!(carry.amount < Usdt::from_nano(BASE_UNIT));
        }
    }
}
