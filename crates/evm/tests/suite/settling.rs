//! Batches move exactly what they say, and their receipts can be proven.

use crate::fixture::{Chain, Rig, alice, bob, carol, does, owner, server, wallet};
use alloy::primitives::{Address, U256};
use haithe_billing::{
    batch::{Batch, BatchCredit, BatchItem, BatchLine, SealPolicy},
    capture::Payee,
    chain::{ChainError, EventBody, SkipReason},
    merkle::Tree,
    outbox::TxState,
    ports::{ChainReader, SealInput, Settler, Submission},
};
use haithe_evm::{EvmChainReader, EvmSettler};
use haithe_kernel::{CallId, OrgId, Timestamp, TokenUnits, Usdt, WalletAddress};
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const NANO: u128 = 1_000_000_000; // base units of a nano-USDT at 18 decimals

/// Two organizations with money, one without, and a creator.
struct Scene {
    rig: Rig,
    rich: Address,
    shop: Address,
    poor: Address,
}

impl Scene {
    async fn on(chain: Chain, rich_units: u128) -> Self {
        let (rich, shop) = (
            chain.actor(alice()).create_org("rich").await,
            chain.actor(bob()).create_org("shop").await,
        );
        let poor = chain.actor(bob()).create_org("poor").await;
        chain.actor(server()).register(carol().address).await;
        chain.fund(wallet(rich), rich_units).await;
        Self {
            rig: Rig::on(chain),
            rich,
            shop,
            poor,
        }
    }

    /// The rich organization pays platform, creator and shop; the poor one owes what it has not.
    fn batch(&self, seq: u64) -> Batch {
        let item = |call: u128, org: i64, contract: Address, credits: &[(Payee, i64)]| BatchItem {
            call: CallId(uuid::Uuid::from_u128(call)),
            org: OrgId(org),
            org_address: wallet(contract),
            credits: credits
                .iter()
                .map(|(payee, nano)| (*payee, Usdt::from_nano(*nano)))
                .collect(),
            receipt_hash: [call as u8; 32],
            due_since: NOW,
        };
        let creator = Payee::Creator(wallet(carol().address));
        let items = vec![
            item(
                1,
                1,
                self.rich,
                &[
                    (Payee::Platform, 700),
                    (creator, 200),
                    (Payee::Organization(OrgId(2)), 100),
                ],
            ),
            item(2, 1, self.rich, &[(Payee::Platform, 1_000)]),
            item(3, 3, self.poor, &[(Payee::Platform, 5)]),
        ];
        let input = SealInput {
            items,
            payee_orgs: vec![(OrgId(2), wallet(self.shop))],
            ..SealInput::default()
        };
        let policy = SealPolicy {
            max_items: 100,
            max_amount: Usdt::MAX,
            max_age: Duration::from_secs(1),
            ..SealPolicy::new(self.rig.chain.deployment.decimals)
        };
        Batch::build(seq, input, &policy, NOW).unwrap()
    }

    async fn units(&self, holder: Address) -> u128 {
        let reader = EvmChainReader::new(self.rig.chain.client.clone());
        let balances = reader.token_balances(vec![wallet(holder)], None).await.unwrap();
        balances[0].get()
    }
}

on_every_chain! {
    a_batch_pays_everybody_and_skips_who_has_nothing,
    a_batch_that_was_mined_into_a_pause_is_sent_again,
    a_settlement_that_a_reorganization_took_back_is_mined_again_once,
    batches_behind_one_that_is_not_mined_follow_it_in_order,
    a_batch_that_needs_too_much_gas_is_refused_before_it_has_a_nonce,
    an_amount_beyond_the_contracts_range_is_refused_here,
}

