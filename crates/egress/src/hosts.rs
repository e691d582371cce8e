//! Limits per host, over everybody on whose behalf requests are sent.
//!
//! A creator names the hosts that this service calls, so without limits the service
//! could be pointed at somebody else's host. A request that exceeds a limit waits for a while, in the
//! order of arrival, and is then refused.

use haithe_kernel::{FetchError, FetchRequest, Fetched, Fetcher};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};

/// Longest time that a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// Hosts that are known at a time; idle ones are forgotten first.
const MOST_HOSTS: usize = 10_000;
const MINUTE: Duration = Duration::from_secs(60);

/// What one host is sent at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostLimits {
    /// Requests under way at a time; 0: no limit.
    pub concurrent: usize,
    /// Requests per minute; 0: no limit.
    pub per_minute: u32,
    /// Requests that may come at once after a pause.
    pub burst: u32,
}

impl HostLimits {
    /// This many at a time and per minute, of which a sixth, 20 at least, may come at once.
    pub const fn new(concurrent: usize, per_minute: u32) -> Self {
        let sixth = per_minute / 6;
        Self {
            concurrent,
            per_minute,
            burst: if sixth < 20 { 20 } else { sixth },
        }
    }
}

impl Default for HostLimits {
    /// 16 at a time, 1,200 per minute.
    fn default() -> Self {
        Self::new(16, 1_200)
    }
}

/// A host's limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the limit of requests to this host is reached")]
pub(crate) struct Crowded;

/// The hosts that are being called, or were called lately.
#[derive(Debug)]
pub(crate) struct Hosts {
    limits: HostLimits,
    known: Mutex<HashMap<String, Arc<Host>>>,
}

#[derive(Debug)]
struct Host {
    slots: Arc<Semaphore>,
    /// When a request sent at the even pace would be sent next (the generic cell rate algorithm).
    next: Mutex<Instant>,
}

/// A request's place at its host; the next one waits until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _slot: Option<OwnedSemaphorePermit>,
}

impl Hosts {
    pub(crate) fn new(limits: HostLimits) -> Self {
        Self {
            limits,
            known: Mutex::default(),
        }
    }

    /// Waits for the turn of a request to `host`.
    pub(crate) async fn turn(&self, host: &str) -> Result<Turn, Crowded> {
        let known = self.host(host)?;
        let slot = if self.limits.concurrent == 0 {
            None
        } else {
            let slot = timeout(PATIENCE, known.slots.clone().acquire_owned()).await;
            Some(slot.map_err(|_| Crowded)?.map_err(|_| Crowded)?)
        };
        let wait = self.pace(&known, Instant::now())?;
        if !wait.is_zero() {
            sleep(wait).await;
        }
        Ok(Turn { _slot: slot })
    }

    /// How long a request that arrives now has to wait; it is counted.
    fn pace(&self, host: &Host, now: Instant) -> Result<Duration, Crowded> {
        if self.limits.per_minute == 0 {
            return Ok(Duration::ZERO);
        }
        let interval = MINUTE / self.limits.per_minute;
        let at_once = interval.saturating_mul(self.limits.burst.saturating_sub(1));
        let mut next = host.next.lock().unwrap_or_else(PoisonError::into_inner);
        let due = (*next).max(now);
        let wait = due.duration_since(now).saturating_sub(at_once);
        if wait > PATIENCE {
            return Err(Crowded);
        }
        *next = due + interval;
        Ok(wait)
    }

    fn host(&self, host: &str) -> Result<Arc<Host>, Crowded> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = known.get(host) {
            return Ok(host.clone());
        }
        let now = Instant::now();
        if known.len() >= MOST_HOSTS {
            known.retain(|_, host| {
                let next = *host.next.lock().unwrap_or_else(PoisonError::into_inner);
                Arc::strong_count(host) > 1 || next > now
            });
            if known.len() >= MOST_HOSTS {
                return Err(Crowded);
            }
        }
        let new = Arc::new(Host {
            slots: Arc::new(Semaphore::new(self.limits.concurrent.max(1))),
            next: Mutex::new(now),
        });
        known.insert(host.to_owned(), new.clone());
        Ok(new)
    }
}

/// A [`Fetcher`] with limits of its own per host, for work that sends more requests than others do.
pub struct PerHost {
    fetcher: Arc<dyn Fetcher>,
    hosts: Hosts,
}

