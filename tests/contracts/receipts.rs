//! Receipts: leaves, trees and proofs.

use alloy::{
    primitives::{Address, B256, U256, keccak256},
    sol_types::SolValue,
};

use crate::{bindings::Line, scene::line, world::World};

/// What a leaf is made of.
#[derive(Clone)]
struct Receipt {
    version: u8,
    id: B256,
    seq: u64,
    line: u32,
    org: Address,
    nano: U256,
    hash: B256,
}

impl Receipt {
    fn numbered(n: u8, seq: u64, line: u32, org: Address) -> Self {
        let (id, hash) = (B256::repeat_byte(n), B256::repeat_byte(0x80 | n));
        Self {
            version: 1,
            id,
            seq,
            line,
            org,
            nano: U256::from(1_000 * u64::from(n)),
            hash,
        }
    }

    /// The hash as the contract's documentation states it, computed without the contract.
    fn leaf(&self) -> B256 {
        let seq = U256::from(self.seq);
        let fields = (
            U256::from(self.version),
            self.id,
            seq,
            U256::from(self.line),
            self.org,
            self.nano,
            self.hash,
        );
        keccak256(keccak256(fields.abi_encode()))
    }
}

/// A tree as OpenZeppelin's StandardMerkleTree builds it: leaves sorted, pairs hashed in order of their values, the
/// root first.
struct Tree(Vec<B256>);

impl Tree {
    fn of(mut leaves: Vec<B256>) -> Self {
        leaves.sort();
        leaves.reverse();
        let mut nodes = vec![B256::ZERO; leaves.len() - 1];
        nodes.extend(leaves);
        for i in (0..nodes.len() / 2).rev() {
            let mut pair = [nodes[2 * i + 1], nodes[2 * i + 2]];
            pair.sort();
            nodes[i] = keccak256(pair.concat());
        }
        Self(nodes)
    }

    fn root(&self) -> B256 {
        self.0[0]
    }

    fn proof(&self, leaf: B256) -> Vec<B256> {
        let mut at = self.0.iter().rposition(|node| *node == leaf).unwrap();
        let mut proof = Vec::new();
        while at > 0 {
            proof.push(self.0[if at % 2 == 0 { at - 1 } else { at + 1 }]);
            at = (at - 1) / 2;
        }
        proof
    }
}

/// Settles batch 0 with five receipts over three lines, the middle one unpayable.
async fn settled() -> (World, Vec<Receipt>, Tree) {
    let world = World::plain().await;
    let people = &world.people;
    let first = world.organization("first", &people.alice, 10).await;
    let poor = world.organization("poor", &people.bob, 0).await;
    let last = world.organization("last", &people.alice, 10).await;
    let receipts: Vec<_> = [(0, first), (0, first), (1, poor), (2, last), (2, last)]
        .into_iter()
        .zip(1..)
        .map(|((line, org), n)| Receipt::numbered(n, 0, line, org))
        .collect();
    let tree = Tree::of(receipts.iter().map(Receipt::leaf).collect());
    let lines: Vec<Line> = [first, poor, last]
        .map(|org| line(org, world.usdt(1), &[]))
        .to_vec();
    world
        .act(&people.server, world.hub.settleBatch(0, tree.root(), lines))
        .await;
    (world, receipts, tree)
}

async fn verifies(world: &World, seq: u64, line: u32, leaf: B256, proof: Vec<B256>) -> bool {
    world
        .hub
        .verifyReceipt(seq, line, leaf, proof)
        .call()
        .await
        .unwrap()
}

#[tokio::test]
async fn the_contract_computes_the_documented_leaf() {
    let world = World::plain().await;
    let r = Receipt::numbered(9, 7, 5, world.people.alice.address);
    let leaf = world
        .hub
        .receiptLeaf(r.version, r.id, r.seq, r.line, r.org, r.nano, r.hash);
    assert_eq!(leaf.call().await.unwrap(), r.leaf());
}

#[tokio::test]
async fn a_receipt_verifies_if_and_only_if_its_line_was_settled() {
    let (world, receipts, tree) = settled().await;
    for receipt in receipts {
        let leaf = receipt.leaf();
        let paid = receipt.line != 1;
        assert_eq!(
            verifies(&world, 0, receipt.line, leaf, tree.proof(leaf)).await,
            paid,
            "line {}",
            receipt.line
        );
    }
}

#[tokio::test]
async fn a_changed_receipt_a_wrong_proof_and_a_wrong_batch_do_not_verify() {
    let (world, receipts, tree) = settled().await;
    let receipt = &receipts[0];
    let (leaf, other) = (receipt.leaf(), receipts[1].leaf());
    assert!(verifies(&world, 0, 0, leaf, tree.proof(leaf)).await);

    let dearer = Receipt {
        nano: receipt.nano + U256::ONE,
        ..receipt.clone()
    };
    let elsewhere = Receipt {
        org: world.people.mallory.address,
        ..receipt.clone()
    };
    let later = Receipt {
        seq: 1,
        ..receipt.clone()
    };
    let newer = Receipt {
        version: 2,
        ..receipt.clone()
    };
    for changed in [dearer, elsewhere, later, newer] {
        assert!(!verifies(&world, 0, 0, changed.leaf(), tree.proof(leaf)).await);
    }
    assert!(!verifies(&world, 0, 0, leaf, tree.proof(other)).await);
    assert!(!verifies(&world, 0, 0, leaf, vec![]).await);
    assert!(!verifies(&world, 1, 0, leaf, tree.proof(leaf)).await);
    assert!(
        !verifies(&world, 0, 3, leaf, tree.proof(leaf)).await,
        "a line that does not exist"
    );
}

#[tokio::test]
async fn a_receipt_queued_again_after_a_skip_verifies_in_its_new_batch_only() {
    let (world, receipts, tree) = settled().await;
    let old = receipts[2].clone();
    let again = Receipt {
        seq: 1,
        line: 0,
        ..old.clone()
    };
    world.deposit(old.org, world.usdt(1)).await;
    let root = Tree::of(vec![again.leaf()]);
    let lines = vec![line(old.org, world.usdt(1), &[])];
    world
        .act(&world.people.server, world.hub.settleBatch(1, root.root(), lines))
        .await;

    assert_ne!(old.leaf(), again.leaf());
    assert!(verifies(&world, 1, 0, again.leaf(), vec![]).await);
    assert!(!verifies(&world, 0, 1, old.leaf(), tree.proof(old.leaf())).await);
    assert!(!verifies(&world, 1, 0, old.leaf(), vec![]).await);
}

#[tokio::test]
async fn proofs_of_trees_of_every_small_size_verify() {
    let world = World::plain().await;
    let org = world.organization("acme", &world.people.alice, 10).await;
    for size in 1..=17u8 {
        let seq = u64::from(size) - 1;
        let leaves: Vec<_> = (0..size)
            .map(|n| Receipt::numbered(n, seq, 0, org).leaf())
            .collect();
        let tree = Tree::of(leaves.clone());
        let call = world
            .hub
            .settleBatch(seq, tree.root(), vec![line(org, U256::ZERO, &[])]);
        world.act(&world.people.server, call).await;
        for leaf in leaves {
            assert!(
                verifies(&world, seq, 0, leaf, tree.proof(leaf)).await,
                "{size} leaves"
            );
        }
    }
}
