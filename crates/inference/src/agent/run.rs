//! The loop: ask, run tools, ask again, and pay once.

use super::{
    AgentLimits, Stopped,
    compose::{Draft, Step, tool_message},
    gear::{Equipment, Exchange, Gear, Wish},
    output::{Gone, Output, Sending, events, stays},
    speech::{Identity, Names, Speech},
    tools::Toolbox,
    turn::Turn,
};
use crate::{
    call::{Bill, Call, Charged, Purse, Spans, Used},
    catalogue::Model,
    completions::{
        Answer, Caller, Completions, account,
        asking::{Answered, Candidate, Reply, reply},
        quote,
    },
    conversations::ConversationId,
    error::CompletionError,
    meter::{Document, Identity as Given, Meter, usage_object},
    ports::{Endpoint, UpstreamError},
    price::Quote,
    request::{Asked, ChatRequest, RequestLimits},
    sse::Splitter,
};
use bytes::Bytes;
use futures::{
    FutureExt, StreamExt,
    channel::oneshot,
    future::{BoxFuture, Fuse, poll_fn, try_join_all},
    stream::BoxStream,
};
use haithe_billing::capture::{CallOutcome, LineItem, PriceLine, TokenUsage};
use haithe_kernel::{CallId, Timestamp, Usdt};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{pin::pin, sync::Arc, task::Poll, time::Duration};

/// What the loop itself composes may be larger than what callers send: history and data join it.
const COMPOSED: RequestLimits = RequestLimits {
    bytes: 64 * 1024 * 1024,
    choices: 1,
};

/// What ends a step from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// The caller left.
    Left,
    /// The loop's time is up.
    Late,
}

/// Looks out for both.
struct Lookout {
    gone: Gone,
    deadline: Fuse<BoxFuture<'static, ()>>,
}

impl Lookout {
    async fn within<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Cut> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            if self.gone.poll_unpin(cx).is_ready() {
                return Poll::Ready(Err(Cut::Left));
            }
            self.deadline.poll_unpin(cx).map(|()| Err(Cut::Late))
        })
        .await
    }
}

/// Everything a loop works with.
struct Loop {
    completions: Completions,
    limits: AgentLimits,
    gears: Vec<Arc<dyn Gear>>,
    wish: Wish,
    model: Arc<Model>,
    route: Vec<Arc<Candidate>>,
    draft: Draft,
    equipment: Equipment,
    toolbox: Toolbox,
    names: Names,
    lookout: Lookout,
    /// Prices per call of products and of the project, due once something was delivered.
    fees: Vec<PriceLine>,
    /// The model's price alone.
    quote: Quote,
    /// Money for further steps.
    left: Usdt,
    wants_usage: bool,
    id: CallId,
    /// What each step used.
    used: Vec<Used>,
    /// Turns and answers so far.
    thread: Vec<Value>,
    identity: Identity,
    /// Something of the answer reached the caller.
    delivered: bool,
    /// Names of tools that ran.
    ran: Vec<String>,
    started_at: Timestamp,
    /// From the start to the first piece of a streamed answer.
    first_token: Option<Duration>,
}

/// How a turn ended.
enum TurnEnd {
    /// With a turn, and the whole document where it was not streamed.
    Said {
        turn: Turn,
        finish: Option<String>,
        document: Option<Value>,
    },
    /// The provider failed before it said anything.
    Unanswered(CompletionError),
    /// The provider failed on the way; what to tell the caller.
    Broken(Value),
    Cut(Cut),
}

/// How the loop ends.
#[derive(Default)]
struct Ending {
    turn: Turn,
    finish: Option<String>,
    document: Option<Value>,
    stopped: Option<Stopped>,
    /// Chunks held back until the turn turned out to be the last.
    kept: Vec<Value>,
    left: bool,
    error: Option<CompletionError>,
    broken: Option<Value>,
}

