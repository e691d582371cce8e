//! After the loop: one charge for all its steps, and its answer as if the model had given it at once.

use super::{Ending, Loop, says};
use crate::{
    agent::{
        Stopped,
        gear::Exchange,
        output::{Output, Sending},
        turn::Turn,
    },
    call::{Bill, Charged, Used},
    completions::Answer,
    error::CompletionError,
    meter::{Document, Form, Identity as Given, Meter, usage_object},
    ports::UpstreamError,
};
use bytes::Bytes;
use haithe_billing::capture::{CallOutcome, LineItem, PriceLine, TokenUsage};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

impl Loop {
    /// Charges what was used, and says the end.
    pub(super) async fn conclude(mut self, mut ending: Ending, bill: Bill, mut output: Output) {
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
            produced: self.used.iter().any(|used| used.produced),
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
        let due = |fee: &&PriceLine| self.delivered && self.tool_use.earned(fee.item);
        lines.extend(self.fees.iter().filter(due));
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

    pub(super) fn calls_callers(&self, turn: &Turn) -> bool {
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
            form: Form::Completion,
            call: self.id,
            id: "",
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
