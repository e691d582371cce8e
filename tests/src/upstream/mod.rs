//! A model provider on loopback that does what a test tells it to, and remembers everything.
//!
//! It speaks enough of OpenAI's dialect to be a provider of the catalogue, meters like one (one
//! word is one token; what was generated is due, whoever left), and misbehaves on request: it
//! hangs, stalls, lies, breaks off, answers garbage. Without recording it is fast enough to stand
//! behind a benchmark.

mod control;
mod dialect;
mod exchange;
mod saying;
mod script;
#[cfg(test)]
mod tests;
mod under_way;

pub use exchange::{Exchange, Metered, Stage};
pub use script::{Answer, Ending, Says, Script, UsageReport};

use crate::DEADLINE;
use bytes::Bytes;
use dialect::{ChatRequest, Plan, embeddings};
use futures::{StreamExt, stream};
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::sleep};
use under_way::{Counts, Watched};

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// The provider. Dropping it closes its port.
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

/// Decides from the request what is done with it.
type Decide = dyn Fn(&Exchange) -> Script + Send + Sync;

struct Shared {
    decide: Mutex<Option<Arc<Decide>>>,
    default: Mutex<Script>,
    queue: Mutex<VecDeque<Script>>,
    seen: watch::Sender<Vec<Arc<Exchange>>>,
    connections: AtomicUsize,
    under_way: Arc<Counts>,
    recording: bool,
}

impl Upstream {
    /// A provider that records every request, on a port of its own.
    pub async fn start() -> Self {
        Self::listen("127.0.0.1:0".parse().expect("a socket address"), true).await
    }