impl Completions {
    /// Answers as an agent whose project brings something along.
    pub(crate) async fn run_agent(
        &self,
        caller: Caller,
        request: ChatRequest,
        conversation: Option<ConversationId>,
        gears: Vec<Arc<dyn Gear>>,
    ) -> Result<Answer, CompletionError> {
        let (model, route) = self.chosen(&caller, request.model(), Endpoint::Chat)?;
        if request.choices() != 1 {
            let why = "n must be 1 for a project with products, search or memory";
            return Err(CompletionError::invalid("n", why));
        }
        let draft = Draft::open(&request)?;
        let wish = Wish {
            caller,
            conversation,
            question: draft.question.clone(),
            tools: model.capabilities.tools && draft.tools_allowed(),
        };
        let mut equipment = Equipment::default();
        for part in try_join_all(gears.iter().map(|gear| gear.equip(&wish))).await? {
            equipment.extend(part);
        }
        let toolbox = Toolbox::new(std::mem::take(&mut equipment.tools));
        draft.expect_other_names(&toolbox.definitions)?;

        let limits = self.agent_limits();
        let asked = request_of(&draft, &equipment, &toolbox, &[], (1, limits.steps))?;
        let (id, started_at) = self.begin_call(&wish.caller);
        let products = Usdt::checked_sum(equipment.fees.iter().map(|fee| fee.amount)).unwrap_or(Usdt::MAX);
        let whole = Quote {
            products,
            ..quote(&wish.caller, &model)
        };
        let allowed = self.take_tokens(&wish.caller, &asked)?;
        let most = |bound| whole.fixed().saturating_add(limits.cost).max(whole.least(bound));
        let set_aside = self
            .set_aside((id, started_at), &wish.caller, &asked, &model, &whole, most)
            .await?;
        let fees: Vec<PriceLine> = whole
            .fee_line()
            .into_iter()
            .chain(equipment.fees.iter().map(super::ProductFee::line))
            .collect();
        let due: Usdt = fees.iter().map(|line| line.amount).sum();
        let granted = set_aside.hold.amount();
        let bill = Bill {
            id,
            hold: set_aside.hold,
            allowed,
            account: account(&wish.caller),
            model: Arc::clone(&model),
            streamed: request.stream(),
            request_hash: Sha256::digest(request.body()).into(),
            started_at,
            hold_took: set_aside.took,
            tools: self.tools().clone(),
        };
        let names = Names {
            ours: toolbox.definitions.iter().map(|tool| tool.name.clone()).collect(),
            callers: !draft.own_tools.is_empty(),
        };
        let (output, gone, waiting) = if request.stream() {
            let (sending, gone, receiving) = events();
            (Output::Events(sending), gone, Waiting::Stream(receiving))
        } else {
            let (tell, answered) = oneshot::channel();
            (Output::Document(tell), stays(), Waiting::Document(answered))
        };
        let looping = Loop {
            completions: self.clone(),
            limits,
            gears,
            wish,
            quote: Quote {
                project: None,
                products: Usdt::ZERO,
                ..whole
            },
            model,
            route,
            draft,
            equipment,
            toolbox,
            names,
            lookout: Lookout {
                gone,
                deadline: self.ports().timer.sleep(limits.time).boxed().fuse(),
            },
            fees,
            left: granted.saturating_sub(due),
            wants_usage: request.include_usage(),
            id,
            used: Vec::new(),
            thread: Vec::new(),
            identity: Identity::default(),
            delivered: false,
            ran: Vec::new(),
            started_at,
            first_token: None,
        };
        // In a task of its own: a caller who leaves cannot lose the charge.
        let work = looping.run(asked, bill, output);
        self.ports().tasks.spawn("agent", Box::pin(work));
        match waiting {
            Waiting::Document(answered) => answered.await.map_err(|_| CompletionError::Interrupted)?,
            Waiting::Stream(receiving) => receiving.answer(id, granted).await,
        }
    }
}

enum Waiting {
    Document(oneshot::Receiver<Result<Answer, CompletionError>>),
    Stream(super::output::Receiving),
}

