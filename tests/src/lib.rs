//! Fixtures for the suites of this crate: everything around the service that a test needs.
//!
//! [`upstream`] is a model provider that obeys the test, [`agent`] an attestation agent, [`chain`] a node with the contracts
//! on it, [`wallets`] are people with keys. [`app`] puts the service in the middle, [`program`] does so in a process that
//! can be killed, and [`client`] speaks to it. [`postgres`] makes databases on a PostgreSQL server. [`sealed`] and [`made`] are what creators make, [`site`] and
//! [`tool_server`] what they run, [`recorder`] what their tools call, or nobody should. The suites are the test targets of this package, one binary per area, so that a suite
//! links once.

pub mod agent;
pub mod app;
pub mod chain;
pub mod client;
pub mod logs;
pub mod made;
pub mod packages;
pub mod postgres;
pub mod program;
pub mod receiver;
pub mod recorder;
pub mod sealed;
pub mod selling;
pub mod signing;
pub mod site;
pub mod tokens;
pub mod tool_server;
pub mod upstream;
pub mod wallets;

use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a test waits for something that must happen.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Asks until there is an answer. Panics, naming what was waited for, after [`DEADLINE`].
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// The folder of this package, from cargo as it runs a test. What it said when it built the test is another
/// checkout's folder for those who share a target folder.
///
/// # Panics
/// When cargo does not run it.
pub fn here() -> std::path::PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR")
        .expect("cargo runs this")
        .into()
}
