//! How a call finds somebody who answers: what is tried again, and who is left alone for a while.
//!
//! [`RetryPolicy`] decides, before the first byte only, whether and when the same provider is asked
//! again. A [`Circuit`](circuit::Circuit) remembers a model's upstream faults and keeps calls away
//! from it until it has recovered; [`Breaker`] is one that many calls share. Both are rules without
//! input or output; `completions::asking` follows them along a model's chain of fallbacks.

pub mod breaker;
pub mod circuit;
pub mod retry;

pub use breaker::{Breaker, Pass};
pub use circuit::CircuitPolicy;
pub use retry::RetryPolicy;
