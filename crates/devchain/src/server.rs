//! JSON-RPC over HTTP, for wallets, browsers and other processes.

use crate::{DevChain, RpcError, transport::Answer};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::{JoinHandle, JoinSet},
    time::timeout,
};

/// Largest request body (geth's limit).
const MAX_BODY: usize = 5 * 1024 * 1024;

/// Most calls in one batch (geth's limit).
const MAX_BATCH: usize = 1000;

/// Most connections at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 512;

/// How long a client may take to send its header, and then its body.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long requests may go on once the server was told to stop.
const FAREWELL: Duration = Duration::from_secs(2);

/// A chain on a socket. Dropping it closes the socket; the chain itself goes on.
#[derive(Debug)]
pub struct ServedChain {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl ServedChain {
    /// Where it listens; the port is known even if 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// `http://address`, as clients want it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Takes no more requests, finishes those under way (for two seconds) and returns.
    pub async fn shutdown(self) {
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}

impl DevChain {
    /// Serves the chain at `address`; port 0 chooses a free one. Anyone who can reach the socket
    /// can bend the chain, web pages included: keep it on loopback.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn serve(&self, address: SocketAddr) -> io::Result<ServedChain> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(accept(listener, self.clone(), stopped));
        Ok(ServedChain { address, stop, task })
    }
}

async fn accept(listener: TcpListener, chain: DevChain, mut stopped: watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            break;
        };
        let stream = tokio::select! {
            // Told to stop, or dropped: both end the server.
            _ = stopped.changed() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let (chain, stopped) = (chain.clone(), stopped.clone());
        connections.spawn(async move {
            connection(stream, chain, stopped).await;
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let _ = timeout(FAREWELL, async {
        while connections.join_next().await.is_some() {}
    })
    .await;
}

async fn connection(stream: TcpStream, chain: DevChain, mut stopped: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| respond(chain.clone(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// The answer got lost on purpose: hyper closes the connection.
#[derive(Debug, thiserror::Error)]
#[error("the answer is lost on purpose")]
struct LostAnswer;

async fn respond(chain: DevChain, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, LostAnswer> {
    let mut response = match *request.method() {
        Method::POST => post(chain, request).await?,
        Method::OPTIONS => plain(StatusCode::NO_CONTENT, ""),
        Method::GET | Method::HEAD => plain(StatusCode::OK, "haithe-devchain: send JSON-RPC by POST\n"),
        _ => plain(StatusCode::METHOD_NOT_ALLOWED, "send JSON-RPC by POST\n"),
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("POST, GET, OPTIONS"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("content-type, *"),
    );
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    headers.insert(
        "access-control-allow-private-network",
        HeaderValue::from_static("true"),
    );
    Ok(response)
}

async fn post(chain: DevChain, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, LostAnswer> {
    let body = match timeout(PATIENCE, Limited::new(request.into_body(), MAX_BODY).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let error = RpcError::new(-32_600, format!("request body exceeds {MAX_BODY} bytes"));
            return Ok(json_response(
                StatusCode::PAYLOAD_TOO_LARGE,
                &failure(Value::Null, error),
            ));
        }
        Ok(Err(_)) | Err(_) => {
            return Ok(plain(
                StatusCode::BAD_REQUEST,
                "the request body did not arrive\n",
            ));
        }
    };
    chain.delay().await;
    // The EVM may take a while: not on the thread that serves the other connections.
    let said = tokio::task::spawn_blocking(move || answer(&chain, &body)).await;
    match said {
        Ok(Said::Lost) => Err(LostAnswer),
        Ok(Said::Nothing) => Ok(plain(StatusCode::OK, "")),
        Ok(Said::Json(value)) => Ok(json_response(StatusCode::OK, &value)),
        Err(_) => {
            let error = RpcError::internal("the node failed on this request");
            Ok(json_response(StatusCode::OK, &failure(Value::Null, error)))
        }
    }
}

/// What a body is answered with.
enum Said {
    Json(Value),
    /// Only notifications: they take effect and have no answer.
    Nothing,
    Lost,
}

fn answer(chain: &DevChain, body: &[u8]) -> Said {
    match serde_json::from_slice::<Value>(body) {
        Err(error) => Said::Json(failure(
            Value::Null,
            RpcError::new(-32_700, format!("parse error: {error}")),
        )),
        Ok(Value::Array(calls)) if calls.is_empty() => {
            Said::Json(failure(Value::Null, RpcError::new(-32_600, "empty batch")))
        }
        Ok(Value::Array(calls)) if calls.len() > MAX_BATCH => Said::Json(failure(
            Value::Null,
            RpcError::new(-32_600, format!("batch too large, limit {MAX_BATCH}")),
        )),
        Ok(Value::Array(calls)) => batch(chain, &calls),
        Ok(single) => call(chain, &single),
    }
}

fn batch(chain: &DevChain, calls: &[Value]) -> Said {
    let mut answers = Vec::new();
    let mut lost = false;
    for one in calls {
        match call(chain, one) {
            Said::Json(answer) => answers.push(answer),
            Said::Nothing => {}
            Said::Lost => lost = true,
        }
    }
    match (lost, answers.is_empty()) {
        (true, _) => Said::Lost,
        (false, true) => Said::Nothing,
        (false, false) => Said::Json(Value::Array(answers)),
    }
}

fn call(chain: &DevChain, request: &Value) -> Said {
    let id = match request.get("id") {
        Some(id @ (Value::Null | Value::Number(_) | Value::String(_))) => Some(id.clone()),
        None => None,
        Some(_) => {
            return Said::Json(failure(
                Value::Null,
                RpcError::new(-32_600, "invalid request: id"),
            ));
        }
    };
    let version = request.get("jsonrpc").and_then(Value::as_str);
    let (Some("2.0"), Some(method)) = (version, request.get("method").and_then(Value::as_str)) else {
        let error = RpcError::new(
            -32_600,
            "invalid request: \"jsonrpc\": \"2.0\" and \"method\" are required",
        );
        return Said::Json(failure(id.unwrap_or(Value::Null), error));
    };
    let params = request.get("params").unwrap_or(&Value::Null);
    match (chain.answer(method, params), id) {
        (Answer::Lost, _) => Said::Lost,
        (_, None) => Said::Nothing,
        (Answer::Said(Ok(result)), Some(id)) => {
            Said::Json(json!({"jsonrpc": "2.0", "id": id, "result": result}))
        }
        (Answer::Said(Err(error)), Some(id)) => Said::Json(failure(id, error)),
    }
}

fn failure(id: Value, error: RpcError) -> Value {
    let mut object = json!({"code": error.code, "message": error.message});
    if let (Some(data), Some(object)) = (error.data, object.as_object_mut()) {
        object.insert("data".to_owned(), json!(data));
    }
    json!({"jsonrpc": "2.0", "id": id, "error": object})
}

fn json_response(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(value.to_string())));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}
