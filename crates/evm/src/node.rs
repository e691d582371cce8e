//! A node behind bounds: every question has a deadline and a place in a queue.

use crate::{
    config::RpcLimits,
    failure::{ConnectError, NodeError},
};
use alloy::{
    providers::RootProvider,
    rpc::client::RpcClient,
    transports::http::{Http, reqwest},
};
use secrecy::{ExposeSecret, SecretString};
use std::{fmt, future::IntoFuture, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// A connection to a node. Cheap to clone.
#[derive(Clone)]
pub struct Node {
    provider: RootProvider,
    places: Arc<Semaphore>,
    limits: RpcLimits,
}

impl Node {
    /// A node over HTTP. Nothing is sent yet. Proxies and redirects are not followed: the address
    /// is the operator's, and its key must not travel.
    ///
    /// # Errors
    /// [`ConnectError::Url`] when the address is none.
    pub fn http(url: &SecretString, limits: RpcLimits) -> Result<Self, ConnectError> {
        let url: reqwest::Url = url
            .expose_secret()
            .trim()
            .parse()
            .map_err(|_| ConnectError::Url)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ConnectError::Url);
        }
        let builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(limits.request_timeout)
            .timeout(limits.timeout);
        // The system's certificates are loaded only where TLS is spoken.
        let builder = match url.scheme() {
            "https" => builder,
            _ => builder.tls_certs_only([]),
        };
        let client = builder.build().map_err(|_| ConnectError::Url)?;
        let local = url
            .host_str()
            .is_some_and(|host| matches!(host, "localhost" | "127.0.0.1" | "[::1]"));
        Ok(Self::over(
            RpcClient::new(Http::with_client(client, url), local),
            limits,
        ))
    }

    /// A node over any transport; tests bring a chain in process.
    pub fn over(client: RpcClient, limits: RpcLimits) -> Self {
        Self {
            provider: RootProvider::new(client),
            places: Arc::new(Semaphore::new(limits.concurrency.max(1))),
            limits,
        }
    }

    /// The same node with a queue and a deadline of its own, so that one kind of question cannot
    /// starve the others.
    pub(crate) fn lane(&self, concurrency: usize, timeout: Duration) -> Self {
        Self {
            provider: self.provider.clone(),
            places: Arc::new(Semaphore::new(concurrency.max(1))),
            limits: RpcLimits {
                timeout,
                ..self.limits
            },
        }
    }

    pub(crate) fn limits(&self) -> &RpcLimits {
        &self.limits
    }

    /// For building questions; they are sent with [`Node::ask`].
    pub(crate) fn provider(&self) -> &RootProvider {
        &self.provider
    }

    /// Waits for an answer, but not for ever. `what` names the question in errors.
    pub(crate) async fn ask<T, E: Into<NodeError>>(
        &self,
        what: &'static str,
        question: impl IntoFuture<Output = Result<T, E>>,
    ) -> Result<T, NodeError> {
        let answer = async {
            // The semaphore is never closed.
            let _place = self.places.acquire().await;
            question.into_future().await.map_err(Into::into)
        };
        tokio::time::timeout(self.limits.timeout, answer)
            .await
            .unwrap_or(Err(NodeError::Timeout {
                what,
                after: self.limits.timeout,
            }))
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
