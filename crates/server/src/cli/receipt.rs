//! `haithe receipt`: what a call did cost, checked without trusting the server.

use super::{Outcome, Ran, briefly, load, say};
use crate::{Config, Sources, wiring};
use clap::{Args, Subcommand};
use haithe_billing::{
    chain::Hash32,
    receipt::ReceiptDocument,
    verify::{ReceiptClaim, StepOutcome},
};
use haithe_kernel::{Decimals, OrgId, WalletAddress};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{error::Error, io::Read};

#[derive(Debug, Subcommand)]
pub(super) enum ReceiptCommand {
    /// Verify one receipt with nothing but the chain; exit code 0 valid, 1 not, 2 not known
    Verify(VerifyArgs),
    /// Compare all receipts of an organization with what was taken from its contract
    Audit {
        /// The organization's number
        #[arg(long)]
        org: i64,
    },
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The answer of GET /api/v1/receipts/{id}, or its `data`; `-` reads the standard input
    file: String,
    /// The node to ask; without it, the configuration's chain
    #[arg(long, requires = "orchestrator")]
    rpc: Option<String>,
    /// The orchestrator you trust
    #[arg(long, requires = "rpc")]
    orchestrator: Option<WalletAddress>,
    /// The payment token's decimals
    #[arg(long, default_value_t = 18)]
    token_decimals: u8,
}

/// A receipt as the REST wire has it. Other fields are no evidence.
#[derive(Debug, Deserialize)]
struct Presented {
    document: Box<RawValue>,
    hash: Option<String>,
    settlement: Option<PresentedSettlement>,
}

#[derive(Debug, Deserialize)]
struct PresentedSettlement {
    batch: u64,
    line: u32,
    leaf: Option<String>,
    root: Option<String>,
    proof: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Envelope {
    data: Box<RawValue>,
}

pub(super) fn run(command: ReceiptCommand, sources: Sources) -> Ran {
    match command {
        ReceiptCommand::Verify(args) => verify(&args, sources),
        ReceiptCommand::Audit { org } => audit(&load(sources)?, OrgId(org)),
    }
}

fn verify(args: &VerifyArgs, sources: Sources) -> Ran {
    let text = read(&args.file)?;
    let inner = serde_json::from_str::<Envelope>(&text).map(|envelope| envelope.data);
    let inner = inner.as_ref().map_or(text.as_str(), |data| data.get());
    let presented: Presented =
        serde_json::from_str(inner).map_err(|error| format!("this is not a receipt's answer: {error}"))?;
    let document = presented.document.get().to_owned();
    let Some(settlement) = presented.settlement else {
        say("this receipt is in no batch yet: there is nothing on chain to verify");
        return Ok(Outcome::Unknown);
    };
    let claim = ReceiptClaim {
        hash: presented.hash.as_deref().map(hash).transpose()?,
        seq: settlement.batch,
        line: settlement.line,
        leaf: settlement.leaf.as_deref().map(hash).transpose()?,
        root: settlement.root.as_deref().map(hash).transpose()?,
        proof: settlement
            .proof
            .iter()
            .map(|text| hash(text))
            .collect::<Result<_, _>>()?,
        document,
    };
    let verifier = match (&args.rpc, args.orchestrator) {
        (Some(rpc), Some(orchestrator)) => {
            // Of the document nothing is believed but which chain it says it is for; the node is
            // asked whether it serves that one.
            let chain_id =
                ReceiptDocument::parse(&claim.document).map_or(0, |receipt| receipt.context.chain_id);
            let decimals = Decimals::new(args.token_decimals)?;
            wiring::receipt_verifier(&SecretString::from(rpc.clone()), chain_id, orchestrator, decimals)?
        }
        _ => {
            let chain = load(sources)?.chain;
            wiring::receipt_verifier(&chain.rpc_url, chain.id, chain.orchestrator, chain.decimals)?
        }
    };
    let verification = briefly(verifier.verify(&claim))?;
    say(&verification.to_string());
    let failed = |outcome: &StepOutcome| matches!(outcome, StepOutcome::Failed(_));
    Ok(if verification.is_valid() {
        Outcome::Good
    } else if verification.steps.iter().any(|(_, outcome)| failed(outcome)) {
        Outcome::Bad
    } else {
        Outcome::Unknown
    })
}

fn audit(config: &Config, org: OrgId) -> Ran {
    briefly(async {
        let report = wiring::receipt_audit(config, org).await?;
        let report = report.ok_or_else(|| format!("there is no organization {org}"))?;
        say(&report.to_string());
        Ok(if report.is_clean() {
            Outcome::Good
        } else {
            Outcome::Bad
        })
    })?
}

fn read(file: &str) -> Result<String, Box<dyn Error + Send + Sync>> {
    if file == "-" {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(file).map_err(|error| format!("cannot read {file}: {error}").into())
}

fn hash(text: &str) -> Result<Hash32, String> {
    let mut hash = [0; 32];
    hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut hash)
        .map(|()| hash)
        .map_err(|_| format!("{text:?} is not a hash of 64 hexadecimal digits"))
}
