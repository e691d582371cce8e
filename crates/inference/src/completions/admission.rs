//! Admission: what a call may use and cost at most, and the money for it.
//!
//! Money is looked at first, because that is cheap; then the input is bounded ([`sizing`](super::sizing)),
//! and money is set aside. Output is bounded by the caller, the model, and what money is left.

use super::{
    Caller, Completions,
    sizing::{InputSize, Payable},
};
use crate::{
    call::{Account, Allowed, Began, Call, Purse, Spans},
    catalogue::Model,
    error::CompletionError,
    ports::TokenClaim,
    price::{Bound, ProjectFee, Quote},
    request::Asked,
};
use haithe_billing::{
    hold::{BudgetClaim, BudgetSubject, HoldError, HoldRequest},
    holds::Hold,
};
use haithe_identity::api_key::{ApiKey, BudgetWindow};
use haithe_kernel::{CallId, OrgId, Timestamp, Usdt};
use haithe_orgs::{CallPrices, PayerRefusal, ports::CallContext};
use std::{sync::Arc, time::Duration};
use time::{OffsetDateTime, Time};

/// Money set aside for a request, and within which bound.
pub(crate) struct SetAside {
    pub hold: Hold,
    pub bound: Bound,
    pub took: Duration,
}

impl Completions {
    /// Quotes the call and sets its money aside.
    pub(crate) async fn admit(
        &self,
        caller: &Caller,
        request: Asked,
        model: Arc<Model>,
    ) -> Result<Box<Call>, CompletionError> {
        let began = Began::now(self.ports.clock.as_ref());
        let started_at = began.at;
        let id = self.id_of(caller, started_at);
        let quote = quote(caller, &model, started_at);
        let allowed = self.take_tokens(caller, &request)?;
        let most = |bound| quote.most(bound);
        let set_aside = self.set_aside((id, started_at), caller, &request, &model, &quote, most);
        let SetAside { hold, bound, took } = set_aside.await?;
        self.expect_inputs_fit(&request, &model, caller.context.payer.id)
            .await?;
        let output = quote.affordable_output(hold.amount(), bound);
        Ok(Box::new(Call {
            id,
            granted: hold.amount(),
            purse: Purse::Own { hold, allowed },
            spans: Spans {
                hold: took,
                ..Spans::default()
            },
            account: account(caller),
            provider: String::new(),
            model,
            quote,
            bound: Bound { output, ..bound },
            request,
            began,
            tools: self.tools.clone(),
            permit: caller.permit.clone(),
        }))
    }

    /// Takes what the request will use of a minute's tokens, roughly.
    pub(crate) fn take_tokens(&self, caller: &Caller, request: &Asked) -> Result<Allowed, CompletionError> {
        let claim = TokenClaim {
            api_key: caller.api_key.as_ref().map(|key| (key.id, key.tokens_per_minute)),
            project: caller.context.project.id,
            org: caller.context.payer.id,
        };
        Allowed::take(Arc::clone(&self.ports.allowance), claim, estimate(request))
    }

    /// What the caller can spend on a call: what there is, within what the caller allows.
    ///
    /// # Errors
    /// [`CompletionError::MaxCost`] and [`CompletionError::Hold`] when that is less than `least`.
    pub(crate) async fn spendable(
        &self,
        (id, started_at): (CallId, Timestamp),
        caller: &Caller,
        least: Usdt,
    ) -> Result<Usdt, CompletionError> {
        if let Some(maximum) = caller.max_cost.filter(|maximum| least > *maximum) {
            return Err(CompletionError::MaxCost { least, maximum });
        }
        let request = HoldRequest {
            call: id,
            org: caller.context.payer.id,
            most: Usdt::MAX,
            least,
            budgets: budgets(caller.api_key.as_deref(), started_at),
            expenditure: caller.expenditure,
        };
        let available = self.ports.holds.available(request).await;
        let available = available.map_err(|refusal| refusal.told_to(caller.expenditure))?;
        Ok(caller
            .max_cost
            .map_or(available, |maximum| available.min(maximum)))
    }

