//! Reads for requests without a credential: few at a time, and equal ones that wait together run once.
//!
//! Anonymous clients can ask as often as their rate allows, and from many addresses. What they read must not
//! take the processor and the database from logins and paid calls. So these reads have database connections
//! of their own ([`haithe_stores::PublicStores`]), a bound on how many run at once, and a bound on how many
//! wait. A request that arrives while an equal one still waits shares its answer: the read begins after both
//! arrived, so neither sees an older state than it would alone.

use super::ApiError;
use crate::state::AppState;
use axum::{
    body::{Body, to_bytes},
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use http::{HeaderMap, Method, StatusCode, header};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Semaphore;

/// The paths whose GET needs no credential and reads a store or asks another process.
pub const PUBLIC_READS: [&str; 9] = [
    "/api/v1/creator",
    "/api/v1/creator/{address}",
    "/api/v1/creator/{address}/products",
    "/api/v1/creator/{address}/statistics",
    "/api/v1/products",
    "/api/v1/products/{id}",
    "/api/v1/content/{sha256}",
    "/api/v1/tee/attest",
    "/api/v1/stats",
];

/// Reads that run at once.
const AT_ONCE: usize = 2;
/// Different reads that wait; beyond, requests are refused.
const WAITING: usize = 256;

/// The public reads under way, and those that wait.
pub struct PublicReads {
    places: Arc<Semaphore>,
    waiting: Arc<Mutex<HashMap<Key, Waiting>>>,
}

/// What makes two reads equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    head: bool,
    path: String,
    /// `If-None-Match`.
    known: Vec<Vec<u8>>,
}

type Running = Shared<BoxFuture<'static, Arc<Outcome>>>;
type Waiting = WeakShared<BoxFuture<'static, Arc<Outcome>>>;

/// The answer of a read.
enum Outcome {
    /// For all who waited.
    Shared(StatusCode, HeaderMap, Bytes),
    /// A failure, whose answer names its request: for the one that ran.
    Alone(Mutex<Option<Response>>),
}

impl Default for PublicReads {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: Arc::default(),
        }
    }
}

impl Outcome {
    async fn of(response: Response) -> Self {
        let shared = matches!(response.status(), StatusCode::OK | StatusCode::NOT_MODIFIED);
        if !shared {
            return Self::Alone(Mutex::new(Some(response)));
        }
        let (parts, body) = response.into_parts();
        match to_bytes(body, usize::MAX).await {
            Ok(bytes) => Self::Shared(parts.status, parts.headers, bytes),
            // It was in memory already.
            Err(error) => Self::Alone(Mutex::new(Some(ApiError::internal(error).into_response()))),
        }
    }

    /// The answer for a request that waited for the equal one; `None` when it has to run itself.
    fn shared(&self) -> Option<Response> {
        let Self::Shared(status, headers, bytes) = self else {
            return None;
        };
        let mut response = Response::new(Body::from(bytes.clone()));
        *response.status_mut() = *status;
        *response.headers_mut() = headers.clone();
        Some(response)
    }

    /// The answer for the request that ran. It asks once.
    fn own(&self) -> Response {
        let taken = match self {
            Self::Shared(..) => self.shared(),
            Self::Alone(response) => response.lock().unwrap_or_else(PoisonError::into_inner).take(),
        };
        taken.unwrap_or_else(|| ApiError::internal("a read gave no answer").into_response())
    }
}

impl PublicReads {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The read that an equal request waits for, or a new one that `run` answers; the latter with `true`.
    ///
    /// # Errors
    /// 503 while too many wait.
    fn join<F>(&self, key: &Key, run: impl FnOnce() -> F) -> Result<Running, ApiError>
    where
        F: Future<Output = Response> + Send + 'static,
    {
        let mut waiting = self.lock();
        if let Some(equal) = waiting.get(key).and_then(WeakShared::upgrade) {
            return Ok(equal);
        }
        if waiting.len() >= WAITING {
            // Reads whose clients have all disconnected are dropped.
            waiting.retain(|_, read| read.upgrade().is_some());
        }
        if waiting.len() >= WAITING {
            return Err(overloaded());
        }
        let (places, listed, own) = (self.places.clone(), self.waiting.clone(), key.clone());
        let answer = run();
        let read = async move {
            // The semaphore is never closed.
            let _place = places.acquire_owned().await;
            // From here on an equal request must not share what is read.
            listed.lock().unwrap_or_else(PoisonError::into_inner).remove(&own);
            Arc::new(Outcome::of(answer.await).await)
        };
        let read = read.boxed().shared();
        if let Some(weak) = read.downgrade() {
            waiting.insert(key.clone(), weak);
        }
        Ok(read)
    }
}

