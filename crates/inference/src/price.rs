//! What a call may cost at most, and what it did cost: exact integers, rounded up once.
//!
//! Token prices are nano-USDT per million tokens, so tokens × price counts millionths of a nano.
//! Those are summed in 128 bits and rounded up to a whole nano at the end; a cost within the
//! bound's tokens therefore never exceeds the bound's money.

use crate::catalogue::Price;
use haithe_billing::capture::{LineItem, Payee, PriceLine, TokenUsage};
use haithe_kernel::{OrgId, ProjectId, Usdt};

const TOKENS_PER_PRICE: u128 = 1_000_000;

/// What a public project of another organization takes per call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProjectFee {
    /// The project.
    pub project: ProjectId,
    /// The organization that owns it and is paid.
    pub owner: OrgId,
    /// Per call.
    pub amount: Usdt,
}

/// The prices that apply to one call, fixed when it is admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    /// The model's.
    pub model: Price,
    /// The project's, when somebody else's project is called.
    pub project: Option<ProjectFee>,
    /// What products take together, whose lines are the loop's own.
    pub products: Usdt,
}

/// The most tokens a call can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Input tokens.
    pub input: u64,
    /// Output tokens of one choice.
    pub output: u64,
    /// Choices.
    pub choices: u32,
}

impl Quote {
    /// What is due once a content byte was delivered, whatever the tokens.
    pub fn fixed(&self) -> Usdt {
        let fee = self.project.map_or(Usdt::ZERO, |fee| fee.amount);
        self.model
            .per_call
            .saturating_add(fee)
            .saturating_add(self.products)
    }

    /// The most that a call within `bound` can cost.
    pub fn most(&self, bound: Bound) -> Usdt {
        let output = bound.output.saturating_mul(u64::from(bound.choices));
        let units = self
            .input_units(bound.input)
            .saturating_add(units(output, self.dearest_output()));
        self.fixed().saturating_add(round_up(units))
    }

    /// The least that lets a call run at all: fixed prices, its input, one token of each choice.
    pub fn least(&self, bound: Bound) -> Usdt {
        let output = bound.output.min(1);
        self.most(Bound { output, ..bound })
    }

    /// How many output tokens of each choice `granted` pays for, beside fixed prices and input.
    pub fn affordable_output(&self, granted: Usdt, bound: Bound) -> u64 {
        let price = u128::from(self.dearest_output()).saturating_mul(u128::from(bound.choices));
        if price == 0 {
            return bound.output;
        }
        let left = budget_units(granted.saturating_sub(self.fixed()));
        let for_output = left.saturating_sub(self.input_units(bound.input));
        u64::try_from(for_output / price).map_or(bound.output, |tokens| tokens.min(bound.output))
    }

    /// How many input tokens `spendable` pays for, beside everything else the least call needs.
    pub fn affordable_input(&self, spendable: Usdt, choices: u32) -> u64 {
        let price = u128::from(self.model.input.0.max(self.model.cached.0));
        if price == 0 {
            return u64::MAX;
        }
        let left = budget_units(spendable.saturating_sub(self.fixed()));
        let for_input = left.saturating_sub(units(u64::from(choices), self.dearest_output()));
        u64::try_from(for_input / price).unwrap_or(u64::MAX)
    }

    /// What the call did cost, part by part. `delivered` says whether a content byte reached the
    /// caller, which makes per-call prices due.
    pub fn lines(&self, tokens: TokenUsage, delivered: bool) -> Vec<PriceLine> {
        let mut lines = Vec::with_capacity(3);
        let mut line = |payee, item, amount| lines.push(PriceLine { payee, item, amount });
        if delivered && (self.model.per_call.is_positive() || !self.model.per_token()) {
            line(Payee::Platform, LineItem::ModelCall, self.model.per_call);
        }
        if self.model.per_token() || !delivered {
            line(Payee::Platform, LineItem::ModelTokens, self.tokens(tokens));
        }
        lines.extend(self.fee_line().filter(|_| delivered));
        lines
    }