impl PerHost {
    /// Sends by `fetcher` what these limits admit.
    pub fn new(fetcher: Arc<dyn Fetcher>, limits: HostLimits) -> Self {
        Self {
            fetcher,
            hosts: Hosts::new(limits),
        }
    }
}

#[async_trait::async_trait]
impl Fetcher for PerHost {
    fn refuses(&self, url: &str) -> bool {
        self.fetcher.refuses(url)
    }

    async fn fetch(&self, request: FetchRequest) -> Result<Fetched, FetchError> {
        let host = url::Url::parse(&request.url).ok();
        let host = host.as_ref().and_then(url::Url::host_str);
        let Some(host) = host.map(|host| host.trim_end_matches('.').to_owned()) else {
            // Refused by whoever reads addresses.
            return self.fetcher.fetch(request).await;
        };
        let _turn = self.hosts.turn(&host).await.map_err(|_| FetchError::Busy)?;
        self.fetcher.fetch(request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn limits(concurrent: usize, per_minute: u32, burst: u32) -> HostLimits {
        HostLimits {
            concurrent,
            per_minute,
            burst,
        }
    }

    #[test]
    fn a_burst_is_sent_at_once_and_the_rest_at_an_even_pace() {
        let hosts = Hosts::new(limits(0, 60, 3));
        let host = hosts.host("a.example").unwrap();
        let now = Instant::now();
        let wait = |at: u64| {
            hosts
                .pace(&host, now + Duration::from_secs(at))
                .map(|wait| wait.as_secs())
        };
        assert_eq!([wait(0), wait(0), wait(0)], [Ok(0); 3]);
        assert_eq!([wait(0), wait(0)], [Ok(1), Ok(2)]);
        assert_eq!([wait(0), wait(0), wait(0)], [Ok(3), Ok(4), Ok(5)]);
        assert_eq!(wait(0), Err(Crowded));
        // What was refused was not counted; time gives back.
        assert_eq!(wait(1), Ok(5));
        assert_eq!(
            [wait(60), wait(60), wait(60), wait(60)],
            [Ok(0), Ok(0), Ok(0), Ok(1)]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_requests_than_allowed_are_under_way_at_one_host() {
        let hosts = Hosts::new(limits(2, 0, 1));
        let first = hosts.turn("a.example").await.unwrap();
        let _second = hosts.turn("a.example").await.unwrap();
        assert!(hosts.turn("b.example").await.is_ok());
        assert_eq!(hosts.turn("a.example").await.unwrap_err(), Crowded);
        drop(first);
        assert!(hosts.turn("a.example").await.is_ok());
    }

    #[test]
    fn the_number_of_known_hosts_is_bounded() {
        let hosts = Hosts::new(limits(1, 0, 1));
        for number in 0..2 * MOST_HOSTS {
            assert!(hosts.host(&format!("h{number}.example")).is_ok());
        }
        assert!(hosts.known.lock().unwrap().len() <= MOST_HOSTS);
        let kept: Vec<_> = (0..MOST_HOSTS)
            .map(|number| hosts.host(&format!("k{number}.example")))
            .collect();
        assert!(kept.iter().all(Result::is_ok));
        assert_eq!(hosts.host("one.more.example").err(), Some(Crowded));
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetcher_with_limits_refuses_what_exceeds_them_and_sends_the_rest() {
        #[derive(Default)]
        struct Counting(AtomicUsize);
        #[async_trait::async_trait]
        impl Fetcher for Counting {
            async fn fetch(&self, _: FetchRequest) -> Result<Fetched, FetchError> {
                self.0.fetch_add(1, Ordering::SeqCst);
                Err(FetchError::Late)
            }
        }
        let counting = Arc::new(Counting::default());
        let fetcher = PerHost::new(counting.clone(), limits(0, 1, 2));
        for path in ["a", "b", "c", "d"] {
            let request = FetchRequest::get(format!("https://host.example/{path}"));
            let expected = if path < "c" {
                "address_timeout"
            } else {
                "address_busy"
            };
            let error = fetcher.fetch(request).await.unwrap_err();
            assert_eq!(haithe_kernel::Failure::code(&error), expected);
        }
        let other = fetcher.fetch(FetchRequest::get("https://other.example/")).await;
        assert!(matches!(other, Err(FetchError::Late)));
        assert_eq!(counting.0.load(Ordering::SeqCst), 3);
    }
}
