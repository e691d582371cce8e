//! Sockets: accepted within limits, without Nagle's delay, with bounds on slow clients.

use super::{
    connections::{Admission, Connections, InFlight, Place, Places},
    stall::Stall,
};
use crate::service::metrics::Figures;
use axum::{
    body::{Body, HttpBody},
    response::Response,
};
use haithe_kernel::ClientIp;
use http::Request;
use hyper::{
    body::{Frame, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{Service, ServiceExt};

/// The peer of a connection; in every request's extensions.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

impl Peer {
    /// The peer's address, without its port.
    pub const fn ip(self) -> ClientIp {
        ClientIp::new(self.0.ip())
    }
}

/// Bounds on connections.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// Open at once, together and per client.
    pub places: Places,
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

/// How long a connection that must give way may take to pass on the rest of its last response.
const GIVING_WAY: Duration = Duration::from_secs(1);

/// What a client at its limit of connections is told, as far as its socket takes it at once.
const CLIENT_LIMIT: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: text/plain\r\ncontent-length: 64\r\n\
    retry-after: 1\r\nconnection: close\r\n\r\ntoo many connections from this client; close some or reuse them\n";

/// Accepts until the stop, then lets every connection finish its request in flight. Returns when all
/// have ended or were cut.
pub async fn serve<S>(
    listener: TcpListener,
    service: S,
    limits: ConnectionLimits,
    figures: Arc<Figures>,
    stop: Stop,
) where
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let open = Connections::new(limits.places.clone(), Arc::clone(&figures));
    let connections = TaskTracker::new();
    loop {
        let next = admitted(&listener, &open);
        let Some((stream, peer, place)) = stop.accepting.run_until_cancelled(next).await else {
            break;
        };
        let (service, limits, stop) = (service.clone(), limits.clone(), stop.clone());
        let counted = figures.connection();
        connections.spawn(async move {
            connection(stream, peer, service, limits, (Arc::new(place), stop)).await;
            drop(counted);
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// The next client that has a place. While there is none, further clients wait in the listen queue.
async fn admitted(listener: &TcpListener, open: &Arc<Connections>) -> (TcpStream, Peer, Place) {
    loop {
        let (stream, peer) = accept(listener).await;
        let peer = Peer(peer);
        loop {
            match open.admit(peer.ip()) {
                Admission::Admitted(place) => return (stream, peer, place),
                Admission::ClientLimit => {
                    // Whether or not it hears it: the connection is closed.
                    let _ = stream.try_write(CLIENT_LIMIT);
                    break;
                }
                Admission::Full => open.changed().await,
            }
        }
    }
}

/// The next client. Errors of `accept` are the client's or pass (no file descriptors left).
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // With Nagle's delay on, a stream's small writes meet delayed acknowledgements: 40 ms each.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY could not be set");
                }
                return (stream, peer);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection<S>(
    stream: TcpStream,
    peer: Peer,
    service: S,
    limits: ConnectionLimits,
    (place, stop): (Arc<Place>, Stop),
) where
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let own_place = Arc::clone(&place);
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let in_flight = own_place.request();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        let response = service.clone().oneshot(request);
        async move {
            let response = response.await?;
            Ok::<_, Infallible>(response.map(|body| Passing {
                body,
                _in_flight: in_flight,
            }))
        }
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
        () = place.closed() => {
            if !place.was_used() {
                return;
            }
            connection.as_mut().graceful_shutdown();
            match timeout(GIVING_WAY, connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
        () = stop.accepting.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                () = stop.connections.cancelled() => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %peer.0, %error, "a connection ended early");
    }
}

/// The body of a response, whose request is in flight until all of it is passed on.
struct Passing {
    body: Body,
    _in_flight: InFlight,
}

impl HttpBody for Passing {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<bytes::Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::extract::Proxies;
    use axum::{Router, routing::get};
    use std::io::ErrorKind;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::Notify,
        task::JoinHandle,
    };

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    const SOON: Duration = Duration::from_secs(5);

    struct Server {
        address: SocketAddr,
        stop: Stop,
        serving: JoinHandle<()>,
        /// Lets one waiting request be answered.
        answer: Arc<Notify>,
        /// A request has come that waits.
        arrived: Arc<Notify>,
    }

    async fn start(limits: ConnectionLimits) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (answer, arrived) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (stop, gate, here) = (Stop::default(), answer.clone(), arrived.clone());
        let router: Router = Router::new().route("/", get(async || "at once")).route(
            "/wait",
            get(async move || {
                here.notify_one();
                gate.notified().await;
                "at last"
            }),
        );
        let serving = tokio::spawn(serve(listener, router, limits, Arc::default(), stop.clone()));
        Server {
            address,
            stop,
            serving,
            answer,
            arrived,
        }
    }

    fn limits() -> ConnectionLimits {
        ConnectionLimits {
            places: Places {
                all: 16,
                per_client: 16,
                proxies: Proxies::default(),
            },
            header_time: Duration::from_secs(60),
            header_bytes: 16_384,
            write_stall: Duration::from_secs(60),
        }
    }

    async fn connect(server: &Server) -> TcpStream {
        TcpStream::connect(server.address).await.unwrap()
    }

    async fn read(stream: &mut TcpStream) -> String {
        let mut buffer = vec![0; 4096];
        let length = timeout(SOON, stream.read(&mut buffer)).await.unwrap();
        match length {
            Ok(length) => String::from_utf8_lossy(&buffer[..length]).into_owned(),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => String::new(),
            Err(error) => panic!("{error}"),
        }
    }

    #[tokio::test]
    async fn a_client_that_does_not_finish_its_head_is_cut() {
        let mut limits = limits();
        limits.header_time = Duration::from_millis(200);
        let server = start(limits).await;
        let mut slow = connect(&server).await;
        slow.write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
        let rest = read(&mut slow).await;
        assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 408"), "{rest}");
    }

    #[tokio::test]
    async fn a_head_beyond_its_bound_is_refused() {
        let server = start(limits()).await;
        let mut client = connect(&server).await;
        let head = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(20_000));
        client.write_all(head.as_bytes()).await.unwrap();
        assert!(read(&mut client).await.starts_with("HTTP/1.1 431"));
    }

    #[tokio::test]
    async fn a_client_beyond_the_limit_is_served_once_a_request_ends() {
        let mut limits = limits();
        limits.places.all = 1;
        let server = start(limits).await;
        let mut first = connect(&server).await;
        first
            .write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        server.arrived.notified().await;
        let mut second = connect(&server).await;
        second.write_all(REQUEST).await.unwrap();
        let early = timeout(Duration::from_millis(200), second.readable()).await;
        assert!(early.is_err(), "the second client must wait");
        server.answer.notify_one();
        assert!(read(&mut first).await.contains("at last"));
        assert!(read(&mut second).await.contains("at once"));
        assert_eq!(read(&mut first).await, "", "an idle connection gives way");
    }

    #[tokio::test]
    async fn a_client_at_its_limit_is_told_and_closed() {
        let mut limits = limits();
        limits.places.per_client = 1;
        let server = start(limits).await;
        let mut first = connect(&server).await;
        first.write_all(REQUEST).await.unwrap();
        assert!(read(&mut first).await.contains("at once"));
        let mut second = connect(&server).await;
        let told = read(&mut second).await;
        assert!(told.starts_with("HTTP/1.1 429"), "{told}");
        let (head, body) = told.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("content-length: {}", body.len())),
            "{told}"
        );
        assert_eq!(read(&mut second).await, "");
    }

    #[tokio::test]
    async fn a_stop_lets_a_request_in_flight_finish_and_takes_no_new_client() {
        let server = start(limits()).await;
        let mut busy = connect(&server).await;
        busy.write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let mut idle = connect(&server).await;
        idle.write_all(REQUEST).await.unwrap();
        assert!(read(&mut idle).await.contains("at once"));
        server.stop.accepting.cancel();
        assert_eq!(read(&mut idle).await, "", "an idle connection is closed");
        server.answer.notify_one();
        assert!(read(&mut busy).await.contains("at last"));
        timeout(SOON, server.serving).await.unwrap().unwrap();
        assert!(TcpStream::connect(server.address).await.is_err());
    }

    #[tokio::test]
    async fn a_stop_out_of_patience_cuts_what_is_left() {
        let server = start(limits()).await;
        let mut busy = connect(&server).await;
        busy.write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        server.stop.accepting.cancel();
        server.stop.connections.cancel();
        assert_eq!(read(&mut busy).await, "");
        timeout(SOON, server.serving).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn small_writes_are_not_delayed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = accept(&listener).await;
        assert!(stream.nodelay().unwrap());
        drop(client);
    }
}