    /// Sets aside `most` of the request's bound, or as much as there is, if that lets it run at all.
    /// Nothing is counted for a caller who cannot pay for the smallest call.
    pub(crate) async fn set_aside(
        &self,
        (id, started_at): (CallId, Timestamp),
        caller: &Caller,
        request: &Asked,
        model: &Model,
        quote: &Quote,
        most: impl Fn(Bound) -> Usdt,
    ) -> Result<SetAside, CompletionError> {
        payer_accepts(&caller.context, quote.project, quote.products)?;
        let payer = caller.context.payer.id;
        let asked_at = self.ports.clock.monotonic();
        let ask = |bound: Bound| {
            let most = most(bound);
            HoldRequest {
                call: id,
                org: payer,
                most: caller.max_cost.map_or(most, |maximum| most.min(maximum)),
                least: quote.least(bound),
                budgets: budgets(caller.api_key.as_deref(), started_at),
                expenditure: caller.expenditure,
            }
        };
        let smallest = bound_of(request, model, 1);
        let least = quote.least(smallest);
        let mut available = self.spendable((id, started_at), caller, least).await?;
        let mut again = true;
        loop {
            let payable = Payable {
                payer,
                tokens: quote.affordable_input(available, smallest.choices),
                patient: false,
            };
            let size = match self.input_size(request, model, payable).await? {
                InputSize::AtMost(size) => size,
                InputSize::Unaffordable(size) => {
                    let least = quote.least(bound_of(request, model, size));
                    // The same decision once more, for its reason.
                    self.spendable((id, started_at), caller, least).await?;
                    let spendable = available;
                    let refusal = HoldError::Funds { spendable, least };
                    return Err(refusal.told_to(caller.expenditure).into());
                }
            };
            let bound = bound_of(request, model, size);
            let hold = match self.ports.holds.hold(ask(bound)).await {
                Ok(hold) => hold,
                // Other calls took some of the money meanwhile.
                Err(refusal) => match left_over(&refusal) {
                    Some(left) if again => {
                        (available, again) = (left, false);
                        continue;
                    }
                    _ => return Err(refusal.told_to(caller.expenditure).into()),
                },
            };
            let bound = if hold.amount() >= quote.most(bound) {
                bound
            } else {
                let input = self.tightened(request, model, size, payable).await;
                Bound { input, ..bound }
            };
            let took = self.ports.clock.monotonic().since(asked_at);
            return Ok(SetAside { hold, bound, took });
        }
    }

    /// The bound of a later step of a loop within what is left of the loop's money; `None` when that
    /// buys no step any more.
    pub(crate) async fn step_bound(
        &self,
        payer: OrgId,
        request: &Asked,
        model: &Model,
        quote: &Quote,
        left: Usdt,
    ) -> Result<Option<Bound>, CompletionError> {
        let payable = Payable {
            payer,
            tokens: quote.affordable_input(left, request.choices()),
            patient: true,
        };
        let InputSize::AtMost(size) = self.input_size(request, model, payable).await? else {
            return Ok(None);
        };
        let mut bound = bound_of(request, model, size);
        if quote.most(bound) > left {
            bound.input = self.tightened(request, model, size, payable).await;
        }
        let output = quote.affordable_output(left, bound);
        Ok((output > 0 && quote.least(bound) <= left).then_some(Bound { output, ..bound }))
    }

