//! Use case: a question is asked, answered and paid.
//!
//! parse → choose the model → quote → hold → rewrite → send → meter → charge. A call that cannot
//! be paid never reaches a model, and every call ends in exactly one way:
//!
//! | end | charge |
//! |--|--|
//! | the provider fails before its first token | none; the hold is given back |
//! | the answer is complete | as reported; counted and flagged when nothing was reported |
//! | the provider dies mid-stream | what arrived, flagged partial; the stream ends with an error |
//! | the caller leaves a stream | what was generated, flagged aborted; the provider is stopped |
//! | the caller leaves a JSON call | as if it had stayed: the work is a task of its own |
//! | the charge cannot be recorded | the caller gets an error instead of the answer or `[DONE]` |

mod admission;

use crate::{
    call::{Call, Charged, Tools},
    catalogue::{Catalogue, Model},
    error::CompletionError,
    meter::{Chunk, Document, Meter},
    ports::{ChatModel, TokenCounter, UpstreamAnswer, UpstreamError, UpstreamRequest},
    request::{ChatRequest, RequestLimits},
    stream::MeteredStream,
};
use bytes::Bytes;
use futures::{StreamExt, channel::oneshot, stream::BoxStream};
use haithe_billing::{capture::CallOutcome, holds::Holds};
use haithe_identity::api_key::ApiKey;
use haithe_kernel::{CallId, Clock, Decimals, Random, Tasks, Usdt, WalletAddress};
use haithe_orgs::ports::CallContext;
use std::{collections::HashMap, fmt, sync::Arc};

/// Who asks, on whose account. The context says that the caller may call as its project.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The wallet.
    pub wallet: WalletAddress,
    /// The key used, if one was; its scope and budget apply.
    pub api_key: Option<Arc<ApiKey>>,
    /// Payer and project, resolved and permitted.
    pub context: Arc<CallContext>,
}

/// An answer, charged already or charged at its end.
pub enum Answer {
    /// A complete answer. Its charge is on disk.
    Json {
        /// The call.
        call: CallId,
        /// The provider's document, with the cost in its `usage`.
        body: Bytes,
        /// What was charged.
        cost: Usdt,
    },
    /// An event stream. Its last event comes after the charge is on disk. Drop it when the caller
    /// leaves: that stops the provider, and what was generated is charged.
    Stream {
        /// The call.
        call: CallId,
        /// Whole events; each piece is to be written at once.
        events: BoxStream<'static, Bytes>,
    },
}

impl fmt::Debug for Answer {
    /// Without the answer itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json { call, body, cost } => {
                write!(f, "Json({call}, {} bytes, {cost} USDT)", body.len())
            }
            Self::Stream { call, .. } => write!(f, "Stream({call})"),
        }
    }
}

/// What completions need from outside.
#[derive(Clone)]
pub struct CompletionPorts {
    /// Sets money aside and takes it.
    pub holds: Holds,
    /// The providers that can be asked, by their key in the catalogue.
    pub providers: HashMap<String, Arc<dyn ChatModel>>,
    /// Counts tokens where nobody else does.
    pub counter: Arc<dyn TokenCounter>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// For the ids of calls.
    pub random: Arc<dyn Random>,
    /// For work that outlives its request.
    pub tasks: Arc<dyn Tasks>,
}

/// What completions must be told.
#[derive(Debug, Clone, Copy)]
pub struct CompletionSettings {
    /// The payment token's decimals, for costs on the wire.
    pub decimals: Decimals,
    /// What a request may be at most.
    pub limits: RequestLimits,
}

/// The use case. Cheap to clone.
#[derive(Clone)]
pub struct Completions {
    catalogue: Arc<Catalogue>,
    ports: Arc<CompletionPorts>,
    tools: Tools,
    limits: RequestLimits,
}

impl Completions {
    /// Composes the use case.
    pub fn new(catalogue: Arc<Catalogue>, ports: CompletionPorts, settings: CompletionSettings) -> Self {
        Self {
            catalogue,
            tools: Tools {
                counter: Arc::clone(&ports.counter),
                clock: Arc::clone(&ports.clock),
                decimals: settings.decimals,
            },
            limits: settings.limits,
            ports: Arc::new(ports),
        }
    }

    /// Answers a chat request, given as the bytes of its body.
    ///
    /// # Errors
    /// [`CompletionError`]; nothing is charged then, except when the error is
    /// [`CompletionError::Capture`], of which the ledger alone knows whether the charge stands.
    pub async fn run(&self, caller: Caller, body: Bytes) -> Result<Answer, CompletionError> {
        let request = ChatRequest::parse(body, self.limits)?;
        let model = self.choose(&caller, request.model())?;
        let provider = self.ports.providers.get(&model.provider);
        let provider = Arc::clone(provider.ok_or(UpstreamError::Credentials)?);
        let call = self.admit(&caller, request, model).await?;
        let upstream = UpstreamRequest {
            provider: call.model.provider.clone(),
            body: call.request.for_upstream(&call.model, call.bound.output),
            stream: call.request.stream(),
            request_id: call.id.to_string(),
        };
        if upstream.stream {
            self.stream(call, provider, upstream).await
        } else {
            self.json(call, provider, upstream).await
        }
    }

