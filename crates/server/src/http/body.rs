//! Reading a request's body, bounded in size, time and memory.

use super::{ApiError, extract::Proxies, serve::Peer};
use crate::service::metrics::{Figures, Refused};
use axum::body::{Body, HttpBody as _};
use bytes::{Bytes, BytesMut};
use haithe_kernel::ClientNetwork;
use http::{HeaderMap, StatusCode, header, request::Parts};
use http_body_util::BodyExt;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Bytes of every body that need no share of [`BodyMemory`]. Connections are bounded in number, so these are, too.
pub const FREE_BYTES: usize = 65_536;

/// Bounds on a body.
#[derive(Debug, Clone)]
pub struct BodyLimits {
    /// Most bytes.
    pub bytes: usize,
    /// Longest time until it is complete.
    pub time: Duration,
    /// What all bodies share.
    pub memory: BodyMemory,
}

impl BodyLimits {
    /// These limits for an endpoint whose bodies have at most this many bytes.
    #[must_use]
    pub fn at_most(self, bytes: usize) -> Self {
        Self {
            bytes: self.bytes.min(bytes),
            ..self
        }
    }

    /// The whole body. What is longer than [`FREE_BYTES`] is counted in [`BodyLimits::memory`] until the bytes
    /// that this returns, and every copy of them, are dropped.
    ///
    /// # Errors
    /// 413 when it is too large, 408 when it takes too long, 400 when the connection breaks, 429 and 503 when
    /// the client's bodies, or all of them, take as much memory as they may.
    pub async fn read(self, parts: &Parts, body: Body) -> Result<Bytes, ApiError> {
        let announced = announced(&parts.headers);
        if announced.is_some_and(|length| length > self.bytes as u64) {
            return Err(self.too_large());
        }
        let time = self.time;
        match tokio::time::timeout(time, self.collect(parts, body)).await {
            Ok(collected) => collected,
            Err(_) => Err(ApiError::transport(
                StatusCode::REQUEST_TIMEOUT,
                "body_timeout",
                "the request's body did not arrive in time",
            )),
        }
    }

    async fn collect(&self, parts: &Parts, mut body: Body) -> Result<Bytes, ApiError> {
        let mut share = self.memory.share_of(parts);
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let incomplete = |_| {
                ApiError::bad_request(
                    "body_incomplete",
                    "the request's body ended before it was complete",
                )
            };
            let Ok(data) = frame.map_err(incomplete)?.into_data() else {
                continue;
            };
            let length = whole.len().saturating_add(data.len());
            if length > self.bytes {
                return Err(self.too_large());
            }
            share.grow_to(length.saturating_sub(FREE_BYTES))?;
            if whole.is_empty() && body.is_end_stream() {
                // One piece, as most bodies come: no copy.
                return Ok(share.around(data));
            }
            whole.extend_from_slice(&data);
        }
        Ok(share.around(whole.freeze()))
    }

    fn too_large(&self) -> ApiError {
        ApiError::transport(
            StatusCode::PAYLOAD_TOO_LARGE,
            "request_too_large",
            format!(
                "the request's body is larger than the {} bytes allowed",
                self.bytes
            ),
        )
    }
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The memory that the bodies of all requests in flight share, beyond the first [`FREE_BYTES`] of each. A client
/// may have a quarter of it, but always one body of the largest size.
#[derive(Debug, Clone)]
pub struct BodyMemory(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    most: usize,
    per_client: usize,
    proxies: Proxies,
    figures: Arc<Figures>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    clients: HashMap<ClientNetwork, usize>,
}

impl Taken {
    fn give_back(&mut self, client: Option<ClientNetwork>, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.all = self.all.saturating_sub(bytes);
        let Some(client) = client else { return };
        let left = self.clients.get(&client).copied().unwrap_or(0);
        match left.checked_sub(bytes).filter(|left| *left > 0) {
            Some(left) => self.clients.insert(client, left),
            None => self.clients.remove(&client),
        };
    }
}

