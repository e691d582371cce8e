//! The tree over a batch's receipts, laid out as OpenZeppelin's StandardMerkleTree does.
//!
//! Leaves are sorted and stored at the end of an array, largest first; node `i` is the hash of its
//! children `2i + 1` and `2i + 2`, smaller one first, so that a proof needs no directions. The
//! contract checks proofs with OpenZeppelin's `MerkleProof`. Leaves come in hashed twice already
//! ([`receipt::leaf`](crate::receipt::leaf)), which is what keeps an inner node from passing for one.

use crate::chain::Hash32;
use sha3::{Digest, Keccak256};

/// A Merkle tree over leaf hashes.
#[derive(Debug, Clone)]
pub struct Tree {
    /// The root first, the leaves last, in descending order.
    nodes: Vec<Hash32>,
    leaves: usize,
}

impl Tree {
    /// The tree over these leaves, in whatever order they come.
    pub fn new(mut leaves: Vec<Hash32>) -> Self {
        leaves.sort_unstable_by(|a, b| b.cmp(a));
        let count = leaves.len();
        let inner = count.saturating_sub(1);
        let mut nodes = vec![[0; 32]; inner];
        nodes.append(&mut leaves);
        for index in (0..inner).rev() {
            if let (Some(&left), Some(&right)) = (nodes.get(2 * index + 1), nodes.get(2 * index + 2))
                && let Some(node) = nodes.get_mut(index)
            {
                *node = pair(left, right);
            }
        }
        Self { nodes, leaves: count }
    }

    /// The root. The empty tree's is 32 zero bytes, to which no leaf is known to lead.
    pub fn root(&self) -> Hash32 {
        self.nodes.first().copied().unwrap_or_default()
    }

    /// The siblings from `leaf` to the root; `None` when it is not in the tree.
    pub fn proof(&self, leaf: &Hash32) -> Option<Vec<Hash32>> {
        let first_leaf = self.nodes.len() - self.leaves;
        let leaves = self.nodes.get(first_leaf..)?;
        let position = leaves.binary_search_by(|candidate| leaf.cmp(candidate)).ok()?;

        let mut index = first_leaf + position;
        let mut siblings = Vec::new();
        while index > 0 {
            let sibling = if index % 2 == 1 { index + 1 } else { index - 1 };
            siblings.push(*self.nodes.get(sibling)?);
            index = (index - 1) / 2;
        }
        Some(siblings)
    }
}

/// Whether `proof` leads from `leaf` to `root`.
pub fn verify(root: &Hash32, leaf: &Hash32, proof: &[Hash32]) -> bool {
    proof.iter().fold(*leaf, |node, sibling| pair(node, *sibling)) == *root
}

