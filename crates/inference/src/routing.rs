//! Retries, circuit breakers and fallbacks.
//!
//! [`RetryPolicy`] decides, before the first byte only, whether and when the same provider is asked
//! again. A [`Circuit`](circuit::Circuit) remembers a model's upstream faults per payer and keeps calls
//! away from it until it has recovered; faults of one payer keep only that payer away. [`Breaker`] is
//! one that many calls share. Both are rules without input or output; `completions::asking` follows
//! them along a model's chain of fallbacks.

pub mod breaker;
pub mod circuit;
pub mod retry;

pub use breaker::{Breaker, BreakerPermit};
pub use circuit::CircuitPolicy;
pub use retry::RetryPolicy;