impl BodyMemory {
    /// For endpoints whose bodies have [`FREE_BYTES`] at most, which need no share.
    pub const UNUSED: Self = Self(None);

    /// At most `most` bytes, of which bodies have `largest` at most. Clients stand behind these proxies;
    /// refusals are counted in `figures`.
    pub fn new(most: usize, largest: usize, proxies: Proxies, figures: Arc<Figures>) -> Self {
        Self(Some(Arc::new(Shared {
            most,
            per_client: (most / 4).max(largest).min(most),
            proxies,
            figures,
            taken: Mutex::default(),
        })))
    }

    /// Bytes in use.
    pub fn taken(&self) -> usize {
        self.0.as_ref().map_or(0, |shared| shared.lock().all)
    }

    fn share_of(&self, parts: &Parts) -> Share {
        let peer = parts.extensions.get::<Peer>();
        let network = |shared: &Arc<Shared>| {
            let ip = shared.proxies.client(peer?.ip(), &parts.headers);
            Some(ip.network())
        };
        Share {
            client: self.0.as_ref().and_then(network),
            memory: self.0.clone(),
            bytes: 0,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self, status: StatusCode) -> ApiError {
        let own = status == StatusCode::TOO_MANY_REQUESTS;
        let (code, message, whose) = if own {
            (
                "rate_limited",
                format!(
                    "the bodies of this client's requests in flight are larger than {} bytes together; \
                     wait until one has ended",
                    self.per_client
                ),
                "ip",
            )
        } else {
            (
                "overloaded",
                "the service has no memory left for another large body; try again shortly".to_owned(),
                "service",
            )
        };
        self.figures.refused(Refused::Bodies, whose);
        let mut error = ApiError::transport(status, code, message);
        error.retry_after = Some(1);
        error
    }
}

/// The memory of one body. Dropping it gives the memory back.
#[derive(Debug)]
struct Share {
    memory: Option<Arc<Shared>>,
    client: Option<ClientNetwork>,
    bytes: usize,
}

impl Share {
    /// What is refused has given its memory back before another body asks, so of bodies that are too large together
    /// the last one is always read.
    fn grow_to(&mut self, bytes: usize) -> Result<(), ApiError> {
        let Some(more) = bytes.checked_sub(self.bytes).filter(|more| *more > 0) else {
            return Ok(());
        };
        let Some(memory) = self.memory.clone() else {
            return Ok(());
        };
        let mut taken = memory.lock();
        let own = self.client.and_then(|client| taken.clients.get(&client)).copied();
        let own = own.unwrap_or(0);
        let refused = if self.client.is_some() && own.saturating_add(more) > memory.per_client {
            Some(StatusCode::TOO_MANY_REQUESTS)
        } else if taken.all.saturating_add(more) > memory.most {
            Some(StatusCode::SERVICE_UNAVAILABLE)
        } else {
            None
        };
        if let Some(status) = refused {
            taken.give_back(self.client, std::mem::take(&mut self.bytes));
            drop(taken);
            return Err(memory.refused(status));
        }
        taken.all += more;
        if let Some(client) = self.client {
            taken.clients.insert(client, own + more);
        }
        drop(taken);
        self.bytes = bytes;
        Ok(())
    }

