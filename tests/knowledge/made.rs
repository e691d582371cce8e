//! The reader under test, and documents made for it.

pub use haithe_tests::made::{page, pdf};

use haithe_documents::ChildDocuments;
use haithe_marketplace::{
    knowledge::{Chunk, Format, ReadLimits},
    ports::{Documents, ExtractError},
};
use std::time::Duration;

/// The reader, with the program that cargo has built as its child.
pub fn reader() -> ChildDocuments {
    ChildDocuments::of_program(env!("CARGO_BIN_EXE_haithe-under-test").into(), &["read-document"])
}

/// The usual limits, with time for a machine that is busy with other tests.
pub fn limits() -> ReadLimits {
    ReadLimits {
        within: Duration::from_secs(180),
        ..ReadLimits::default()
    }
}

/// Reads with these limits.
pub async fn read_within(
    format: Format,
    bytes: &[u8],
    limits: ReadLimits,
) -> Result<Vec<Chunk>, ExtractError> {
    reader().extract(format, bytes.into(), limits).await
}

/// Reads with the usual limits.
pub async fn read(format: Format, bytes: &[u8]) -> Result<Vec<Chunk>, ExtractError> {
    read_within(format, bytes, limits()).await
}
