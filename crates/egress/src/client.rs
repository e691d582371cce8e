//! The client: one connection per request, redirects by hand, everything capped.

use crate::{
    address::{Address, Host, Refusal},
    guard::{Guard, Resolver, SystemResolver},
    headers::{checked, for_strangers},
    hosts::{Crowded, HostLimits, Hosts},
};
use haithe_kernel::{FetchError, FetchMethod, FetchRequest, Fetched, Fetcher, Redirects};
use reqwest::{Client, Method, StatusCode, header, redirect};
use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

/// Redirects that are followed, where a request follows any.
const MOST_HOPS: usize = 5;
/// Most headers of an answer, and most bytes of all of them.
const MOST_HEADERS: usize = 100;
const MOST_HEADER_BYTES: usize = 32 << 10;
/// Longest time for any request, whatever it asks for.
const LONGEST: Duration = Duration::from_secs(60);
/// Longest time to connect, TLS included.
const CONNECT: Duration = Duration::from_secs(5);

/// Which ports may be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Ports of public addresses.
    pub ports: BTreeSet<u16>,
    /// The most that each host is sent, over all organizations. An address that several names share gets
    /// four times as many requests per minute.
    pub per_host: HostLimits,
}

impl Default for Policy {
    /// 80, 443, 8080 and 8443.
    fn default() -> Self {
        Self {
            ports: BTreeSet::from([80, 443, 8080, 8443]),
            per_host: HostLimits::default(),
        }
    }
}

