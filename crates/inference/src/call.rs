//! One call between its hold and its charge.

use crate::{
    catalogue::Model,
    completions::CallPermit,
    error::CompletionError,
    meter::{Cost, Meter},
    ports::{
        CallEnd, CallObserver, MOST_LOGGED, TextToCount, Texts, TokenAllowance, TokenClaim, TokenCounter,
        TokensTaken, Transcript,
    },
    price::{Bound, Quote},
    request::Asked,
};
use futures::channel::oneshot;
use haithe_billing::{
    capture::{CallOutcome, Captured, PriceLine, TokenUsage, UsageRecord, allocate},
    holds::Hold,
};
use haithe_identity::api_key::ApiKeyId;
use haithe_kernel::{
    CallId, Clock, Decimals, MonotonicTime, OrgId, ProjectId, StoreError, Timestamp, Usdt, WalletAddress,
};
use haithe_orgs::PromptLog;
use sha2::{Digest, Sha256};
use std::{sync::Arc, time::Duration};

/// How often a charge is tried before it counts as not recorded. The ledger takes a call once.
const ATTEMPTS: u32 = 2;

/// For whom a call is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    pub org: OrgId,
    /// Whose organization it is, to the circuit breaker.
    pub owner: WalletAddress,
    pub project: ProjectId,
    pub wallet: WalletAddress,
    pub api_key: Option<ApiKeyId>,
    /// What the log may keep.
    pub prompt_log: PromptLog,
    /// The most that is ever charged, where the caller set a limit of its own.
    pub max_cost: Option<Usdt>,
}

/// What every call needs besides its own facts.
#[derive(Clone)]
pub(crate) struct Tools {
    pub counter: Arc<dyn TokenCounter>,
    pub clock: Arc<dyn Clock>,
    pub observer: Arc<dyn CallObserver>,
    pub decimals: Decimals,
}

/// Tokens taken from a minute's allowance by estimate. Dropping it gives them back.
pub(crate) struct Allowed {
    allowance: Arc<dyn TokenAllowance>,
    claim: TokenClaim,
    taken: TokensTaken,
    used: u64,
}

impl Allowed {
    /// Takes them, or says when they will be there.
    pub fn take(
        allowance: Arc<dyn TokenAllowance>,
        claim: TokenClaim,
        tokens: u64,
    ) -> Result<Self, CompletionError> {
        let taken = allowance
            .take(&claim, tokens)
            .map_err(CompletionError::TokenRate)?;
        Ok(Self {
            allowance,
            claim,
            taken,
            used: 0,
        })
    }

    fn used(mut self, tokens: u64) {
        self.used = tokens;
    }
}

impl Drop for Allowed {
    fn drop(&mut self) {
        self.allowance.correct(&self.claim, self.taken, self.used);
    }
}

/// Where a call's time went.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spans {
    pub hold: Duration,
    pub upstream: Duration,
    /// From admission to the first token of a stream.
    pub first_token: Option<Duration>,
}

/// What a call is paid from.
pub(crate) enum Purse {
    /// Money set aside for it alone, and the tokens it took of a minute's allowance.
    Own { hold: Hold, allowed: Allowed },
    /// A loop, which is told and pays for all its steps at once.
    Loop(oneshot::Sender<Used>),
}

/// What was used, by a call or by a step of a loop.
#[derive(Debug, Clone)]
pub(crate) struct Used {
    pub tokens: TokenUsage,
    /// The provider reported nothing.
    pub estimated: bool,
    pub outcome: CallOutcome,
    /// The provider that answered.
    pub provider: String,
    pub response_hash: [u8; 32],
    /// Whether anything was generated, as far as is known.
    pub produced: bool,
    /// Waiting for the provider to begin.
    pub upstream: Duration,
    /// From admission to the first token of a stream.
    pub first_token: Option<Duration>,
}

/// When a call began, on both clocks: the time of day is recorded, and durations are measured in monotonic
/// time, so that a step of the time of day neither spends the time for retries nor appears in metrics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Began {
    /// The time of day.
    pub at: Timestamp,
    mark: MonotonicTime,
}

impl Began {
    /// Now.
    pub fn now(clock: &dyn Clock) -> Self {
        Self {
            at: clock.now(),
            mark: clock.monotonic(),
        }
    }