    /// A provider at this address; without `recording` it keeps nothing, for benchmarks.
    pub async fn listen(address: SocketAddr, recording: bool) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free loopback port");
        let shared = Arc::new(Shared {
            decide: Mutex::default(),
            default: Mutex::new(Script::default()),
            queue: Mutex::default(),
            seen: watch::Sender::new(Vec::new()),
            connections: AtomicUsize::new(0),
            under_way: Arc::default(),
            recording,
        });
        let address = listener.local_addr().expect("a bound listener has an address");
        let server = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            server,
        }
    }

    /// The base URL for the catalogue, without a slash at its end.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// What every request gets that nothing else was said about.
    pub fn always(&self, script: Script) {
        *self.shared.default.lock().unwrap() = script;
    }

    /// From now on the request itself decides what it gets.
    pub fn decide(&self, decide: impl Fn(&Exchange) -> Script + Send + Sync + 'static) {
        *self.shared.decide.lock().unwrap() = Some(Arc::new(decide));
    }

    /// What the next requests get, in the order of their arrival.
    pub fn next(&self, scripts: impl IntoIterator<Item = Script>) {
        self.shared.queue.lock().unwrap().extend(scripts);
    }

    /// Forgets what the next requests were to get.
    pub fn forget_next(&self) {
        self.shared.queue.lock().unwrap().clear();
    }

    /// Every request so far.
    pub fn exchanges(&self) -> Vec<Arc<Exchange>> {
        self.shared.seen.borrow().clone()
    }

    /// How many requests reached it.
    pub fn count(&self) -> usize {
        self.shared.seen.borrow().len()
    }

    /// How many connections were made to it.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// How many requests are being answered.
    pub fn under_way(&self) -> usize {
        self.shared.under_way.now()
    }

    /// How many requests were being answered at the same time, at most.
    pub fn most_under_way(&self) -> usize {
        self.shared.under_way.most()
    }

    /// Waits for the first request that satisfies the condition.
    pub async fn exchange_where(
        &self,
        what: &str,
        mut condition: impl FnMut(&Exchange) -> bool,
    ) -> Arc<Exchange> {
        let mut seen = self.shared.seen.subscribe();
        let mut looked_at = 0;
        let found = async {
            loop {
                let new: Vec<Arc<Exchange>> = seen.borrow_and_update()[looked_at..].to_vec();
                looked_at += new.len();
                if let Some(found) = new.into_iter().find(|exchange| condition(exchange)) {
                    return found;
                }
                seen.changed().await.expect("the upstream owns the list");
            }
        };
        match tokio::time::timeout(DEADLINE, found).await {
            Ok(found) => found,
            Err(_) => panic!("no request arrived that {what}; {} did", self.count()),
        }
    }

    /// Waits for request number `number` (from 0).
    pub async fn exchange(&self, number: usize) -> Arc<Exchange> {
        let mut seen = self.shared.seen.subscribe();
        let arrived = tokio::time::timeout(DEADLINE, seen.wait_for(|seen| seen.len() > number)).await;
        match arrived {
            Ok(seen) => Arc::clone(&seen.expect("the upstream owns the list")[number]),
            Err(_) => panic!(
                "request {number} never reached the upstream; {} did",
                self.count()
            ),
        }
    }

    /// What all requests together were metered at.
    pub fn metered(&self) -> Metered {
        let all = self.exchanges();
        all.iter()
            .map(|exchange| exchange.metered())
            .fold(Metered::default(), |sum, one| Metered {
                input: sum.input + one.input,
                cached: sum.cached + one.cached,
                output: sum.output + one.output,
                events: sum.events + one.events,
                stage: sum.stage,
            })
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((socket, _)) = listener.accept().await else {
            continue;
        };
        let _ = socket.set_nodelay(true);
        shared.connections.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| answer(Arc::clone(&shared), request));
        connections.spawn(async move {
            // A connection that ends badly is what half of the scripts are about.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> io::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let path = head.uri.path().to_owned();
    if let Some(response) = control::answer(&shared, &path, &body) {
        return Ok(response);
    }
    let exchange = Arc::new(Exchange::new(head.method, path, head.headers, body));
    let watched = Watched::new(&exchange, &shared.under_way);
    let request: ChatRequest = serde_json::from_slice(&exchange.body).unwrap_or_default();
    let script = shared.script_for(&request, &exchange);
    if shared.recording {
        shared.seen.send_modify(|seen| seen.push(Arc::clone(&exchange)));
    }
    if script.wait_ms > 0 {
        sleep(Duration::from_millis(script.wait_ms)).await;
    }
    if script.gated {
        exchange.resumed().await;
    }
    match &script.answer {
        Answer::Hang => std::future::pending().await,
        Answer::Reset => {
            exchange.end(Stage::BrokenOff);
            Err(io::Error::other("the script closes the connection"))
        }
        Answer::Verbatim {
            status,
            headers,
            body,
        } => {
            let mut response = Response::builder().status(*status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            exchange.end(Stage::Finished);
            Ok(response
                .body(full(body.clone().into()))
                .expect("a script's headers are valid"))
        }
        Answer::Completion if exchange.path.ends_with("/embeddings") => {
            exchange.note(|metered| {
                metered.input = script.input;
                metered.stage = Stage::Finished;
            });
            Ok(respond(
                "application/json",
                full(embeddings(&exchange.json(), &script)),
            ))
        }
        Answer::Completion if request.stream => {
            let plan = Plan::new(request, &exchange.loose(), script);
            Ok(streamed(plan, watched))
        }
        Answer::Completion => {
            let plan = Plan::new(request, &exchange.loose(), script);
            exchange.note(|metered| {
                metered.input = plan.script.input;
                metered.cached = plan.script.cached;
                metered.output = plan.total_output();
                metered.stage = Stage::Finished;
            });
            Ok(respond("application/json", full(plan.document())))
        }
    }
}

impl Shared {
    fn script_for(&self, request: &ChatRequest, exchange: &Exchange) -> Script {
        if let Some(script) = &request.x_script {
            return script.clone();
        }
        let decide = self.decide.lock().unwrap().clone();
        if let Some(decide) = decide {
            return decide(exchange);
        }
        let queued = self.queue.lock().unwrap().pop_front();
        queued.unwrap_or_else(|| self.default.lock().unwrap().clone())
    }
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

fn respond(content_type: &str, body: Body) -> Response<Body> {
    Response::builder()
        .status(StatusCode::OK)
        .header(header::CONTENT_TYPE, content_type)
        .header("x-request-id", "upstream-request")
        .header("openai-processing-ms", "7")
        .body(body)
        .expect("static headers are valid")
}

/// The steps of a stream, in order.
enum Step {
    Content { index: u64, number: u64 },
    Finish { index: u64 },
    Usage,
    Done,
    Raw(&'static str),
    Pause,
    Break,
}

fn steps(plan: &Plan) -> Vec<Step> {
    let content = (0..plan.events())
        .flat_map(|number| (0..plan.choices).map(move |index| Step::Content { index, number }));
    let mut steps: Vec<Step> = content.collect();
    steps.extend((0..plan.choices).map(|index| Step::Finish { index }));
    if plan.include_usage {
        steps.push(Step::Usage);
    }
    let cut =
        |steps: &mut Vec<Step>, after: u64| steps.truncate(usize::try_from(after).unwrap_or(usize::MAX));
    match plan.script.ending {
        Ending::Done => steps.push(Step::Done),
        Ending::WithoutDone => {}
        Ending::CloseAfter(after) => {
            cut(&mut steps, after);
            steps.push(Step::Break);
        }
        Ending::PauseAfter(after) => {
            let at = usize::try_from(after).unwrap_or(usize::MAX).min(steps.len());
            steps.insert(at, Step::Pause);
            steps.push(Step::Done);
        }
        Ending::GarbageAfter(after) => {
            cut(&mut steps, after);
            steps.push(Step::Raw(
                "data: {\"choices\": [tru\u{fffd}\n\n<html>502</html>\n\n",
            ));
        }
        Ending::ErrorAfter(after) => {
            cut(&mut steps, after);
            steps.push(Step::Raw(
                "data: {\"error\":{\"message\":\"The server had an error\",\"type\":\"server_error\"}}\n\n",
            ));
        }
    }
    steps
}

fn streamed(plan: Plan, watched: Watched) -> Response<Body> {
    watched.exchange().note(|metered| {
        metered.input = plan.script.input;
        metered.cached = plan.script.cached;
        metered.stage = Stage::Answering;
    });
    let steps = steps(&plan).into_iter();
    let frames = stream::unfold(Some((plan, steps, watched)), |state| async move {
        let (plan, mut steps, watched) = state?;
        let exchange = Arc::clone(watched.exchange());
        let Some(mut step) = steps.next() else {
            exchange.end(Stage::Finished);
            return None;
        };
        if let Step::Pause = step {
            exchange.resumed().await;
            let Some(next) = steps.next() else {
                exchange.end(Stage::Finished);
                return None;
            };
            step = next;
        }
        if plan.script.pace_ms > 0 {
            sleep(Duration::from_millis(plan.script.pace_ms)).await;
        }
        let bytes = match step {
            Step::Content { index, number } => {
                exchange.note(|metered| metered.output += plan.tokens_of_event(number));
                plan.content_event(index, number)
            }
            Step::Finish { index } => plan.finish_event(index),
            Step::Usage => plan.usage_event(),
            Step::Done => Bytes::from_static(b"data: [DONE]\n\n"),
            Step::Raw(text) => Bytes::from_static(text.as_bytes()),
            Step::Pause | Step::Break => {
                // Let the connection flush what it has before it breaks.
                tokio::task::yield_now().await;
                exchange.end(Stage::BrokenOff);
                return Some((Err(io::Error::other("the script breaks off")), None));
            }
        };
        exchange.note(|metered| metered.events += 1);
        if steps.len() == 0 {
            exchange.end(Stage::Finished);
        }
        Some((Ok(Frame::data(bytes)), Some((plan, steps, watched))))
    });
    respond(
        "text/event-stream",
        StreamBody::new(frames.boxed()).boxed_unsync(),
    )
}
