//! The HTTP client for configured upstreams.

use haithe_inference::catalogue::Timeouts;
use reqwest::{Client, redirect, retry};
use std::time::Duration;

/// Idle connections kept per provider.
const IDLE_CONNECTIONS: usize = 256;
/// How long an idle connection is kept; providers' load balancers close theirs after about a minute.
const IDLE_FOR: Duration = Duration::from_secs(50);

/// A client that goes straight to the configured address: no proxy of the environment, no redirect,
/// no retry of its own, no Nagle delay. `secure` says whether it will speak TLS; only then are the
/// system's certificates loaded.
pub(crate) fn client(timeouts: &Timeouts, secure: bool) -> Result<Client, reqwest::Error> {
    let builder = Client::builder()
        .user_agent(concat!("haithe/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(timeouts.connect)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .pool_idle_timeout(IDLE_FOR)
        .tcp_nodelay(true)
        .http2_adaptive_window(true)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .no_proxy();
    let builder = if secure {
        builder
    } else {
        builder.tls_certs_only([])
    };
    builder.build()
}
