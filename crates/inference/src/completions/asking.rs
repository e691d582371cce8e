//! Asking: the model's own provider first, then its fallbacks, until one begins to answer.
//!
//! Only a provider's own trouble leads on to the next; a refusal of the request itself is the
//! caller's to hear. Whoever answers, the caller pays the price of the model it asked for.

use super::{Caller, Completions};
use crate::{
    call::Call,
    catalogue::Model,
    error::CompletionError,
    fault::Fault,
    meter::{Chunk, Document, Meter},
    ports::{ChatModel, UpstreamAnswer, UpstreamError, UpstreamRequest},
    stream::{MeteredStream, Upstream},
};
use bytes::Bytes;
use futures::stream::BoxStream;
use haithe_kernel::Tasks;
use std::sync::Arc;

/// A model that may answer, and who speaks for it.
pub(super) struct Candidate {
    model: Arc<Model>,
    provider: Arc<dyn ChatModel>,
}

/// A provider's answer, metered and not yet charged.
pub(super) enum Reply {
    Document(Box<Answered>),
    Stream(BoxStream<'static, Bytes>),
}

/// A document that answers a call.
pub(super) struct Answered {
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
    /// Who may answer, in order: the model asked for, and those of its fallbacks that the
    /// organization has enabled and that read as much.
    pub(super) fn route(&self, caller: &Caller, model: &Arc<Model>) -> Vec<Candidate> {
        let route = self.catalogue.route(model).into_iter().filter(|candidate| {
            candidate.id == model.id || (caller.may_use(candidate) && candidate.context >= model.context)
        });
        let candidates = route.filter_map(|model| {
            let provider = Arc::clone(self.ports.providers.get(&model.provider)?);
            Some(Candidate { model, provider })
        });
        candidates.collect()
    }
}

/// The first reply that somebody on the route gives; else the first one's error.
pub(super) async fn reply(
    mut call: Box<Call>,
    route: Vec<Candidate>,
    tasks: &Arc<dyn Tasks>,
) -> Result<Reply, CompletionError> {
    let mut first = None;
    for candidate in route {
        match ask(call, &candidate, tasks).await {
            Ok(reply) => return Ok(reply),
            Err(Failed {
                error,
                call: Some(back),
            }) if is_providers_trouble(&error) => {
                tracing::warn!(
                    call.id = %back.id, provider = candidate.model.provider, %error, cause = ?error,
                    "a provider gave no answer"
                );
                first.get_or_insert(error);
                call = back;
            }
            Err(failed) => return Err(failed.error),
        }
    }
    Err(first.unwrap_or(UpstreamError::Credentials.into()))
}

fn is_providers_trouble(error: &CompletionError) -> bool {
    match error {
        CompletionError::Upstream(UpstreamError::Refused { .. }) => false,
        CompletionError::Upstream(_) => true,
        _ => false,
    }
}

async fn ask(mut call: Box<Call>, candidate: &Candidate, tasks: &Arc<dyn Tasks>) -> Result<Reply, Failed> {
    call.provider.clone_from(&candidate.model.provider);
    let most = call.bound.output.min(u64::from(candidate.model.max_output));
    let request = UpstreamRequest {
        provider: candidate.model.provider.clone(),
        body: call.request.for_upstream(&candidate.model, most),
        stream: call.request.stream(),
        request_id: call.id.to_string(),
    };
    match (candidate.provider.send(request).await, call.request.stream()) {
        (Ok(UpstreamAnswer::Json(body)), false) => read(call, body),
        (Ok(UpstreamAnswer::Stream(events)), true) => begin(call, events, tasks).await,
        (Ok(UpstreamAnswer::Json(body)), true) => Err(Failed {
            error: not_a_stream(&body),
            call: Some(call),
        }),
        (Ok(UpstreamAnswer::Stream(_)), false) => Err(Failed {
            error: failure("a stream came where none was asked for"),
            call: Some(call),
        }),
        (Err(error), _) => Err(Failed {
            error: error.into(),
            call: Some(call),
        }),
    }
}

fn read(call: Box<Call>, body: Bytes) -> Result<Reply, Failed> {
    let mut meter = Meter::default();
    meter.hash(&body);
    let error = match Document::read(body, &mut meter) {
        Ok(document) if meter.answered() => {
            let answered = Answered {
                call,
                document,
                meter,
            };
            return Ok(Reply::Document(Box::new(answered)));
        }
        Ok(_) => failure("the answer is empty"),
        Err(Chunk::Fault(fault)) => fault.within_answer().into(),
        Err(_) => failure("the answer is not a JSON object"),
    };
    Err(Failed {
        error,
        call: Some(call),
    })
}

async fn begin(call: Box<Call>, events: Upstream, tasks: &Arc<dyn Tasks>) -> Result<Reply, Failed> {
    let mut stream = Box::pin(MeteredStream::new(events, call, Arc::clone(tasks)));
    match stream.begin().await {
        Ok(()) => Ok(Reply::Stream(stream)),
        Err((error, call)) => Err(Failed { error, call }),
    }
}

/// A provider that was asked for a stream and sent a document: its error, or a failure.
fn not_a_stream(body: &[u8]) -> CompletionError {
    match Fault::read(body) {
        Some(fault) => fault.within_answer().into(),
        None => failure("a document came where a stream was asked for"),
    }
}

fn failure(what: &'static str) -> CompletionError {
    UpstreamError::Failed(what.into()).into()
}
