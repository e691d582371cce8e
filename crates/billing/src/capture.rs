//! Captures: what a call did cost, taken durably and exactly once.

use haithe_identity::api_key::ApiKeyId;
use haithe_kernel::{CallId, ModelId, OrgId, ProductId, ProjectId, Timestamp, Usdt, WalletAddress};
use serde::{Deserialize, Serialize};

/// Who is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Payee {
    /// The platform, for the model.
    Platform,
    /// A product's creator.
    Creator(WalletAddress),
    /// The organization that owns a public project.
    Organization(OrgId),
}

/// What a line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LineItem {
    /// The model's price per call.
    ModelCall,
    /// The model's price per token.
    ModelTokens,
    /// A product's price per call.
    Product(ProductId),
    /// A public project's price per call.
    Project(ProjectId),
}

/// One priced part of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriceLine {
    /// Who is paid.
    pub payee: Payee,
    /// For what.
    pub item: LineItem,
    /// How much, in nano-USDT; zero lines are kept, so that a free product shows.
    pub amount: Usdt,
}

/// Tokens as metered. `input` includes `cached`, `output` includes `reasoning`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct TokenUsage {
    pub input: u64,
    pub cached: u64,
    pub output: u64,
    pub reasoning: u64,
}

/// How a charged call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallOutcome {
    /// The upstream finished and said so.
    Complete,
    /// The upstream died after its first token; what arrived is charged.
    Partial,
    /// The caller left; what was generated is charged.
    Aborted,
}

/// Facts about a call that the receipt and the usage API show. No prompt, no answer: hashes only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRecord {
    /// The project that was called.
    pub project: ProjectId,
    /// The wallet on whose behalf.
    pub wallet: WalletAddress,
    /// The key used, if one was.
    pub api_key: Option<ApiKeyId>,
    /// The model, by number and by the public name that was asked for.
    pub model: ModelId,
    /// The model's public name.
    pub model_name: String,
    /// The provider that answered.
    pub provider: String,
    /// Tokens.
    pub tokens: TokenUsage,
    /// `true` when tokens were counted by Haithe because the upstream reported none.
    pub estimated: bool,
    /// Streamed?
    pub streamed: bool,
    /// How it ended.
    pub outcome: CallOutcome,
    /// SHA-256 of the request body as received.
    pub request_hash: [u8; 32],
    /// SHA-256 of the response bytes as received from the upstream, up to where it ended.
    pub response_hash: [u8; 32],
    /// When the call was admitted.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
}

/// What to take for a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// The call, which must hold money.
    pub call: CallId,
    /// The payer.
    pub org: OrgId,
    /// What it cost, part by part.
    pub lines: Vec<PriceLine>,
    /// The facts.
    pub usage: UsageRecord,
}

impl Capture {
    /// What it cost in all; capped at the end of the range.
    pub fn cost(&self) -> Usdt {
        self.lines.iter().map(|line| line.amount).sum()
    }
}

/// What was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Captured {
    /// min(cost, hold + available at that moment).
    pub charged: Usdt,
    /// cost − charged, borne by the platform.
    pub lost: Usdt,
    /// What the organization had spent before this call, all time.
    pub spent_before: Usdt,
}

/// The lines as charged when only `charged` of their sum could be taken.
///
/// The platform bears the loss: its lines are cut first, from the last; creators and organizations
/// are cut only when that is not enough, from the last. The result sums to exactly
/// min(`charged`, sum of lines), and no line grows.
pub fn allocate(lines: &[PriceLine], charged: Usdt) -> Vec<PriceLine> {
    let mut lines = lines.to_vec();
    let total: Usdt = lines.iter().map(|line| line.amount).sum();
    let mut missing = total.saturating_sub(charged.max(Usdt::ZERO)).max(Usdt::ZERO);
    for platform_first in [true, false] {
        let is_turn = |line: &PriceLine| (line.payee == Payee::Platform) == platform_first;
        for line in lines.iter_mut().rev().filter(|line| is_turn(line)) {
            let cut = missing.min(line.amount);
            line.amount = line.amount.saturating_sub(cut);
            missing = missing.saturating_sub(cut);
        }
    }
    lines
}
