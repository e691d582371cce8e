use super::*;
use crate::{
    batch::BatchState,
    capture::Payee,
    chain::ChainError,
    fixtures::{CHAIN_ID, CREATOR, ORCHESTRATOR, document},
    merkle::Tree,
    ports::MockSettler,
};
use VerificationStep as Step;
use haithe_kernel::OrgId;
use mockall::predicate::eq;

const ORG: WalletAddress = WalletAddress::new([0x0a; 20]);
const SEQ: u64 = 7;
const LINE: u32 = 2;

fn receipt() -> ReceiptDocument {
    document(1, ORG, &[(Payee::Platform, 1_500), (CREATOR, 500)])
}

fn claim_of(document: &ReceiptDocument) -> ReceiptClaim {
    let leaf = document.leaf(SEQ, LINE);
    let tree = Tree::new(vec![leaf, [1; 32], [2; 32]]);
    let sealed = document.seal();
    ReceiptClaim {
        document: sealed.json,
        hash: Some(sealed.hash),
        seq: SEQ,
        line: LINE,
        leaf: Some(leaf),
        root: Some(tree.root()),
        proof: tree.proof(&leaf).unwrap(),
    }
}

/// A contract that holds the receipt.
fn contract() -> MockSettler {
    let claim = claim_of(&receipt());
    let mut settler = MockSettler::new();
    settler
        .expect_verify_receipt()
        .with(eq(SEQ), eq(LINE), eq(claim.leaf.unwrap()), eq(claim.proof))
        .returning(|_, _, _, _| Ok(true));
    settler.expect_verify_receipt().returning(|_, _, _, _| Ok(false));
    settler
}

async fn verify(settler: MockSettler, claim: &ReceiptClaim) -> Verification {
    ReceiptVerifier::new(Arc::new(settler), CHAIN_ID, ORCHESTRATOR)
        .verify(claim)
        .await
}

fn failed(verification: &Verification) -> Vec<Step> {
    let failed =
        |(step, outcome): &(Step, StepOutcome)| matches!(outcome, StepOutcome::Failed(_)).then_some(*step);
    verification.steps.iter().filter_map(failed).collect()
}

#[tokio::test]
async fn a_settled_receipt_passes_every_step() {
    let verification = verify(contract(), &claim_of(&receipt())).await;
    assert!(verification.is_valid(), "{verification}");
    assert_eq!(verification.steps.len(), 7);
    let text = verification.to_string();
    assert!(text.ends_with(
        "valid: organization 0x0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a paid 0.000002 USDT for call \
         00000000-0000-0000-0000-000000000001, settled in batch 7, line 2"
    ));
}

#[tokio::test]
async fn document_place_and_proof_are_enough() {
    let claim = ReceiptClaim {
        hash: None,
        leaf: None,
        root: None,
        ..claim_of(&receipt())
    };
    let verification = verify(contract(), &claim).await;
    assert!(verification.is_valid(), "{verification}");
    assert_eq!(verification.steps.len(), 4);
}

#[tokio::test]
async fn every_changed_part_of_a_claim_fails_its_own_step() {
    let claim = claim_of(&receipt());
    let changed = |change: fn(&mut ReceiptClaim)| {
        let mut claim = claim.clone();
        change(&mut claim);
        claim
    };
    for (claim, steps) in [
        (changed(|claim| claim.hash = Some([9; 32])), vec![Step::Hash]),
        (changed(|claim| claim.leaf = Some([9; 32])), vec![Step::Leaf]),
        (changed(|claim| claim.root = Some([9; 32])), vec![Step::Proof]),
        (
            changed(|claim| claim.proof[0] = [9; 32]),
            vec![Step::Proof, Step::Contract],
        ),
        (
            changed(|claim| claim.line = 3),
            vec![Step::Leaf, Step::Proof, Step::Contract],
        ),
        (
            changed(|claim| claim.seq = 8),
            vec![Step::Leaf, Step::Proof, Step::Contract],
        ),
    ] {
        let verification = verify(contract(), &claim).await;
        assert_eq!(failed(&verification), steps, "{verification}");
        assert!(!verification.is_valid());
        assert!(verification.to_string().ends_with("NOT valid"));
    }
}

#[tokio::test]
async fn a_changed_amount_fails_although_the_document_is_canonical() {
    let mut cheaper = receipt();
    cheaper.lines[0].amount = Usdt::from_nano(500);
    cheaper.charged = Usdt::from_nano(1_000);
    let claim = ReceiptClaim {
        document: cheaper.seal().json,
        ..claim_of(&receipt())
    };
    let verification = verify(contract(), &claim).await;
    let steps = [Step::Hash, Step::Leaf, Step::Proof, Step::Contract];
    assert_eq!(failed(&verification), steps, "{verification}");
}

#[tokio::test]
async fn lines_that_do_not_sum_to_the_charge_fail_even_when_settled() {
    let mut receipt = receipt();
    receipt.charged = Usdt::from_nano(2_001);
    let mut settler = MockSettler::new();
    settler.expect_verify_receipt().returning(|_, _, _, _| Ok(true));
    let verification = verify(settler, &claim_of(&receipt)).await;
    assert_eq!(failed(&verification), [Step::Amounts]);
}

#[tokio::test]
async fn a_receipt_of_another_deployment_is_not_asked_about() {
    for (chain_id, orchestrator) in [(1, ORCHESTRATOR), (CHAIN_ID, ORG)] {
        let mut settler = MockSettler::new();
        settler.expect_verify_receipt().never();
        let verifier = ReceiptVerifier::new(Arc::new(settler), chain_id, orchestrator);
        let verification = verifier.verify(&claim_of(&receipt())).await;
        assert_eq!(failed(&verification), [Step::Chain]);
        assert!(!verification.is_valid());
    }
}

#[tokio::test]
async fn what_is_no_receipt_ends_at_the_first_step() {
    let claim = ReceiptClaim {
        document: "{}".to_owned(),
        ..claim_of(&receipt())
    };
    let verification = verify(MockSettler::new(), &claim).await;
    assert_eq!(verification.steps.len(), 1);
    assert_eq!(failed(&verification), [Step::Document]);
}

#[tokio::test]
async fn without_the_chain_nothing_is_valid_and_nothing_is_refuted() {
    let mut settler = MockSettler::new();
    let outage = |_, _, _, _| Err(ChainError::unavailable("no node"));
    settler.expect_verify_receipt().returning(outage);
    let verification = verify(settler, &claim_of(&receipt())).await;
    assert!(!verification.is_valid());
    assert_eq!(failed(&verification), []);
    assert!(
        verification
            .to_string()
            .ends_with("not known: the chain could not be asked")
    );
}

#[test]
fn a_stored_receipt_claims_what_was_sealed_with_it() {
    let claim = claim_of(&receipt());
    let mut stored = Receipt {
        call: receipt().call,
        org: OrgId(1),
        org_address: ORG,
        charged: receipt().charged,
        sealed: receipt().seal(),
        settlement: None,
    };
    assert_eq!(ReceiptClaim::of(&stored), None);
    stored.settlement = Some(Settlement {
        seq: SEQ,
        line: LINE,
        root: claim.root.unwrap(),
        leaf: claim.leaf.unwrap(),
        proof: claim.proof.clone(),
        state: BatchState::Final,
        tx: None,
    });
    assert_eq!(ReceiptClaim::of(&stored), Some(claim));
}