async fn a_batch_pays_everybody_and_skips_who_has_nothing(chain: Chain) {
    let mut scene = Scene::on(chain, 10_000 * NANO).await;
    let settler = scene.rig.settler();
    let batch = scene.batch(0);
    assert_eq!(settler.next_sequence().await.unwrap(), 0);
    assert_eq!(settler.settled_hash(0).await.unwrap(), None);
    settler.submit(batch.clone()).await.unwrap();
    settler.submit(batch.clone()).await.unwrap();
    assert_eq!(scene.rig.outbox.len(), 1, "again is harmless");
    let from = scene.rig.chain.head().await + 1;
    scene.rig.drive().await;
    scene.rig.finalize().await;
    assert_eq!(scene.rig.state("settle/0"), TxState::Done);
    assert_eq!(settler.next_sequence().await.unwrap(), 1);

    // The money.
    let boss = scene.rig.chain.actor(owner());
    let identity = boss.identity().await;
    assert_eq!(scene.units(scene.rich).await, 8_000 * NANO);
    assert_eq!(scene.units(scene.shop).await, 100 * NANO);
    assert_eq!(scene.units(scene.rig.chain.orchestrator()).await, 1_900 * NANO);
    let id = boss
        .orchestrator()
        .creators(carol().address)
        .call()
        .await
        .unwrap();
    assert_eq!(identity.funds(id).call().await.unwrap(), U256::from(200 * NANO));
    assert_eq!(
        boss.orchestrator().platformFunds().call().await.unwrap(),
        U256::from(1_700 * NANO)
    );

    // The event carries the hash that was computed here.
    let reader = EvmChainReader::new(scene.rig.chain.client.clone());
    let to = scene.rig.chain.head().await;
    let events = reader
        .events(from, to, vec![wallet(scene.rich), wallet(scene.shop)])
        .await
        .unwrap();
    let expected = settler.expected_hash(batch.clone()).await.unwrap();
    let skipped = EventBody::LineSkipped {
        seq: 0,
        line: 1,
        org: wallet(scene.poor),
        amount: Some(5 * NANO),
        reason: SkipReason::InsufficientFunds,
        payee: None,
    };
    let settled = EventBody::BatchSettled {
        seq: 0,
        hash: expected,
        root: batch.root,
        total: Some(2_000 * NANO),
        skipped: 1,
    };
    let bodies: Vec<_> = events.iter().map(|event| &event.body).collect();
    assert!(
        bodies.contains(&&skipped) && bodies.contains(&&settled),
        "{bodies:?}"
    );
    let transfers = bodies
        .iter()
        .filter(|body| matches!(body, EventBody::Transfer { .. }))
        .count();
    assert_eq!(
        transfers, 2,
        "to the shop (once, though both ends are known) and to the orchestrator"
    );
    assert_eq!(settler.settled_hash(0).await.unwrap(), Some(expected));

    // The receipts.
    let tree = Tree::new(batch.items.iter().map(|item| item.leaf).collect());
    for item in batch.items.iter() {
        let proof = tree.proof(&item.leaf).unwrap();
        let paid = item.line == 0;
        let verified = settler
            .verify_receipt(0, item.line, item.leaf, proof.clone())
            .await
            .unwrap();
        assert_eq!(verified, paid, "a skipped line proves nothing");
        assert!(
            !settler
                .verify_receipt(0, item.line, [9; 32], proof.clone())
                .await
                .unwrap()
        );
        assert!(
            !settler
                .verify_receipt(1, item.line, item.leaf, proof)
                .await
                .unwrap()
        );
    }
}

async fn a_batch_that_was_mined_into_a_pause_is_sent_again(chain: Chain) {
    let mut scene = Scene::on(chain, 10_000 * NANO).await;
    let settler = scene.rig.settler();
    let batch = scene.batch(0);
    settler.submit(batch.clone()).await.unwrap();
    scene.rig.chain.hold().await;
    scene.rig.drive().await;
    let boss = scene.rig.chain.actor(owner()).orchestrator();
    let pause = boss
        .pause()
        .max_priority_fee_per_gas(50_000_000_000)
        .max_fee_per_gas(100_000_000_000)
        .gas(500_000);
    let pause = pause.send().await.unwrap();
    scene.rig.chain.release().await;
    assert!(pause.get_receipt().await.unwrap().status());
    scene.rig.finalize().await;
    assert_eq!(scene.rig.state("settle/0"), TxState::Failed);
    does!(boss.unpause());
    settler.submit(batch.clone()).await.unwrap();
    scene.rig.drive().await;
    scene.rig.finalize().await;
    assert_eq!(scene.rig.state("retry/2/settle/0"), TxState::Done);
    assert_eq!(settler.next_sequence().await.unwrap(), 1);
    settler.submit(batch).await.unwrap();
    assert_eq!(scene.rig.outbox.len(), 2, "settled once");
}