    fn around(self, bytes: Bytes) -> Bytes {
        if self.bytes == 0 {
            return bytes;
        }
        Bytes::from_owner(Counted { bytes, _share: self })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(memory) = &self.memory {
            memory.lock().give_back(self.client, self.bytes);
        }
    }
}

struct Counted {
    bytes: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Refuses a body that does not say it is JSON. No body, or none said, is fine.
///
/// # Errors
/// 415.
pub fn expect_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(stated) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let essence = stated
        .to_str()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    let is_json = essence.eq_ignore_ascii_case("application/json")
        || (essence.len() > 5 && essence.to_ascii_lowercase().ends_with("+json"));
    if is_json {
        return Ok(());
    }
    Err(ApiError::transport(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "send the body as JSON, with `Content-Type: application/json`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    const LARGEST: usize = 4 << 20;

    fn limits(most: usize) -> BodyLimits {
        BodyLimits {
            bytes: LARGEST,
            time: Duration::from_secs(5),
            memory: BodyMemory::new(most, LARGEST, Proxies::default(), Arc::default()),
        }
    }

    fn from(ip: &str) -> Parts {
        let mut parts = Request::new(()).into_parts().0;
        parts.extensions.insert(Peer(format!("{ip}:1").parse().unwrap()));
        parts
    }

    async fn read(limits: &BodyLimits, ip: &str, bytes: usize) -> Result<Bytes, u16> {
        let pieces = vec![7; bytes];
        let pieces: Vec<_> = pieces
            .chunks(10_000)
            .map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)))
            .collect();
        let body = Body::from_stream(futures::stream::iter(pieces));
        let read = limits.clone().read(&from(ip), body).await;
        read.map_err(|error| error.status.as_u16())
    }

    #[tokio::test]
    async fn a_large_body_is_counted_until_its_last_copy_is_dropped() {
        let limits = limits(16 << 20);
        let small = read(&limits, "192.0.2.1", FREE_BYTES).await.unwrap();
        assert_eq!((small.len(), limits.memory.taken()), (FREE_BYTES, 0));
        let large = read(&limits, "192.0.2.1", FREE_BYTES + 1_000).await.unwrap();
        let copy = large.slice(10..20);
        assert_eq!((large.len(), limits.memory.taken()), (FREE_BYTES + 1_000, 1_000));
        drop(large);
        assert_eq!(limits.memory.taken(), 1_000);
        drop(copy);
        assert_eq!(limits.memory.taken(), 0);
        assert!(limits.memory.0.as_ref().unwrap().lock().clients.is_empty());
    }

    #[tokio::test]
    async fn a_client_has_a_quarter_and_what_it_was_refused_is_given_back() {
        let limits = limits(16 << 20);
        let _held = read(&limits, "192.0.2.1", LARGEST).await.unwrap();
        let taken = limits.memory.taken();
        assert_eq!(read(&limits, "192.0.2.1", LARGEST).await.unwrap_err(), 429);
        assert_eq!(limits.memory.taken(), taken);
        assert!(
            read(&limits, "192.0.2.1", FREE_BYTES).await.is_ok(),
            "small ones pass"
        );
        assert!(read(&limits, "192.0.2.2", LARGEST).await.is_ok());
    }

    #[test]
    fn a_refused_body_has_given_its_memory_back_when_the_next_one_asks() {
        let memory = limits(16 << 20).memory;
        let mut shares: Vec<Share> = (0..3).map(|_| memory.share_of(&from("192.0.2.1"))).collect();
        let [first, second, third] = shares.as_mut_slice() else {
            unreachable!("three were made")
        };
        first.grow_to(2 << 20).unwrap();
        second.grow_to(2 << 20).unwrap();
        first.grow_to(3 << 20).unwrap_err();
        assert_eq!(memory.taken(), 2 << 20, "though the first is not dropped yet");
        third.grow_to(2 << 20).unwrap();
        third.grow_to(3 << 20).unwrap_err();
        second.grow_to(LARGEST).unwrap();
        drop(shares);
        assert_eq!(memory.taken(), 0);
    }

    #[tokio::test]
    async fn all_bodies_together_are_bounded() {
        let limits = limits(9 << 20);
        let mut held = Vec::new();
        for client in 1..=2 {
            held.push(
                read(&limits, &format!("192.0.2.{client}"), LARGEST)
                    .await
                    .unwrap(),
            );
        }
        assert_eq!(read(&limits, "192.0.2.3", LARGEST).await.unwrap_err(), 503);
        assert_eq!(read(&limits, "192.0.2.3", LARGEST + 1).await.unwrap_err(), 503);
        held.clear();
        assert_eq!(read(&limits, "192.0.2.3", LARGEST + 1).await.unwrap_err(), 413);
        assert_eq!(limits.memory.taken(), 0);
    }
}
