//! A web server on loopback that keeps every request as it came and answers as told: what a creator's
//! tool calls, or nobody should.

use crate::app::RECEIVER;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{net::TcpListener, task::JoinHandle};

/// A request.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Asked {
    pub method: Method,
    /// Path and query, as they came.
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

type Answer = dyn Fn(&Asked) -> Response<String> + Send + Sync;

/// An answer that leads there.
pub fn moved(status: u16, place: &str) -> Response<String> {
    let response = Response::builder().status(status).header("location", place);
    response
        .body(String::new())
        .expect("a status and a header are valid")
}

/// The server. Dropping it closes its port.
pub struct Recorder {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<Asked>>>,
    server: JoinHandle<()>,
}

impl Recorder {
    /// On a port of its own; answers 200 with this text.
    pub async fn start(answer: impl Fn(&Asked) -> String + Send + Sync + 'static) -> Self {
        Self::answering(move |asked| Response::new(answer(asked))).await
    }

    /// On a port of its own; answers with this.
    pub async fn answering(answer: impl Fn(&Asked) -> Response<String> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free loopback port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let connections = Arc::<AtomicUsize>::default();
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let serving = serve(
            listener,
            Arc::clone(&connections),
            Arc::clone(&asked),
            Arc::new(answer),
        );
        Self {
            address,
            connections,
            asked,
            server: tokio::spawn(serving),
        }
    }

    /// One that nobody should call.
    pub async fn canary() -> Self {
        Self::start(|_| "sings no more".to_owned()).await
    }

    /// An address of it as creators write it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{RECEIVER}:{}{path}", self.address.port())
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections were made to it, requests or not.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Every request so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Every request since the last time.
    pub fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(
    listener: TcpListener,
    connections: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<Asked>>>,
    answer: Arc<Answer>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        connections.fetch_add(1, Ordering::SeqCst);
        let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
        let service = service_fn(move |request: Request<Incoming>| {
            let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.map(http_body_util::Collected::to_bytes);
                let request = Asked {
                    method: head.method,
                    target: head.uri.to_string(),
                    headers: head.headers,
                    body: body.unwrap_or_default(),
                };
                let response = answer(&request);
                asked.lock().unwrap().push(request);
                Ok::<_, Infallible>(response.map(|text| Full::new(Bytes::from(text))))
            }
        });
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new();
            let _ = connection.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
