use super::*;
use crate::chain::tests::event;
use haithe_kernel::{TokenUnits, Usdt};

const PAYER: OrgId = OrgId(1);
const CONTRACT: WalletAddress = WalletAddress::new([1; 20]);
const ORCHESTRATOR: WalletAddress = WalletAddress::new([0xee; 20]);

fn wallet(number: u8) -> WalletAddress {
    WalletAddress::new([number; 20])
}

fn creator(number: u8) -> (Payee, WalletAddress) {
    (Payee::Creator(wallet(number)), wallet(number))
}

fn org(number: u8) -> (Payee, WalletAddress) {
    (Payee::Organization(OrgId(number.into())), wallet(number))
}

fn credit((payee, address): (Payee, WalletAddress), nano: i64) -> BatchCredit {
    BatchCredit {
        payee,
        address,
        units: TokenUnits::new(u128::try_from(nano).unwrap()),
        amount: Usdt::from_nano(nano),
        escrow: false,
    }
}

fn escrowed(payee: (Payee, WalletAddress), nano: i64) -> BatchCredit {
    BatchCredit {
        escrow: true,
        ..credit(payee, nano)
    }
}

fn line(credits: Vec<BatchCredit>) -> StoredLine {
    StoredLine {
        line: 0,
        org: PAYER,
        address: CONTRACT,
        skipped: None,
        credits,
    }
}

fn batch(lines: Vec<StoredLine>, payouts: Vec<BatchCredit>) -> StoredBatch {
    StoredBatch {
        seq: 5,
        root: [5; 32],
        settled: None,
        is_final: false,
        payouts_skipped: false,
        lines,
        payouts,
    }
}

#[test]
fn a_skipped_line_is_blamed_on_the_payer_or_on_the_only_payee_that_can_be_at_fault() {
    use SkipReason::{DailyCap, InsufficientFunds, Other, TransferFailed, UnknownOrganization, UnknownPayee};
    let payee = |(payee, _)| Some(Blame::Payee(payee));
    let payer = Some(Blame::Payer);
    for (reason, named, payees, expected) in [
        (InsufficientFunds, None, &[creator(8)][..], payer),
        (DailyCap, Some(wallet(8)), &[creator(8)], payer),
        (UnknownOrganization, None, &[org(2)], payer),
        (
            UnknownPayee,
            Some(wallet(9)),
            &[creator(8), creator(9)],
            payee(creator(9)),
        ),
        (UnknownPayee, None, &[creator(8)], payee(creator(8))),
        (UnknownPayee, None, &[creator(8), creator(9)], None),
        (UnknownPayee, None, &[], payer),
        (
            TransferFailed,
            Some(wallet(2)),
            &[creator(8), org(2), org(3)],
            payee(org(2)),
        ),
        // The orchestrator could not be paid.
        (TransferFailed, Some(ORCHESTRATOR), &[creator(8), org(2)], payer),
        (TransferFailed, None, &[creator(8), org(2)], payee(org(2))),
        (TransferFailed, None, &[creator(8)], payer),
        (TransferFailed, None, &[org(2), org(3)], None),
        (Other(7), None, &[org(2)], payee(org(2))),
    ] {
        let found = blame(reason, named, payees);
        assert_eq!(found, expected, "{reason:?} {named:?} {payees:?}");
    }
}

fn skipped(number: u32, org: WalletAddress) -> ChainEvent {
    let body = EventBody::LineSkipped {
        seq: 5,
        line: number,
        org,
        amount: Some(1),
        reason: SkipReason::UnknownPayee,
        payee: None,
    };
    event(10, 0, body)
}

#[test]
fn only_lines_of_our_batches_are_skipped() {
    let stored = line(vec![
        credit((Payee::Platform, wallet(0)), 1),
        credit(creator(8), 1),
        escrowed(creator(9), 1),
    ]);
    let site = LineSite {
        line: Some(stored),
        lines: 1,
        has_payouts: true,
    };
    let effect = skip(&skipped(0, CONTRACT), &site, ORCHESTRATOR).unwrap();
    let Effect::SkipLine { blamed, .. } = effect else {
        panic!("{effect:?}")
    };
    assert_eq!(
        blamed,
        Some(Blame::Payee(creator(8).0)),
        "neither the platform nor escrow"
    );
    let behind = LineSite {
        line: None,
        ..site.clone()
    };
    let payouts = skip(&skipped(1, ORCHESTRATOR), &behind, ORCHESTRATOR);
    assert_eq!(payouts, Some(Effect::SkipPayouts { seq: 5 }));
    for (event, site) in [
        (skipped(0, wallet(7)), &site),
        (skipped(2, ORCHESTRATOR), &behind),
        (skipped(1, CONTRACT), &behind),
        (skipped(0, ORCHESTRATOR), &LineSite::default()),
    ] {
        let effect = skip(&event, site, ORCHESTRATOR);
        assert!(
            matches!(&effect, Some(Effect::RaiseAlarm(alarm)) if alarm.kind == AlarmKind::UnknownLine),
            "{effect:?}"
        );
    }
}

fn settled(root: u8, total: Option<u128>) -> ChainEvent {
    let body = EventBody::BatchSettled {
        seq: 5,
        hash: [6; 32],
        root: [root; 32],
        total,
        skipped: 0,
    };
    event(10, 1, body)
}

