//! Receipts: one per call, provable against the chain by anyone.
//!
//! A receipt is a JSON document in canonical form (RFC 8785). Its SHA-256, its payer and its amount
//! go into a leaf of the batch that settles it; the batch's root is on chain. Whoever has the
//! document and the proof can check both without asking Haithe.

mod canonical;
mod document;

pub use document::{DocumentError, ReceiptDocument};

use crate::{
    batch::BatchState,
    capture::{Capture, Captured, PriceLine},
    chain::Hash32,
};
use haithe_kernel::{CallId, OrgId, OrgUid, ProjectId, Timestamp, Usdt, WalletAddress};
use sha3::{Digest, Keccak256};

/// The version of the document's form, which is also in the leaf.
pub const RECEIPT_VERSION: u8 = 1;

/// What a receipt says about where it counts: the chain, and who pays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptContext {
    /// EIP-155 id of the chain that settles it.
    pub chain_id: u64,
    /// The contract that holds the batch's root.
    pub orchestrator: WalletAddress,
    /// The payer's public identifier.
    pub org_uid: OrgUid,
    /// The payer's contract.
    pub org_address: WalletAddress,
}

/// A receipt's canonical JSON (RFC 8785) and its SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedReceipt {
    /// The bytes that are hashed.
    pub json: String,
    /// SHA-256 of `json`.
    pub hash: Hash32,
}

impl SealedReceipt {
    /// The receipt of a captured call. `charged_lines` are the capture's lines as
    /// [`allocate`](crate::capture::allocate) cut them. Never fails, whatever the names contain.
    pub fn seal(
        context: &ReceiptContext,
        capture: &Capture,
        captured: &Captured,
        charged_lines: &[PriceLine],
    ) -> Self {
        ReceiptDocument::new(context, capture, captured, charged_lines).seal()
    }
}

/// The receipt's id as the contract takes it: the 16 bytes of the call's UUID, left-aligned and
/// padded with zeros, as Solidity's `bytes32(bytes16)` does.
pub fn receipt_id32(call: CallId) -> Hash32 {
    let mut id = [0; 32];
    for (slot, byte) in id.iter_mut().zip(call.0.as_bytes()) {
        *slot = *byte;
    }
    id
}

/// A receipt's leaf:
/// `keccak(bytes.concat(keccak(abi.encode(uint8, bytes32, uint64, uint32, address, uint256, bytes32))))`,
/// the double hash of OpenZeppelin's StandardMerkleTree. `nano` is what was charged, in nano-USDT;
/// an amount below zero, which no receipt has, counts as zero.
pub fn leaf(
    version: u8,
    receipt_id: Hash32,
    seq: u64,
    line: u32,
    org: WalletAddress,
    nano: Usdt,
    receipt_hash: Hash32,
) -> Hash32 {
    let nano = u64::try_from(nano.nano()).unwrap_or(0);
    let inner = Keccak256::new()
        .chain_update(word(&version.to_be_bytes()))
        .chain_update(receipt_id)
        .chain_update(word(&seq.to_be_bytes()))
        .chain_update(word(&line.to_be_bytes()))
        .chain_update(word(org.as_bytes()))
        .chain_update(word(&nano.to_be_bytes()))
        .chain_update(receipt_hash)
        .finalize();
    Keccak256::digest(inner).into()
}

/// A static ABI word: big-endian bytes, right-aligned.
fn word(bytes: &[u8]) -> Hash32 {
    let mut word = [0; 32];
    for (slot, byte) in word.iter_mut().rev().zip(bytes.iter().rev()) {
        *slot = *byte;
    }
    word
}

/// Where a receipt was settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The batch.
    pub seq: u64,
    /// The organization's line in it.
    pub line: u32,
    /// The batch's root.
    pub root: Hash32,
    /// The receipt's leaf.
    pub leaf: Hash32,
    /// Siblings from the leaf to the root.
    pub proof: Vec<Hash32>,
    /// How far the batch has come.
    pub state: BatchState,
    /// The settling transaction, once seen.
    pub tx: Option<Hash32>,
}

/// Which receipts of an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiptFilter {
    /// It paid.
    pub org: OrgId,
    /// Of calls of this project alone.
    pub project: Option<ProjectId>,
    /// Of calls that ended at this time or later …
    pub from: Option<Timestamp>,
    /// … and before this one.
    pub until: Option<Timestamp>,
}

impl ReceiptFilter {
    /// All of an organization's.
    pub const fn of(org: OrgId) -> Self {
        Self {
            org,
            project: None,
            from: None,
            until: None,
        }
    }
}

/// A stored receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The call.
    pub call: CallId,
    /// The payer.
    pub org: OrgId,
    /// The payer's contract.
    pub org_address: WalletAddress,
    /// What was charged.
    pub charged: Usdt,
    /// The document.
    pub sealed: SealedReceipt,
    /// Its settlement, once sealed in a batch.
    pub settlement: Option<Settlement>,
}

#[cfg(test)]
mod tests;