    /// The time that has passed since.
    pub fn elapsed(self, clock: &dyn Clock) -> Duration {
        clock.monotonic().since(self.mark)
    }
}

/// An admitted call. Dropping it gives its money back; [`Call::charge`] takes what it cost.
pub(crate) struct Call {
    pub id: CallId,
    /// What was set aside for it, at most.
    pub granted: Usdt,
    pub purse: Purse,
    pub spans: Spans,
    pub account: Account,
    /// The model that was asked for, whose price applies.
    pub model: Arc<Model>,
    /// The provider that is asked, or that answered.
    pub provider: String,
    pub quote: Quote,
    pub bound: Bound,
    pub request: Asked,
    pub began: Began,
    pub tools: Tools,
    /// The place among the calls that run at once, occupied until the charge is on disk.
    pub permit: CallPermit,
}

/// What a call was charged, durably.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Charged {
    pub tokens: TokenUsage,
    pub cost: Cost,
}

impl Charged {
    /// What was taken.
    pub const fn amount(&self) -> Usdt {
        self.cost.charged
    }
}

impl Call {
    /// Takes what the call cost. Returns once that is on disk. A step of a loop only reports.
    ///
    /// `delivered` says whether a content byte reached the caller.
    pub async fn charge(
        self,
        meter: Meter,
        outcome: CallOutcome,
        delivered: bool,
    ) -> Result<Charged, StoreError> {
        let reported = meter.usage();
        let tokens = match reported {
            Some(tokens) => tokens,
            None => self.count(&meter).await,
        };
        self.transcribe(&meter, outcome, tokens);
        let used = Used {
            tokens,
            estimated: reported.is_none(),
            outcome,
            provider: self.provider,
            response_hash: meter.digest(),
            produced: meter.produced(),
            upstream: self.spans.upstream,
            first_token: self.spans.first_token,
        };
        let lines = self.quote.lines(tokens, delivered);
        let (hold, allowed) = match self.purse {
            Purse::Own { hold, allowed } => (hold, allowed),
            Purse::Loop(tell) => {
                let cost = Cost {
                    charged: lines.iter().map(|line| line.amount).sum(),
                    spent_before: Usdt::ZERO,
                    decimals: self.tools.decimals,
                };
                // A loop that is gone has paid for what it knew of.
                let _ = tell.send(used);
                return Ok(Charged { tokens, cost });
            }
        };
        let bill = Bill {
            id: self.id,
            hold,
            allowed,
            account: self.account,
            model: self.model,
            streamed: self.request.stream(),
            request_hash: Sha256::digest(self.request.body()).into(),
            began: self.began,
            hold_took: self.spans.hold,
            tools: self.tools,
            permit: self.permit,
        };
        bill.pay(used, lines).await
    }

    /// Tells the log what its payer lets it keep.
    fn transcribe(&self, meter: &Meter, outcome: CallOutcome, tokens: TokenUsage) {
        if self.account.prompt_log == PromptLog::None {
            return;
        }
        let (answer, beyond) = meter.text();
        // What a loop composes holds contents of products, which no log may keep.
        let own_words = matches!(self.purse, Purse::Own { .. });
        let prompt = (own_words && self.account.prompt_log == PromptLog::Full).then(|| self.request.text());
        let texts = prompt.as_deref().map(|prompt| {
            let (kept, rest) = (beginning(prompt), beginning(answer));
            Texts {
                prompt: kept,
                answer: rest,
                cut: kept.len() < prompt.len() || rest.len() < answer.len() || beyond > 0,
            }
        });
        self.tools.observer.transcribed(&Transcript {
            call: self.id,
            org: self.account.org,
            project: self.account.project,
            wallet: self.account.wallet,
            api_key: self.account.api_key,
            model: &self.model.name,
            provider: &self.provider,
            endpoint: self.request.endpoint(),
            streamed: self.request.stream(),
            outcome,
            tokens,
            request_bytes: self.request.body().len(),
            answer_bytes: answer.len().saturating_add(beyond),
            texts,
        });
    }

    /// Tokens of a text. It waits for its turn, so that it is never refused.
    async fn count_text(&self, text: &str) -> u64 {
        let counting = TextToCount {
            text: text.into(),
            most: u64::MAX,
            payer: self.account.org,
            patient: true,
        };
        let counted = self.tools.counter.count(counting).await;
        counted.unwrap_or_else(|_| u64::try_from(text.len() / 4).unwrap_or(u64::MAX))
    }

