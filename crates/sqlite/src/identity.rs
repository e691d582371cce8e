//! Who calls: challenges, sessions and API keys; and what a caller has asked before.

mod api_keys;
mod challenges;
mod idempotency;
mod sessions;
mod waitlist;

pub use api_keys::SqliteApiKeyStore;
pub use challenges::SqliteChallengeStore;
pub use idempotency::SqliteIdempotencyStore;
pub use sessions::SqliteSessionStore;
pub use waitlist::SqliteWaitlist;
