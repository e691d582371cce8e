//! The listener of its own: figures are not for callers of the service.

use super::Scrape;
use axum::{Router, http::header, response::IntoResponse, routing::get};
use std::{io, sync::Arc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Answers `GET /metrics` until the stop.
///
/// # Errors
/// The listener's.
pub async fn serve_metrics(
    listener: TcpListener,
    scrape: Arc<Scrape>,
    stop: CancellationToken,
) -> io::Result<()> {
    let show = async move || {
        let text = scrape.render().await;
        let form = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
        (form, text).into_response()
    };
    let router: Router = Router::new().route("/metrics", get(show));
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}