#[test]
fn a_batch_is_settled_only_with_the_contents_it_was_sealed_with() {
    let skipped = StoredLine {
        skipped: Some(SkipReason::DailyCap),
        ..line(vec![credit(creator(8), 100)])
    };
    let sealed = batch(
        vec![line(vec![credit(creator(8), 20), credit(org(2), 3)]), skipped],
        vec![credit(org(3), 4)],
    );
    let kind = |event: &ChainEvent, batch: Option<&StoredBatch>| match settle(event, batch) {
        Some(Effect::SettleBatch { orgs, .. }) => {
            assert_eq!(orgs, [PAYER, OrgId(2), OrgId(3)]);
            None
        }
        Some(Effect::RaiseAlarm(alarm)) => Some(alarm.kind),
        other => panic!("{other:?}"),
    };
    assert_eq!(kind(&settled(5, Some(27)), Some(&sealed)), None);
    assert_eq!(kind(&settled(5, Some(27)), None), Some(AlarmKind::UnknownBatch));
    for (root, total) in [(4, Some(27)), (5, Some(127)), (5, None)] {
        assert_eq!(
            kind(&settled(root, total), Some(&sealed)),
            Some(AlarmKind::WrongBatch)
        );
    }
    let without = StoredBatch {
        payouts_skipped: true,
        ..sealed.clone()
    };
    assert_eq!(kind(&settled(5, Some(23)), Some(&without)), None);
    let twice = StoredBatch {
        settled: Some((9, Timestamp::from_seconds(1))),
        ..sealed
    };
    assert_eq!(
        kind(&settled(5, Some(27)), Some(&twice)),
        Some(AlarmKind::WrongBatch)
    );
}

fn final_batch(lines: Vec<StoredLine>, payouts: Vec<BatchCredit>) -> StoredBatch {
    StoredBatch {
        settled: Some((10, Timestamp::from_seconds(100))),
        ..batch(lines, payouts)
    }
}

#[test]
fn a_final_line_pays_its_payees_and_moves_the_mirrors() {
    let batch = final_batch(
        vec![line(vec![
            credit((Payee::Platform, wallet(0)), 1),
            credit(creator(8), 2),
            credit(org(2), 3),
            escrowed(org(3), 4),
        ])],
        vec![credit(org(3), 5), credit(creator(9), 6)],
    );
    let effects = finish(&batch);
    let [
        Effect::Book(line),
        Effect::Book(escrow),
        Effect::FinishBatch { seq: 5, .. },
    ] = &effects[..]
    else {
        panic!("{effects:?}")
    };
    let moved = |source, target, nano| Transfer::new(source, target, Usdt::from_nano(nano));
    let (unsettled, mirror) = (Account::Unsettled(PAYER), Account::ChainOrg(PAYER));
    assert_eq!((line.key.as_str(), line.block), ("batch/5/0", Some(10)));
    assert_eq!(
        line.transfers,
        [
            moved(unsettled, Account::Platform, 1),
            moved(Account::ChainOrchestrator, mirror, 1),
            moved(unsettled, Account::Creator(wallet(8)), 2),
            moved(Account::ChainOrchestrator, mirror, 2),
            moved(unsettled, Account::Available(OrgId(2)), 3),
            moved(Account::ChainOrg(OrgId(2)), mirror, 3),
            moved(unsettled, Account::Escrow(org(3).0), 4),
            moved(Account::ChainOrchestrator, mirror, 4),
        ]
    );
    assert_eq!(escrow.key, "batch/5/escrow");
    assert_eq!(
        escrow.transfers,
        [
            moved(Account::ChainOrg(OrgId(3)), Account::ChainOrchestrator, 5),
            moved(Account::Escrow(org(3).0), Account::Available(OrgId(3)), 5),
            moved(Account::Escrow(creator(9).0), Account::Creator(wallet(9)), 6),
        ]
    );
}

#[test]
fn a_skipped_line_waits_again_and_skipped_payouts_move_nothing() {
    let skipped = StoredLine {
        skipped: Some(SkipReason::DailyCap),
        ..line(vec![credit(creator(8), 2)])
    };
    let batch = StoredBatch {
        payouts_skipped: true,
        ..final_batch(vec![skipped], vec![credit(org(3), 5)])
    };
    let requeued = Effect::RequeueLine { seq: 5, line: 0 };
    let orgs = vec![PAYER, OrgId(3)];
    assert_eq!(finish(&batch), [requeued, Effect::FinishBatch { seq: 5, orgs }]);
}

#[test]
fn a_batch_is_booked_once_and_only_when_it_is_settled() {
    let booked = StoredBatch {
        is_final: true,
        ..final_batch(vec![line(Vec::new())], Vec::new())
    };
    assert_eq!(finish(&booked), []);
    assert_eq!(finish(&batch(vec![line(Vec::new())], Vec::new())), []);
}

#[test]
fn a_dropped_settlement_opens_the_batch_again() {
    let to = BlockRef {
        number: 9,
        hash: [9; 32],
        parent: [8; 32],
        time: Timestamp::from_seconds(90),
    };
    let skipped = StoredLine {
        skipped: Some(SkipReason::DailyCap),
        ..line(Vec::new())
    };
    let seen = final_batch(vec![skipped], Vec::new());
    let orgs = vec![PAYER];
    let unsettled = Effect::UnsettleBatch { seq: 5, orgs };
    assert_eq!(undo(&seen, false, to), std::slice::from_ref(&unsettled));
    let last = StoredBatch {
        is_final: true,
        ..seen
    };
    let reclaimed = Effect::ReclaimLine { seq: 5, line: 0 };
    assert_eq!(undo(&last, false, to), [reclaimed, unsettled.clone()]);
    let effects = undo(&last, true, to);
    let [Effect::RaiseAlarm(alarm), second] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!((alarm.kind, alarm.block), (AlarmKind::FinalBatchRewound, 9));
    assert_eq!(second, &unsettled);
}
