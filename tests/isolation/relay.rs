//! Stands between the service and its node, looks at each request, and refuses or holds some.

use bytes::Bytes;
use haithe_tests::app::{Setup, Surroundings};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, sync::watch};

/// What a relay does, and what it has seen.
struct State {
    node: String,
    seen: Mutex<Vec<String>>,
    /// Requests with this text are answered 503.
    refused: Mutex<Option<String>>,
    /// Requests with this text wait until there is none.
    held: watch::Sender<Option<String>>,
}

/// A relay on loopback.
pub struct Relay {
    url: String,
    state: Arc<State>,
}

impl Relay {
    /// In front of this node.
    pub async fn to(node: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            node,
            seen: Mutex::default(),
            refused: Mutex::default(),
            held: watch::Sender::new(None),
        });
        let serving = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = serving.clone();
                let service = service_fn(move |request| answer(state.clone(), request));
                tokio::spawn(async move {
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { url, state }
    }

    /// The surroundings of a test, with a relay in front of their node.
    pub async fn around(setup: Setup) -> (Surroundings, Self) {
        let mut around = Surroundings::prepare(setup).await;
        let relay = Self::to(around.chain.rpc_url()).await;
        around.set("chain.rpc_url", relay.url.clone());
        (around, relay)
    }

    /// How many requests had this text in their body. A batch is one request.
    pub fn count(&self, text: &str) -> usize {
        let seen = self.state.seen.lock().unwrap();
        seen.iter().filter(|body| body.contains(text)).count()
    }

    /// From now on requests with this text are refused; `None`: no more.
    pub fn refuse(&self, text: Option<&str>) {
        *self.state.refused.lock().unwrap() = text.map(str::to_owned);
    }

    /// From now on requests with this text wait; `None`: those that wait go on.
    pub fn hold(&self, text: Option<&str>) {
        self.state.held.send_replace(text.map(str::to_owned));
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let Ok(body) = request.into_body().collect().await else {
        return Ok(Response::new(Full::default()));
    };
    let body = body.to_bytes();
    let text = String::from_utf8_lossy(&body).to_lowercase();
    state.seen.lock().unwrap().push(text.clone());
    let concerns = |wanted: &Option<String>| wanted.as_ref().is_some_and(|wanted| text.contains(wanted));
    let mut held = state.held.subscribe();
    let _ = held.wait_for(|held| !concerns(held)).await;
    let mut response = Response::new(Full::default());
    if concerns(&state.refused.lock().unwrap()) {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        return Ok(response);
    }
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client
        .post(&state.node)
        .header("content-type", "application/json");
    match request.body(body).send().await {
        Ok(said) => {
            let json = "application/json".parse().unwrap();
            response.headers_mut().insert("content-type", json);
            *response.body_mut() = Full::new(said.bytes().await.unwrap_or_default());
        }
        Err(_) => *response.status_mut() = StatusCode::BAD_GATEWAY,
    }
    Ok(response)
}
