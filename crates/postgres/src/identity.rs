//! Who calls: sessions, challenges, API keys; and who waits for an invitation.

mod api_keys;
mod challenges;
mod idempotency;
mod sessions;
mod waitlist;

pub use api_keys::PgApiKeyStore;
pub use challenges::PgChallengeStore;
pub use idempotency::PgIdempotencyStore;
pub use sessions::PgSessionStore;
pub use waitlist::PgWaitlist;
