//! Knowledge: the child that reads, the index in memory, the client for pages, the embedder.

use super::{WiringError, catalogue::Offer};
use crate::{
    cli::READ_DOCUMENT,
    config,
    service::{WatchedEmbedder, metrics::Figures},
};
use haithe_documents::ChildDocuments;
use haithe_inference::catalogue::ProviderKind;
use haithe_kernel::{Clock, Fetcher};
use haithe_llm_providers::{EmbedderSettings, OpenAiEmbedder};
use haithe_marketplace::{
    Knowledge,
    knowledge::{ReadLimits, Tools},
    ports::Embedder,
};
use haithe_retrieval::FtsKnowledgeIndexer;
use std::{path::PathBuf, sync::Arc};

/// Why knowledge cannot be embedded as the settings say.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddingsError {
    /// No provider of this name.
    #[error("the catalogue has no provider {0:?}")]
    Unknown(String),
    /// It is switched off, or its key is missing.
    #[error("the provider {0:?} is not in use: it is not active, or its key is not in the environment")]
    Inactive(String),
    /// The provider in the process.
    #[error("the provider {0:?} makes no embeddings")]
    Sandbox(String),
}

/// The embedder that the settings name, if they name one.
pub(super) fn embedder(
    settings: &config::Embeddings,
    offer: &Offer,
) -> Result<Option<Arc<dyn Embedder>>, EmbeddingsError> {
    let name = settings.provider.as_str();
    if name.is_empty() {
        return Ok(None);
    }
    let known = offer.catalogue.provider(name);
    let known = known.ok_or_else(|| EmbeddingsError::Unknown(name.to_owned()))?;
    if known.kind == ProviderKind::Sandbox {
        return Err(EmbeddingsError::Sandbox(name.to_owned()));
    }
    let provider = offer.providers.get(name);
    let provider = provider.ok_or_else(|| EmbeddingsError::Inactive(name.to_owned()))?;
    let embedder = OpenAiEmbedder::new(
        Arc::clone(provider),
        EmbedderSettings {
            provider: name.to_owned(),
            model: settings.model.clone(),
            dimensions: Some(settings.dimensions).filter(|dimensions| *dimensions > 0),
            timeout: settings.timeout,
            text_bytes: settings.max_text_bytes,
        },
    );
    Ok(Some(Arc::new(embedder)))
}

/// The same, watched; the log says where contents go.
pub(super) fn watched_embedder(
    settings: &config::Embeddings,
    offer: &Offer,
    figures: &Arc<Figures>,
) -> Result<Option<Arc<dyn Embedder>>, EmbeddingsError> {
    let Some(embedder) = embedder(settings, offer)? else {
        return Ok(None);
    };
    tracing::info!(
        provider = settings.provider,
        model = settings.model,
        "contents of knowledge and questions go to this provider in the clear, for their vectors"
    );
    Ok(Some(Arc::new(WatchedEmbedder::new(embedder, figures.clone()))))
}

/// Knowledge to answer from. Without an embedder words alone decide.
pub(super) fn knowledge(
    fetcher: Arc<dyn Fetcher>,
    embedder: Option<Arc<dyn Embedder>>,
    program: Option<PathBuf>,
    clock: Arc<dyn Clock>,
) -> Result<Knowledge, WiringError> {
    let reader = [READ_DOCUMENT];
    let documents = match program {
        Some(program) => ChildDocuments::of_program(program, &reader),
        None => ChildDocuments::of_this_program(&reader)?,
    };
    let tools = Tools {
        documents: Arc::new(documents),
        indexer: Arc::new(FtsKnowledgeIndexer::new()),
        fetcher,
        embedder,
        clock,
    };
    Ok(Knowledge::new(tools, ReadLimits::default()))
}