/// The request of step `number` of at most `most`.
fn request_of(
    draft: &Draft,
    equipment: &Equipment,
    toolbox: &Toolbox,
    thread: &[Value],
    (number, most): (u32, u32),
) -> Result<Asked, CompletionError> {
    let step = Step {
        thread,
        tools: &toolbox.definitions,
        first: number == 1,
        last: number >= most,
    };
    let body = Bytes::from(draft.body(equipment, &step));
    ChatRequest::parse(body, COMPOSED).map(Asked::Chat)
}

impl Loop {
    async fn run(mut self, first: Asked, bill: Bill, mut output: Output) {
        let ending = self.turns(first, &bill, &mut output).await;
        self.conclude(ending, bill, output).await;
    }

    /// Turns until one is the last.
    async fn turns(&mut self, first: Asked, bill: &Bill, output: &mut Output) -> Ending {
        let mut next = Some(first);
        let mut said = Turn::default();
        let mut document = None;
        for number in 1u32.. {
            let stop = |stopped, turn, document| Ending {
                turn,
                document,
                stopped: Some(stopped),
                ..Ending::default()
            };
            let call = match self.step(next.take(), number, bill).await {
                Ok(Some(call)) => call,
                Ok(None) => return stop(Stopped::Cost, said, document),
                Err(error) => {
                    return Ending {
                        error: Some(error),
                        ..Ending::default()
                    };
                }
            };
            let mut kept = Vec::new();
            let end = self.turn(call, number, output, &mut kept).await;
            let (mut turn, finish) = match end {
                TurnEnd::Said {
                    turn,
                    finish,
                    document: whole,
                } => {
                    document = whole;
                    (turn, finish)
                }
                TurnEnd::Unanswered(error) => {
                    return Ending {
                        error: Some(error),
                        ..Ending::default()
                    };
                }
                TurnEnd::Broken(broken) => {
                    return Ending {
                        broken: Some(broken),
                        kept,
                        ..Ending::default()
                    };
                }
                TurnEnd::Cut(Cut::Left) => {
                    return Ending {
                        left: true,
                        ..Ending::default()
                    };
                }
                TurnEnd::Cut(Cut::Late) => {
                    return Ending {
                        kept,
                        ..stop(Stopped::Time, said, document)
                    };
                }
            };
            turn.number(number);
            let ours = turn.calls.iter().any(|call| self.names.is_ours(call.name()));
            let callers = self.calls_callers(&turn);
            if callers || !ours {
                return Ending {
                    turn,
                    finish,
                    document,
                    kept,
                    ..Ending::default()
                };
            }
            if number >= self.limits.steps {
                return Ending {
                    kept,
                    ..stop(Stopped::Steps, turn, document)
                };
            }
            if let Output::Events(sending) = output {
                sending.sign_of_life().await;
            }
            self.ran
                .extend(turn.calls.iter().map(|call| call.name().to_owned()));
            self.thread.push(turn.message());
            let timer = Arc::clone(&self.completions.ports().timer);
            let work = self.toolbox.run(&turn.calls, &self.limits, timer.as_ref());
            match self.lookout.within(work).await {
                Ok(answers) => self.thread.extend(answers.iter().map(tool_message)),
                Err(Cut::Left) => {
                    return Ending {
                        left: true,
                        ..Ending::default()
                    };
                }
                Err(Cut::Late) => return stop(Stopped::Time, turn, document),
            }
            said = turn;
        }
        Ending::default()
    }

    /// The call of a step, and where it reports; `None` when the money buys none.
    async fn step(
        &mut self,
        first: Option<Asked>,
        number: u32,
        bill: &Bill,
    ) -> Result<Option<(Box<Call>, oneshot::Receiver<Used>)>, CompletionError> {
        let request = match first {
            Some(request) => request,
            None => {
                let steps = (number, self.limits.steps);
                request_of(&self.draft, &self.equipment, &self.toolbox, &self.thread, steps)?
            }
        };
        let fits = self
            .completions
            .step_bound(&request, &self.model, &self.quote, self.left);
        let Some(bound) = fits.await? else { return Ok(None) };
        let (tell, report) = oneshot::channel();
        let call = Call {
            id: self.id,
            granted: self.left,
            purse: Purse::Loop(tell),
            spans: Spans::default(),
            account: bill.account,
            provider: String::new(),
            model: Arc::clone(&self.model),
            quote: self.quote,
            bound,
            request,
            started_at: self.completions.ports().clock.now(),
            tools: bill.tools.clone(),
        };
        Ok(Some((Box::new(call), report)))
    }

