//! Knowledge: the child that reads, the index in memory, the client for pages.

use super::WiringError;
use crate::cli::READ_DOCUMENT;
use haithe_documents::ChildDocuments;
use haithe_kernel::Fetcher;
use haithe_marketplace::{
    Knowledge,
    knowledge::{ReadLimits, Tools},
};
use haithe_sqlite::SqliteKnowledgeIndexer;
use std::sync::Arc;

/// Knowledge to answer from. Words alone decide: no embedder is configured yet.
pub(super) fn knowledge(fetcher: Arc<dyn Fetcher>) -> Result<Knowledge, WiringError> {
    let tools = Tools {
        documents: Arc::new(ChildDocuments::of_this_program(&[READ_DOCUMENT])?),
        indexer: Arc::new(SqliteKnowledgeIndexer),
        fetcher,
        embedder: None,
    };
    Ok(Knowledge::new(tools, ReadLimits::default()))
}
