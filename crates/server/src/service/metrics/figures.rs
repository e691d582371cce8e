//! What is counted as it happens.

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{PoisonError, RwLock},
    time::Duration,
};

/// Upper bounds of the histograms' buckets, in seconds: from 100 µs to a minute.
const BUCKETS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    30.0, 60.0,
];
const METADATA: Metadata<'static> = Metadata::new("haithe", Level::INFO, None);

/// Handles made once per set of labels.
struct Handles<K, H>(RwLock<HashMap<K, H>>);

impl<K: Eq + Hash, H: Clone> Handles<K, H> {
    fn new() -> Self {
        Self(RwLock::default())
    }

    /// The handle of these labels; made at first sight.
    fn get(&self, key: K, make: impl FnOnce(&K) -> H) -> H {
        if let Some(handle) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return handle.clone();
        }
        let mut handles = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let made = make(&key);
        handles.entry(key).or_insert(made).clone()
    }
}

/// A request's route and how it went.
type Answered = (&'static str, String, u16);

/// The registry and the handles of what happens often.
pub struct Figures {
    recorder: PrometheusRecorder,
    requests: Handles<Answered, (Counter, Histogram)>,
    refused: Handles<(Refused, &'static str), Counter>,
    calls: Handles<(String, String, &'static str, bool), Counter>,
    tokens: Handles<String, [Counter; 4]>,
    upstream: Handles<(String, &'static str), (Counter, Histogram)>,
    first_tokens: Handles<String, Histogram>,
    embedder: Embedder,
    spans: Spans,
    charged: Counter,
    lost: Counter,
    connections: Gauge,
    closed_connections: [Counter; 2],
    streams: Gauge,
}

/// Something that is open and counted until this is dropped.
pub struct Open(Gauge);

impl Open {
    fn of(gauge: &Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

struct Embedder {
    answered: Counter,
    refused: Counter,
    malformed: Counter,
    unavailable: Counter,
    texts: Counter,
}

/// How a request to the embedder of knowledge went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in marketplace's EmbedError")]
pub enum Embedded {
    Answered,
    Refused,
    Malformed,
    Unavailable,
}

struct Spans {
    json: Histogram,
    streamed: Histogram,
    gateway: Histogram,
    hold: Histogram,
    capture: Histogram,
}

/// The limit that a request was refused for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refused {
    /// Requests a minute.
    Requests,
    /// Tokens a minute.
    Tokens,
    /// Calls at once.
    Concurrency,
    /// Memory for bodies of requests.
    Bodies,
}

impl Refused {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::Concurrency => "concurrency",
            Self::Bodies => "bodies",
        }
    }
}

/// The limit for which a connection was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosedConnection {
    /// Its client had as many as it may have.
    ClientLimit,
    /// It was idle, and its place was needed for a new one.
    Room,
}

/// A charged call, in figures.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "as in inference's CallEnd")]
pub struct CallFigures<'a> {
    pub model: &'a str,
    pub provider: &'a str,
    pub outcome: &'static str,
    pub streamed: bool,
    /// Input, of it cached, output, of it reasoning.
    pub tokens: [u64; 4],
    /// Nano-USDT.
    pub charged: u64,
    /// Nano-USDT.
    pub lost: u64,
    pub total: Duration,
    pub upstream: Duration,
    pub first_token: Option<Duration>,
    pub hold: Duration,
    pub capture: Duration,
}

impl Default for Figures {
    fn default() -> Self {
        Self::new()
    }
}

impl Figures {
    /// An empty registry.
    pub fn new() -> Self {
        let builder = PrometheusBuilder::new();
        let seconds = Matcher::Suffix("_seconds".into());
        // It refuses an empty list of buckets only.
        let builder = builder
            .set_buckets_for_metric(seconds, BUCKETS)
            .unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        for (name, kind, description) in super::CATALOGUE {
            let (name, description) = ((*name).into(), (*description).into());
            match *kind {
                "counter" => recorder.describe_counter(name, None, description),
                "histogram" => recorder.describe_histogram(name, None, description),
                _ => recorder.describe_gauge(name, None, description),
            }
        }
        let histogram = |name: &'static str, labels: Vec<Label>| {
            recorder.register_histogram(&Key::from_parts(name, labels), &METADATA)
        };
        let streamed = |value: &'static str| vec![Label::from_static_parts("streamed", value)];
        let gauge = |name: &'static str| recorder.register_gauge(&Key::from_static_name(name), &METADATA);
        let counter = |name: &'static str| recorder.register_counter(&Key::from_static_name(name), &METADATA);
        let embedder = |outcome: &'static str| {
            let outcome = vec![Label::from_static_parts("outcome", outcome)];
            recorder.register_counter(&Key::from_parts("haithe_embedder_total", outcome), &METADATA)
        };
        let closed = |limit: &'static str| {
            let limit = vec![Label::from_static_parts("limit", limit)];
            recorder.register_counter(
                &Key::from_parts("haithe_closed_connections_total", limit),
                &METADATA,
            )
        };
        Self {
            spans: Spans {
                json: histogram("haithe_call_seconds", streamed("false")),
                streamed: histogram("haithe_call_seconds", streamed("true")),
                gateway: histogram("haithe_gateway_seconds", Vec::new()),
                hold: histogram("haithe_hold_seconds", Vec::new()),
                capture: histogram("haithe_capture_seconds", Vec::new()),
            },
            embedder: Embedder {
                answered: embedder("answered"),
                refused: embedder("refused"),
                malformed: embedder("malformed"),
                unavailable: embedder("unavailable"),
                texts: counter("haithe_embedder_texts_total"),
            },
            charged: counter("haithe_charged_nano_usdt_total"),
            lost: counter("haithe_lost_nano_usdt_total"),
            connections: gauge("haithe_open_connections"),
            closed_connections: [closed("client"), closed("room")],
            streams: gauge("haithe_open_streams"),
            first_tokens: Handles::new(),
            requests: Handles::new(),
            refused: Handles::new(),
            calls: Handles::new(),
            tokens: Handles::new(),
            upstream: Handles::new(),
            recorder,
        }
    }

    fn counter(&self, name: &'static str, labels: Vec<Label>) -> Counter {
        self.recorder
            .register_counter(&Key::from_parts(name, labels), &METADATA)
    }

    fn histogram(&self, name: &'static str, labels: Vec<Label>) -> Histogram {
        self.recorder
            .register_histogram(&Key::from_parts(name, labels), &METADATA)
    }

    /// A client's connection, open until what this gives is dropped.
    pub fn connection(&self) -> Open {
        Open::of(&self.connections)
    }

    /// A connection was closed to keep a limit.
    pub fn closed_connection(&self, limit: ClosedConnection) {
        let [client, room] = &self.closed_connections;
        match limit {
            ClosedConnection::ClientLimit => client.increment(1),
            ClosedConnection::Room => room.increment(1),
        }
    }

    /// A streamed answer, open until what this gives is dropped.
    pub fn stream(&self) -> Open {
        Open::of(&self.streams)
    }

    /// A gauge with these labels.
    pub(super) fn gauge(&self, name: &'static str, labels: Vec<Label>) -> Gauge {
        self.recorder
            .register_gauge(&Key::from_parts(name, labels), &METADATA)
    }

    /// A counter that is read elsewhere and only shown here.
    pub(super) fn shown(&self, name: &'static str, labels: Vec<Label>, value: u64) {
        self.counter(name, labels).absolute(value);
    }

    /// Shows everything.
    pub(super) fn handle(&self) -> PrometheusHandle {
        self.recorder.handle()
    }

    /// A request was answered. `route` is the route's template, never the path itself.
    pub fn answered(&self, method: &'static str, route: &str, status: u16, took: Duration) {
        let (counter, histogram) =
            self.requests
                .get((method, route.to_owned(), status), |(method, route, status)| {
                    let labels = || {
                        vec![
                            Label::from_static_parts("method", method),
                            Label::new("route", route.clone()),
                        ]
                    };
                    let mut counted = labels();
                    counted.push(Label::new("status", status.to_string()));
                    (
                        self.counter("haithe_requests_total", counted),
                        self.histogram("haithe_request_seconds", labels()),
                    )
                });
        counter.increment(1);
        histogram.record(took);
    }

    /// A request was refused because this limit is reached.
    pub fn refused(&self, limit: Refused, whose: &'static str) {
        let counter = self.refused.get((limit, whose), |(limit, whose)| {
            let labels = vec![
                Label::from_static_parts("limit", limit.as_str()),
                Label::from_static_parts("whose", whose),
            ];
            self.counter("haithe_rate_limited_total", labels)
        });
        counter.increment(1);
    }

    /// A provider was asked.
    pub fn asked(&self, provider: &str, outcome: &'static str, took: Duration) {
        let (counter, histogram) =
            self.upstream
                .get((provider.to_owned(), outcome), |(provider, outcome)| {
                    let provider = Label::new("provider", provider.clone());
                    let outcome = Label::from_static_parts("outcome", outcome);
                    (
                        self.counter("haithe_upstream_total", vec![provider.clone(), outcome]),
                        self.histogram("haithe_upstream_seconds", vec![provider]),
                    )
                });
        counter.increment(1);
        histogram.record(took);
    }

    /// The embedder of knowledge was sent so many texts.
    pub fn embedded(&self, outcome: Embedded, texts: u64) {
        let counter = match outcome {
            Embedded::Answered => &self.embedder.answered,
            Embedded::Refused => &self.embedder.refused,
            Embedded::Malformed => &self.embedder.malformed,
            Embedded::Unavailable => &self.embedder.unavailable,
        };
        counter.increment(1);
        self.embedder.texts.increment(texts);
    }

    /// A call was charged.
    pub fn charged(&self, call: &CallFigures<'_>) {
        let key = (
            call.model.to_owned(),
            call.provider.to_owned(),
            call.outcome,
            call.streamed,
        );
        let counter = self.calls.get(key, |(model, provider, outcome, streamed)| {
            let labels = vec![
                Label::new("model", model.clone()),
                Label::new("provider", provider.clone()),
                Label::from_static_parts("outcome", outcome),
                Label::new("streamed", streamed.to_string()),
            ];
            self.counter("haithe_calls_total", labels)
        });
        counter.increment(1);
        let tokens = self.tokens.get(call.model.to_owned(), |model| {
            ["input", "cached", "output", "reasoning"].map(|kind| {
                let labels = vec![
                    Label::new("model", model.clone()),
                    Label::from_static_parts("kind", kind),
                ];
                self.counter("haithe_tokens_total", labels)
            })
        });
        for (counter, count) in tokens.iter().zip(call.tokens) {
            counter.increment(count);
        }
        self.charged.increment(call.charged);
        self.lost.increment(call.lost);
        self.spans.hold.record(call.hold);
        self.spans.capture.record(call.capture);
        if let Some(first) = call.first_token {
            let histogram = self.first_tokens.get(call.provider.to_owned(), |provider| {
                let provider = vec![Label::new("provider", provider.clone())];
                self.histogram("haithe_first_token_seconds", provider)
            });
            histogram.record(first);
        }
        if call.streamed {
            self.spans.streamed.record(call.total);
        } else {
            self.spans.json.record(call.total);
            self.spans
                .gateway
                .record(call.total.saturating_sub(call.upstream));
        }
    }
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Figures").finish_non_exhaustive()
    }
}