    /// One turn of the model.
    async fn turn(
        &mut self,
        (call, report): (Box<Call>, oneshot::Receiver<Used>),
        number: u32,
        output: &mut Output,
        kept: &mut Vec<Value>,
    ) -> TurnEnd {
        let ports = Arc::clone(self.completions.ports());
        match self.lookout.within(reply(call, &self.route, &ports)).await {
            Err(cut) => TurnEnd::Cut(cut),
            Ok(Err(error)) => TurnEnd::Unanswered(error),
            Ok(Ok(Reply::Document(answered))) => {
                let Answered {
                    call,
                    document,
                    meter,
                } = *answered;
                let produced = meter.produced();
                let whole: Value = serde_json::from_slice(document.bytes()).unwrap_or_default();
                // A step only reports: it cannot fail.
                let _ = call.charge(meter, CallOutcome::Complete, produced).await;
                self.note(report).await;
                let finish = whole.pointer("/choices/0/finish_reason").and_then(Value::as_str);
                TurnEnd::Said {
                    turn: Turn::of(&whole),
                    finish: finish.map(str::to_owned),
                    document: Some(whole),
                }
            }
            Ok(Ok(Reply::Stream(pieces))) => {
                let end = self.listen(pieces, number, output, kept).await;
                self.note(report).await;
                end
            }
        }
    }

    /// Hears a streamed turn, and hands on what is the caller's.
    async fn listen(
        &mut self,
        mut pieces: BoxStream<'static, Bytes>,
        number: u32,
        output: &mut Output,
        kept: &mut Vec<Value>,
    ) -> TurnEnd {
        let Output::Events(sending) = output else {
            return TurnEnd::Unanswered(CompletionError::Interrupted);
        };
        sending.begin();
        let spoke = self.delivered;
        let mut parted = !spoke;
        let mut splitter = Splitter::default();
        let mut speech = Speech::new(&self.names, &mut self.identity, number > 1);
        loop {
            let piece = match self.lookout.within(pieces.next()).await {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(cut) => return TurnEnd::Cut(cut),
            };
            let Ok(Some(block)) = splitter.push(piece) else {
                continue;
            };
            for data in block.events().filter_map(|event| event.data) {
                let Some(chunk) = speech.hear(&data) else { continue };
                if self.draft.formatted {
                    kept.push(chunk);
                    continue;
                }
                let text = chunk.pointer("/choices/0/delta/content").and_then(Value::as_str);
                if !parted && text.is_some_and(|text| !text.is_empty()) {
                    // What was said before a tool ran is a paragraph of its own.
                    parted = true;
                    sending.say(&paragraph(&chunk)).await;
                }
                if says(&chunk) && !self.delivered {
                    self.delivered = true;
                    let now = self.completions.ports().clock.now();
                    self.first_token = Some(now.since(self.started_at));
                }
                sending.say(&chunk).await;
            }
        }
        if let Some(failure) = speech.failure.take() {
            return TurnEnd::Broken(failure);
        }
        let finish = speech.finish.take();
        TurnEnd::Said {
            turn: speech.turn(),
            finish,
            document: None,
        }
    }

    /// Takes what a step used off the money that is left.
    async fn note(&mut self, report: oneshot::Receiver<Used>) {
        // A step that used nothing reports nothing.
        if let Ok(used) = report.await {
            let cost: Usdt = self.lines_of(&used, true).iter().map(|line| line.amount).sum();
            self.left = self.left.saturating_sub(cost);
            self.used.push(used);
        }
    }

    fn lines_of(&self, used: &Used, delivered: bool) -> Vec<PriceLine> {
        self.quote
            .lines(used.tokens, delivered || used.outcome == CallOutcome::Complete)
    }

