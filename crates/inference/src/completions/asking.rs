//! Asking: the model's own provider first, then its fallbacks, until one begins to answer.
//!
//! Only a provider's own trouble leads on, to another try or to the next; a refusal of the request
//! itself is the caller's to hear. Nothing is tried again once a byte of an answer is here. A model
//! whose circuit is open is passed over at once. Whoever answers, the caller pays the price of the
//! model it asked for.

use super::{Caller, CompletionPorts, Completions};
use crate::{
    call::Call,
    catalogue::{Catalogue, Model},
    error::CompletionError,
    fault::Fault,
    meter::{Chunk, Document, Meter},
    ports::{AskOutcome, ChatModel, Endpoint, UpstreamAnswer, UpstreamError, UpstreamRequest},
    routing::{Breaker, Pass, RetryPolicy, retry::Tried},
    stream::{MeteredStream, Upstream},
};
use bytes::Bytes;
use futures::stream::BoxStream;
use haithe_kernel::{Failure, ModelId, Random, Tasks};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// A model that may answer, who speaks for it, and how patient we are with it.
pub(crate) struct Candidate {
    model: Arc<Model>,
    provider: Arc<dyn ChatModel>,
    breaker: Arc<Breaker>,
    retry: RetryPolicy,
}

/// Every active model whose provider can be asked.
pub(crate) fn candidates(catalogue: &Catalogue, ports: &CompletionPorts) -> HashMap<ModelId, Arc<Candidate>> {
    let active = catalogue.models().iter().filter(|model| model.active);
    let candidates = active.filter_map(|model| {
        let settings = catalogue.provider(&model.provider)?;
        let candidate = Candidate {
            model: Arc::clone(model),
            provider: Arc::clone(ports.providers.get(&model.provider)?),
            breaker: Breaker::new(&model.name, settings.circuit, Arc::clone(&ports.clock)),
            retry: settings.retry,
        };
        Some((model.id, Arc::new(candidate)))
    });
    candidates.collect()
}

/// How a provider's models fare, as far as calls have found out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProviderHealth {
    /// Models of this provider on offer.
    pub models: usize,
    /// Of these, the models that calls are kept away from, by name.
    pub resting: Vec<String>,
}

/// A provider's answer, metered and not yet charged.
pub(crate) enum Reply {
    Document(Box<Answered>),
    Stream(BoxStream<'static, Bytes>),
}

/// A document that answers a call.
pub(crate) struct Answered {
    pub call: Box<Call>,
    pub document: Document,
    pub meter: Meter,
}

/// Why there is no reply, and the call, if it can still be made elsewhere.
struct Failed {
    error: CompletionError,
    call: Option<Box<Call>>,
}

impl Completions {
    /// Every provider that can be asked, by its key in the catalogue. Asks nobody: it tells what the
    /// circuits of their models say.
    pub fn providers(&self) -> BTreeMap<String, ProviderHealth> {
        let mut providers: BTreeMap<String, ProviderHealth> = BTreeMap::new();
        for candidate in self.candidates.values() {
            let health = providers.entry(candidate.model.provider.clone()).or_default();
            health.models += 1;
            if candidate.breaker.is_open() {
                health.resting.push(candidate.model.name.clone());
            }
        }
        for health in providers.values_mut() {
            health.resting.sort_unstable();
        }
        providers
    }

