use super::*;
use crate::{
    batch::{Batch, BatchItem, BatchState, Carry, CarryKey, SealPolicy},
    capture::Payee,
    chain::{BlockRef, SkipReason},
    check::Difference,
    fixtures::{CREATOR, ORCHESTRATOR, document},
    merkle::Tree,
    ports::{MockBooks, MockChainReader, SealInput},
    receipt::Settlement,
};
use haithe_kernel::{CallId, Timestamp};
use proptest::prelude::*;
use std::{collections::BTreeMap, time::Duration};

const ORG: OrgId = OrgId(4);
const ADDRESS: WalletAddress = WalletAddress::new([0x0a; 20]);
const OTHER: WalletAddress = WalletAddress::new([0x0d; 20]);
const HEAD: u64 = 50;
const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

/// An organization's history: batch by batch, call by call, what each payee was owed in nano-USDT.
type Calls = Vec<Vec<Vec<(Payee, i64)>>>;

struct World {
    receipts: Vec<Receipt>,
    events: Vec<ChainEvent>,
    decimals: Decimals,
}

fn event(seq: u64, log_index: u64, body: EventBody) -> ChainEvent {
    let block = seq + 1;
    ChainEvent {
        block,
        block_hash: [0; 32],
        block_time: NOW,
        tx: [u8::try_from(seq).unwrap(); 32],
        log_index,
        body,
    }
}

fn transfer(seq: u64, from: WalletAddress, units: u128) -> ChainEvent {
    let amount = Some(units);
    event(
        seq,
        0,
        EventBody::Transfer {
            from,
            to: ORCHESTRATOR,
            amount,
        },
    )
}

/// Settles these calls the way the product does.
fn settle(batches: &Calls, digits: u8) -> World {
    let policy = SealPolicy {
        max_items: 1_000,
        max_amount: Usdt::whole(1),
        max_age: Duration::from_secs(1),
        max_lines: 10,
        max_credits_per_line: 10,
        ..SealPolicy::new(Decimals::new(digits).unwrap())
    };
    let mut world = World {
        receipts: Vec::new(),
        events: Vec::new(),
        decimals: policy.decimals,
    };
    let mut carried: BTreeMap<CarryKey, Usdt> = BTreeMap::new();
    let mut call = 0;
    for (seq, calls) in (1u64..).zip(batches) {
        let mut items = Vec::new();
        for credits in calls {
            call += 1;
            let document = document(call, ADDRESS, credits);
            items.push(BatchItem {
                call: document.call,
                org: ORG,
                org_address: ADDRESS,
                credits: document
                    .lines
                    .iter()
                    .map(|line| (line.payee, line.amount))
                    .collect(),
                receipt_hash: document.seal().hash,
                due_since: NOW,
            });
            world.receipts.push(Receipt {
                call: document.call,
                org: ORG,
                org_address: ADDRESS,
                charged: document.charged,
                sealed: document.seal(),
                settlement: None,
            });
        }
        let carry = carried.iter().map(|(key, amount)| Carry {
            key: *key,
            amount: *amount,
            since: NOW,
        });
        let input = SealInput {
            items,
            carry: carry.collect(),
            payee_orgs: vec![(OrgId(9), OTHER)],
            ..SealInput::default()
        };
        let batch = Batch::build(seq, input, &policy, NOW).unwrap();
        let tree = Tree::new(batch.items.iter().map(|item| item.leaf).collect());
        for item in batch.items.iter() {
            let receipt = world
                .receipts
                .iter_mut()
                .find(|receipt| receipt.call == item.call)
                .unwrap();
            receipt.settlement = Some(Settlement {
                seq,
                line: item.line,
                root: batch.root,
                leaf: item.leaf,
                proof: tree.proof(&item.leaf).unwrap(),
                state: BatchState::Final,
                tx: None,
            });
        }
        for credit in &batch.lines[0].credits {
            world.events.push(transfer(seq, ADDRESS, credit.units.get()));
        }
        // Another organization's line, and the end of the transaction.
        world.events.push(transfer(seq, OTHER, 77));
        let settled = EventBody::BatchSettled {
            seq,
            hash: [0; 32],
            root: batch.root,
            total: Some(0),
            skipped: 0,
        };
        world.events.push(event(seq, 1, settled));
        carried.extend(batch.carry);
    }
    world
}

async fn audit(world: World) -> AuditReport {
    let mut books = MockBooks::new();
    let receipts = world.receipts;
    books.expect_receipts().returning(move |org, after, _| {
        assert_eq!(org, ORG);
        // Pages of three, to see that all of them are read.
        let next = after.map_or(0, |after: CallId| {
            receipts.iter().position(|receipt| receipt.call == after).unwrap() + 1
        });
        Ok(receipts[next..].iter().take(3).cloned().collect())
    });
    let mut reader = MockChainReader::new();
    let head = BlockRef {
        number: HEAD,
        hash: [0; 32],
        parent: [0; 32],
        time: NOW,
    };
    reader.expect_head().returning(move || Ok(head));
    let events = world.events;
    reader.expect_events().returning(move |from, to, orgs| {
        assert_eq!(orgs, [ADDRESS]);
        let within = events.iter().filter(|event| (from..=to).contains(&event.block));
        Ok(within.cloned().collect())
    });
    let audit = ReceiptAudit::new(Arc::new(books), Arc::new(reader), 1, 7, world.decimals);
    audit.run(ORG, ADDRESS).await.unwrap()
}