    /// Charges what was used, and says the end.
    async fn conclude(mut self, mut ending: Ending, bill: Bill, mut output: Output) {
        if let Output::Events(sending) = &mut output {
            for chunk in ending.kept.drain(..) {
                self.delivered |= says(&chunk);
                sending.say(&chunk).await;
            }
        }
        let answered = !ending.turn.content.is_empty() || self.calls_callers(&ending.turn);
        self.delivered |= matches!(output, Output::Document(_)) && answered && ending.error.is_none();
        if self.used.is_empty() {
            let late = matches!(ending.stopped, Some(Stopped::Time));
            let error = ending
                .error
                .or_else(|| late.then(|| UpstreamError::TimedOut.into()));
            drop(bill);
            return fail(output, error.unwrap_or(CompletionError::Interrupted)).await;
        }
        let outcome = match &ending {
            Ending { left: true, .. } => CallOutcome::Aborted,
            Ending { error: Some(_), .. } | Ending { broken: Some(_), .. } => CallOutcome::Partial,
            _ => CallOutcome::Complete,
        };
        let paid = bill.pay(self.all_used(outcome), self.lines()).await;
        match (paid, ending.error.take()) {
            (Err(error), _) => fail(output, CompletionError::Capture(error)).await,
            (Ok(_), Some(error)) => fail(output, error).await,
            (Ok(charged), None) => {
                let answer = ending.turn.content.clone();
                let whole = outcome == CallOutcome::Complete;
                match output {
                    Output::Document(tell) => {
                        // Nobody may be listening any more; the charge stands all the same.
                        let _ = tell.send(Ok(self.document(ending, charged)));
                    }
                    Output::Events(mut sending) => self.last_events(ending, charged, &mut sending).await,
                }
                if whole && !answer.is_empty() {
                    self.remember(answer).await;
                }
            }
        }
    }

    async fn remember(&mut self, answer: String) {
        let exchange = Exchange {
            question: self.wish.question.clone(),
            answer,
        };
        for gear in &self.gears {
            gear.answered(&self.wish, &exchange).await;
        }
    }

    /// What all steps used together.
    fn all_used(&self, outcome: CallOutcome) -> Used {
        let mut tokens = TokenUsage::default();
        let mut hash = Sha256::new();
        for used in &self.used {
            tokens.input = tokens.input.saturating_add(used.tokens.input);
            tokens.cached = tokens.cached.saturating_add(used.tokens.cached);
            tokens.output = tokens.output.saturating_add(used.tokens.output);
            tokens.reasoning = tokens.reasoning.saturating_add(used.tokens.reasoning);
            hash.update(used.response_hash);
        }
        let only = self.used.first().filter(|_| self.used.len() == 1);
        Used {
            tokens,
            estimated: self.used.iter().any(|used| used.estimated),
            outcome,
            provider: self
                .used
                .last()
                .map(|used| used.provider.clone())
                .unwrap_or_default(),
            response_hash: only.map_or_else(|| hash.finalize().into(), |used| used.response_hash),
            upstream: self.used.iter().map(|used| used.upstream).sum(),
            first_token: self.first_token,
        }
    }

    /// The model's lines of all steps, joined by what they are for, and what is due per call.
    fn lines(&self) -> Vec<PriceLine> {
        let mut lines: Vec<PriceLine> = Vec::new();
        for line in self
            .used
            .iter()
            .flat_map(|used| self.lines_of(used, self.delivered))
        {
            match lines.iter_mut().find(|known| known.item == line.item) {
                Some(known) => known.amount = known.amount.saturating_add(line.amount),
                None => lines.push(line),
            }
        }
        lines.sort_by_key(|line| line.item != LineItem::ModelCall);
        lines.extend(self.fees.iter().filter(|_| self.delivered));
        lines
    }

    /// What Haithe says about the loop, beside OpenAI's fields.
    fn about(&self, stopped: Option<Stopped>) -> Value {
        let sources: Vec<Value> = self.equipment.sources.iter().map(|source| {
            json!({"number": source.number, "product_id": source.product, "name": source.name, "locator": source.locator})
        }).collect();
        json!({
            "steps": self.used.len(),
            "tools": self.ran,
            "stopped": stopped.map(Stopped::as_str),
            "sources": sources,
        })
    }

