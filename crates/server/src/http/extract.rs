//! What handlers ask of a request. Every refusal is an [`ApiError`](super::ApiError).

mod acting;
mod auth;
mod caller;
mod client;
mod input;
mod paging;
mod path;

pub use acting::Acting;
pub use auth::{AuthUser, bearer};
pub use caller::{ApiCaller, HAITHE_MAX_COST, claim_of, max_cost_of, principal};
pub use client::{Client, Proxies};
pub use input::{Change, Ignored, Input, Origin, Parsed, Private, UnknownName, twice};
pub use paging::{PageQuery, Paging};
pub use path::{Segment, Segments};
