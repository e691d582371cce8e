use super::*;
use crate::ports::{MockBooks, MockChainReader};
use haithe_kernel::{OrgId, Timestamp};
use proptest::prelude::*;

const ORG: WalletAddress = WalletAddress::new([0x0a; 20]);
const ORCHESTRATOR: WalletAddress = WalletAddress::new([0x0b; 20]);

fn decimals(digits: u8) -> Decimals {
    Decimals::new(digits).unwrap()
}

fn position() -> OrgPosition {
    OrgPosition {
        org: OrgId(4),
        address: ORG,
        available: Usdt::whole(5),
        unsettled: Usdt::from_nano(1_000_000_500),
        withdrawing: Usdt::from_nano(999_999_500),
        unconfirmed_in: TokenUnits::ZERO,
        unconfirmed_out: TokenUnits::ZERO,
        dust: TokenUnits::ZERO,
        mirror: Usdt::whole(7),
    }
}

fn snapshot(orgs: Vec<OrgPosition>) -> LedgerSnapshot {
    LedgerSnapshot {
        block: 42,
        orgs,
        sum_of_postings: 0,
        unbalanced: Vec::new(),
        drifted: Vec::new(),
        orchestrator_mirror: Usdt::whole(3),
        escrow: Usdt::ZERO,
        escrow_under_way: Usdt::ZERO,
        next_batch: 0,
        orchestrator_unconfirmed: 0,
        broken_receipts: 0,
        at: Timestamp::from_seconds(1_700_000_000),
    }
}

/// What is found when the organization's contract and the orchestrator hold these base units.
async fn check(snapshot: LedgerSnapshot, org: u128, orchestrator: u128, digits: u8) -> LedgerReport {
    let mut books = MockBooks::new();
    books.expect_snapshot().returning(move || Ok(snapshot.clone()));
    let mut reader = MockChainReader::new();
    reader.expect_token_balances().returning(move |holders, block| {
        assert_eq!(block, Some(42), "all at the block of the snapshot");
        let units = |holder: &WalletAddress| if *holder == ORG { org } else { orchestrator };
        Ok(holders
            .iter()
            .map(|holder| TokenUnits::new(units(holder)))
            .collect())
    });
    let check = LedgerCheck::new(Arc::new(books), Arc::new(reader), ORCHESTRATOR, decimals(digits));
    check.run().await.unwrap()
}

const SIX: u128 = 1_000_000;
const EIGHTEEN: u128 = 1_000_000_000_000_000_000;

#[tokio::test]
async fn a_ledger_that_agrees_is_clean_at_both_ends_of_the_decimals() {
    let report = check(snapshot(vec![position()]), 7 * SIX, 3 * SIX, 6).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(
        report.to_string(),
        "ledger at block 42, 2023-11-14T22:13:20Z\n\
         ok      organization 4 0x0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a: on chain 7 = available 5 + unsettled \
         1.0000005 + withdrawing 0.9999995\n\
         ok      orchestrator 0x0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b: on chain 3\n\
         the ledger agrees with itself and with the chain"
    );
    let report = check(snapshot(vec![position()]), 7 * EIGHTEEN, 3 * EIGHTEEN, 18).await;
    assert!(report.is_clean(), "{report}");
}

#[tokio::test]
async fn what_is_seen_and_does_not_count_yet_is_part_of_the_identity() {
    let seen = OrgPosition {
        unconfirmed_in: TokenUnits::new(5),
        unconfirmed_out: TokenUnits::new(2),
        dust: TokenUnits::new(1),
        ..position()
    };
    let mut books = snapshot(vec![seen]);
    books.orchestrator_unconfirmed = -7;
    let report = check(books, 7 * EIGHTEEN + 4, 3 * EIGHTEEN - 7, 18).await;
    assert!(report.is_clean(), "{report}");
    let text = report.to_string();
    assert!(
        text.contains("+ unconfirmed in 0.000000000000000005 - unconfirmed out 0.000000000000000002 + dust"),
        "{text}"
    );
}

#[tokio::test]
async fn one_base_unit_too_much_or_too_little_is_found() {
    for (digits, one, whole) in [(6, 1, SIX), (18, 1, EIGHTEEN)] {
        let less = check(snapshot(vec![position()]), 7 * whole - one, 3 * whole, digits).await;
        let more = check(snapshot(vec![position()]), 7 * whole + one, 3 * whole, digits).await;
        assert_eq!((less.problems(), more.problems()), (1, 1));
        let amount = if digits == 6 {
            "0.000001"
        } else {
            "0.000000000000000001"
        };
        assert!(
            less.to_string()
                .contains(&format!("the chain holds {amount} USDT less")),
            "{less}"
        );
        assert!(
            more.to_string()
                .contains(&format!("the chain holds {amount} USDT more")),
            "{more}"
        );
    }
}

#[tokio::test]
async fn an_organization_in_debt_that_the_chain_agrees_with_is_clean() {
    let rewound = OrgPosition {
        available: Usdt::whole(-2),
        mirror: Usdt::ZERO,
        ..position()
    };
    let report = check(snapshot(vec![rewound]), 0, 3 * SIX, 6).await;
    assert!(report.is_clean(), "{report}");
}

#[tokio::test]
async fn a_stray_transfer_to_the_orchestrator_is_shown_and_no_fault_but_a_loss_is() {
    let stray = check(snapshot(vec![]), 0, 3 * SIX + 1, 6).await;
    assert!(stray.is_clean());
    assert!(
        stray.to_string().contains("0.000001 USDT more than was settled"),
        "{stray}"
    );
    let lost = check(snapshot(vec![]), 0, 3 * SIX - 1, 6).await;
    assert_eq!(lost.problems(), 1);
    assert!(
        lost.to_string().contains("0.000001 USDT less than creators"),
        "{lost}"
    );
}

