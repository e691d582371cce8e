//! The words every part of Haithe shares, and nothing else.
//!
//! The kernel owns the vocabulary that crosses domain borders: [`WalletAddress`], money
//! ([`Usdt`], [`TokenUnits`], [`Decimals`]), public identifiers ([`OrgUid`], [`ProjectUid`]),
//! clients' addresses and networks ([`ClientIp`], [`ClientNetwork`]), time ([`Timestamp`], [`MonotonicTime`]), the kinds of failure ([`Kind`]) and the ports for time, chance and
//! background work ([`Clock`], [`Timer`], [`Random`], [`Tasks`]). It performs no input or output and must
//! never learn of HTTP, SQL, chains or a runtime. It should stay readable in ten minutes:
//! a type that only one domain uses belongs to that domain.

mod address;
mod client;
mod error;
mod fetch;
mod id;
mod money;
mod names;
mod page;
mod ports;
mod price;
mod time;

pub use address::{AddressError, WalletAddress};
pub use client::{ClientIp, ClientIpError, ClientNetwork, ClientSite};
pub use error::{Failure, Kind, StoreError};
pub use fetch::{FetchError, FetchMethod, FetchRequest, Fetched, Fetcher, Redirects};
pub use id::{CallId, ModelId, OrgId, OrgUid, ProductId, ProjectId, ProjectUid, UidError};
pub use money::{Decimals, MoneyError, TokenUnits, Usdt};
pub use names::{NameProblem, name_key, name_problem};
pub use page::{Listed, Page, PageError};
pub use ports::{Clock, FixedClock, Random, Tasks, Timer};
pub use price::{AnnouncedPrice, PriceSchedule};
pub use time::{MonotonicTime, Timestamp, TimestampError};

#[cfg(any(test, feature = "mocks"))]
pub use fetch::MockFetcher;
#[cfg(any(test, feature = "mocks"))]
pub use ports::{MockClock, MockRandom};