fn history() -> Calls {
    vec![
        vec![vec![(Payee::Platform, 1_500), (CREATOR, 700)], vec![]],
        vec![
            vec![(Payee::Platform, 600)],
            vec![(Payee::Organization(OrgId(9)), 2_000), (CREATOR, 299)],
        ],
    ]
}

#[tokio::test]
async fn receipts_add_up_to_what_was_taken_but_for_less_than_a_unit_per_payee() {
    let report = audit(settle(&history(), 6)).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(
        report.to_string(),
        "organization 4 0x0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a at block 50\n\
         settled 4 receipts over 0.000005099 USDT, each proven against its batch's root on chain\n\
         pending 0 receipts over 0 USDT\n\
         taken   0.000004 USDT by settlement\n\
         carried 0.000001099 USDT, below the smallest credit for each of 3 payees\n\
         the receipts add up to what was taken"
    );
    let report = audit(settle(&history(), 18)).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.carried(), Difference::By(0));
}

#[tokio::test]
async fn a_unit_taken_beyond_the_receipts_is_found() {
    let mut world = settle(&history(), 6);
    world.events.push(transfer(1, ADDRESS, 2));
    let report = audit(world).await;
    assert!(!report.adds_up());
    assert!(
        report
            .to_string()
            .contains("0.000000901 USDT were taken that no receipt explains"),
        "{report}"
    );
}

#[tokio::test]
async fn receipts_beyond_what_was_taken_are_found() {
    let mut world = settle(&history(), 18);
    world.events.retain(|event| {
        !matches!(
            event.body,
            EventBody::Transfer {
                from: ADDRESS,
                amount: Some(600_000_000_000),
                ..
            }
        )
    });
    let report = audit(world).await;
    assert!(!report.is_clean());
    assert!(
        report.to_string().contains("0.0000006 USDT more than was taken"),
        "{report}"
    );
}

#[tokio::test]
async fn withdrawals_are_not_settlement() {
    let mut world = settle(&history(), 6);
    world.events.push(transfer(40, ADDRESS, 5_000_000));
    assert!(audit(world).await.is_clean());
}

#[tokio::test]
async fn what_is_not_on_chain_or_was_skipped_is_pending_and_nothing_may_be_taken_for_it() {
    let mut world = settle(&history(), 18);
    world.receipts[0].settlement = None;
    let skipped = EventBody::LineSkipped {
        seq: 2,
        line: 0,
        org: ADDRESS,
        amount: Some(0),
        reason: SkipReason::InsufficientFunds,
        payee: None,
    };
    world.events.push(event(2, 2, skipped));
    world
        .events
        .retain(|event| !matches!(event.body, EventBody::Transfer { from: ADDRESS, .. }));
    let report = audit(world).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.settled.receipts, report.settled.nano), (1, 0));
    assert_eq!((report.pending.receipts, report.pending.nano), (3, 5_099));
}

#[tokio::test]
async fn every_flaw_of_a_receipt_is_named() {
    let with = |change: fn(&mut Receipt)| {
        let mut world = settle(&history(), 6);
        change(&mut world.receipts[0]);
        audit(world)
    };
    let reports = [
        with(|receipt| receipt.sealed.hash = [9; 32]).await,
        with(|receipt| receipt.charged = Usdt::from_nano(1)).await,
        with(|receipt| receipt.sealed = document(1, OTHER, &[(Payee::Platform, 2_200)]).seal()).await,
        with(|receipt| receipt.settlement.as_mut().unwrap().proof.clear()).await,
        with(|receipt| receipt.sealed = document(1, ADDRESS, &[(Payee::Platform, 2_200)]).seal()).await,
    ];
    let proof = Flaw::Proof { seq: 1, line: 0 };
    let flaws = [Flaw::Hash, Flaw::Amount, Flaw::Foreign, proof.clone(), proof];
    for (report, flaw) in reports.into_iter().zip(flaws) {
        let found: Vec<_> = report
            .problems
            .iter()
            .map(|problem| problem.flaw.clone())
            .collect();
        assert_eq!(found, [flaw], "{report}");
        assert!(!report.is_clean());
    }
    let report = with(|receipt| receipt.sealed.json.push('x')).await;
    assert!(matches!(report.problems[0].flaw, Flaw::Document(_)));
}

#[tokio::test]
async fn an_organization_that_never_paid_is_clean() {
    assert!(audit(settle(&Vec::new(), 6)).await.is_clean());
}

fn calls() -> impl Strategy<Value = Calls> {
    let payee = prop_oneof![
        Just(Payee::Platform),
        Just(CREATOR),
        Just(Payee::Organization(OrgId(9)))
    ];
    let call = prop::collection::vec((payee, 0i64..5_000_000), 0..4);
    prop::collection::vec(prop::collection::vec(call, 1..5), 0..6)
}

proptest! {
    #[test]
    fn whatever_was_called_settlement_passes_the_audit(calls in calls(), digits in 6u8..=18) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let report = runtime.block_on(audit(settle(&calls, digits)));
        prop_assert!(report.is_clean(), "{report}");
    }
}