    fn calls_callers(&self, turn: &Turn) -> bool {
        turn.calls.iter().any(|call| !self.names.is_ours(call.name()))
    }

    fn finish(&self, ending: &Ending) -> String {
        let callers = self.calls_callers(&ending.turn);
        match (ending.stopped, callers, &ending.finish) {
            (Some(_), ..) => "length".to_owned(),
            (None, true, _) => "tool_calls".to_owned(),
            (None, false, Some(finish)) => finish.clone(),
            (None, false, None) => "stop".to_owned(),
        }
    }

    /// The last turn's document, as if the model had answered at once.
    fn document(&self, mut ending: Ending, charged: Charged) -> Answer {
        let finish = self.finish(&ending);
        let mut whole = ending.document.take().unwrap_or_else(|| json!({}));
        if let Some(choice) = whole.pointer_mut("/choices/0").and_then(Value::as_object_mut) {
            choice.insert("finish_reason".into(), finish.into());
            if let Some(Value::Object(message)) = choice.get_mut("message") {
                let callers = ending
                    .turn
                    .calls
                    .iter()
                    .filter(|call| !self.names.is_ours(call.name()));
                let calls: Vec<Value> = callers.map(|call| call.raw.clone()).collect();
                message.remove("tool_calls");
                if !calls.is_empty() {
                    message.insert("tool_calls".into(), calls.into());
                }
            }
        }
        if let Some(whole) = whole.as_object_mut() {
            if self.used.len() > 1 {
                whole.remove("usage");
            }
            whole.insert("haithe".into(), self.about(ending.stopped));
        }
        let bytes = Bytes::from(whole.to_string());
        let given = Given {
            endpoint: Endpoint::Chat,
            call: self.id,
            created: self.completions.ports().clock.now().seconds(),
            model: &self.model.name,
        };
        let body = match Document::read(bytes.clone(), &mut Meter::default()) {
            Ok(document) => document.identified(charged.cost, charged.tokens, &given),
            Err(_) => bytes,
        };
        Answer::Json {
            call: self.id,
            body,
            cost: charged.amount(),
        }
    }

    async fn last_events(&mut self, ending: Ending, charged: Charged, sending: &mut Sending) {
        if let Some(broken) = ending.broken {
            return sending.say(&broken).await;
        }
        let choice = json!({"index": 0, "delta": {}, "finish_reason": self.finish(&ending)});
        let mut last = self.identity.chunk(choice);
        if let Some(last) = last.as_object_mut() {
            last.insert("haithe".into(), self.about(ending.stopped));
        }
        sending.say(&last).await;
        if self.wants_usage {
            let mut usage = String::new();
            usage_object(charged.tokens, charged.cost, &mut usage);
            let mut chunk = self.identity.chunk(Value::Null);
            if let Some(chunk) = chunk.as_object_mut() {
                chunk.insert("choices".into(), json!([]));
                // Written by us just now, so it reads.
                chunk.insert("usage".into(), serde_json::from_str(&usage).unwrap_or_default());
            }
            sending.say(&chunk).await;
        }
        sending.send(Bytes::from_static(b"data: [DONE]\n\n")).await;
    }
}

async fn fail(output: Output, error: CompletionError) {
    match output {
        Output::Document(tell) => {
            // Nobody may be listening any more.
            let _ = tell.send(Err(error));
        }
        Output::Events(mut sending) => sending.fail(error).await,
    }
}

/// Whether a chunk holds anything of the answer.
fn says(chunk: &Value) -> bool {
    let delta = chunk.pointer("/choices/0/delta").and_then(Value::as_object);
    delta.is_some_and(|delta| {
        delta
            .iter()
            .any(|(name, value)| name != "role" && !value.is_null() && value != "")
    })
}

/// A chunk like this one that says an empty line.
fn paragraph(chunk: &Value) -> Value {
    let mut chunk = chunk.clone();
    if let Some(choice) = chunk.pointer_mut("/choices/0").and_then(Value::as_object_mut) {
        choice.insert("delta".into(), json!({"content": "\n\n"}));
    }
    chunk
}
