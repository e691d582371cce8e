//! Who calls: challenges, sessions and API keys.

mod api_keys;
mod challenges;
mod sessions;

pub use api_keys::SqliteApiKeyStore;
pub use challenges::SqliteChallengeStore;
pub use sessions::SqliteSessionStore;
