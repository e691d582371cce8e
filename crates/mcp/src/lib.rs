//! Servers that speak the Model Context Protocol, through the service's own client for addresses that
//! users name.
//!
//! The protocol is `rmcp`'s: requests, their numbers, pages, versions. What is sent and read goes
//! through the port `Fetcher` alone ([`transport`]), so its rules hold here as well: which addresses
//! are called, where a creator's headers go, how much is read and for how long. Nothing else of the
//! library reaches the network: its own clients are not compiled in.

mod error;
mod listing;
mod servers;
mod session;
#[cfg(test)]
mod tests;
mod transport;

pub use servers::McpServers;
