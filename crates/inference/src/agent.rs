//! The agent: a call of a project that brings something along.
//!
//! A project with products, web search or memory answers in a loop that the server runs: what its
//! [gears](Gear) bring is put before the model ([`compose`]), the tools among it are run here
//! ([`tools`]) and their answers given back, step by step, until the model answers the caller or
//! asks for one of the caller's own tools. Every other project takes the pass-through path and pays
//! nothing for this one.
//!
//! | in a turn of the model | then |
//! |--|--|
//! | text only | it is the answer |
//! | calls of the service's tools | they run side by side, and the model is asked again |
//! | calls of the caller's tools | they are the answer; the service's tools of the same turn do not run |
//!
//! A loop is one call: one hold up to its cost limit, one charge for all its steps, one receipt.
//! Limits on steps, time and cost end it with an answer that says so (`haithe.stopped`).

mod compose;
mod gear;
mod memory;
mod output;
mod preparation;
mod products;
mod run;
mod search;
mod speech;
mod tools;
mod turn;

pub use gear::{
    Equipment, Exchange, Gear, GearError, History, ProductFee, Room, ServerTool, Source, ToolDefinition,
    ToolOutcome, Wish,
};
#[cfg(any(test, feature = "mocks"))]
pub use gear::{MockGear, MockServerTool};
pub use memory::Memory;
pub use preparation::Preparation;
pub(crate) use preparation::Preparations;
#[cfg(any(test, feature = "mocks"))]
pub use products::MockProductLoader;
pub use products::{
    OfferError, OpenError, ProductCheck, ProductChecks, ProductLoader, ProductOpener, ProductPorts, Products,
};
#[cfg(any(test, feature = "mocks"))]
pub use search::MockWebSearch;
pub use search::{Search, SearchError, SearchHit, WebSearch};

use haithe_kernel::Usdt;
use std::time::Duration;

/// Where a loop ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentLimits {
    /// Turns of the model, 1 or more. The last one may call no tool.
    pub steps: u32,
    /// For all steps and tools together.
    pub time: Duration,
    /// For one call of a tool.
    pub tool_time: Duration,
    /// What the model may cost in one call, beside prices per call of products and projects.
    pub cost: Usdt,
    /// Tool calls run in one turn; the model is told that others were left out.
    pub calls_per_turn: usize,
    /// Bytes of one tool's answer that the model is shown.
    pub tool_bytes: usize,
    /// Payees of one call: the platform, the project's owner and creators. A call with more cannot be
    /// settled and is refused before anything is set aside.
    pub payees: usize,
}

impl Default for AgentLimits {
    fn default() -> Self {
        Self {
            steps: 8,
            time: Duration::from_secs(120),
            tool_time: Duration::from_secs(20),
            cost: Usdt::from_nano(1_000_000_000),
            calls_per_turn: 8,
            tool_bytes: 32 * 1024,
            payees: 50,
        }
    }
}

/// Why a loop ended before the model did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopped {
    Steps,
    Time,
    Cost,
}

impl Stopped {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Steps => "step_limit",
            Self::Time => "time_limit",
            Self::Cost => "cost_limit",
        }
    }
}

#[cfg(test)]
mod tests;
