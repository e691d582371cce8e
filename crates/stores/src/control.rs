//! The database as operators see it: health, load and closing.

use async_trait::async_trait;
use haithe_kernel::StoreError;

/// How many reads ran since the database was opened, by who they were for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadCounts {
    /// Logins, paid calls, and every other request with a credential.
    pub core: u64,
    /// Requests without a credential.
    pub public: u64,
    /// Background tasks.
    pub background: u64,
}

/// The open database. All of its answers are about this process.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait DatabaseControl: Send + Sync {
    /// Whether this process can still write; `false` is final, and every decision about money is refused then.
    /// No I/O.
    fn is_healthy(&self) -> bool;
    /// How many writes wait for the database. No I/O.
    fn waiting_writes(&self) -> usize;
    /// How many reads ran on the connections of each group of stores. No I/O.
    fn reads(&self) -> ReadCounts;
    /// Finishes the writes that wait, closes all connections and lets another process open the database.
    /// Everything that is called afterwards fails.
    ///
    /// # Errors
    /// [`StoreError`] when the database could not be closed in good order.
    async fn close(&self) -> Result<(), StoreError>;
}
