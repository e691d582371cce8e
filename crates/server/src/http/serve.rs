//! Sockets: accepted up to a limit, without Nagle's delay, with bounds on slow clients.

use super::stall::Stall;
use axum::{body::Body, response::Response};
use http::Request;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{Service, ServiceExt};

/// The peer of a connection; in every request's extensions.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// Bounds on connections.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Open at once; more wait in the listen queue.
    pub connections: usize,
    /// Until a request's head is complete; idle connections end after it too.
    pub header_time: Duration,
    /// Bytes of a request's head.
    pub header_bytes: usize,
    /// A client that takes no byte for this long is cut.
    pub write_stall: Duration,
}

/// How serving ends.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// No new connections; those there are end after their request in flight.
    pub accepting: CancellationToken,
    /// Connections are cut.
    pub connections: CancellationToken,
}

/// Most header lines of a request.
const MOST_HEADERS: usize = 100;

/// Accepts until the stop, then lets every connection finish its request in flight. Returns when all
/// have ended or were cut.
pub async fn serve<S>(listener: TcpListener, service: S, limits: ConnectionLimits, stop: Stop)
where
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let places = Arc::new(Semaphore::new(limits.connections));
    let connections = TaskTracker::new();
    loop {
        let accept = async {
            let place = places.clone().acquire_owned().await.ok()?;
            Some((accept(&listener).await, place))
        };
        let Some(Some(((stream, peer), place))) = stop.accepting.run_until_cancelled(accept).await else {
            break;
        };
        let (service, stop) = (service.clone(), stop.clone());
        connections.spawn(async move {
            connection(stream, peer, service, limits, stop).await;
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// The next client. Errors of `accept` are the client's or pass (no file descriptors left).
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection<S>(stream: TcpStream, peer: SocketAddr, service: S, limits: ConnectionLimits, stop: Stop)
where
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    // With Nagle's delay on, small writes of a stream meet delayed acknowledgements: 40 ms each.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        service.clone().oneshot(request)
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_buf_size(limits.header_bytes)
        .max_headers(MOST_HEADERS);
    let stream = TokioIo::new(Stall::new(stream, limits.write_stall));
    let connection = builder.serve_connection(stream, service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.accepting.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                () = stop.connections.cancelled() => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection ended early");
    }
}