    /// Tokens as Haithe counts them, never beyond what the hold covers.
    async fn count(&self, meter: &Meter) -> TokenUsage {
        let images = u64::from(self.request.media().images);
        let images = images * u64::from(self.model.image_tokens.unwrap_or(0));
        let asked = self.request.text();
        let given = images.saturating_add(self.request.tokens());
        let input = self.count_text(&asked).await.saturating_add(given);
        let (text, cut) = meter.text();
        let output = self
            .count_text(text)
            .await
            .saturating_add(u64::try_from(cut / 4).unwrap_or(u64::MAX));
        let most = self.bound.output.saturating_mul(u64::from(self.bound.choices));
        TokenUsage {
            input: input.min(self.bound.input),
            output: output.min(most),
            ..TokenUsage::default()
        }
    }
}

/// Money set aside and for whom: what is left to do when everything was used.
pub(crate) struct Bill {
    pub id: CallId,
    pub hold: Hold,
    pub allowed: Allowed,
    pub account: Account,
    pub model: Arc<Model>,
    pub streamed: bool,
    pub request_hash: [u8; 32],
    pub began: Began,
    pub hold_took: Duration,
    pub tools: Tools,
    /// See [`Call::permit`].
    pub permit: CallPermit,
}

impl Bill {
    /// Takes `lines` for what was `used`. Returns once that is on disk.
    pub async fn pay(self, used: Used, lines: Vec<PriceLine>) -> Result<Charged, StoreError> {
        let tokens = used.tokens;
        self.allowed.used(tokens.input.saturating_add(tokens.output));
        let clock = self.tools.clock.as_ref();
        let (finished_at, finished) = (clock.now(), clock.monotonic());
        let usage = UsageRecord {
            project: self.account.project,
            wallet: self.account.wallet,
            api_key: self.account.api_key,
            model: self.model.id,
            model_name: self.model.name.clone(),
            provider: used.provider.clone(),
            tokens,
            estimated: used.estimated,
            streamed: self.streamed,
            outcome: used.outcome,
            request_hash: self.request_hash,
            response_hash: used.response_hash,
            started_at: self.began.at,
            finished_at,
        };
        // A provider that used more than the hold covers is not paid by a caller who set a limit.
        let lines = match self.account.max_cost {
            Some(maximum) => allocate(&lines, maximum),
            None => lines,
        };
        let captured = record(self.hold, lines, usage).await?;
        if captured.lost.is_positive() {
            tracing::warn!(call.id = %self.id, lost = %captured.lost, "a call cost more than its payer had");
        }
        self.tools.observer.charged(&CallEnd {
            call: self.id,
            model: &self.model.name,
            provider: &used.provider,
            outcome: used.outcome,
            streamed: self.streamed,
            tokens,
            charged: captured.charged,
            lost: captured.lost,
            total: self.began.elapsed(clock),
            upstream: used.upstream,
            first_token: used.first_token,
            hold: self.hold_took,
            capture: clock.monotonic().since(finished),
        });
        Ok(Charged {
            tokens,
            cost: Cost {
                charged: captured.charged,
                spent_before: captured.spent_before,
                decimals: self.tools.decimals,
            },
        })
    }
}

/// The first [`MOST_LOGGED`] bytes of a text, or a little less where a character would be cut.
fn beginning(text: &str) -> &str {
    let mut end = text.len().min(MOST_LOGGED);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Captures, and tries again when the ledger fails; the hold is given back when it keeps failing.
async fn record(mut hold: Hold, lines: Vec<PriceLine>, usage: UsageRecord) -> Result<Captured, StoreError> {
    for _ in 1..ATTEMPTS {
        match hold.capture(lines.clone(), usage.clone()).await {
            Ok(captured) => return Ok(captured),
            Err(failed) => {
                tracing::warn!(call.id = %failed.hold.call(), error = ?failed.source, "a charge failed and is tried again");
                hold = failed.hold;
            }
        }
    }
    hold.capture(lines, usage).await.map_err(|failed| {
        tracing::error!(call.id = %failed.hold.call(), error = ?failed.source, "a charge was not recorded");
        StoreError::from(failed)
    })
}
