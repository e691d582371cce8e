//! A web site on loopback: pages by path, and what was asked for.

use crate::app::RECEIVER;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, task::JoinHandle};

/// The site. Dropping it closes its port.
#[derive(Debug)]
pub struct Site {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    server: JoinHandle<()>,
}

/// Content type and body, by path.
type Pages = BTreeMap<&'static str, (&'static str, String)>;

impl Site {
    /// On a port of its own, with these pages: path, content type, body.
    pub async fn start<const N: usize>(pages: [(&'static str, &'static str, &str); N]) -> Self {
        let pages = pages.map(|(path, form, body)| (path, (form, body.to_owned())));
        let pages: Arc<Pages> = Arc::new(pages.into_iter().collect());
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free loopback port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let server = tokio::spawn(serve(listener, pages, Arc::clone(&asked)));
        Self {
            address,
            asked,
            server,
        }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A page's address as users write it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{RECEIVER}:{}{path}", self.address.port())
    }

    /// Method and target of every request, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, pages: Arc<Pages>, asked: Arc<Mutex<Vec<String>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (pages, asked) = (Arc::clone(&pages), Arc::clone(&asked));
        let service = service_fn(move |request: Request<Incoming>| {
            let line = format!("{} {}", request.method(), request.uri());
            asked.lock().expect("no panic").push(line);
            let page = pages.get(request.uri().path());
            let (status, form, body) = match page {
                Some((form, body)) => (StatusCode::OK, *form, body.clone()),
                None => (StatusCode::NOT_FOUND, "text/plain", String::new()),
            };
            let response = Response::builder().status(status).header("content-type", form);
            let response = response.body(Full::new(Bytes::from(body)));
            async move { Ok::<_, Infallible>(response.expect("a page's headers are valid")) }
        });
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new();
            let _ = connection.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
