//! The loop: ask, run tools, ask again, and pay once. What is before it is in [`begin`], what is after
//! it in [`conclude`].

mod begin;
mod conclude;
mod lookout;

use super::{
    AgentLimits, Stopped,
    compose::{Draft, Step, tool_message},
    gear::{Equipment, Gear, Wish},
    output::Output,
    speech::{Identity, Names, Speech},
    tools::{ToolUse, Toolbox},
    turn::Turn,
};
use crate::{
    call::{Began, Bill, Call, Purse, Spans, Used},
    catalogue::Model,
    completions::{
        Completions,
        asking::{Answered, Candidate, Reply, reply},
    },
    error::CompletionError,
    price::Quote,
    request::{Asked, ChatRequest, RequestLimits},
    sse::Splitter,
    stream::MeteredStream,
};
use bytes::Bytes;
use futures::{StreamExt, channel::oneshot};
use haithe_billing::capture::{CallOutcome, PriceLine};
use haithe_kernel::{CallId, Usdt};
use lookout::{Cut, Lookout, in_time};
use serde_json::{Value, json};
use std::{pin::Pin, sync::Arc, time::Duration};

/// What the loop itself composes may be larger than what callers send: history and data join it.
const COMPOSED: RequestLimits = RequestLimits {
    bytes: 64 * 1024 * 1024,
    choices: 1,
};

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
    tool_use: ToolUse,
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
    began: Began,
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
        // Without tools of ours nothing is asked twice, and the caller's own stay callable.
        last: number >= most && !toolbox.definitions.is_empty(),
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
            self.tool_use.called(&turn.calls);
            let timer = Arc::clone(&self.completions.ports().timer);
            let work = self.toolbox.run(&turn.calls, &self.limits, timer.as_ref());
            match self.lookout.within(work).await {
                Ok(answers) => {
                    self.tool_use.answered(&turn.calls, &answers);
                    self.thread.extend(answers.iter().map(tool_message));
                }
                Err(Cut::Left) => {
                    self.tool_use.left(&turn.calls);
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
        let fits =
            self.completions
                .step_bound(bill.account.org, &request, &self.model, &self.quote, self.left);
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
            began: Began::now(self.completions.ports().clock.as_ref()),
            tools: bill.tools.clone(),
            permit: bill.permit.clone(),
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
        let Lookout { presence, deadline } = &mut self.lookout;
        match in_time(deadline, reply(call, &self.route, &ports, presence)).await {
            // The caller is still there: what the service's own limit ends costs nothing.
            Err(cut) => TurnEnd::Cut(cut),
            Ok(Err(error)) => TurnEnd::Unanswered(error),
            Ok(Ok(Reply::Left)) => {
                self.note(report).await;
                TurnEnd::Cut(Cut::Left)
            }
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
        mut pieces: Pin<Box<MeteredStream>>,
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
                Err(Cut::Left) => return TurnEnd::Cut(Cut::Left),
                Err(Cut::Late) => {
                    pieces.give_up();
                    return TurnEnd::Cut(Cut::Late);
                }
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
                    let clock = self.completions.ports().clock.as_ref();
                    self.first_token = Some(self.began.elapsed(clock));
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
        let delivered = (delivered && used.produced) || used.outcome == CallOutcome::Complete;
        self.quote.lines(used.tokens, delivered)
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