fn overloaded() -> ApiError {
    let mut error = ApiError::transport(
        StatusCode::SERVICE_UNAVAILABLE,
        "overloaded",
        "too many requests without a credential are waiting; try again shortly",
    );
    error.retry_after = Some(1);
    error
}

/// Around every route: public reads wait for a place.
pub async fn bound(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let Some(key) = key_of(&request) else {
        return next.run(request).await;
    };
    let reads = state.public_reads();
    let mut own = Some((request, next));
    let run = || {
        let own = own.take();
        async move {
            match own {
                Some((request, next)) => next.run(request).await,
                None => ApiError::internal("a read ran twice").into_response(),
            }
        }
    };
    let read = match reads.join(&key, run) {
        Ok(read) => read,
        Err(refused) => return refused.into_response(),
    };
    let outcome = read.await;
    let Some((request, next)) = own else {
        return outcome.own();
    };
    if let Some(response) = outcome.shared() {
        return response;
    }
    // The equal one failed, and its answer is its own.
    let _place = reads.places.acquire().await;
    next.run(request).await
}

fn key_of(request: &Request) -> Option<Key> {
    let head = *request.method() == Method::HEAD;
    if !head && *request.method() != Method::GET {
        return None;
    }
    let route = request.extensions().get::<MatchedPath>()?;
    if !PUBLIC_READS.contains(&route.as_str()) {
        return None;
    }
    let known = request.headers().get_all(header::IF_NONE_MATCH).iter();
    Some(Key {
        head,
        path: request.uri().path_and_query()?.as_str().to_owned(),
        known: known.map(|tag| tag.as_bytes().to_vec()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use tokio::sync::Notify;

    fn key(path: &str) -> Key {
        Key {
            head: false,
            path: path.into(),
            known: Vec::new(),
        }
    }

    fn answer(reads: &Arc<AtomicUsize>) -> impl Future<Output = Response> + Send + use<> {
        let reads = Arc::clone(reads);
        async move { Response::new(Body::from(reads.fetch_add(1, SeqCst).to_string())) }
    }

    async fn text(read: Running) -> String {
        let response = read.await.shared().unwrap();
        String::from_utf8(to_bytes(response.into_body(), 10).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn equal_reads_that_wait_run_once_and_one_that_began_is_not_shared() {
        let public = PublicReads::default();
        let gate = Arc::new(Notify::new());
        let count = Arc::<AtomicUsize>::default();
        let blocked: Vec<_> = (0..AT_ONCE)
            .map(|number| {
                let gate = Arc::clone(&gate);
                let run = move || async move {
                    gate.notified().await;
                    Response::new(Body::from("slow"))
                };
                public.join(&key(&format!("/slow/{number}")), run).unwrap()
            })
            .collect();
        let blocked: Vec<_> = blocked.into_iter().map(tokio::spawn).collect();
        while public.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        // The slow ones have begun: an equal request begins anew.
        let again = public.join(&key("/slow/0"), || answer(&count)).unwrap();
        let waiting: Vec<_> = (0..100)
            .map(|_| public.join(&key("/a"), || answer(&count)).unwrap())
            .collect();
        for _ in 0..AT_ONCE {
            gate.notify_one();
        }
        let all = futures::future::join_all(waiting.into_iter().map(text)).await;
        assert!(all.iter().all(|text| *text == all[0]));
        text(again).await;
        assert_eq!(count.load(SeqCst), 2);
        for read in blocked {
            read.await.unwrap();
        }
        assert!(public.lock().is_empty());
    }

    #[tokio::test]
    async fn too_many_that_wait_are_refused_and_those_that_left_make_room() {
        let public = PublicReads::default();
        let count = Arc::<AtomicUsize>::default();
        let mut held: Vec<_> = (0..WAITING)
            .map(|number| public.join(&key(&number.to_string()), || answer(&count)).unwrap())
            .collect();
        assert!(public.join(&key("one more"), || answer(&count)).is_err());
        assert!(
            public.join(&key("7"), || answer(&count)).is_ok(),
            "an equal one joins"
        );
        held.truncate(10);
        assert!(public.join(&key("one more"), || answer(&count)).is_ok());
    }

    #[tokio::test]
    async fn a_failure_is_for_the_one_that_ran_also_when_another_sees_it_first() {
        let public = PublicReads::default();
        let run = || async { StatusCode::NOT_FOUND.into_response() };
        let first = public.join(&key("/a"), run).unwrap();
        let second = public.join(&key("/a"), run).unwrap();
        assert!(second.await.shared().is_none());
        assert_eq!(first.await.own().status(), 404);
    }
}
