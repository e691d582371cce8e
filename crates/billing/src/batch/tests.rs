use super::*;
use crate::{
    merkle,
    ports::SealInput,
    receipt::{RECEIPT_VERSION, leaf, receipt_id32},
};
use haithe_kernel::Decimals;
use proptest::prelude::*;
use std::{collections::BTreeMap, time::Duration};
use uuid::Uuid;

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
const CREATOR: Payee = Payee::Creator(WalletAddress::new([0xcc; 20]));

fn policy(decimals: u8) -> SealPolicy {
    SealPolicy {
        max_items: 1_000,
        max_amount: Usdt::whole(100),
        max_age: Duration::from_secs(60),
        max_lines: 50,
        max_credits_per_line: 20,
        ..SealPolicy::new(Decimals::new(decimals).unwrap())
    }
}

fn contract(org: i64) -> WalletAddress {
    WalletAddress::new([u8::try_from(org).unwrap(); 20])
}

fn item(call: u128, org: i64, credits: &[(Payee, i64)]) -> BatchItem {
    BatchItem {
        call: CallId(Uuid::from_u128(call)),
        org: OrgId(org),
        org_address: contract(org),
        credits: credits
            .iter()
            .map(|(payee, nano)| (*payee, Usdt::from_nano(*nano)))
            .collect(),
        receipt_hash: [u8::try_from(call % 256).unwrap(); 32],
        due_since: NOW,
    }
}

fn input(items: Vec<BatchItem>) -> SealInput {
    SealInput {
        items,
        payee_orgs: (1..=9).map(|org| (OrgId(org), contract(org))).collect(),
        ..SealInput::default()
    }
}

fn carry(org: i64, payee: Payee, nano: i64) -> (CarryKey, Usdt) {
    let org = OrgId(org);
    (CarryKey { org, payee }, Usdt::from_nano(nano))
}

fn carried(carry: impl IntoIterator<Item = (CarryKey, Usdt)>) -> Vec<Carry> {
    let carried = |(key, amount)| Carry {
        key,
        amount,
        since: NOW,
    };
    carry.into_iter().map(carried).collect()
}

fn credits(line: &BatchLine) -> Vec<(Payee, u128, i64)> {
    line.credits
        .iter()
        .map(|credit| (credit.payee, credit.units.get(), credit.amount.nano()))
        .collect()
}

#[test]
fn calls_are_summed_per_organization_and_payee() {
    let items = vec![
        item(1, 2, &[(Payee::Platform, 1_000), (CREATOR, 5_000)]),
        item(2, 1, &[(Payee::Platform, 7_000)]),
        item(3, 2, &[(CREATOR, 1_000), (Payee::Organization(OrgId(1)), 3_000)]),
    ];
    let batch = Batch::build(9, input(items), &policy(6), NOW).unwrap();

    let orgs: Vec<_> = batch.lines.iter().map(|line| (line.org, line.address)).collect();
    assert_eq!(orgs, [(OrgId(1), contract(1)), (OrgId(2), contract(2))]);
    assert_eq!(credits(&batch.lines[0]), [(Payee::Platform, 7, 7_000)]);
    assert_eq!(
        credits(&batch.lines[1]),
        [
            (Payee::Platform, 1, 1_000),
            (CREATOR, 6, 6_000),
            (Payee::Organization(OrgId(1)), 3, 3_000)
        ]
    );
    let addresses: Vec<_> = batch.lines[1]
        .credits
        .iter()
        .map(|credit| credit.address)
        .collect();
    assert_eq!(
        addresses,
        [
            WalletAddress::new([0; 20]),
            WalletAddress::new([0xcc; 20]),
            contract(1)
        ]
    );
    assert_eq!((batch.seq, batch.sealed_at), (9, NOW));
}

#[test]
fn with_six_decimals_what_is_below_a_unit_waits_for_the_next_batch() {
    let mut first = input(vec![item(1, 1, &[(Payee::Platform, 1_999), (CREATOR, 999)])]);
    first.carry = carried([carry(1, Payee::Platform, 2), carry(2, CREATOR, 500)]);
    let batch = Batch::build(1, first, &policy(6), NOW).unwrap();
    assert_eq!(credits(&batch.lines[0]), [(Payee::Platform, 2, 2_000)]);
    assert_eq!(
        batch.carry,
        [carry(1, Payee::Platform, 1), carry(1, CREATOR, 999)]
    );

    let mut second = input(vec![item(2, 1, &[(CREATOR, 1)])]);
    second.carry = carried(batch.carry);
    let batch = Batch::build(2, second, &policy(6), NOW).unwrap();
    assert_eq!(credits(&batch.lines[0]), [(CREATOR, 1, 1_000)]);
    assert_eq!(batch.carry, [carry(1, CREATOR, 0)], "only what changes");
}

