//! An address that a user wrote, read strictly.

use crate::ranges::is_public;
use std::net::IpAddr;
use url::Url;

/// Longest address that is read, in bytes.
const LONGEST: usize = 4096;

/// Last labels of names that mean something inside a network, or nothing at all (RFC 6761, RFC 8375).
const INNER: &[&str] = &[
    "localhost",
    "local",
    "localdomain",
    "internal",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
    "arpa",
    "onion",
    "invalid",
    "test",
    "alt",
];

/// Why an address is refused. For the log: strangers read one text for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not an address, or longer than is read.
    #[error("malformed address")]
    Malformed,
    /// Neither `http` nor `https`, or a redirect from `https` down to `http`.
    #[error("scheme not allowed")]
    Scheme,
    /// A user name or password stands in it.
    #[error("user name in the address")]
    UserInfo,
    /// A port that is not allowed.
    #[error("port not allowed")]
    Port,
    /// A name that can only mean something inside a network.
    #[error("name not public")]
    Name,
    /// An address, written out or resolved, outside the public Internet.
    #[error("range not public")]
    Range,
}

/// Whom an address names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// An address in any notation.
    Ip(IpAddr),
    /// A name in ASCII, lower case.
    Name(String),
}

/// An address whose scheme, port and host may be called. Names still have to be resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    url: Url,
    host: Host,
    port: u16,
}

impl Address {
    /// Reads `text`; `port` says which ports may be called.
    ///
    /// The WHATWG parser turns every notation of IPv4 (decimal, octal, hex, short, full-width digits,
    /// trailing dot) into the number that would be called, so literals need one check only.
    pub fn parse(text: &str, port: impl Fn(u16) -> bool) -> Result<Self, Refusal> {
        let odd = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
        if text.len() > LONGEST || text.contains(odd) {
            return Err(Refusal::Malformed);
        }
        if authority(text).contains('@') {
            return Err(Refusal::UserInfo);
        }
        let mut url = Url::parse(text).map_err(|_| Refusal::Malformed)?;
        url.set_fragment(None);
        Self::of(url, port)
    }

    /// Where this address redirects to, checked like an address of the user's own.
    pub fn join(&self, location: &str, port: impl Fn(u16) -> bool) -> Result<Self, Refusal> {
        if let Ok(absolute) = Url::parse(location) {
            let next = Self::parse(location, port)?;
            // An absolute address keeps nothing of this one.
            return self.not_downgraded(next, &absolute);
        }
        let odd = |c: char| c.is_control() || c == '\\';
        if location.len() > LONGEST || location.contains(odd) {
            return Err(Refusal::Malformed);
        }
        if location.starts_with("//") && authority(&format!("x:{location}")).contains('@') {
            return Err(Refusal::UserInfo);
        }
        let mut url = self.url.join(location).map_err(|_| Refusal::Malformed)?;
        url.set_fragment(None);
        Self::of(url, port)
    }

    fn not_downgraded(&self, next: Self, url: &Url) -> Result<Self, Refusal> {
        if self.url.scheme() == "https" && url.scheme() != "https" {
            return Err(Refusal::Scheme);
        }
        Ok(next)
    }

    fn of(url: Url, allowed: impl Fn(u16) -> bool) -> Result<Self, Refusal> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refusal::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::UserInfo);
        }
        let host = match url.host().ok_or(Refusal::Malformed)? {
            url::Host::Ipv4(ip) => Host::Ip(ip.into()),
            url::Host::Ipv6(ip) => Host::Ip(ip.into()),
            url::Host::Domain(name) => Host::Name(public_name(name)?),
        };
        if matches!(host, Host::Ip(ip) if !is_public(ip)) {
            return Err(Refusal::Range);
        }
        let port = url.port_or_known_default().ok_or(Refusal::Port)?;
        if !allowed(port) {
            return Err(Refusal::Port);
        }
        Ok(Self { url, host, port })
    }

    /// The address as it is called.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Whom it names.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port, also where the text left it out.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Same scheme, host and port: what may read the other's credentials.
    pub fn same_origin(&self, other: &Self) -> bool {
        self.url.origin() == other.url.origin()
    }
}

/// What stands between the scheme and the path, as written.
fn authority(text: &str) -> &str {
    let rest = text.split_once(':').map_or("", |(_, rest)| rest);
    let rest = rest.trim_start_matches('/');
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

fn public_name(name: &str) -> Result<String, Refusal> {
    let bare = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let good_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let last = match bare.rsplit_once('.') {
        Some((_, last)) => last,
        // One label alone is looked up in the machine's own search list.
        None => return Err(Refusal::Name),
    };
    if bare.len() > 253 || !bare.split('.').all(good_label) || INNER.contains(&last) {
        return Err(Refusal::Name);
    }
    Ok(bare)
}
