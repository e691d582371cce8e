//! Asking: the model's own provider first, then its fallbacks, until one begins to answer.
//!
//! Only a provider's own trouble leads on, to another try or to the next; a refusal of the request
//! itself is the caller's to hear. Nothing is tried again once a byte of an answer is here, nor once
//! the caller of a stream has left: the attempt under way then goes on until the provider accepts the
//! request, which makes the input due, or fails. A model whose circuit is open is passed over at once.
//! Whoever answers, the caller pays the price of the model it asked for.

use super::{Caller, CompletionPorts, Completions};
use crate::{
    call::Call,
    catalogue::{Catalogue, Model},
    error::CompletionError,
    fault::Fault,
    meter::{Chunk, Document, Meter},
    ports::{AskOutcome, ChatModel, Endpoint, UpstreamAnswer, UpstreamError, UpstreamRequest},
    presence::Presence,
    request::Needs,
    routing::{Breaker, BreakerPermit, RetryPolicy, circuit::Verdict, retry::Tried},
    stream::{MeteredStream, Unbegun, Upstream},
};
use bytes::Bytes;
use haithe_billing::capture::CallOutcome;
use haithe_kernel::{Failure, ModelId, MonotonicTime, Random, Tasks};
use std::{
    collections::{BTreeMap, HashMap},
    pin::Pin,
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
    Stream(Pin<Box<MeteredStream>>),
    /// The caller of a stream left before the answer began. What was due is charged.
    Left,
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
    /// organization has enabled, that read as much, and that can take what the request needs.
    pub(crate) fn route(&self, caller: &Caller, model: &Arc<Model>, needs: Needs) -> Vec<Arc<Candidate>> {
        let fits = |candidate: &Model| {
            caller.may_use(candidate)
                && candidate.context >= model.context
                && needs.unmet_by(candidate).is_none()
        };
        let route = self.catalogue.route(model).into_iter();
        let route = route.filter(|candidate| candidate.id == model.id || fits(candidate));
        let candidates = route.filter_map(|model| self.candidates.get(&model.id).cloned());
        candidates.collect()
    }
}

/// The first reply that somebody on the route gives; else the first one's error.
pub(crate) async fn reply(
    mut call: Box<Call>,
    route: &[Arc<Candidate>],
    ports: &CompletionPorts,
    presence: &mut Presence,
) -> Result<Reply, CompletionError> {
    let payer = call.account.owner;
    let mut first = None;
    let mut rest = route;
    while let Some((candidate, others)) = rest.split_first() {
        rest = others;
        let mut tries = 0;
        // However often it is tried, a call is one fault of a model at most.
        let mut blamed = false;
        loop {
            if presence.has_left() {
                return Ok(Reply::Left);
            }
            let permit = match candidate.breaker.admit(payer) {
                Ok(permit) if blamed => permit.blaming_nobody(),
                Ok(permit) => permit,
                Err(resting) => {
                    first.get_or_insert(resting.into());
                    break;
                }
            };
            let (error, back) = match ask(call, candidate, permit, &ports.tasks, presence).await {
                Ok(reply) => return Ok(reply),
                Err(Failed {
                    error: CompletionError::Upstream(error),
                    call: Some(back),
                }) if !matches!(error, UpstreamError::Refused { .. }) => (error, back),
                Err(failed) => return Err(failed.error),
            };
            call = back;
            tries += 1;
            blamed |= Verdict::of(&error) == Verdict::Fault;
            tracing::warn!(
                call.id = %call.id, provider = candidate.model.provider, tries, code = error.code(), cause = ?error,
                "a provider gave no answer"
            );
            let tried = Tried {
                tries,
                spent: call.began.elapsed(ports.clock.as_ref()),
                others: others.iter().any(|other| other.breaker.ready(payer)),
            };
            let pause = candidate
                .retry
                .pause(&error, tried, chance(ports.random.as_ref()));
            first.get_or_insert(error.into());
            match pause.filter(|_| candidate.breaker.ready(payer)) {
                Some(pause) => {
                    if presence.during(ports.timer.sleep(pause)).await.is_none() {
                        return Ok(Reply::Left);
                    }
                }
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
    mut permit: BreakerPermit,
    tasks: &Arc<dyn Tasks>,
    presence: &mut Presence,
) -> Result<Reply, Failed> {
    call.provider.clone_from(&candidate.model.provider);
    let most = call.bound.output.min(u64::from(candidate.model.max_output));
    let streamed = call.request.stream();
    let request = UpstreamRequest {
        provider: candidate.model.provider.clone(),
        endpoint: call.request.endpoint(),
        body: call.request.for_upstream(&candidate.model, most),
        stream: streamed,
        request_id: call.id.to_string(),
    };
    let asked_at = call.tools.clock.monotonic();
    let answer = match (candidate.provider.send(request).await, streamed) {
        // Its first byte is waited for yet.
        (Ok(UpstreamAnswer::Stream(events)), true) => {
            return begin(call, events, permit, (tasks, asked_at), presence).await;
        }
        (answer, _) => answer,
    };
    let took = call.tools.clock.monotonic().since(asked_at);
    call.spans.upstream += took;
    let outcome = answer
        .as_ref()
        .map_or_else(AskOutcome::from, |_| AskOutcome::Answered);
    call.tools
        .observer
        .asked(&candidate.model.provider, outcome, took);
    let error = match answer {
        Ok(UpstreamAnswer::Json(body)) if streamed => not_a_stream(&body),
        Ok(UpstreamAnswer::Json(body)) => match read(body, call.request.endpoint()) {
            Ok((document, meter)) => {
                permit.complete();
                return Ok(Reply::Document(Box::new(Answered {
                    call,
                    document,
                    meter,
                })));
            }
            Err(error) => error,
        },
        Ok(UpstreamAnswer::Stream(_)) => failure("a stream came where none was asked for"),
        Err(error) => error,
    };
    permit.failed(&error);
    if let UpstreamError::TooLarge { .. } = error {
        // The provider has done the work.
        let meter = Meter::of(call.request.endpoint());
        let charged = call.charge(meter, CallOutcome::Partial, false).await;
        return Err(Failed {
            error: charged.map_or_else(CompletionError::Capture, |_| error.into()),
            call: None,
        });
    }
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

/// Waits for the first event; the stream itself reports to `permit` how it fares from then on.
async fn begin(
    call: Box<Call>,
    events: Upstream,
    permit: BreakerPermit,
    (tasks, asked_at): (&Arc<dyn Tasks>, MonotonicTime),
    presence: &mut Presence,
) -> Result<Reply, Failed> {
    let stream = MeteredStream::new(events, call, permit, Arc::clone(tasks), asked_at);
    let mut stream = Box::pin(stream);
    match stream.begin(presence).await {
        Ok(()) => Ok(Reply::Stream(stream)),
        Err(Unbegun::Failed(error, call)) => Err(Failed { error, call }),
        Err(Unbegun::Left(call, meter)) => {
            // A caller whom the stopping service cut off did not leave.
            if let Some(call) = call.filter(|_| !tasks.stopping()) {
                // A charge that fails is logged where it fails, and nobody waits for it.
                let _ = call.charge(*meter, CallOutcome::Aborted, false).await;
            }
            Ok(Reply::Left)
        }
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
