//! Where a request comes from: the client's address, and the network that stands for the client.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

/// Bits of an IPv6 address that one customer is given at least (RFC 6177): the network of one client.
const IPV6_CLIENT_BITS: u32 = 64;
/// Bits that a site's IPv6 allocation has at most (RFC 6177).
const IPV6_SITE_BITS: u32 = 48;
/// Bits of the smallest IPv4 block that is announced on its own (BGP practice, RFC 7454).
const IPV4_SITE_BITS: u32 = 24;

/// The address of a client. An IPv4 address that was written as IPv6 (`::ffff:192.0.2.1`) is the IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientIp(IpAddr);

impl ClientIp {
    /// Normalizes an address.
    pub const fn new(ip: IpAddr) -> Self {
        Self(ip.to_canonical())
    }

    /// The normalized address.
    pub const fn get(self) -> IpAddr {
        self.0
    }

    /// The network that stands for the client.
    pub const fn network(self) -> ClientNetwork {
        ClientNetwork(match self.0 {
            IpAddr::V4(ip) => IpAddr::V4(ip),
            IpAddr::V6(ip) => IpAddr::V6(first_bits_v6(ip, IPV6_CLIENT_BITS)),
        })
    }
}

impl From<IpAddr> for ClientIp {
    fn from(ip: IpAddr) -> Self {
        Self::new(ip)
    }
}

impl fmt::Display for ClientIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The text is not the address of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an IP address, such as 192.0.2.1 or 2001:db8::1")]
pub struct ClientIpError;

impl FromStr for ClientIp {
    type Err = ClientIpError;

    /// Reads an address, also with a port: `192.0.2.1`, `192.0.2.1:443`, `2001:db8::1`, `[2001:db8::1]` and
    /// `[2001:db8::1]:443`. The port is dropped.
    fn from_str(text: &str) -> Result<Self, ClientIpError> {
        let bare = || text.parse::<IpAddr>().ok();
        let with_port = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
        let bracketed = || {
            let inner = text.strip_prefix('[')?.strip_suffix(']')?;
            inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
        };
        bare()
            .or_else(with_port)
            .or_else(bracketed)
            .map(Self::new)
            .ok_or(ClientIpError)
    }
}

/// The network that stands for one client wherever clients are counted: an IPv4 address, or the /64
/// network of an IPv6 address, whose 2^64 addresses one customer holds.
///
/// Rate limits, connection limits, login challenges, sessions and the audit log all use this type, so that
/// a client is the same client everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientNetwork(IpAddr);

impl ClientNetwork {
    /// The block that the network was probably assigned from: the /24 of an IPv4 address, the /48 of an
    /// IPv6 network. One customer may hold all of it, or share it with others, so nothing is refused by
    /// it; it only decides who gives way first.
    pub const fn site(self) -> ClientSite {
        ClientSite(match self.0 {
            IpAddr::V4(ip) => IpAddr::V4(first_bits_v4(ip, IPV4_SITE_BITS)),
            IpAddr::V6(ip) => IpAddr::V6(first_bits_v6(ip, IPV6_SITE_BITS)),
        })
    }
}

/// `192.0.2.1` or `2001:db8:1:2::/64`.
impl fmt::Display for ClientNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(ip) => ip.fmt(f),
            IpAddr::V6(ip) => write!(f, "{ip}/{IPV6_CLIENT_BITS}"),
        }
    }
}

impl FromStr for ClientNetwork {
    type Err = ClientIpError;

    /// Reads what `Display` writes.
    fn from_str(text: &str) -> Result<Self, ClientIpError> {
        let address = text.strip_suffix("/64").unwrap_or(text);
        let network = ClientIp::new(address.parse().map_err(|_| ClientIpError)?).network();
        if network.to_string() == text {
            Ok(network)
        } else {
            Err(ClientIpError)
        }
    }
}

/// See [`ClientNetwork::site`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientSite(IpAddr);

/// `192.0.2.0/24` or `2001:db8:1::/48`.
impl fmt::Display for ClientSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = match self.0 {
            IpAddr::V4(_) => IPV4_SITE_BITS,
            IpAddr::V6(_) => IPV6_SITE_BITS,
        };
        write!(f, "{}/{bits}", self.0)
    }
}

const fn first_bits_v4(ip: Ipv4Addr, bits: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(ip.to_bits() & (u32::MAX << (32 - bits)))
}

const fn first_bits_v6(ip: Ipv6Addr, bits: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << (128 - bits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> ClientNetwork {
        text.parse::<ClientIp>().unwrap().network()
    }

    #[test]
    fn an_ipv6_client_is_its_64_bit_network() {
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("2001:db8:1:2:3::4").to_string(), "2001:db8:1:2::/64");
        assert_eq!(network("2001:db8:1:2:3::4").site().to_string(), "2001:db8:1::/48");
    }

    #[test]
    fn an_ipv4_client_is_its_address_however_it_is_written() {
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("192.0.2.1").to_string(), "192.0.2.1");
        assert_eq!(network("192.0.2.1").site().to_string(), "192.0.2.0/24");
        assert_eq!(
            ClientIp::new("::ffff:192.0.2.1".parse().unwrap()).to_string(),
            "192.0.2.1"
        );
    }

    #[test]
    fn ports_are_dropped_and_everything_else_is_refused() {
        for (text, read) in [
            ("1.2.3.4", "1.2.3.4"),
            ("1.2.3.4:567", "1.2.3.4"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:567", "2001:db8::1"),
            ("[::ffff:1.2.3.4]:567", "1.2.3.4"),
        ] {
            assert_eq!(text.parse::<ClientIp>().unwrap().to_string(), read, "{text}");
        }
        for text in [
            "",
            "unknown",
            "1.2.3",
            "1.2.3.4:",
            "1.2.3.4:70000",
            "[1.2.3.4]:1",
            "[2001:db8::1",
            "[2001:db8::1]567",
            "1.2.3.4:5:6",
            "example.com:80",
        ] {
            assert_eq!(text.parse::<ClientIp>(), Err(ClientIpError), "{text}");
        }
    }

    #[test]
    fn a_network_reads_what_it_writes_and_nothing_else() {
        for text in ["192.0.2.1", "2001:db8:1:2::/64", "::/64"] {
            assert_eq!(text.parse::<ClientNetwork>().unwrap().to_string(), text);
        }
        for text in [
            "2001:db8::1/64",
            "2001:db8::",
            "192.0.2.1/64",
            "::ffff:192.0.2.1",
            "2001:db8::/48",
            "",
        ] {
            assert_eq!(text.parse::<ClientNetwork>(), Err(ClientIpError), "{text}");
        }
    }
}
