//! The lookup of names, checked where the connection is made.

use crate::{address::Refusal, hosts::Hosts, ranges::is_public};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// Looks names up. A port of this crate, so that tests bring names of their own.
#[async_trait::async_trait]
pub trait Resolver: Send + Sync {
    /// Every address of `name`.
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The operating system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

#[async_trait::async_trait]
impl Resolver for SystemResolver {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        // A trailing dot keeps the machine's search list out of it.
        let absolute = format!("{}.", name.trim_end_matches('.'));
        let found = tokio::net::lookup_host((absolute.as_str(), 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

/// Resolves once, and answers only if every address passes.
#[derive(Clone)]
pub(crate) struct Guard {
    resolver: Arc<dyn Resolver>,
    /// Addresses that pass although they are not public; empty outside tests.
    excepted: Arc<[IpAddr]>,
    /// Requests per address, whatever names lead to it.
    addresses: Arc<Hosts>,
}

impl Guard {
    pub(crate) fn new(resolver: Arc<dyn Resolver>, excepted: Vec<IpAddr>, addresses: Arc<Hosts>) -> Self {
        Self {
            resolver,
            excepted: excepted.into(),
            addresses,
        }
    }

    pub(crate) fn passes(&self, address: IpAddr) -> bool {
        is_public(address) || self.excepted.contains(&address)
    }

    /// The addresses of `name`, all of which pass.
    pub(crate) async fn lookup(
        &self,
        name: &str,
    ) -> Result<Vec<IpAddr>, Box<dyn std::error::Error + Send + Sync>> {
        let found = self.resolver.lookup(name).await?;
        if found.is_empty() {
            return Err(Box::new(io::Error::other("the name has no address")));
        }
        if !found.iter().all(|address| self.passes(*address)) {
            return Err(Box::new(Refusal::Range));
        }
        Ok(found)
    }
}

impl Resolve for Guard {
    /// What it answers is what the client connects to: nothing looks the name up again.
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = guard.lookup(name.as_str()).await?;
            // The order of the answers may change, the lowest of them does not.
            if let Some(lowest) = found.iter().min() {
                guard.addresses.turn(&lowest.to_string()).await?;
            }
            let pinned: Vec<SocketAddr> = found.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect();
            Ok(Box::new(pinned.into_iter()) as Addrs)
        })
    }
}