    /// Who may answer, in order: the model asked for, and those of its fallbacks that the
    /// organization has enabled and that read as much.
    pub(crate) fn route(&self, caller: &Caller, model: &Arc<Model>) -> Vec<Arc<Candidate>> {
        let route = self.catalogue.route(model).into_iter().filter(|candidate| {
            candidate.id == model.id || (caller.may_use(candidate) && candidate.context >= model.context)
        });
        let candidates = route.filter_map(|model| self.candidates.get(&model.id).cloned());
        candidates.collect()
    }
}

/// The first reply that somebody on the route gives; else the first one's error.
pub(crate) async fn reply(
    mut call: Box<Call>,
    route: &[Arc<Candidate>],
    ports: &CompletionPorts,
) -> Result<Reply, CompletionError> {
    let mut first = None;
    let mut rest = route;
    while let Some((candidate, others)) = rest.split_first() {
        rest = others;
        let mut tries = 0;
        loop {
            let pass = match candidate.breaker.admit() {
                Ok(pass) => pass,
                Err(resting) => {
                    first.get_or_insert(resting.into());
                    break;
                }
            };
            let (error, back) = match ask(call, candidate, pass, &ports.tasks).await {
                Ok(reply) => return Ok(reply),
                Err(Failed {
                    error: CompletionError::Upstream(error),
                    call: Some(back),
                }) if !matches!(error, UpstreamError::Refused { .. }) => (error, back),
                Err(failed) => return Err(failed.error),
            };
            call = back;
            tries += 1;
            tracing::warn!(
                call.id = %call.id, provider = candidate.model.provider, tries, code = error.code(), cause = ?error,
                "a provider gave no answer"
            );
            let tried = Tried {
                tries,
                spent: ports.clock.now().since(call.started_at),
                others: others.iter().any(|other| other.breaker.ready()),
            };
            let pause = candidate
                .retry
                .pause(&error, tried, chance(ports.random.as_ref()));
            first.get_or_insert(error.into());
            match pause.filter(|_| candidate.breaker.ready()) {
                Some(pause) => ports.timer.sleep(pause).await,
                None => break,
            }
        }
    }
    Err(first.unwrap_or(UpstreamError::Credentials.into()))
}

fn chance(random: &dyn Random) -> u32 {
    let [a, b, c, d, ..] = random.bytes16();
    u32::from_be_bytes([a, b, c, d])
}

async fn ask(
    mut call: Box<Call>,
    candidate: &Candidate,
    mut pass: Pass,
    tasks: &Arc<dyn Tasks>,
) -> Result<Reply, Failed> {
    call.provider.clone_from(&candidate.model.provider);
    let most = call.bound.output.min(u64::from(candidate.model.max_output));
    let request = UpstreamRequest {
        provider: candidate.model.provider.clone(),
        endpoint: call.request.endpoint(),
        body: call.request.for_upstream(&candidate.model, most),
        stream: call.request.stream(),
        request_id: call.id.to_string(),
    };
    let streamed = call.request.stream();
    let asked_at = call.tools.clock.now();
    let answer = candidate.provider.send(request).await;
    let took = call.tools.clock.now().since(asked_at);
    call.spans.upstream += took;
    let outcome = answer
        .as_ref()
        .map_or_else(AskOutcome::from, |_| AskOutcome::Answered);
    call.tools
        .observer
        .asked(&candidate.model.provider, outcome, took);
    let error = match (answer, streamed) {
        (Ok(UpstreamAnswer::Json(body)), false) => match read(body, call.request.endpoint()) {
            Ok((document, meter)) => {
                pass.complete();
                return Ok(Reply::Document(Box::new(Answered {
                    call,
                    document,
                    meter,
                })));
            }
            Err(error) => error,
        },
        (Ok(UpstreamAnswer::Stream(events)), true) => return begin(call, events, pass, tasks).await,
        (Ok(UpstreamAnswer::Json(body)), true) => not_a_stream(&body),
        (Ok(UpstreamAnswer::Stream(_)), false) => failure("a stream came where none was asked for"),
        (Err(error), _) => error,
    };
    pass.failed(&error);
    Err(Failed {
        error: error.into(),
        call: Some(call),
    })
}

fn read(body: Bytes, endpoint: Endpoint) -> Result<(Document, Meter), UpstreamError> {
    let mut meter = Meter::of(endpoint);
    meter.hash(&body);
    match Document::read(body, &mut meter) {
        Ok(_) if meter.gave_up() => Err(failure("the provider ran out of resources")),
        Ok(document) if meter.answered() => Ok((document, meter)),
        Ok(_) => Err(failure("the answer is empty")),
        Err(Chunk::Fault(fault)) => Err(fault.within_answer()),
        Err(_) => Err(failure("the answer is not a JSON object")),
    }
}

/// Waits for the first event; the stream itself says to `pass` how it fares from then on.
async fn begin(
    call: Box<Call>,
    events: Upstream,
    pass: Pass,
    tasks: &Arc<dyn Tasks>,
) -> Result<Reply, Failed> {
    let mut stream = Box::pin(MeteredStream::new(events, call, pass, Arc::clone(tasks)));
    match stream.begin().await {
        Ok(()) => Ok(Reply::Stream(stream)),
        Err((error, call)) => Err(Failed { error, call }),
    }
}

/// A provider that was asked for a stream and sent a document: its error, or a failure.
fn not_a_stream(body: &[u8]) -> UpstreamError {
    match Fault::read(body) {
        Some(fault) => fault.within_answer(),
        None => failure("a document came where a stream was asked for"),
    }
}

fn failure(what: &'static str) -> UpstreamError {
    UpstreamError::Failed(what.into())
}