    /// The id under which everything that the caller asks for at once is held and charged: the one that
    /// was decided, or a version 7 UUID of this moment (RFC 9562).
    pub(crate) fn id_of(&self, caller: &Caller, at: Timestamp) -> CallId {
        if let Some(decided) = caller.call {
            return decided;
        }
        let millis = u64::try_from(at.micros() / 1000).unwrap_or(0);
        let [random @ .., _, _, _, _, _, _] = self.ports.random.bytes16();
        CallId(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }
}

/// What a call will use of a minute's tokens, roughly: a token is about four bytes, and the answer is
/// as long as the caller allows. An answer without a bound counts when its length is known.
fn estimate(request: &Asked) -> u64 {
    let input = u64::try_from(request.body().len() / 4).unwrap_or(u64::MAX);
    let output = request.max_output().unwrap_or(0);
    input.saturating_add(output.saturating_mul(u64::from(request.choices())))
}

/// For whom the caller calls.
pub(crate) fn account(caller: &Caller) -> Account {
    Account {
        org: caller.context.payer.id,
        owner: caller.context.payer.owner,
        prompt_log: caller.context.settings.prompt_log,
        project: caller.context.project.id,
        wallet: caller.wallet,
        api_key: caller.api_key.as_ref().map(|key| key.id),
        max_cost: caller.max_cost,
    }
}

/// The model's price, and the project's in force when it is another organization's.
pub(crate) fn quote(caller: &Caller, model: &Model, now: Timestamp) -> Quote {
    Quote {
        model: model.price,
        project: project_fee(&caller.context, now),
        products: Usdt::ZERO,
    }
}

/// The bound of a request whose input has at most `input` tokens.
fn bound_of(request: &Asked, model: &Model, input: u64) -> Bound {
    let most = u64::from(model.max_output);
    let bytes = u64::try_from(request.body().len()).unwrap_or(u64::MAX);
    let output = match request.max_output() {
        Some(stated) => stated.min(most),
        // Providers refuse a bound that does not fit into the context beside the prompt.
        None => u64::from(model.context).saturating_sub(bytes / 2).clamp(1, most),
    };
    Bound {
        input,
        output,
        choices: request.choices(),
    }
}

/// The project's price in force when it is another organization's.
fn project_fee(context: &CallContext, now: Timestamp) -> Option<ProjectFee> {
    let project = &context.project;
    (project.org != context.payer.id).then(|| ProjectFee {
        project: project.id,
        owner: project.org,
        amount: project.price_per_call.in_force(now).max(Usdt::ZERO),
    })
}

/// Whether the payer accepted the prices beside the model's: the one check of every call, made on the prices
/// that the call will be charged and before anything is set aside. An organization's own project needs none.
fn payer_accepts(context: &CallContext, fee: Option<ProjectFee>, products: Usdt) -> Result<(), PayerRefusal> {
    let Some(fee) = fee else {
        return Ok(());
    };
    let prices = CallPrices {
        project: fee.amount,
        products,
    };
    haithe_orgs::payer_accepts(context.project.uid, context.accepted, prices)
}

/// The same check before products are opened, whose prices in force are `products` together.
pub(crate) fn payer_would_accept(
    context: &CallContext,
    products: Usdt,
    now: Timestamp,
) -> Result<(), PayerRefusal> {
    payer_accepts(context, project_fee(context, now), products)
}

/// The money that a refusal says there is; `None` when money is not what is lacking.
fn left_over(refusal: &HoldError) -> Option<Usdt> {
    match refusal {
        HoldError::Funds { spendable, .. } => Some(*spendable),
        HoldError::DailyCap { left } | HoldError::Budget { left, .. } => Some(*left),
        _ => None,
    }
}

/// The budgets that a key brings along.
fn budgets(key: Option<&ApiKey>, now: Timestamp) -> Vec<BudgetClaim> {
    let claim = |key: &ApiKey| {
        let budget = key.budget?;
        let since = match budget.window {
            BudgetWindow::Day => midnight(now, false),
            BudgetWindow::Month => midnight(now, true),
            // Not since it was issued: a new secret brings no new budget.
            BudgetWindow::Total => Timestamp::from_seconds(0),
        };
        Some(BudgetClaim {
            subject: BudgetSubject::ApiKey(key.id),
            limit: budget.limit,
            since,
        })
    };
    key.and_then(claim).into_iter().collect()
}

/// When the UTC day, or the UTC month, of `now` began.
fn midnight(now: Timestamp, of_month: bool) -> Timestamp {
    let now = OffsetDateTime::from_unix_timestamp(now.seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let day = now.replace_time(Time::MIDNIGHT);
    let day = if of_month {
        day.replace_day(1).unwrap_or(day)
    } else {
        day
    };
    Timestamp::from_seconds(day.unix_timestamp())
}
