//! Receipts: one per call, provable against the chain by anyone.

use crate::{batch::BatchState, chain::Hash32};
use haithe_kernel::{CallId, OrgId, Usdt, WalletAddress};

/// A receipt's canonical JSON (RFC 8785) and its SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedReceipt {
    /// The bytes that are hashed.
    pub json: String,
    /// SHA-256 of `json`.
    pub hash: Hash32,
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
