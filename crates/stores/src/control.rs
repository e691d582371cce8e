//! The database as operators see it: health, load, what needs their attention, and closing.

use async_trait::async_trait;
use haithe_billing::chain::AlarmKind;
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

/// Alarms of one kind that the chain's index stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlarmCount {
    /// What they are about.
    pub kind: AlarmKind,
    /// How many there are; at least 1.
    pub count: u64,
    /// The block of the newest.
    pub last_block: u64,
}

/// The beginnings of some encrypted values of one kind, from which the key that encrypted them is recognized.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSample {
    /// The kind of value, in words for operators, such as `bot tokens`.
    pub what: &'static str,
    /// The first 16 bytes of each of at most 16 stored values; empty when none is stored.
    pub heads: Vec<Vec<u8>>,
}

/// The open database. Its health and its load are about this process.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait DatabaseControl: Send + Sync {
    /// Whether this process can still write; `false` is final, and every decision about money is refused then.
    /// No I/O.
    fn is_healthy(&self) -> bool;
    /// Whether the last write that this process tried could reach the disk; writes that the database refused
    /// because of their data do not count. `false` while the disk is full or another process locks the database,
    /// and after [`is_healthy`](Self::is_healthy) became `false`. A write that succeeds makes it `true` again.
    /// No I/O.
    fn is_writable(&self) -> bool;
    /// Writes and commits a small transaction that changes no data, like every other write: with the same queue,
    /// connection and durability. Its outcome counts for [`is_writable`](Self::is_writable). Takes as long as a
    /// write may wait for a lock (5 s on SQLite) and for the writes before it: call it in the background, with a
    /// timeout.
    ///
    /// # Errors
    /// [`StoreError`] when the transaction could not be committed.
    async fn probe_write(&self) -> Result<(), StoreError>;
    /// Alarms of the chain's index in blocks from `from_block` on, by kind, in the order of the kinds' names.
    /// Reads as a background task.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be read.
    async fn alarms(&self, from_block: u64) -> Result<Vec<AlarmCount>, StoreError>;
    /// Samples of every kind of encrypted value that is stored. May scan tables: for the start, and while the
    /// encryption key does not fit. Reads as a background task.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be read.
    async fn sealed_samples(&self) -> Result<Vec<SealedSample>, StoreError>;
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