#[tokio::test]
async fn every_contradiction_within_the_ledger_is_a_problem() {
    let mut books = snapshot(vec![OrgPosition {
        mirror: Usdt::whole(8),
        ..position()
    }]);
    books.sum_of_postings = -3;
    books.unbalanced = vec!["call/1".to_owned(), "call/2".to_owned()];
    books.drifted = vec!["platform".to_owned()];
    books.broken_receipts = 9;
    let report = check(books, 7 * SIX, 3 * SIX, 6).await;
    assert_eq!(report.problems(), 6);
    let text = report.to_string();
    for part in [
        "mirror of the chain (8) holds 1 USDT more",
        "sum to -3 nano-USDT",
        "transaction call/2 does",
        "account platform is not",
        "9 captured calls",
        "6 problems",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[tokio::test]
async fn an_amount_beyond_comparison_harms_only_its_own_row() {
    let report = check(snapshot(vec![position()]), u128::MAX, 3 * SIX, 6).await;
    assert_eq!(report.orgs[0].surplus, Difference::Unknown);
    assert_eq!(report.problems(), 1);
    assert!(report.to_string().contains("beyond comparison"));
}

#[tokio::test]
async fn a_difference_that_is_gone_at_the_second_look_was_the_chain_moving() {
    let mut books = MockBooks::new();
    books
        .expect_snapshot()
        .times(2)
        .returning(|| Ok(snapshot(vec![position()])));
    let mut reader = MockChainReader::new();
    let mut looks = [[3, 6], [3, 7]].into_iter();
    reader.expect_token_balances().times(2).returning(move |_, _| {
        let look = looks.next().unwrap();
        Ok(look.map(|whole| TokenUnits::new(whole * SIX)).to_vec())
    });
    let check = LedgerCheck::new(Arc::new(books), Arc::new(reader), ORCHESTRATOR, decimals(6));
    assert!(check.run().await.unwrap().is_clean());
}

#[tokio::test]
async fn without_a_node_there_is_no_verdict() {
    let mut books = MockBooks::new();
    books
        .expect_snapshot()
        .returning(|| Ok(snapshot(vec![position()])));
    let mut reader = MockChainReader::new();
    reader
        .expect_token_balances()
        .returning(|_, _| Err(ChainError::unavailable("no node")));
    let check = LedgerCheck::new(Arc::new(books), Arc::new(reader), ORCHESTRATOR, decimals(6));
    assert!(matches!(check.run().await, Err(CheckError::Chain(_))));
}

#[tokio::test]
async fn all_organizations_are_asked_for_in_one_request_to_the_port() {
    let mut books = MockBooks::new();
    books
        .expect_snapshot()
        .returning(|| Ok(snapshot(vec![position(); 1_000])));
    let mut reader = MockChainReader::new();
    reader.expect_token_balances().times(1).returning(|holders, _| {
        let units = |holder: &WalletAddress| TokenUnits::new(if *holder == ORG { 7 } else { 3 } * SIX);
        Ok(holders.iter().map(units).collect())
    });
    let check = LedgerCheck::new(Arc::new(books), Arc::new(reader), ORCHESTRATOR, decimals(6));
    assert!(check.run().await.unwrap().is_clean());
}

#[tokio::test]
async fn an_answer_with_too_few_balances_is_no_verdict() {
    let mut books = MockBooks::new();
    books
        .expect_snapshot()
        .returning(|| Ok(snapshot(vec![position()])));
    let mut reader = MockChainReader::new();
    reader
        .expect_token_balances()
        .returning(|_, _| Ok(vec![TokenUnits::new(3 * SIX)]));
    let check = LedgerCheck::new(Arc::new(books), Arc::new(reader), ORCHESTRATOR, decimals(6));
    assert!(matches!(check.run().await, Err(CheckError::Chain(_))));
}

proptest! {
    #[test]
    fn the_identity_holds_exactly_when_both_sides_are_equal(
        units in (0u64..=1 << 50, 0u64..1 << 20, 0u64..1 << 20),
        digits in 6u8..=18,
        share in 0i128..=1_000,
        off in -3i64..=3,
    ) {
        let decimals = decimals(digits);
        let (confirmed, incoming, outgoing) = units;
        let (mirror, dust) = Usdt::from_units(TokenUnits::new(confirmed.into()), decimals).unwrap();
        let unsettled = i64::try_from(i128::from(mirror.nano()) * share / 1_000).unwrap();
        let outgoing = outgoing.min(confirmed);
        let position = OrgPosition {
            available: Usdt::from_nano(mirror.nano() - unsettled),
            unsettled: Usdt::from_nano(unsettled),
            withdrawing: Usdt::ZERO,
            unconfirmed_in: TokenUnits::new(incoming.into()),
            unconfirmed_out: TokenUnits::new(outgoing.into()),
            dust,
            mirror,
            ..position()
        };
        let held = i128::from(confirmed) + i128::from(incoming) - i128::from(outgoing) + i128::from(off);
        prop_assume!(held >= 0);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let held = u128::try_from(held).unwrap();
        let orchestrator = 3 * 10u128.pow(digits.into());
        let report = runtime.block_on(check(snapshot(vec![position]), held, orchestrator, digits));
        prop_assert_eq!(report.is_clean(), off == 0);
    }
}
