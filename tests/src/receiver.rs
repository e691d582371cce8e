//! A receiver of webhooks on loopback, which keeps what it is sent and answers as told.

use crate::{DEADLINE, app::RECEIVER};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::{
    collections::VecDeque,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

/// What was sent.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Delivered {
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Delivered {
    /// A header as text.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).expect("the header is there");
        value.to_str().expect("plain text")
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// The receiver. Dropping it closes its port.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    seen: watch::Sender<Vec<Delivered>>,
    answers: Arc<Mutex<VecDeque<StatusCode>>>,
    server: JoinHandle<()>,
}

impl Receiver {
    /// On a port of its own; answers 200.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free loopback port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let seen = watch::Sender::new(Vec::new());
        let answers = Arc::new(Mutex::new(VecDeque::new()));
        let server = tokio::spawn(serve(listener, seen.clone(), Arc::clone(&answers)));
        Self {
            address,
            seen,
            answers,
            server,
        }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address as users write it.
    pub fn url(&self) -> String {
        format!("http://{RECEIVER}:{}/hook", self.address.port())
    }

    /// What the next requests are answered with, before it is 200 again.
    pub fn next(&self, statuses: impl IntoIterator<Item = u16>) {
        let statuses = statuses
            .into_iter()
            .map(|status| StatusCode::from_u16(status).expect("a status"));
        self.answers.lock().unwrap().extend(statuses);
    }

    /// How many requests there were.
    pub fn count(&self) -> usize {
        self.seen.borrow().len()
    }

    /// Waits for request number `number` (from 0).
    pub async fn delivered(&self, number: usize) -> Delivered {
        let mut seen = self.seen.subscribe();
        let arrived = tokio::time::timeout(DEADLINE, seen.wait_for(|seen| seen.len() > number)).await;
        let arrived = arrived.unwrap_or_else(|_| panic!("waited in vain for delivery {number}"));
        arrived.expect("the receiver owns the list")[number].clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(
    listener: TcpListener,
    seen: watch::Sender<Vec<Delivered>>,
    answers: Arc<Mutex<VecDeque<StatusCode>>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (seen, answers) = (seen.clone(), Arc::clone(&answers));
        let service = service_fn(move |request: Request<Incoming>| {
            let (seen, answers) = (seen.clone(), Arc::clone(&answers));
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.map(http_body_util::Collected::to_bytes);
                let status = answers.lock().unwrap().pop_front().unwrap_or(StatusCode::OK);
                seen.send_modify(|seen| {
                    seen.push(Delivered {
                        headers: parts.headers,
                        body: body.unwrap_or_default(),
                    });
                });
                let mut response = Response::new(Full::new(Bytes::new()));
                *response.status_mut() = status;
                Ok::<_, Infallible>(response)
            }
        });
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new();
            let _ = connection.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
