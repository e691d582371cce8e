//! Admission: what a call may use and cost at most, and the money for it.
//!
//! Input is bounded by its bytes, because no tokenizer makes more tokens than bytes. Only when that
//! coarse bound is more than there is are tokens counted, with a margin, since the provider's own
//! tokenizer differs a little. Output is bounded by the caller, the model, and what money is left.

use super::{Caller, Completions, fitting::beyond};
use crate::{
    call::{Account, Allowed, Call, Purse, Spans},
    catalogue::Model,
    error::CompletionError,
    ports::TokenClaim,
    price::{Bound, ProjectFee, Quote},
    request::Asked,
    tokens,
};
use haithe_billing::{
    hold::{BudgetClaim, BudgetSubject, HoldError, HoldRequest},
    holds::Hold,
};
use haithe_identity::api_key::{ApiKey, BudgetWindow};
use haithe_kernel::{CallId, Timestamp, Usdt};
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
        let started_at = self.ports.clock.now();
        let id = self.id_of(caller, started_at);
        let quote = quote(caller, &model, started_at);
        let allowed = self.take_tokens(caller, &request)?;
        let most = |bound| quote.most(bound);
        let set_aside = self.set_aside((id, started_at), caller, &request, &model, &quote, most);
        let SetAside { hold, bound, took } = set_aside.await?;
        self.expect_inputs_fit(&request, &model).await?;
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
            started_at,
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

    /// Sets aside `most` of the request's bound, or as much as there is, if that lets it run at all.
    /// Tokens are counted only when their coarse bound is more than there is.
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
        let bound = self.stated_bound(request, model).await?;
        let asked_at = self.ports.clock.now();
        let ask = async |bound: Bound| {
            let least = quote.least(bound);
            if let Some(maximum) = caller.max_cost.filter(|maximum| least > *maximum) {
                return Err(CompletionError::MaxCost { least, maximum });
            }
            let most = most(bound);
            let request = HoldRequest {
                call: id,
                org: caller.context.payer.id,
                most: caller.max_cost.map_or(most, |maximum| most.min(maximum)),
                least,
                budgets: budgets(caller.api_key.as_deref(), started_at),
                expenditure: caller.expenditure,
            };
            Ok(self.ports.holds.hold(request).await?)
        };
        let (hold, bound) = match ask(bound).await {
            Ok(hold) if hold.amount() >= quote.most(bound) => (hold, bound),
            Ok(hold) => {
                let counted = self.count(request, model, bound.input).await;
                let input = counted.unwrap_or(bound.input);
                (hold, Bound { input, ..bound })
            }
            Err(refusal) => {
                let told = |refusal| match refusal {
                    CompletionError::Hold(refusal) => refusal.told_to(caller.expenditure).into(),
                    refusal => refusal,
                };
                let Some(limit) = spendable(&refusal) else {
                    return Err(told(refusal));
                };
                let limit = quote.affordable_input(limit, bound.choices).min(bound.input);
                let Some(input) = self.count(request, model, limit).await else {
                    return Err(told(refusal));
                };
                let bound = Bound { input, ..bound };
                (ask(bound).await.map_err(told)?, bound)
            }
        };
        let took = self.ports.clock.now().since(asked_at);
        Ok(SetAside { hold, bound, took })
    }

    /// The bound of a later step of a loop within what is left of the loop's money; `None` when that
    /// buys no step any more.
    pub(crate) async fn step_bound(
        &self,
        request: &Asked,
        model: &Model,
        quote: &Quote,
        left: Usdt,
    ) -> Result<Option<Bound>, CompletionError> {
        let mut bound = self.stated_bound(request, model).await?;
        if quote.most(bound) > left {
            let limit = quote.affordable_input(left, bound.choices).min(bound.input);
            match self.count(request, model, limit).await {
                Some(input) => bound.input = input,
                None => return Ok(None),
            }
        }
        let output = quote.affordable_output(left, bound);
        Ok((output > 0 && quote.least(bound) <= left).then_some(Bound { output, ..bound }))
    }

    /// What the request itself says about its size.
    async fn stated_bound(&self, request: &Asked, model: &Model) -> Result<Bound, CompletionError> {
        let context = u64::from(model.context);
        let bytes = u64::try_from(request.body().len()).unwrap_or(u64::MAX);
        if matches!(request, Asked::Embeddings(_)) {
            // Each input is embedded by itself, so that their sum may be more than the context.
            return Ok(Bound {
                input: bytes.saturating_add(u64::from(model.prompt_overhead)),
                output: 0,
                choices: 1,
            });
        }
        let media = media_tokens(request, model);
        let input = bytes
            .saturating_add(u64::from(model.prompt_overhead))
            .saturating_add(media.unwrap_or(0));
        // More bytes than the context has tokens: only a count can tell whether it fits.
        let input = match media {
            None => {
                self.expect_text_fits(&request.text(), model, "messages").await?;
                context
            }
            Some(_) if input <= context => input,
            Some(_) => {
                let counted = self.count(request, model, context).await;
                counted.ok_or_else(|| beyond(model, "messages"))?
            }
        };
        let most = u64::from(model.max_output);
        let output = match request.max_output() {
            Some(stated) => stated.min(most),
            // Providers refuse a bound that does not fit into the context beside the prompt.
            None => context.saturating_sub(bytes / 2).clamp(1, most),
        };
        Ok(Bound {
            input,
            output,
            choices: request.choices(),
        })
    }

    /// An upper bound of the input's tokens by counting; `None` when that is more than `most`.
    async fn count(&self, request: &Asked, model: &Model, most: u64) -> Option<u64> {
        let media = media_tokens(request, model)?;
        let fixed = u64::from(model.prompt_overhead)
            .saturating_add(media)
            .saturating_add(request.tokens());
        let with_margin = |counted: u64| fixed.saturating_add(counted).saturating_add(counted / 8 + 16);
        let beyond = |counted: u64| with_margin(counted) > most;
        if beyond(0) {
            return None;
        }
        let text = request.text();
        let counted = tokens::count(self.ports.counter.as_ref(), &model.name, &text, beyond).await;
        Some(with_margin(counted)).filter(|tokens| *tokens <= most)
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

/// The most tokens of what is not text; `None` when nothing but the context bounds it.
fn media_tokens(request: &Asked, model: &Model) -> Option<u64> {
    let media = request.media();
    match (media.images, media.others, model.image_tokens) {
        (0, 0, _) => Some(0),
        (images, 0, Some(tokens)) => Some(u64::from(images) * u64::from(tokens)),
        _ => None,
    }
}

/// The money that a refusal says there is; `None` when money is not what is lacking.
fn spendable(refusal: &CompletionError) -> Option<Usdt> {
    match refusal {
        CompletionError::MaxCost { maximum, .. } => Some(*maximum),
        CompletionError::Hold(HoldError::Funds { spendable, .. }) => Some(*spendable),
        CompletionError::Hold(HoldError::DailyCap { left } | HoldError::Budget { left, .. }) => Some(*left),
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
