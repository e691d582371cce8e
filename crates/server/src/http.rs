//! What every route shares: the connection, the edge, errors in two dialects, extractors.
//!
//! A request passes [`serve`] (sockets and their limits), [`edge`] (request id, log line, rendering
//! of failures in the path's dialect), the router, and [`idempotency`] if it names itself. Handlers parse with [`extract`], call one use
//! case, and answer with [`Success`] or an [`ApiError`].

pub mod amount;
pub mod body;
pub mod connections;
pub mod cors;
pub mod dialect;
pub mod edge;
pub mod envelope;
pub mod error;
pub mod extract;
pub mod idempotency;
pub mod known_names;
pub mod limits;
pub mod public_reads;
pub mod security;
pub mod serve;
pub mod stall;
pub mod wire;

pub use envelope::{Answer, Success};
pub use error::ApiError;
