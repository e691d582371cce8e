//! Use case: a question is asked, answered and paid.
//!
//! parse → choose the model → quote → hold → rewrite → send → meter → charge. A call that cannot
//! be paid never reaches a model, and every call ends in exactly one way:
//!
//! | end | charge |
//! |--|--|
//! | no provider on the route begins to answer, also when asked again | none; the hold is given back |
//! | a provider fails before its first token | none; the hold is given back |
//! | the answer is complete | as reported; counted and flagged when nothing was reported |
//! | the answer is larger than what is read of one | the counted input, flagged estimated and partial; the caller gets an error |
//! | the provider dies mid-stream | what arrived, flagged partial; the stream ends with an error |
//! | the caller leaves a stream after its first token | what was generated, flagged aborted; the provider is stopped |
//! | the caller leaves a stream between its head and its first token | the counted input, flagged aborted and estimated, without prices per call; the provider is stopped |
//! | the caller leaves a stream before its head, which then comes with a status of success | the same |
//! | the caller leaves a stream before its head, and the provider refuses or fails or does not answer within its first-byte timeout | none; nobody else is asked |
//! | the caller leaves a stream while an attempt that failed is followed by a pause | none; nobody else is asked |
//! | the service stops and closes the caller's connection | what was generated, flagged aborted; none before the first token |
//! | the caller leaves a JSON call or embeddings | as if it had stayed: the work is a task of its own |
//! | the charge cannot be recorded | the caller gets an error instead of the answer or `[DONE]` |
//!
//! Until the answer begins, the work of a stream belongs to the caller's request; when the caller
//! leaves, it moves into a task of its own with its hold and its place among the calls that run at once
//! ([`CallPermit`]). A step of an agent's loop ends in the same ways.

mod admission;
pub(crate) mod asking;
mod permit;
mod sizing;

use crate::meter::{Form, Identity};
use crate::{
    agent::{AgentLimits, Gear, Preparations},
    call::{Began, Call, Tools},
    catalogue::{Catalogue, Model},
    conversations::ConversationId,
    error::CompletionError,
    ports::{CallObserver, ChatModel, Endpoint, TokenAllowance, TokenCounter, UpstreamError},
    presence::{Attended, Presence},
    request::{Asked, ChatRequest, EmbeddingRequest, Needs, RequestLimits},
};
pub(crate) use admission::{account, payer_would_accept, quote};
pub use asking::ProviderHealth;
use asking::{Answered, Candidate, Reply};
use bytes::Bytes;
use futures::{FutureExt, channel::oneshot, stream::BoxStream};
use haithe_billing::{ExpenditureScope, capture::CallOutcome, holds::Holds};
use haithe_identity::api_key::ApiKey;
use haithe_kernel::{CallId, Clock, Decimals, ModelId, Random, Tasks, Timer, Usdt, WalletAddress};
use haithe_orgs::ports::CallContext;
pub use permit::CallPermit;
pub(crate) use sizing::fewest_tokens;
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
    /// Whose expenditure the caller is told.
    pub expenditure: ExpenditureScope,
    /// The id that the call has to have, where somebody will ask the ledger for it; never used twice.
    pub call: Option<CallId>,
    /// The most that the caller lets the whole call cost, the model included. It never raises another limit.
    pub max_cost: Option<Usdt>,
    /// The place that the call occupies among those that run at once.
    pub permit: CallPermit,
}

impl Caller {
    /// Whether a model may answer this caller: enabled, and within the key's scope.
    fn may_use(&self, model: &Model) -> bool {
        self.context.models.contains(&model.id) && in_scope(self.api_key.as_deref(), model)
    }
}