    /// The models that calls in this context may use, by number.
    pub fn models(&self, context: &CallContext, key: Option<&ApiKey>) -> Vec<Arc<Model>> {
        let usable = |model: &&Arc<Model>| {
            model.active && context.models.contains(&model.id) && key.is_none_or(|key| allows(key, model))
        };
        self.catalogue.models().iter().filter(usable).cloned().collect()
    }

    /// The model a request names, or the project's default.
    fn choose(&self, caller: &Caller, name: Option<&str>) -> Result<Arc<Model>, CompletionError> {
        let found = match name {
            Some(name) => self.catalogue.by_name(name),
            None => self.catalogue.by_id(caller.context.project.default_model),
        };
        let Some(model) = found.filter(|model| model.active) else {
            return Err(match name {
                Some(name) => CompletionError::UnknownModel {
                    model: shortened(name),
                },
                None => CompletionError::invalid("model", "name a model: the project has no default model"),
            });
        };
        if !caller.context.models.contains(&model.id) {
            return Err(CompletionError::NotEnabled {
                model: model.name.clone(),
            });
        }
        if caller.api_key.as_ref().is_some_and(|key| !allows(key, model)) {
            return Err(CompletionError::KeyScope {
                model: model.name.clone(),
            });
        }
        Ok(Arc::clone(model))
    }

    /// In a task of its own: a caller who leaves cannot lose the charge.
    async fn json(
        &self,
        call: Call,
        provider: Arc<dyn ChatModel>,
        upstream: UpstreamRequest,
    ) -> Result<Answer, CompletionError> {
        let id = call.id;
        let (tell, answered) = oneshot::channel();
        let work = async move {
            // Nobody may be listening any more; the charge stands all the same.
            let _ = tell.send(answer(call, provider.as_ref(), upstream).await);
        };
        self.ports.tasks.spawn("completion", Box::pin(work));
        let (body, charged) = answered.await.map_err(|_| CompletionError::Interrupted)??;
        Ok(Answer::Json {
            call: id,
            body,
            cost: charged.amount(),
        })
    }

    async fn stream(
        &self,
        call: Call,
        provider: Arc<dyn ChatModel>,
        upstream: UpstreamRequest,
    ) -> Result<Answer, CompletionError> {
        let id = call.id;
        let events = match provider.send(upstream).await? {
            UpstreamAnswer::Stream(events) => events,
            UpstreamAnswer::Json(body) => return Err(not_a_stream(body)),
        };
        let events = MeteredStream::new(events, call, Arc::clone(&self.ports.tasks));
        let events = events.begin().await?.boxed();
        Ok(Answer::Stream { call: id, events })
    }
}

/// Asks the provider, charges, and gives the document with its cost.
async fn answer(
    call: Call,
    provider: &dyn ChatModel,
    upstream: UpstreamRequest,
) -> Result<(Bytes, Charged), CompletionError> {
    let UpstreamAnswer::Json(body) = provider.send(upstream).await? else {
        return Err(failed("a stream came where none was asked for"));
    };
    let mut meter = Meter::default();
    meter.hash(&body);
    let document = match Document::read(body, &mut meter) {
        Ok(document) => document,
        Err(Chunk::Fault(fault)) => return Err(fault.within_answer().into()),
        Err(_) => return Err(failed("the answer is not a JSON object")),
    };
    if !meter.answered() {
        return Err(failed("the answer is empty"));
    }
    let delivered = meter.produced();
    let charged = call
        .charge(meter, CallOutcome::Complete, delivered)
        .await
        .map_err(CompletionError::Capture)?;
    Ok((document.with_cost(charged.cost, charged.tokens), charged))
}

/// A provider that was asked for a stream and sent a document: its error, or a failure.
fn not_a_stream(body: Bytes) -> CompletionError {
    match crate::fault::Fault::read(&body) {
        Some(fault) => fault.within_answer().into(),
        None => failed("a document came where a stream was asked for"),
    }
}

fn failed(what: &'static str) -> CompletionError {
    UpstreamError::Failed(what.into()).into()
}

fn allows(key: &ApiKey, model: &Model) -> bool {
    let models = key.scope.models.as_ref();
    models.is_none_or(|models| models.contains(&model.name))
}

/// A stranger's text, fit for an error message.
fn shortened(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(128).collect()
}

#[cfg(test)]
mod tests;