async fn a_settlement_that_a_reorganization_took_back_is_mined_again_once(chain: Chain) {
    let mut scene = Scene::on(chain, 10_000 * NANO).await;
    let settler = scene.rig.settler();
    let batch = scene.batch(0);
    settler.submit(batch.clone()).await.unwrap();
    scene.rig.drive().await;
    assert_eq!(settler.next_sequence().await.unwrap(), 1);
    scene.rig.chain.reorg(1).await;
    assert_eq!(settler.next_sequence().await.unwrap(), 0);
    settler.submit(batch).await.unwrap();
    scene.rig.drive().await;
    scene.rig.finalize().await;
    assert_eq!(scene.rig.state("settle/0"), TxState::Done);
    assert_eq!(
        (settler.next_sequence().await.unwrap(), scene.rig.outbox.len()),
        (1, 1)
    );
    assert_eq!(scene.units(scene.rich).await, 8_000 * NANO, "paid once");
}

async fn batches_behind_one_that_is_not_mined_follow_it_in_order(chain: Chain) {
    let mut scene = Scene::on(chain, 10_000 * NANO).await;
    let settler = scene.rig.settler();
    scene.rig.chain.hold().await;
    for seq in 0..4 {
        let submission = settler.submit(scene.batch(seq)).await.unwrap();
        assert_eq!(submission, Submission::Queued);
    }
    scene.rig.drive().await;
    for seq in 0..4 {
        assert_eq!(scene.rig.state(&format!("settle/{seq}")), TxState::Sent);
    }
    scene.rig.chain.release().await;
    scene.rig.drive().await;
    scene.rig.finalize().await;
    for seq in 0..4 {
        assert_eq!(scene.rig.state(&format!("settle/{seq}")), TxState::Done);
    }
    assert_eq!(settler.next_sequence().await.unwrap(), 4);
    assert_eq!(
        scene.units(scene.rich).await,
        2_000 * NANO,
        "four batches of 2000"
    );
}

async fn a_batch_that_needs_too_much_gas_is_refused_before_it_has_a_nonce(chain: Chain) {
    let scene = Scene::on(chain, 10_000 * NANO).await;
    let settler = EvmSettler::new(
        scene.rig.chain.client.clone(),
        scene.rig.outbox.clone(),
        scene.rig.handle.clone(),
        scene.rig.signer(),
        scene.rig.clock.clone(),
        400_000,
    );
    let submission = settler.submit(scene.batch(0)).await.unwrap();
    assert!(
        matches!(&submission, Submission::Refused { reason } if reason.contains("NotEnoughGas")),
        "{submission:?}"
    );
    assert_eq!(scene.rig.outbox.len(), 0);
    // A contract that accepts nothing at all is no fault of the batch.
    does!(scene.rig.chain.actor(owner()).orchestrator().pause());
    let submission = settler.submit(scene.batch(0)).await.unwrap();
    assert_eq!((submission, scene.rig.outbox.len()), (Submission::Queued, 1));
}

async fn an_amount_beyond_the_contracts_range_is_refused_here(chain: Chain) {
    let rig = Rig::on(chain);
    let credit = BatchCredit {
        payee: Payee::Platform,
        address: WalletAddress::new([0; 20]),
        units: TokenUnits::new(1 << 96),
        amount: Usdt::MAX,
        escrow: false,
    };
    let batch = Batch {
        seq: 0,
        root: [0; 32],
        lines: vec![BatchLine {
            org: OrgId(1),
            address: WalletAddress::new([1; 20]),
            credits: vec![credit],
            since: NOW,
        }],
        payouts: Vec::new(),
        items: [].into(),
        carry: Vec::new(),
        sealed_at: Timestamp::from_seconds(0),
    };
    let settler = rig.settler();
    assert!(matches!(
        settler.submit(batch.clone()).await,
        Err(ChainError::Refused(_))
    ));
    assert!(matches!(
        settler.expected_hash(batch).await,
        Err(ChainError::Refused(_))
    ));
    assert_eq!(rig.outbox.len(), 0);
}

#[tokio::test]
async fn six_decimals_settle_as_exactly_as_eighteen() {
    let mut scene = Scene::on(Chain::with_decimals(6).await, 5_000).await;
    let batch = scene.batch(0);
    // 1700 and 200 and 100 nano: one unit for the platform, the rest is carried.
    assert_eq!(
        batch.lines[0]
            .credits
            .iter()
            .map(|credit| credit.units.get())
            .collect::<Vec<_>>(),
        [1]
    );
    let settler = scene.rig.settler();
    settler.submit(batch.clone()).await.unwrap();
    scene.rig.drive().await;
    assert_eq!(scene.units(scene.rich).await, 4_999);
    let hash = settler.settled_hash(0).await.unwrap();
    assert_eq!(hash, Some(settler.expected_hash(batch).await.unwrap()));
}
