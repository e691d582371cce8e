//! The little of an HTTP client that `dev seed` needs: JSON over one plain connection each.

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::error::Error;
use tokio::net::TcpStream;
use url::Url;

/// Speaks to one service.
pub(super) struct Service {
    base: Url,
    bearer: Option<String>,
}

type Failed = Box<dyn Error + Send + Sync>;

impl Service {
    /// `base` ends in `/api`; plain HTTP only.
    pub fn new(base: Url) -> Self {
        Self { base, bearer: None }
    }

    /// From now on with this credential.
    pub fn log_in(&mut self, bearer: String) {
        self.bearer = Some(bearer);
    }

    /// Status and JSON, whatever the status.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value), Failed> {
        let host = self.base.host_str().unwrap_or("127.0.0.1");
        let port = self.base.port_or_known_default().unwrap_or(80);
        let stream = TcpStream::connect((host, port)).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base.path().trim_end_matches('/')))
            .header(header::HOST, format!("{host}:{port}"))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close");
        if let Some(bearer) = &self.bearer {
            request = request.header(header::AUTHORIZATION, format!("Bearer {bearer}"));
        }
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let request = request.body(Full::new(body))?;
        let exchange = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            Ok::<_, hyper::Error>((status, body))
        };
        let (exchanged, _) = futures::join!(exchange, connection);
        let (status, body) = exchanged?;
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Ok((status, json))
    }

    /// The `data` of a successful REST answer.
    pub async fn data(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failed> {
        let (status, mut json) = self.ask(method.clone(), path, body).await?;
        if status.is_success() {
            return Ok(json.get_mut("data").map(Value::take).unwrap_or_default());
        }
        let message = json
            .get("message")
            .and_then(Value::as_str)
            .unwrap_or("no message");
        Err(format!("{method} {path} answered {status}: {message}").into())
    }
}