    /// What is due to the project's owner once a content byte was delivered.
    pub fn fee_line(&self) -> Option<PriceLine> {
        self.project.map(|fee| PriceLine {
            payee: Payee::Organization(fee.owner),
            item: LineItem::Project(fee.project),
            amount: fee.amount,
        })
    }

    /// The exact price of these tokens, rounded up to a whole nano.
    fn tokens(&self, tokens: TokenUsage) -> Usdt {
        let cached = tokens.cached.min(tokens.input);
        let reasoning = tokens.reasoning.min(tokens.output);
        let total = units(tokens.input - cached, self.model.input.0)
            .saturating_add(units(cached, self.model.cached.0))
            .saturating_add(units(tokens.output - reasoning, self.model.output.0))
            .saturating_add(units(reasoning, self.model.reasoning.0));
        round_up(total)
    }

    /// Nobody knows beforehand how much of the output will be reasoning.
    fn dearest_output(&self) -> u64 {
        self.model.output.0.max(self.model.reasoning.0)
    }

    /// Input at whichever of its two prices is higher.
    fn input_units(&self, tokens: u64) -> u128 {
        units(tokens, self.model.input.0.max(self.model.cached.0))
    }
}

/// Tokens at a price, in millionths of a nano. The product of two 64-bit numbers fits 128 bits.
fn units(tokens: u64, price: u64) -> u128 {
    u128::from(tokens).saturating_mul(u128::from(price))
}

/// An amount of money in millionths of a nano; nothing for less than nothing.
fn budget_units(amount: Usdt) -> u128 {
    u128::try_from(amount.nano())
        .unwrap_or(0)
        .saturating_mul(TOKENS_PER_PRICE)
}