fn pair(a: Hash32, b: Hash32) -> Hash32 {
    Keccak256::new()
        .chain_update(a.min(b))
        .chain_update(a.max(b))
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receipt::leaf;
    use haithe_kernel::{Usdt, WalletAddress};
    use proptest::prelude::*;

    /// The values behind the vectors below, made once with @openzeppelin/merkle-tree 1.0:
    ///
    /// ```js
    /// const b = (x, n) => "0x" + x.toString(16).repeat(n);
    /// const value = (i) => [1, b(0x10 + i, 16) + "00".repeat(16), "7", i, b(0xa0 + i, 20),
    ///   String(1000000007 * (i + 1)), b(0xc0 + i, 32)];
    /// StandardMerkleTree.of(values, ["uint8", "bytes32", "uint64", "uint32", "address", "uint256", "bytes32"]);
    /// ```
    fn leaves(count: u8) -> Vec<Hash32> {
        let value = |i: u8| {
            let mut id = [0; 32];
            id[..16].fill(0x10 + i);
            let org = WalletAddress::new([0xa0 + i; 20]);
            let nano = Usdt::from_nano(1_000_000_007 * (i64::from(i) + 1));
            leaf(1, id, 7, u32::from(i), org, nano, [0xc0 + i; 32])
        };
        (0..count).map(value).collect()
    }

    fn hash(digits: &str) -> Hash32 {
        hex::decode(digits).unwrap().try_into().unwrap()
    }

    #[test]
    fn leaves_and_roots_are_those_of_openzeppelins_library() {
        let first = "5f61850cd627796cd49e10a6b1ce050d23cef84cc81b934c36a03ce2929a58eb";
        assert_eq!(leaves(1), [hash(first)]);
        for (count, root) in [
            (1, first),
            (
                2,
                "a951d36098b709fdb0bb36b4cb4f687a413ba06f8fbe1036da5103c9ef4b10dd",
            ),
            (
                3,
                "56962485043e3e475b029bd27128c87e70cf68a20faa6ccfc5520b4d0b15c445",
            ),
            (
                5,
                "57c4adac5e682a6ee5aab5656e857641a370b424fe6ffac0782722e199b76b33",
            ),
            (
                8,
                "de9f856ee6e19672e5f2e3c92661fddbb45f3d19a14c9ad9a41683fd46d0f093",
            ),
        ] {
            assert_eq!(Tree::new(leaves(count)).root(), hash(root), "{count} leaves");
        }
    }

    #[test]
    fn proofs_are_those_of_openzeppelins_library() {
        let leaves = leaves(5);
        let tree = Tree::new(leaves.clone());
        assert_eq!(
            tree.proof(&leaves[1]).unwrap(),
            [
                hash("0b2fd28be592563e129847e3aa8d181c632b3790fceb8ac7b2df7ae9fc45020a"),
                hash("647bb066a48366cf2c55b79e3cd866cbc816dd5f022c4e07f66afd11aed501f1"),
            ]
        );
        assert_eq!(
            tree.proof(&leaves[3]).unwrap(),
            [
                hash("3c47a396e92fc513abf08e828bfaeabee3ee12372cf1b8aade98f12dd0e03972"),
                hash("a07091e0dd4b8a269dece6daac0860b66180626f66d1a1962d850bdfb1b842a5"),
                hash("647bb066a48366cf2c55b79e3cd866cbc816dd5f022c4e07f66afd11aed501f1"),
            ]
        );
    }

    #[test]
    fn the_empty_tree_has_a_zero_root_and_proves_nothing() {
        let tree = Tree::new(Vec::new());
        assert_eq!(tree.root(), [0; 32]);
        assert_eq!(tree.proof(&[0; 32]), None);
    }

    #[test]
    fn a_thousand_leaves_are_proven_by_ten_siblings_each() {
        let leaves: Vec<Hash32> = (0u32..1024)
            .map(|i| Keccak256::digest(i.to_be_bytes()).into())
            .collect();
        let tree = Tree::new(leaves.clone());
        for leaf in &leaves {
            let proof = tree.proof(leaf).unwrap();
            assert_eq!(proof.len(), 10);
            assert!(verify(&tree.root(), leaf, &proof));
        }
    }

    proptest! {
        #[test]
        fn every_leaf_is_proven_and_no_other(
            leaves in prop::collection::vec(any::<Hash32>(), 1..40),
            stranger: Hash32,
            pick: prop::sample::Index,
        ) {
            let tree = Tree::new(leaves.clone());
            let root = tree.root();
            for leaf in &leaves {
                prop_assert!(verify(&root, leaf, &tree.proof(leaf).unwrap()));
            }
            prop_assert_eq!(tree.proof(&stranger), None);
            prop_assert!(!verify(&root, &stranger, &tree.proof(pick.get(&leaves)).unwrap()));
        }

        #[test]
        fn the_order_of_the_leaves_does_not_matter(
            (leaves, shuffled) in prop::collection::vec(any::<Hash32>(), 0..20)
                .prop_flat_map(|leaves| (Just(leaves.clone()), Just(leaves).prop_shuffle())),
        ) {
            prop_assert_eq!(Tree::new(leaves).root(), Tree::new(shuffled).root());
        }
    }
}
