//! A closed loop of callers: each waits for its answer before it calls again.

use crate::mock;
use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::net::TcpStream;

/// Bytes of an answer's end that are kept, for its check and for errors.
const TAIL: usize = 256;

/// Whom to call, and how.
#[derive(Clone)]
pub struct Target {
    /// Where.
    pub address: SocketAddr,
    /// The path of chat completions.
    pub path: &'static str,
    /// The bearer key, where one is needed.
    pub key: Option<Arc<str>>,
    /// The body of every call.
    pub body: Bytes,
    /// Whether that asks for a stream, which the answer then has to be.
    pub streamed: bool,
}

/// What one run saw.
pub struct Run {
    /// Latencies, sorted: to the whole answer, or to the first event of a stream.
    pub latencies: Vec<Duration>,
    /// From the first call to the last answer.
    pub elapsed: Duration,
}

impl Run {
    /// Answers per second.
    pub fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency that this share of answers did not exceed.
    pub fn quantile(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        let rank = (last as f64 * share).round() as usize;
        self.latencies.get(rank).copied().unwrap_or_default()
    }
}

/// Calls `target` from `callers` connections for `span`, after `warm_up`, and once at least each.
pub async fn run(target: &Target, callers: usize, warm_up: Duration, span: Duration) -> anyhow::Result<Run> {
    let begin = Instant::now() + warm_up;
    let workers = (0..callers).map(|_| tokio::spawn(caller(target.clone(), begin, begin + span)));
    let mut latencies = Vec::new();
    for worker in futures::future::join_all(workers).await {
        latencies.extend(worker??);
    }
    let elapsed = begin.elapsed();
    latencies.sort_unstable();
    Ok(Run { latencies, elapsed })
}

async fn caller(target: Target, begin: Instant, end: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut connection = connect(target.address).await?;
    let mut latencies = Vec::with_capacity(4096);
    loop {
        let started = Instant::now();
        let latency = call(&mut connection, &target, started).await?;
        if started >= begin {
            latencies.push(latency);
        }
        if Instant::now() >= end {
            return Ok(latencies);
        }
    }
}

async fn connect(address: SocketAddr) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let socket = TcpStream::connect(address).await.context("connecting")?;
    socket.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(socket)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn call(
    connection: &mut SendRequest<Full<Bytes>>,
    target: &Target,
    started: Instant,
) -> anyhow::Result<Duration> {
    let mut request = Request::post(target.path)
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json");
    if let Some(key) = &target.key {
        request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
    }
    connection.ready().await?;
    let response = connection
        .send_request(request.body(Full::new(target.body.clone()))?)
        .await?;
    let status = response.status();
    let streamed = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    if status.is_success() && streamed != target.streamed {
        bail!("asked for a stream: {}, got one: {streamed}", target.streamed);
    }
    let mut body = response.into_body();
    let mut first = None;
    // What came last, wherever the reads were cut.
    let mut tail = Vec::with_capacity(2 * TAIL);
    // What every stream has to begin with; lost or reordered events show at once.
    let mut words = if streamed { mock::words() } else { Bytes::new() };
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            first.get_or_insert_with(|| started.elapsed());
            let length = data.len().min(words.len());
            if words.split_to(length) != data.slice(..length) {
                bail!("events of a stream were lost or reordered");
            }
            tail.extend_from_slice(&data);
            tail.drain(..tail.len().saturating_sub(TAIL));
        }
    }
    if !status.is_success() {
        bail!("the call answered {status}: {}", String::from_utf8_lossy(&tail));
    }
    if !words.is_empty() {
        bail!("a stream lacks events");
    }
    if streamed && !tail.ends_with(b"data: [DONE]\n\n") {
        bail!(
            "a stream ended without [DONE]: {}",
            String::from_utf8_lossy(&tail)
        );
    }
    Ok(if streamed {
        first.unwrap_or_default()
    } else {
        started.elapsed()
    })
}
