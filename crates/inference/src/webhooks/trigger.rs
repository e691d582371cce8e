//! Use case: a signed message asks a project's agent.

use super::{
    Agent, EventId, EventKey, NewEvent, Outcome, Received, Webhook, WebhookError, WebhookId, WebhookInbox,
    WebhookSecret, WebhookStore, signature::Signed,
};
use crate::{
    completions::{Answer, CallPermit, Caller},
    error::CompletionError,
    ports::UpstreamError,
};
use bytes::Bytes;
use futures::channel::oneshot;
use haithe_billing::ExpenditureScope;
use haithe_kernel::{ClientIp, Clock, Failure, Tasks, Timestamp, Usdt};
use haithe_orgs::{Contexts, ports::CallContext};
use serde_json::{Value, json, value::RawValue};
use std::sync::Arc;

/// Largest answer that is kept or delivered, in bytes.
const MOST_ANSWER_BYTES: usize = 1 << 20;

/// A verified message of a webhook that may call.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The webhook.
    pub webhook: Webhook,
    /// Who pays, and as which project.
    pub context: Arc<CallContext>,
    /// The most that the call may cost, where the sender sets a limit.
    pub max_cost: Option<Usdt>,
    id: String,
    payload: Bytes,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ran {
    /// The answer, a JSON object.
    Answered(Bytes),
    /// The answer will be delivered.
    Queued,
}

/// Messages of webhooks.
#[derive(Clone)]
pub struct Triggers {
    store: Arc<dyn WebhookStore>,
    inbox: Arc<dyn WebhookInbox>,
    contexts: Arc<Contexts>,
    agent: Arc<dyn Agent>,
    tasks: Arc<dyn Tasks>,
    clock: Arc<dyn Clock>,
    /// Compared with when there is no such webhook, so that both take as long.
    nobody: WebhookSecret,
}

impl Triggers {
    /// Composes the use case. `nobody` is a secret that nobody knows.
    pub fn new(
        store: Arc<dyn WebhookStore>,
        inbox: Arc<dyn WebhookInbox>,
        contexts: Arc<Contexts>,
        agent: Arc<dyn Agent>,
        tasks: Arc<dyn Tasks>,
        clock: Arc<dyn Clock>,
        nobody: WebhookSecret,
    ) -> Self {
        Self {
            store,
            inbox,
            contexts,
            agent,
            tasks,
            clock,
            nobody,
        }
    }

    /// Verifies a message, and that the wallet that the webhook acts for may call as its project.
    ///
    /// # Errors
    /// [`WebhookError`]; nothing is remembered of the message then.
    pub async fn verify(
        &self,
        webhook: WebhookId,
        signed: Signed,
        payload: Bytes,
        from: Option<ClientIp>,
    ) -> Result<Accepted, WebhookError> {
        signed.is_fresh(self.clock.now())?;
        let found = self.store.with_secret(webhook).await?;
        let secret = found.as_ref().map_or(&self.nobody, |(_, secret)| secret);
        let verified = signed.verifies(secret, &payload);
        let webhook = match found {
            Some((webhook, _)) if verified => webhook,
            _ => return Err(WebhookError::Refused),
        };
        if !webhook.enabled {
            return Err(WebhookError::Disabled);
        }
        let is_text = std::str::from_utf8(&payload).is_ok_and(|text| !text.trim().is_empty());
        if !is_text {
            return Err(WebhookError::Payload);
        }
        let context = self
            .contexts
            .of_wallet(webhook.wallet, webhook.org_uid, webhook.project_uid, from)
            .await?;
        Ok(Accepted {
            webhook,
            context,
            max_cost: None,
            id: signed.id,
            payload,
        })
    }

    /// Asks the agent, once for each `webhook-id`. Without a delivery address it waits for the answer,
    /// but a caller who leaves stops nothing. `permit` is held until the agent's work is over and its
    /// answer is kept.
    ///
    /// # Errors
    /// [`WebhookError`]; except for [`WebhookError::Lost`], the message may come again.
    pub async fn run(&self, accepted: Accepted, permit: CallPermit) -> Result<Ran, WebhookError> {
        let delivers = accepted.webhook.delivery_url.is_some();
        let now = self.clock.now();
        let event = NewEvent {
            webhook: accepted.webhook.id,
            key: EventKey::of(&accepted.id),
            at: now,
            otherwise: delivers.then(|| accepted.failed(&WebhookError::Lost, now)),
        };
        let event = match self.inbox.receive(event).await? {
            Received::New(event) => event,
            Received::InFlight if delivers => return Ok(Ran::Queued),
            Received::InFlight => return Err(WebhookError::InFlight),
            Received::Delivering => return Ok(Ran::Queued),
            Received::Answered(Some(answer)) => return Ok(Ran::Answered(answer)),
            Received::Answered(None) => return Err(WebhookError::Answered),
            Received::Lost => return Err(WebhookError::Lost),
        };
        let (tell, told) = oneshot::channel();
        let this = self.clone();
        let work = async move {
            let answered = this.answer(&accepted, event, permit).await;
            // Nobody may be listening; the answer is kept all the same.
            let _ = tell.send(answered);
        };
        self.tasks.spawn("webhook", Box::pin(work));
        if delivers {
            return Ok(Ran::Queued);
        }
        let answer = told.await.map_err(|_| CompletionError::Interrupted)??;
        Ok(Ran::Answered(answer))
    }

