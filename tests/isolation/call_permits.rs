//! Concurrency limits count calls, not open connections.
