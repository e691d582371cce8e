//! Every end of a call, with a ledger in memory and a provider that does as it is told.

mod admission;
mod departures;
mod json;
mod payer_limits;
mod routes;
pub(crate) mod stage;
mod streams;
mod trouble;
