//! What tests of several modules need. A test shows only the values it is about.

use crate::{
    capture::{CallOutcome, LineItem, Payee, PriceLine, TokenUsage, UsageRecord},
    receipt::{ReceiptContext, ReceiptDocument},
};
use haithe_kernel::{CallId, ModelId, OrgUid, ProjectId, Timestamp, Usdt, WalletAddress};
use uuid::Uuid;

pub(crate) const CHAIN_ID: u64 = 31_337;
pub(crate) const ORCHESTRATOR: WalletAddress = WalletAddress::new([0x0b; 20]);
pub(crate) const CREATOR: Payee = Payee::Creator(WalletAddress::new([0xcc; 20]));

pub(crate) fn usage() -> UsageRecord {
    UsageRecord {
        project: ProjectId(1),
        wallet: WalletAddress::new([1; 20]),
        api_key: None,
        model: ModelId(1),
        model_name: "sandbox".to_owned(),
        provider: "sandbox".to_owned(),
        tokens: TokenUsage::default(),
        estimated: false,
        streamed: false,
        outcome: CallOutcome::Complete,
        request_hash: [0; 32],
        response_hash: [0; 32],
        started_at: Timestamp::from_seconds(1_700_000_000),
        finished_at: Timestamp::from_seconds(1_700_000_001),
    }
}

pub(crate) fn line(payee: Payee, nano: i64) -> PriceLine {
    PriceLine {
        payee,
        item: LineItem::ModelCall,
        amount: Usdt::from_nano(nano),
    }
}

/// A call that `org` paid for.
pub(crate) fn document(call: u128, org: WalletAddress, credits: &[(Payee, i64)]) -> ReceiptDocument {
    let usage = usage();
    let lines: Vec<_> = credits.iter().map(|(payee, nano)| line(*payee, *nano)).collect();
    ReceiptDocument {
        context: ReceiptContext {
            chain_id: CHAIN_ID,
            orchestrator: ORCHESTRATOR,
            org_uid: OrgUid::new(Uuid::from_u128(0)),
            org_address: org,
        },
        call: CallId(Uuid::from_u128(call)),
        project: usage.project,
        wallet: usage.wallet,
        api_key: None,
        model: usage.model_name,
        provider: usage.provider,
        tokens: usage.tokens,
        estimated: false,
        streamed: false,
        outcome: usage.outcome,
        request_hash: usage.request_hash,
        response_hash: usage.response_hash,
        charged: lines.iter().map(|line| line.amount).sum(),
        lost: Usdt::ZERO,
        lines,
        started_at: usage.started_at,
        finished_at: usage.finished_at,
    }
}