fn in_scope(key: Option<&ApiKey>, model: &Model) -> bool {
    let models = key.and_then(|key| key.scope.models.as_ref());
    models.is_none_or(|models| models.iter().any(|name| model.answers_to(name)))
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
    /// leaves: that stops the provider, and the input and what was generated are charged.
    Stream {
        /// The call.
        call: CallId,
        /// The most it can cost: what is set aside for it.
        most: Usdt,
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
    /// Limits tokens per minute.
    pub allowance: Arc<dyn TokenAllowance>,
    /// Is told how calls go.
    pub observer: Arc<dyn CallObserver>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// For the ids of calls.
    pub random: Arc<dyn Random>,
    /// For work that outlives its request.
    pub tasks: Arc<dyn Tasks>,
    /// For pauses between tries, and limits of time.
    pub timer: Arc<dyn Timer>,
    /// What calls of projects can bring along, in the order in which it is put before the model.
    pub gears: Vec<Arc<dyn Gear>>,
}

/// What completions must be told.
#[derive(Debug, Clone, Copy)]
pub struct CompletionSettings {
    /// The payment token's decimals, for costs on the wire.
    pub decimals: Decimals,
    /// What a request may be at most.
    pub limits: RequestLimits,
    /// Where loops of agents end.
    pub agent: AgentLimits,
}

/// The use case. Cheap to clone.
#[derive(Clone)]
pub struct Completions {
    catalogue: Arc<Catalogue>,
    /// Who speaks for each model, and how it has fared.
    candidates: Arc<HashMap<ModelId, Arc<Candidate>>>,
    ports: Arc<CompletionPorts>,
    tools: Tools,
    limits: RequestLimits,
    agent: AgentLimits,
    preparations: Arc<Preparations>,
}

impl Completions {
    /// Composes the use case.
    pub fn new(catalogue: Arc<Catalogue>, ports: CompletionPorts, settings: CompletionSettings) -> Self {
        let candidates = asking::candidates(&catalogue, &ports);
        Self {
            catalogue,
            candidates: Arc::new(candidates),
            tools: Tools {
                counter: Arc::clone(&ports.counter),
                clock: Arc::clone(&ports.clock),
                observer: Arc::clone(&ports.observer),
                decimals: settings.decimals,
            },
            limits: settings.limits,
            agent: settings.agent,
            preparations: Arc::default(),
            ports: Arc::new(ports),
        }
    }

    /// Answers a chat request, given as the bytes of its body; within a conversation, if one is named
    /// and the project remembers.
    ///
    /// # Errors
    /// [`CompletionError`]; nothing is charged then, except when the error is
    /// [`CompletionError::Capture`], of which the ledger alone knows whether the charge stands.
    pub async fn run(
        &self,
        caller: Caller,
        conversation: Option<ConversationId>,
        body: Bytes,
    ) -> Result<Answer, CompletionError> {
        let request = ChatRequest::parse(body, self.limits)?;
        let wanted = |gear: &&Arc<dyn Gear>| gear.wanted(&caller, conversation);
        let gears: Vec<_> = self.ports.gears.iter().filter(wanted).cloned().collect();
        if gears.is_empty() {
            return self.ask(caller, Asked::Chat(request)).await;
        }
        self.run_agent(caller, request, conversation, gears).await
    }

    pub(crate) const fn agent_limits(&self) -> AgentLimits {
        self.agent
    }

    pub(crate) const fn preparations(&self) -> &Arc<Preparations> {
        &self.preparations
    }

    pub(crate) const fn tools(&self) -> &Tools {
        &self.tools
    }

    pub(crate) const fn ports(&self) -> &Arc<CompletionPorts> {
        &self.ports
    }

    /// The id of what the caller asks for, and when it begins.
    pub(crate) fn begin_call(&self, caller: &Caller) -> (CallId, Began) {
        let began = Began::now(self.ports.clock.as_ref());
        (self.id_of(caller, began.at), began)
    }

    /// Answers a request for embeddings, given as the bytes of its body; always with a document.
    ///
    /// # Errors
    /// As [`Completions::run`].
    pub async fn embed(&self, caller: Caller, body: Bytes) -> Result<Answer, CompletionError> {
        let request = EmbeddingRequest::parse(body, self.limits)?;
        self.ask(caller, Asked::Embeddings(request)).await
    }

    /// The model that is to answer, and who can. A model that cannot take what the request `needs` is
    /// refused before anything is sent.
    pub(crate) fn chosen(
        &self,
        caller: &Caller,
        name: Option<&str>,
        needs: Needs,
    ) -> Result<(Arc<Model>, Vec<Arc<Candidate>>), CompletionError> {
        let model = self.choose(caller, name)?;
        if let Some(unmet) = needs.unmet_by(&model) {
            return Err(unmet);
        }
        let route = self.route(caller, &model, needs);
        if route.is_empty() {
            return Err(UpstreamError::Credentials.into());
        }
        Ok((model, route))
    }

    async fn ask(&self, caller: Caller, request: Asked) -> Result<Answer, CompletionError> {
        let (model, route) = self.chosen(&caller, request.model(), request.needs())?;
        let call = self.admit(&caller, request, model).await?;
        let ports = Arc::clone(&self.ports);
        if call.request.stream() {
            let (connection, mut presence) = Presence::watched();
            let work = async move { answer(call, route, &ports, &mut presence).await };
            Attended::new(work.boxed(), connection, Arc::clone(&self.ports.tasks)).await
        } else {
            // In a task of its own: a caller who leaves cannot lose the charge.
            let (tell, answered) = oneshot::channel();
            let work = async move {
                // Nobody may be listening any more; the charge stands all the same.
                let _ = tell.send(answer(call, route, &ports, &mut Presence::irrelevant()).await);
            };
            self.ports.tasks.spawn("completion", Box::pin(work));
            answered.await.map_err(|_| CompletionError::Interrupted)?
        }
    }

    /// The payment token's decimals, for costs on the wire.
    pub const fn decimals(&self) -> Decimals {
        self.tools.decimals
    }

    /// The models that calls in this context may use, by number.
    pub fn models(&self, context: &CallContext, key: Option<&ApiKey>) -> Vec<Arc<Model>> {
        let usable =
            |model: &&Arc<Model>| model.active && context.models.contains(&model.id) && in_scope(key, model);
        self.catalogue.models().iter().filter(usable).cloned().collect()
    }

    fn default_model(&self, context: &CallContext) -> Option<&Arc<Model>> {
        let own = self.catalogue.by_id(context.project.default_model);
        let usable = |model: &&Arc<Model>| model.active && context.models.contains(&model.id);
        let fallback = context.settings.default_model;
        own.filter(usable)
            .or_else(|| self.catalogue.by_id(fallback?).filter(usable))
            .or(own)
    }

    /// The model a request names, or the project's default, or, where that cannot be called, the
    /// paying organization's.
    fn choose(&self, caller: &Caller, name: Option<&str>) -> Result<Arc<Model>, CompletionError> {
        let found = match name {
            Some(name) => self.catalogue.by_name(name),
            None => self.default_model(&caller.context),
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
        if !in_scope(caller.api_key.as_deref(), model) {
            return Err(CompletionError::KeyScope {
                model: model.name.clone(),
            });
        }
        Ok(Arc::clone(model))
    }
}

/// Asks until somebody answers; a document is charged and gets its cost, a stream charges itself.
async fn answer(
    call: Box<Call>,
    route: Vec<Arc<Candidate>>,
    ports: &CompletionPorts,
    presence: &mut Presence,
) -> Result<Answer, CompletionError> {
    let (id, most) = (call.id, call.granted);
    match asking::reply(call, &route, ports, presence).await? {
        Reply::Stream(events) => Ok(Answer::Stream {
            call: id,
            most,
            events,
        }),
        // Nobody waits for this answer any more.
        Reply::Left => Err(CompletionError::Interrupted),
        Reply::Document(answered) => {
            let Answered {
                call,
                document,
                meter,
            } = *answered;
            let delivered = meter.produced();
            let model = Arc::clone(&call.model);
            let created = call.began.at.seconds();
            let form = match call.request.endpoint() {
                Endpoint::Chat => Form::Completion,
                Endpoint::Embeddings => Form::Vectors,
            };
            let charged = call.charge(meter, CallOutcome::Complete, delivered).await;
            let charged = charged.map_err(CompletionError::Capture)?;
            let identity = Identity {
                form,
                call: id,
                id: "",
                created,
                model: &model.name,
            };
            Ok(Answer::Json {
                call: id,
                body: document.identified(charged.cost, charged.tokens, &identity),
                cost: charged.amount(),
            })
        }
    }
}

/// A stranger's text, fit for an error message.
fn shortened(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(128).collect()
}

#[cfg(test)]
impl Completions {
    /// The same with other gears, limits and timer.
    pub(crate) fn equipped(
        &self,
        gears: Vec<Arc<dyn Gear>>,
        agent: AgentLimits,
        timer: Arc<dyn Timer>,
    ) -> Self {
        let ports = CompletionPorts {
            gears,
            timer,
            ..self.ports.as_ref().clone()
        };
        Self {
            ports: Arc::new(ports),
            agent,
            ..self.clone()
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
