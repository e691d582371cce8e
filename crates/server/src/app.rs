//! The running service, for `main` and for tests alike.

use crate::{
    Config,
    api::router,
    http::{
        connections::Places,
        extract::Proxies,
        serve::{ConnectionLimits, Stop, serve},
    },
    wiring::{Assembly, Node, WiringError, assemble},
};
use axum::extract::FromRef as _;
use haithe_kernel::{Clock, Fetcher};
use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};

/// After streams were told to end, this long until connections are cut.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Longest wait for charges to be written and background tasks to end, each.
const WIND_UP: Duration = Duration::from_secs(10);

/// What a test may bring instead of the real thing.
#[derive(Default)]
pub struct Overrides {
    /// The time.
    pub clock: Option<Arc<dyn Clock>>,
    /// The chain's node, over any transport.
    pub node: Option<Node>,
    /// What calls addresses that users name. No setting reaches it: a server calls public ones only.
    pub fetcher: Option<Arc<dyn Fetcher>>,
    /// This program, where the process is another: a child of it reads documents.
    pub program: Option<PathBuf>,
}

/// Why the service does not start. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; free the port or set server.port (PORT)")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Something the service is made of cannot be used.
    #[error(transparent)]
    Wiring(#[from] WiringError),
}

/// A running service. Dropping it without [`App::stop`] leaves its tasks to the runtime.
pub struct App {
    address: SocketAddr,
    stop: Stop,
    serving: JoinHandle<()>,
    assembly: Assembly,
    patience: Duration,
}

impl App {
    /// Starts everything and listens. Returns once requests are answered.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_with(config, Overrides::default()).await
    }

    /// [`App::start`] with parts that a test brings.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start_with(config: Config, overrides: Overrides) -> Result<Self, StartError> {
        let wanted = config.server.address();
        let refused = |source| StartError::Listen {
            address: wanted,
            source,
        };
        let listener = TcpListener::bind(wanted).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let assembly = assemble(&config, overrides).await?;
        let server = &config.server;
        let origins = config.auth.sites.origins();
        let origins = origins.chain(server.allowed_origins.iter().map(String::as_str));
        let service = router::service(
            assembly.state.clone(),
            server.request_timeout,
            origins,
            server.hsts_max_age,
        );
        let limits = ConnectionLimits {
            places: Places {
                all: server.max_connections,
                per_client: server.max_connections_per_client,
                proxies: Proxies(server.trusted_proxies.clone().into()),
            },
            header_time: server.header_timeout,
            header_bytes: server.max_header_bytes,
            write_stall: server.write_stall,
        };
        let figures = Arc::from_ref(&assembly.state);
        let stop = Stop::default();
        let serving = tokio::spawn(serve(listener, service, limits, figures, stop.clone()));
        tracing::info!(%address, "the service answers");
        Ok(Self {
            address,
            stop,
            serving,
            assembly,
            patience: server.shutdown,
        })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops in good order: no new connections; requests in flight finish, and so does the work of calls
    /// whose callers have left; streams that outlast the configured patience end with an error event;
    /// charges are written; tasks end; the database is closed.
    pub async fn stop(mut self) {
        tracing::info!("the service stops");
        self.stop.accepting.cancel();
        let tasks = self.assembly.tasks.clone();
        let mut served = false;
        let finished = async {
            let _ = (&mut self.serving).await;
            served = true;
            tasks.ended().await;
        };
        if timeout(self.patience, finished).await.is_err() {
            tracing::info!("open streams are told to end");
            self.assembly.drain.0.cancel();
            if !served && timeout(LAST_WORDS, &mut self.serving).await.is_err() {
                self.stop.connections.cancel();
                let _ = timeout(LAST_WORDS, &mut self.serving).await;
            }
        }
        self.assembly.wind_up(WIND_UP).await;
        tracing::info!("the service has stopped");
    }
}
