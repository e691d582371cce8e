//! Verifying one receipt with nothing but the chain.
//!
//! What Haithe says about a receipt is a claim; each step compares it with something computed from
//! the document itself, and the last one asks the contract.

use crate::{
    chain::Hash32,
    merkle,
    ports::Settler,
    receipt::{Receipt, ReceiptDocument, Settlement},
};
use haithe_kernel::{Usdt, WalletAddress};
use std::{fmt, sync::Arc};

/// A receipt as somebody presents it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptClaim {
    /// The document, byte for byte.
    pub document: String,
    /// Its hash, if one was given.
    pub hash: Option<Hash32>,
    /// The batch, and the organization's line in it.
    pub seq: u64,
    /// The line.
    pub line: u32,
    /// The leaf, if one was given.
    pub leaf: Option<Hash32>,
    /// The batch's root, if one was given.
    pub root: Option<Hash32>,
    /// Siblings from the leaf to the root.
    pub proof: Vec<Hash32>,
}

impl ReceiptClaim {
    /// The claim that a stored receipt makes; `None` before it is in a batch.
    pub fn of(receipt: &Receipt) -> Option<Self> {
        let Settlement {
            seq,
            line,
            root,
            leaf,
            ref proof,
            ..
        } = *receipt.settlement.as_ref()?;
        Some(Self {
            document: receipt.sealed.json.clone(),
            hash: Some(receipt.sealed.hash),
            seq,
            line,
            leaf: Some(leaf),
            root: Some(root),
            proof: proof.clone(),
        })
    }
}

/// What is verified, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerificationStep {
    /// The text is a receipt in its canonical form.
    Document,
    /// Its SHA-256 is the one that was given.
    Hash,
    /// Its price lines sum to what was charged.
    Amounts,
    /// It names this chain and this orchestrator.
    Chain,
    /// Its leaf is the one that was given.
    Leaf,
    /// The proof leads from the leaf to the root that was given.
    Proof,
    /// The contract confirms that the leaf is in the batch and that its line was paid.
    Contract,
}

impl fmt::Display for VerificationStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Document => "the document is a receipt in canonical form",
            Self::Hash => "its SHA-256 is the one given",
            Self::Amounts => "its price lines sum to what was charged",
            Self::Chain => "it names this chain and this orchestrator",
            Self::Leaf => "its leaf is the one given",
            Self::Proof => "the proof leads to the root given",
            Self::Contract => "the contract confirms that it was settled",
        })
    }
}

/// How a step went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepOutcome {
    /// As it should be.
    Passed,
    /// Not so; the text says what is wrong.
    Failed(String),
    /// The chain could not be asked.
    Unknown(String),
}

/// The result, step by step. Steps about things that were not given are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// What was verified and how it went; ends with the first step without which the rest has no meaning.
    pub steps: Vec<(VerificationStep, StepOutcome)>,
    /// What the receipt says, if it could be read.
    pub document: Option<ReceiptDocument>,
    seq: u64,
    line: u32,
}

impl Verification {
    /// Whether every step passed, the contract's word included.
    pub fn is_valid(&self) -> bool {
        let passed = |(_, outcome): &(_, StepOutcome)| *outcome == StepOutcome::Passed;
        let asked = |(step, _): &(VerificationStep, _)| *step == VerificationStep::Contract;
        self.steps.iter().all(passed) && self.steps.iter().any(asked)
    }

    fn check(&mut self, step: VerificationStep, holds: bool, otherwise: impl FnOnce() -> String) {
        let outcome = match holds {
            true => StepOutcome::Passed,
            false => StepOutcome::Failed(otherwise()),
        };
        self.steps.push((step, outcome));
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (step, outcome) in &self.steps {
            match outcome {
                StepOutcome::Passed => writeln!(f, "ok      {step}")?,
                StepOutcome::Failed(why) => writeln!(f, "FAILED  {step}: {why}")?,
                StepOutcome::Unknown(why) => writeln!(f, "?       {step}: {why}")?,
            }
        }
        match &self.document {
            Some(document) if self.is_valid() => write!(
                f,
                "valid: organization {} paid {} USDT for call {}, settled in batch {}, line {}",
                document.context.org_address, document.charged, document.call, self.seq, self.line
            ),
            _ if self
                .steps
                .iter()
                .any(|(_, outcome)| matches!(outcome, StepOutcome::Failed(_))) =>
            {
                write!(f, "NOT valid")
            }
            _ => write!(f, "not known: the chain could not be asked"),
        }
    }
}

/// Verifies receipts against one orchestrator.
pub struct ReceiptVerifier {
    settler: Arc<dyn Settler>,
    chain_id: u64,
    orchestrator: WalletAddress,
}

impl ReceiptVerifier {
    /// Against the orchestrator that `settler` asks.
    pub fn new(settler: Arc<dyn Settler>, chain_id: u64, orchestrator: WalletAddress) -> Self {
        Self {
            settler,
            chain_id,
            orchestrator,
        }
    }

    /// Verifies everything that was claimed.
    pub async fn verify(&self, claim: &ReceiptClaim) -> Verification {
        use VerificationStep as Step;
        let mut result = Verification {
            steps: Vec::new(),
            document: None,
            seq: claim.seq,
            line: claim.line,
        };
        let document = match ReceiptDocument::parse(&claim.document) {
            Ok(document) => document,
            Err(error) => {
                result.check(Step::Document, false, || error.to_string());
                return result;
            }
        };
        result.check(Step::Document, true, String::new);

        let hash = document.seal().hash;
        if let Some(given) = claim.hash {
            result.check(Step::Hash, given == hash, || {
                format!("it is {}", hex::encode(hash))
            });
        }
        let sum = Usdt::checked_sum(document.lines.iter().map(|line| line.amount));
        result.check(Step::Amounts, sum == Some(document.charged), || {
            format!("{} USDT were charged", document.charged)
        });
        let (chain_id, orchestrator) = (document.context.chain_id, document.context.orchestrator);
        let here = (chain_id, orchestrator) == (self.chain_id, self.orchestrator);
        result.check(Step::Chain, here, || {
            format!("it is for chain {chain_id}, orchestrator {orchestrator}")
        });

        let leaf = document.leaf(claim.seq, claim.line);
        if let Some(given) = claim.leaf {
            result.check(Step::Leaf, given == leaf, || {
                format!("it is 0x{}", hex::encode(leaf))
            });
        }
        if let Some(root) = claim.root {
            let leads = merkle::verify(&root, &leaf, &claim.proof);
            result.check(Step::Proof, leads, || "it leads elsewhere".to_owned());
        }
        if here {
            result.steps.push((Step::Contract, self.ask(claim, leaf).await));
        }
        result.document = Some(document);
        result
    }

    async fn ask(&self, claim: &ReceiptClaim, leaf: Hash32) -> StepOutcome {
        let proof = claim.proof.clone();
        match self
            .settler
            .verify_receipt(claim.seq, claim.line, leaf, proof)
            .await
        {
            Ok(true) => StepOutcome::Passed,
            Ok(false) => StepOutcome::Failed(format!(
                "batch {} does not hold it, or line {} was not paid",
                claim.seq, claim.line
            )),
            Err(error) => StepOutcome::Unknown(error.to_string()),
        }
    }
}

impl fmt::Debug for ReceiptVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiptVerifier")
            .field("chain_id", &self.chain_id)
            .field("orchestrator", &self.orchestrator)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
