//! Who calls: challenges, sessions and API keys.

mod api_keys;
mod challenges;
mod sessions;
mod waitlist;

pub use api_keys::SqliteApiKeyStore;
pub use challenges::SqliteChallengeStore;
pub use sessions::SqliteSessionStore;
pub use waitlist::SqliteWaitlist;