/// Whole nanos, rounded up, capped at the largest amount: what is beyond it nobody can pay.
fn round_up(units: u128) -> Usdt {
    i64::try_from(units.div_ceil(TOKENS_PER_PRICE)).map_or(Usdt::MAX, Usdt::from_nano)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::PerMillion;
    use proptest::prelude::*;

    fn quote(per_call: i64, input: u64, cached: u64, output: u64, fee: Option<i64>) -> Quote {
        thinking(per_call, input, cached, (output, output), fee)
    }

    /// With a price of its own for reasoning, the second one.
    fn thinking(
        per_call: i64,
        input: u64,
        cached: u64,
        (output, reasoning): (u64, u64),
        fee: Option<i64>,
    ) -> Quote {
        Quote {
            model: Price {
                per_call: Usdt::from_nano(per_call),
                input: PerMillion(input),
                cached: PerMillion(cached),
                output: PerMillion(output),
                reasoning: PerMillion(reasoning),
            },
            project: fee.map(|nano| ProjectFee {
                project: ProjectId(1),
                owner: OrgId(2),
                amount: Usdt::from_nano(nano),
            }),
            products: Usdt::ZERO,
        }
    }

    fn cost(quote: &Quote, tokens: TokenUsage, delivered: bool) -> Usdt {
        quote
            .lines(tokens, delivered)
            .iter()
            .map(|line| line.amount)
            .sum()
    }

    #[test]
    fn the_sum_of_all_tokens_is_rounded_up_once() {
        // 0.1 USDT per million: a token costs 100 nano; 3 cached ones at 0.000_000_25 per million
        // cost 0.00075 nano together.
        let quote = quote(0, 100_000_000, 250, 400_000_000, None);
        let tokens = TokenUsage {
            input: 10,
            cached: 3,
            output: 5,
            reasoning: 2,
        };
        assert_eq!(cost(&quote, tokens, true), Usdt::from_nano(7 * 100 + 5 * 400 + 1));
    }

    #[test]
    fn reasoning_costs_what_the_catalogue_says_and_the_bound_covers_it() {
        let quote = thinking(0, 0, 0, (1_000_000, 4_000_000), None);
        let tokens = TokenUsage {
            output: 10,
            reasoning: 7,
            ..TokenUsage::default()
        };
        assert_eq!(cost(&quote, tokens, true), Usdt::from_nano(3 + 28));
        let bound = Bound {
            input: 0,
            output: 10,
            choices: 1,
        };
        assert_eq!(quote.most(bound), Usdt::from_nano(40));
    }

    #[test]
    fn per_call_prices_are_due_only_once_a_content_byte_was_delivered() {
        let quote = quote(5_000, 1_000_000, 1_000_000, 1_000_000, Some(700));
        let tokens = TokenUsage {
            input: 4,
            output: 1,
            ..TokenUsage::default()
        };
        assert_eq!(cost(&quote, tokens, false), Usdt::from_nano(5));
        assert_eq!(cost(&quote, tokens, true), Usdt::from_nano(5_705));
        let payees: Vec<_> = quote.lines(tokens, true).iter().map(|line| line.payee).collect();
        assert_eq!(
            payees,
            [Payee::Platform, Payee::Platform, Payee::Organization(OrgId(2))]
        );
    }

    #[test]
    fn a_free_model_still_shows_a_line() {
        assert_eq!(
            quote(0, 0, 0, 0, None).lines(TokenUsage::default(), true).len(),
            1
        );
    }

    #[test]
    fn counts_that_no_amount_covers_are_capped_and_do_not_wrap() {
        let quote = quote(0, u64::MAX, 0, u64::MAX, None);
        let tokens = TokenUsage {
            input: u64::MAX,
            output: u64::MAX,
            ..TokenUsage::default()
        };
        assert_eq!(cost(&quote, tokens, true), Usdt::MAX);
    }

    fn quotes() -> impl Strategy<Value = Quote> {
        let price = || prop_oneof![Just(0u64), 1u64..1_000, 1_000_000u64..20_000_000_000];
        let fee = prop::option::of(0i64..1_000_000_000);
        (0i64..1_000_000_000, price(), price(), (price(), price()), fee)
            .prop_map(|(call, input, cached, outputs, fee)| thinking(call, input, cached, outputs, fee))
    }

    fn bounds() -> impl Strategy<Value = Bound> {
        (0u64..2_000_000, 1u64..100_000, 1u32..=8).prop_map(|(input, output, choices)| Bound {
            input,
            output,
            choices,
        })
    }

    proptest! {
        #[test]
        fn a_call_within_its_bound_never_costs_more_than_its_hold(
            quote in quotes(),
            bound in bounds(),
            used in (0.0f64..=1.0, 0.0f64..=1.0, 0.0f64..=1.0, 0.0f64..=1.0),
            delivered: bool,
        ) {
            let part = |of: u64, share: f64| ((of as f64) * share) as u64;
            let input = part(bound.input, used.0).min(bound.input);
            let output = part(bound.output * u64::from(bound.choices), used.2);
            let tokens = TokenUsage {
                input,
                cached: part(input, used.1).min(input),
                output,
                reasoning: part(output, used.3).min(output),
            };
            prop_assert!(cost(&quote, tokens, delivered) <= quote.most(bound));
        }

        #[test]
        fn what_a_grant_buys_costs_no_more_than_the_grant(
            quote in quotes(),
            bound in bounds(),
            share in 0.0f64..=1.0,
        ) {
            let (least, most) = (quote.least(bound), quote.most(bound));
            let span = (most.nano() - least.nano()) as f64;
            let granted = Usdt::from_nano(least.nano() + (span * share) as i64).min(most);
            let output = quote.affordable_output(granted, bound);
            prop_assert!(output >= 1);
            let bought = quote.most(Bound { output, ..bound });
            prop_assert!(bought <= granted);
            if output < bound.output {
                let more = quote.most(Bound { output: output + 1, ..bound });
                prop_assert!(more > granted);
            }
        }

        #[test]
        fn input_that_is_affordable_makes_the_least_call_affordable(
            quote in quotes(),
            choices in 1u32..=8,
            spendable in 0i64..100_000_000_000,
        ) {
            let spendable = Usdt::from_nano(spendable);
            let input = quote.affordable_input(spendable, choices).min(10_000_000);
            prop_assume!(input > 0 && quote.model.input.0.max(quote.model.cached.0) > 0);
            let least = quote.least(Bound { input, output: 10, choices });
            prop_assert!(least <= spendable);
        }
    }
}