/// The client could not be built: the system's certificates are unreadable.
#[derive(Debug, thiserror::Error)]
#[error("the client for outside addresses cannot be built")]
pub struct SetupError(#[from] reqwest::Error);

/// Calls addresses that users name.
pub struct Egress {
    policy: Policy,
    hosts: Hosts,
    public: Gate,
    /// By port; empty outside tests.
    excepted: BTreeMap<u16, Gate>,
}

/// A client and the guard inside it.
struct Gate {
    client: Client,
    guard: Guard,
}

impl Gate {
    fn new(
        resolver: Arc<dyn Resolver>,
        excepted: Vec<IpAddr>,
        addresses: Arc<Hosts>,
    ) -> Result<Self, SetupError> {
        let guard = Guard::new(resolver, excepted, addresses);
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .dns_resolver(guard.clone())
            .pool_max_idle_per_host(0)
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .http1_max_headers(MOST_HEADERS)
            .http2_max_header_list_size(u32::try_from(MOST_HEADER_BYTES).unwrap_or(u32::MAX))
            .user_agent("haithe")
            .build()?;
        Ok(Self { client, guard })
    }
}

impl Egress {
    /// The client of a server: the system's resolver, public addresses only.
    pub fn new(policy: Policy) -> Result<Self, SetupError> {
        Self::with(policy, Arc::new(SystemResolver), &[])
    }

    /// For tests: names come from `resolver`, and exactly the sockets in `excepted` may be called
    /// although they are not public, by name only. Every other rule holds as in [`Egress::new`].
    pub fn for_tests(
        policy: Policy,
        resolver: Arc<dyn Resolver>,
        excepted: &[SocketAddr],
    ) -> Result<Self, SetupError> {
        Self::with(policy, resolver, excepted)
    }

    fn with(
        policy: Policy,
        resolver: Arc<dyn Resolver>,
        excepted: &[SocketAddr],
    ) -> Result<Self, SetupError> {
        let mut by_port: BTreeMap<u16, Vec<IpAddr>> = BTreeMap::new();
        for socket in excepted {
            by_port.entry(socket.port()).or_default().push(socket.ip());
        }
        let shared = Arc::new(Hosts::new(HostLimits {
            concurrent: 0,
            per_minute: policy.per_host.per_minute.saturating_mul(4),
            burst: policy.per_host.burst.saturating_mul(4),
        }));
        let gates = by_port.into_iter().map(|(port, addresses)| {
            let gate = Gate::new(Arc::clone(&resolver), addresses, Arc::clone(&shared));
            Ok((port, gate?))
        });
        Ok(Self {
            hosts: Hosts::new(policy.per_host),
            policy,
            excepted: gates.collect::<Result<_, SetupError>>()?,
            public: Gate::new(resolver, Vec::new(), shared)?,
        })
    }

    fn allows(&self, port: u16) -> bool {
        self.policy.ports.contains(&port) || self.excepted.contains_key(&port)
    }

    fn gate(&self, port: u16) -> &Gate {
        self.excepted.get(&port).unwrap_or(&self.public)
    }

    /// Whether `url` could be called now, without calling it: read, and its name resolved.
    ///
    /// For refusing early what somebody publishes; [`Fetcher::fetch`] checks again.
    pub async fn vet(&self, url: &str) -> Result<Vec<SocketAddr>, FetchError> {
        let address = self.read(url)?;
        let found = match address.host() {
            Host::Ip(ip) => vec![*ip],
            Host::Name(name) => {
                let lookup = self.gate(address.port()).guard.lookup(name);
                match tokio::time::timeout(CONNECT, lookup).await {
                    Ok(found) => found.map_err(failed)?,
                    Err(_) => return Err(FetchError::Late),
                }
            }
        };
        Ok(found
            .into_iter()
            .map(|ip| SocketAddr::new(ip, address.port()))
            .collect())
    }

    fn read(&self, url: &str) -> Result<Address, FetchError> {
        Address::parse(url, |port| self.allows(port)).map_err(refused)
    }

    async fn walk(&self, request: FetchRequest) -> Result<Fetched, FetchError> {
        let mut address = self.read(&request.url)?;
        let mut headers = checked(&request.headers)?;
        let mut method = method(request.method);
        let mut body = request.body;
        for _ in 0..=MOST_HOPS {
            let gate = self.gate(address.port());
            let host = match address.host() {
                Host::Ip(ip) => ip.to_string(),
                Host::Name(name) => name.clone(),
            };
            let _turn = self.hosts.turn(&host).await.map_err(|_| FetchError::Busy)?;
            let mut sending = gate
                .client
                .request(method.clone(), address.url().clone())
                .headers(headers.clone());
            if !body.is_empty() {
                sending = sending.body(body.clone());
            }
            let answer = sending.send().await.map_err(|error| failed(Box::new(error)))?;
            // Belt and braces: the guard has seen this address already.
            if answer
                .remote_addr()
                .is_none_or(|peer| !gate.guard.passes(peer.ip()))
            {
                return Err(refused(Refusal::Range));
            }
            capped(answer.headers())?;
            let Some(location) = location(&answer)? else {
                return read(answer, &address, request.most_bytes).await;
            };
            if request.redirects == Redirects::Refused {
                return Err(FetchError::Redirect);
            }
            let next = address
                .join(&location, |port| self.allows(port))
                .map_err(refused)?;
            let status = answer.status();
            if status == StatusCode::SEE_OTHER || (status.as_u16() < 303 && method == Method::POST) {
                if method != Method::HEAD {
                    method = Method::GET;
                }
                body = Vec::new();
                headers.remove(header::CONTENT_TYPE);
            }
            if !next.same_origin(&address) {
                if !body.is_empty() {
                    return Err(FetchError::Redirect);
                }
                headers = for_strangers(&headers);
            }
            address = next;
        }
        Err(FetchError::Redirect)
    }
}

#[async_trait::async_trait]
impl Fetcher for Egress {
    fn refuses(&self, url: &str) -> bool {
        self.read(url).is_err()
    }

    async fn fetch(&self, request: FetchRequest) -> Result<Fetched, FetchError> {
        let within = request.within.min(LONGEST);
        tokio::time::timeout(within, self.walk(request))
            .await
            .unwrap_or(Err(FetchError::Late))
    }
}

fn method(method: FetchMethod) -> Method {
    match method {
        FetchMethod::Get => Method::GET,
        FetchMethod::Head => Method::HEAD,
        FetchMethod::Post => Method::POST,
        FetchMethod::Put => Method::PUT,
        FetchMethod::Patch => Method::PATCH,
        FetchMethod::Delete => Method::DELETE,
    }
}

fn refused(refusal: Refusal) -> FetchError {
    FetchError::Refused(Box::new(refusal))
}

/// The guard's refusal comes back wrapped in the library's errors.
fn failed(error: Box<dyn Error + Send + Sync>) -> FetchError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error.as_ref());
    while let Some(inner) = cause {
        if let Some(refusal) = inner.downcast_ref::<Refusal>() {
            return refused(*refusal);
        }
        if inner.is::<Crowded>() {
            return FetchError::Busy;
        }
        cause = inner.source();
    }
    match error.downcast::<reqwest::Error>() {
        Ok(error) if error.is_timeout() => FetchError::Late,
        // The address may hold a credential in its query.
        Ok(error) => FetchError::Unreachable(Box::new(error.without_url())),
        Err(error) => FetchError::Unreachable(error),
    }
}

fn capped(headers: &header::HeaderMap) -> Result<(), FetchError> {
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if bytes > MOST_HEADER_BYTES {
        return Err(FetchError::TooLarge);
    }
    Ok(())
}

fn location(answer: &reqwest::Response) -> Result<Option<String>, FetchError> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    match answer.headers().get(header::LOCATION) {
        None => Ok(None),
        Some(value) => value
            .to_str()
            .map(|text| Some(text.to_owned()))
            .map_err(|_| FetchError::Redirect),
    }
}

async fn read(mut answer: reqwest::Response, address: &Address, most: usize) -> Result<Fetched, FetchError> {
    let announced = answer.content_length().unwrap_or(0);
    if announced > u64::try_from(most).unwrap_or(u64::MAX) {
        return Err(FetchError::TooLarge);
    }
    let status = answer.status().as_u16();
    let headers = answer
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect();
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| failed(Box::new(error)))? {
        if body.len() + chunk.len() > most {
            return Err(FetchError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Fetched {
        status,
        headers,
        body,
        url: address.url().to_string(),
    })
}
