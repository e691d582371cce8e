//! A port to listen on.

use anyhow::Context;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// The wished port on loopback, or a free one when it is busy.
pub fn free(wished: u16) -> anyhow::Result<SocketAddr> {
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if TcpListener::bind(at(wished)).is_ok() {
        return Ok(at(wished));
    }
    let other = TcpListener::bind(at(0))
        .context("no port is free on 127.0.0.1")?
        .local_addr()?;
    println!("port {wished} is busy; taking {}", other.port());
    Ok(other)
}