#[test]
fn with_eighteen_decimals_nothing_is_carried() {
    let items = vec![item(1, 1, &[(Payee::Platform, i64::MAX)])];
    let batch = Batch::build(1, input(items), &policy(18), NOW).unwrap();
    let units = u128::try_from(i64::MAX).unwrap() * 1_000_000_000;
    assert_eq!(credits(&batch.lines[0]), [(Payee::Platform, units, i64::MAX)]);
    assert!(units < 1 << 96, "a credit must fit the contract's uint96");
    assert_eq!(batch.carry, []);
}

#[test]
fn a_free_call_has_a_line_and_a_leaf_but_no_credit() {
    let items = vec![item(1, 3, &[]), item(2, 4, &[(Payee::Platform, 1)])];
    let batch = Batch::build(1, input(items), &policy(6), NOW).unwrap();
    assert_eq!(batch.lines.len(), 2);
    assert!(batch.lines.iter().all(|line| line.credits.is_empty()));
    assert_eq!(
        batch.items.iter().map(|item| item.line).collect::<Vec<_>>(),
        [0, 1]
    );
}

#[test]
fn every_leaf_binds_its_call_its_line_and_what_was_charged() {
    let items = vec![
        item(7, 2, &[(Payee::Platform, 1_000), (CREATOR, 5)]),
        item(8, 1, &[(CREATOR, 3)]),
    ];
    let batch = Batch::build(5, input(items), &policy(6), NOW).unwrap();
    let expected = |call: u8, line, org, nano| {
        let id = receipt_id32(CallId(Uuid::from_u128(u128::from(call))));
        let nano = Usdt::from_nano(nano);
        leaf(RECEIPT_VERSION, id, 5, line, contract(org), nano, [call; 32])
    };
    assert_eq!(batch.items[0].leaf, expected(7, 1, 2, 1_005));
    assert_eq!(batch.items[1].leaf, expected(8, 0, 1, 3));
    let tree = merkle::Tree::new(batch.items.iter().map(|item| item.leaf).collect());
    assert_eq!(batch.root, tree.root());
}

#[test]
fn the_policys_bounds_are_never_exceeded() {
    let build = |bounds: (u32, u32, u32)| {
        let items = vec![
            item(1, 1, &[(Payee::Platform, 1_000), (CREATOR, 1_000)]),
            item(2, 2, &[(Payee::Platform, 1_000)]),
        ];
        let policy = SealPolicy {
            max_items: bounds.0,
            max_lines: bounds.1,
            max_credits_per_line: bounds.2,
            ..policy(6)
        };
        Batch::build(1, input(items), &policy, NOW).map(drop)
    };
    let too_large = |what, most| Err(BatchError::TooLarge { what, most });
    assert_eq!(build((2, 2, 2)), Ok(()));
    assert_eq!(build((1, 2, 2)), too_large("calls", 1));
    assert_eq!(build((2, 1, 2)), too_large("organizations", 1));
    assert_eq!(build((2, 2, 1)), too_large("payees of one organization", 1));
    let policy = SealPolicy {
        batch_gas: 500_000,
        ..policy(6)
    };
    let batch = Batch::build(1, input(vec![item(1, 1, &[(CREATOR, 1_000)])]), &policy, NOW);
    assert!(matches!(batch, Err(BatchError::TooMuchGas { most: 500_000, .. })));
}

#[test]
fn items_that_contradict_each_other_make_no_batch() {
    let build = |items| Batch::build(1, input(items), &policy(6), NOW).unwrap_err();
    let one = |credits: &[(Payee, i64)]| build(vec![item(1, 1, credits)]);
    let (org, stranger) = (OrgId(1), OrgId(77));
    assert_eq!(build(vec![]), BatchError::Empty);
    assert_eq!(
        build(vec![item(1, 1, &[]), item(1, 2, &[])]),
        BatchError::Twice(CallId(Uuid::from_u128(1)))
    );
    assert_eq!(one(&[(CREATOR, -1)]), BatchError::Amount(org));
    assert_eq!(
        one(&[(CREATOR, i64::MAX), (Payee::Platform, i64::MAX)]),
        BatchError::Amount(org)
    );
    assert_eq!(one(&[(Payee::Organization(org), 1)]), BatchError::PaysItself(org));
    assert_eq!(
        one(&[(Payee::Organization(stranger), 1_000)]),
        BatchError::UnknownPayee(stranger)
    );
    let mut moved = item(2, 1, &[]);
    moved.org_address = contract(9);
    assert_eq!(build(vec![item(1, 1, &[]), moved]), BatchError::TwoContracts(org));
}

