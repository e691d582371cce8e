//! Where a request comes from.

use crate::http::{edge::RequestId, serve::Peer};
use axum::extract::{FromRef, FromRequestParts};
use haithe_kernel::{ClientIp, ClientNetwork};
use http::{HeaderMap, header, request::Parts};
use ipnet::IpNet;
use std::{convert::Infallible, sync::Arc};

/// The proxies whose `X-Forwarded-For` is believed.
#[derive(Debug, Clone, Default)]
pub struct Proxies(pub Arc<[IpNet]>);

impl Proxies {
    /// Whether this is a trusted proxy.
    pub fn trusts(&self, ip: ClientIp) -> bool {
        self.0.iter().any(|network| network.contains(&ip.get()))
    }

    /// The client's address: the nearest hop that is not a trusted proxy. Hops may have ports.
    pub fn client(&self, peer: ClientIp, headers: &HeaderMap) -> ClientIp {
        let mut client = peer;
        let lines = headers.get_all("x-forwarded-for").iter().rev();
        let hops = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.rsplit(','));
        for hop in hops {
            if !self.trusts(client) {
                break;
            }
            let Ok(hop) = hop.trim().parse() else {
                break;
            };
            client = hop;
        }
        client
    }
}

/// Who asks, as far as the connection tells. Absent parts are unknown, not empty.
#[derive(Debug, Clone, Default)]
pub struct Client {
    /// Address, behind trusted proxies.
    pub ip: Option<ClientIp>,
    /// `User-Agent`.
    pub user_agent: Option<String>,
    /// `Origin`.
    pub origin: Option<String>,
    /// The request's name.
    pub request_id: Option<RequestId>,
}

impl Client {
    /// Who sent this request.
    pub fn of(parts: &Parts, proxies: &Proxies) -> Self {
        let text = |name| {
            let value = parts.headers.get(name)?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let peer = parts.extensions.get::<Peer>();
        Self {
            ip: peer.map(|peer| proxies.client(peer.ip(), &parts.headers)),
            user_agent: text(header::USER_AGENT),
            origin: text(header::ORIGIN),
            request_id: parts.extensions.get().cloned(),
        }
    }

    /// The network that stands for the client where clients are counted: an IPv4 address, or the /64
    /// network of an IPv6 address.
    pub fn network(&self) -> Option<ClientNetwork> {
        self.ip.map(ClientIp::network)
    }
}

impl<S> FromRequestParts<S> for Client
where
    S: Send + Sync,
    Proxies: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts, &Proxies::from_ref(state)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let proxies = Proxies(["10.0.0.0/8".parse().unwrap()].into());
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_str(line).unwrap());
        }
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn only_trusted_proxies_speak_for_their_clients() {
        assert_eq!(client("192.0.2.1", &["203.0.113.9"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(
            client("10.0.0.1", &["1.1.1.1, 203.0.113.9, 10.0.0.2"]),
            "203.0.113.9"
        );
        assert_eq!(client("10.0.0.1", &["1.1.1.1", "203.0.113.9"]), "203.0.113.9");
        assert_eq!(client("::ffff:10.0.0.1", &["2001:db8::1"]), "2001:db8::1");
        assert_eq!(client("10.0.0.1", &["nonsense"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["203.0.113.9:567"]), "203.0.113.9");
        assert_eq!(
            client("10.0.0.1", &["[2001:db8::1]:567, 10.0.0.2:80"]),
            "2001:db8::1"
        );
        assert_eq!(client("192.0.2.1", &["203.0.113.9:567"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }
}
