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
use std::{path::PathBuf, sync::Arc};

/// Knowledge to answer from. Words alone decide: no embedder is configured yet.
pub(super) fn knowledge(
    fetcher: Arc<dyn Fetcher>,
    program: Option<PathBuf>,
) -> Result<Knowledge, WiringError> {
    let reader = [READ_DOCUMENT];
    let documents = match program {
        Some(program) => ChildDocuments::of_program(program, &reader),
        None => ChildDocuments::of_this_program(&reader)?,
    };
    let tools = Tools {
        documents: Arc::new(documents),
        indexer: Arc::new(SqliteKnowledgeIndexer),
        fetcher,
        embedder: None,
    };
    Ok(Knowledge::new(tools, ReadLimits::default()))
}