fn payee() -> impl Strategy<Value = Payee> {
    prop_oneof![
        Just(Payee::Platform),
        (0u8..4).prop_map(|n| Payee::Creator(WalletAddress::new([0xc0 + n; 20]))),
        (6i64..=9).prop_map(|org| Payee::Organization(OrgId(org))),
    ]
}

fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), 0i64..3_000, 0i64..=1_000_000_000_000_000]
}

prop_compose! {
    fn any_input()(
        calls in prop::collection::vec(
            (1i64..=5, prop::collection::vec((payee(), amount()), 0..5)), 1..40),
        carried_over in prop::collection::btree_map((1i64..=5, payee()), 0i64..1_000, 0..10),
    ) -> SealInput {
        let items = (1u128..).zip(&calls).map(|(call, (org, credits))| item(call, *org, credits)).collect();
        let carry = carried_over.into_iter().map(|((org, payee), nano)| carry(org, payee, nano));
        SealInput { carry: carried(carry), ..input(items) }
    }
}

type Books = BTreeMap<(OrgId, Payee), i128>;

fn add(books: &mut Books, org: OrgId, payee: Payee, amount: Usdt) {
    *books.entry((org, payee)).or_default() += i128::from(amount.nano());
}

proptest! {
    #[test]
    fn items_and_old_carry_are_exactly_credits_and_new_carry(
        input in any_input(),
        digits in prop_oneof![Just(6u8), Just(18), 6u8..=18],
    ) {
        let decimals = Decimals::new(digits).unwrap();
        let batch = Batch::build(3, input.clone(), &policy(digits), NOW).unwrap();
        let settled = |org: OrgId| batch.lines.iter().any(|line| line.org == org);

        let (mut before, mut after) = (Books::new(), Books::new());
        for item in &input.items {
            for (payee, amount) in &item.credits {
                add(&mut before, item.org, *payee, *amount);
            }
        }
        let mut rests: BTreeMap<CarryKey, Usdt> = BTreeMap::new();
        for carry in input.carry.iter().filter(|carry| settled(carry.key.org)) {
            add(&mut before, carry.key.org, carry.key.payee, carry.amount);
            rests.insert(carry.key, carry.amount);
        }
        rests.extend(batch.carry.iter().copied());
        for line in &batch.lines {
            for credit in &line.credits {
                prop_assert!(credit.units.get() > 0);
                let exact = Usdt::from_units(credit.units, decimals);
                prop_assert_eq!(exact, Ok((credit.amount, TokenUnits::ZERO)));
                add(&mut after, line.org, credit.payee, credit.amount);
            }
        }
        let unit = 10i64.pow(9u32.saturating_sub(decimals.digits()));
        for (key, rest) in &rests {
            prop_assert!((0..unit).contains(&rest.nano()) || !batch.carry.contains(&(*key, *rest)));
            add(&mut after, key.org, key.payee, *rest);
        }
        before.retain(|_, amount| *amount != 0);
        after.retain(|_, amount| *amount != 0);
        prop_assert_eq!(before, after);
    }

    #[test]
    fn lines_and_payees_are_sorted_and_every_call_is_on_its_organizations_line(input in any_input()) {
        let batch = Batch::build(3, input.clone(), &policy(6), NOW).unwrap();
        prop_assert!(batch.lines.is_sorted_by(|a, b| a.org < b.org));
        prop_assert!(batch.lines.iter().all(|line| line.credits.is_sorted_by(|a, b| a.payee < b.payee)));
        prop_assert_eq!(batch.items.len(), input.items.len());
        for (sealed, item) in batch.items.iter().zip(&input.items) {
            prop_assert_eq!(sealed.call, item.call);
            prop_assert_eq!(batch.lines[sealed.line as usize].org, item.org);
        }
    }

    #[test]
    fn the_same_calls_in_any_order_make_the_same_transaction(
        (input, shuffled) in any_input().prop_flat_map(|input| {
            let items = Just(input.items.clone()).prop_shuffle();
            (Just(input), items)
        }),
    ) {
        let build = |input| Batch::build(3, input, &policy(6), NOW).unwrap();
        let batch = build(input.clone());
        prop_assert_eq!(&batch, &build(input.clone()));
        let other = build(SealInput { items: shuffled, ..input });
        prop_assert_eq!((batch.root, batch.lines, batch.carry), (other.root, other.lines, other.carry));
    }
}