    /// Asks, and tells the inbox how it ended.
    async fn answer(
        &self,
        accepted: &Accepted,
        event: EventId,
        permit: CallPermit,
    ) -> Result<Bytes, WebhookError> {
        let delivers = accepted.webhook.delivery_url.is_some();
        let answered = self.ask(accepted, permit.clone()).await;
        let now = self.clock.now();
        let outcome = match &answered {
            Ok(answer) if delivers => Outcome::Deliver(accepted.delivered(answer, now)),
            Ok(answer) => Outcome::Keep((answer.len() <= MOST_ANSWER_BYTES).then(|| answer.clone())),
            Err(error) if delivers => Outcome::Deliver(accepted.failed(error, now)),
            Err(error) if may_be_charged(error) => Outcome::Lost,
            Err(_) => Outcome::Forget,
        };
        // The charge stands, whether or not the answer can be kept.
        if let Err(error) = self.inbox.close(event, outcome, now).await {
            tracing::error!(%error, webhook = %accepted.webhook.id, "an answer could not be kept");
            if delivers {
                return Err(error.into());
            }
        }
        answered
    }

    async fn ask(&self, accepted: &Accepted, permit: CallPermit) -> Result<Bytes, WebhookError> {
        let caller = Caller {
            wallet: accepted.webhook.wallet,
            api_key: None,
            context: Arc::clone(&accepted.context),
            // The answer goes to the sender of the message, whoever made the webhook.
            expenditure: ExpenditureScope::Project,
            call: None,
            max_cost: accepted.max_cost,
            permit,
        };
        let payload = String::from_utf8_lossy(&accepted.payload);
        let question = json!({"messages": [{"role": "user", "content": payload}]});
        match self.agent.ask(caller, Bytes::from(question.to_string())).await? {
            Answer::Json { call, body, .. } => Ok(answer_of(accepted, &call.to_string(), &body)),
            // The question does not ask for a stream; whoever sends one was charged for what it said.
            Answer::Stream { .. } => Err(CompletionError::Interrupted.into()),
        }
    }
}

/// Of all failures these alone come after a charge, or may.
const fn may_be_charged(error: &WebhookError) -> bool {
    matches!(
        error,
        WebhookError::Completion(
            CompletionError::Capture(_)
                | CompletionError::Interrupted
                | CompletionError::Upstream(UpstreamError::TooLarge { .. })
        )
    )
}

/// What is answered inline, and delivered as `data`.
fn answer_of(accepted: &Accepted, call: &str, completion: &[u8]) -> Bytes {
    let parsed: Option<Value> = serde_json::from_slice(completion).ok();
    let said = parsed
        .as_ref()
        .and_then(|document| document.pointer("/choices/0/message/content"))
        .and_then(Value::as_str);
    let document = std::str::from_utf8(completion)
        .ok()
        .filter(|_| parsed.is_some())
        .unwrap_or("null");
    // The provider's document goes through untouched, numbers of any length included.
    let fields = json!({
        "webhook_id": accepted.webhook.id.to_string(),
        "event_id": accepted.id,
        "call_id": call,
        "answer": said,
    })
    .to_string();
    let open = fields.strip_suffix('}').unwrap_or(&fields);
    Bytes::from(format!("{open},\"completion\":{document}}}"))
}

impl Accepted {
    fn delivered(&self, answer: &Bytes, at: Timestamp) -> Bytes {
        if answer.len() > MOST_ANSWER_BYTES {
            return self.failed(&WebhookError::Answered, at);
        }
        let data: Result<Box<RawValue>, _> = serde_json::from_slice(answer);
        let data = data.map_or_else(|_| "null".to_owned(), |data| data.get().to_owned());
        let time = json!(at.rfc3339());
        Bytes::from(format!(
            "{{\"type\":\"webhook.answered\",\"timestamp\":{time},\"data\":{data}}}"
        ))
    }

    fn failed(&self, error: &WebhookError, at: Timestamp) -> Bytes {
        let body = json!({
            "type": "webhook.failed",
            "timestamp": at.rfc3339(),
            "data": {
                "webhook_id": self.webhook.id.to_string(),
                "event_id": self.id,
                "error": {"code": error.code(), "message": error.to_string()},
            },
        });
        Bytes::from(body.to_string())
    }
}
