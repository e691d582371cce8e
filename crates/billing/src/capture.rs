//! Captures: what a call did cost, taken durably and exactly once.

use crate::ExpenditureScope;
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

impl PriceLine {
    /// A product whose content was loaded (a tool: that was offered), at its price when the call was
    /// admitted. Each product of a call is one line; the hold covers it like any other.
    pub const fn product(product: ProductId, creator: WalletAddress, price: Usdt) -> Self {
        Self {
            payee: Payee::Creator(creator),
            item: LineItem::Product(product),
            amount: price,
        }
    }
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
    /// Whose spending before this call the answer says.
    pub expenditure: ExpenditureScope,
}

impl Capture {
    /// What it cost in all; capped at the end of the range. A negative amount, which no price
    /// yields, counts as zero.
    pub fn cost(&self) -> Usdt {
        capped(self.lines.iter().map(owed).sum())
    }
}

/// What was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Captured {
    /// min(cost, hold + available at that moment).
    pub charged: Usdt,
    /// cost − charged, borne by the platform.
    pub lost: Usdt,
    /// What was spent before this call, all time, in the capture's [`ExpenditureScope`].
    pub spent_before: Usdt,
}

/// The lines as charged when only `charged` of their sum could be taken.
///
/// The platform bears the loss: its lines are cut first, from the last; creators and organizations
/// are cut only when that is not enough, from the last. The result sums to exactly
/// min(`charged`, sum of lines), however large the lines are, and no line grows. Amounts below
/// zero, which no price yields, count as zero.
pub fn allocate(lines: &[PriceLine], charged: Usdt) -> Vec<PriceLine> {
    let mut lines = lines.to_vec();
    let total: i128 = lines.iter().map(owed).sum();
    let mut missing = (total - i128::from(charged.nano().max(0))).max(0);
    for platforms_turn in [true, false] {
        let is_turn = |line: &PriceLine| (line.payee == Payee::Platform) == platforms_turn;
        for line in lines.iter_mut().rev().filter(|line| is_turn(line)) {
            let owed = owed(line);
            let cut = missing.min(owed);
            line.amount = capped(owed - cut);
            missing -= cut;
        }
    }
    lines
}

fn owed(line: &PriceLine) -> i128 {
    i128::from(line.amount.nano().max(0))
}

fn capped(nano: i128) -> Usdt {
    i64::try_from(nano).map_or(Usdt::MAX, Usdt::from_nano)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(payee: Payee, nano: i64) -> PriceLine {
        PriceLine {
            payee,
            item: LineItem::ModelTokens,
            amount: Usdt::from_nano(nano),
        }
    }

    fn nanos(lines: &[PriceLine]) -> Vec<i64> {
        lines.iter().map(|line| line.amount.nano()).collect()
    }

    const CREATOR: Payee = Payee::Creator(WalletAddress::new([7; 20]));

    #[test]
    fn a_call_paid_in_full_keeps_its_lines() {
        let lines = [line(Payee::Platform, 5), line(CREATOR, 3)];
        assert_eq!(allocate(&lines, Usdt::from_nano(8)), lines);
        assert_eq!(allocate(&lines, Usdt::MAX), lines);
    }

    #[test]
    fn the_platform_bears_what_is_missing_before_anybody_else() {
        let lines = [
            line(Payee::Platform, 5),
            line(CREATOR, 3),
            line(Payee::Platform, 2),
            line(Payee::Organization(OrgId(1)), 4),
        ];
        assert_eq!(nanos(&allocate(&lines, Usdt::from_nano(13))), [5, 3, 1, 4]);
        assert_eq!(nanos(&allocate(&lines, Usdt::from_nano(8))), [1, 3, 0, 4]);
        assert_eq!(nanos(&allocate(&lines, Usdt::from_nano(5))), [0, 3, 0, 2]);
        assert_eq!(nanos(&allocate(&lines, Usdt::from_nano(2))), [0, 2, 0, 0]);
        assert_eq!(nanos(&allocate(&lines, Usdt::ZERO)), [0, 0, 0, 0]);
    }

    fn payee() -> impl Strategy<Value = Payee> {
        prop_oneof![
            Just(Payee::Platform),
            any::<[u8; 20]>().prop_map(|bytes| Payee::Creator(WalletAddress::new(bytes))),
            any::<i64>().prop_map(|id| Payee::Organization(OrgId(id))),
        ]
    }

    fn amount() -> impl Strategy<Value = i64> {
        prop_oneof![0i64..1000, 0..=i64::MAX, Just(i64::MAX), Just(0)]
    }

    proptest! {
        #[test]
        fn the_lines_sum_to_exactly_what_was_charged_and_none_grows(
            parts in prop::collection::vec((payee(), amount()), 0..12),
            charged in amount(),
        ) {
            let lines: Vec<_> = parts.into_iter().map(|(payee, nano)| line(payee, nano)).collect();
            let cut = allocate(&lines, Usdt::from_nano(charged));

            let total: i128 = lines.iter().map(owed).sum();
            let sum: i128 = cut.iter().map(owed).sum();
            prop_assert_eq!(sum, total.min(i128::from(charged)));
            prop_assert_eq!(cut.len(), lines.len());
            for (before, after) in lines.iter().zip(&cut) {
                prop_assert!(after.amount <= before.amount);
                prop_assert!(!after.amount.is_negative());
                prop_assert_eq!((before.payee, before.item), (after.payee, after.item));
            }

            let of_platform = |lines: &[PriceLine]| -> i128 {
                lines.iter().filter(|line| line.payee == Payee::Platform).map(owed).sum()
            };
            let others_lost = (total - of_platform(&lines)) - (sum - of_platform(&cut));
            prop_assert!(others_lost == 0 || of_platform(&cut) == 0);
        }
    }
}
