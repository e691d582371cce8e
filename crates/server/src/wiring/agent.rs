//! What calls of projects can bring along.

use super::{Base, WiringError, knowledge::knowledge};
use crate::{Config, config::SearchEngineName};
use haithe_egress::{HostLimits, PerHost, SearchDialect, SearchEngine, SearchSettings};
use haithe_inference::agent::{Gear, Memory, ProductOpener, ProductPorts, Products, Search, WebSearch};
use haithe_kernel::Fetcher;
use haithe_marketplace::{ToolLists, loading::ProductContents, ports::Embedder};
use haithe_mcp::McpServers;
use secrecy::ExposeSecret;
use std::{path::PathBuf, sync::Arc};

/// The extensions of agents, and what opens products.
pub(super) type AgentParts = (Vec<Arc<dyn Gear>>, Arc<ProductOpener>);

/// Gears in the order in which they are put before the model, and what opens products.
pub(super) fn gears(
    base: &Base<'_>,
    memory: Memory,
    (contents, fetcher): (Arc<ProductContents>, Arc<dyn Fetcher>),
    (embedder, program): (Option<Arc<dyn Embedder>>, Option<PathBuf>),
) -> Result<AgentParts, WiringError> {
    let (config, clock) = (base.config, base.clock.clone());
    let store = base.stores.products.clone();
    let per_host = HostLimits::new(
        config.limits.concurrent_pages_per_host,
        config.limits.pages_per_host,
    );
    let pages = Arc::new(PerHost::new(fetcher.clone(), per_host));
    let opener = Arc::new(ProductOpener {
        loader: contents,
        knowledge: Arc::new(knowledge(pages, embedder, program, clock.clone())?),
        servers: Arc::new(ToolLists::new(Arc::new(McpServers::new(fetcher.clone())), clock)),
        fetcher,
    });
    let products = Products::new(ProductPorts {
        store: store.clone(),
        opener: opener.clone(),
    });
    let search = Search::new(engine(config)?, store);
    let gears: Vec<Arc<dyn Gear>> = vec![Arc::new(products), Arc::new(memory), Arc::new(search)];
    Ok((gears, opener))
}

/// The search engine for the web, if one is configured.
fn engine(config: &Config) -> Result<Option<Arc<dyn WebSearch>>, WiringError> {
    let search = &config.search;
    let Some(engine) = search.engine else {
        return Ok(None);
    };
    let key = Some(search.key.clone()).filter(|key| !key.expose_secret().is_empty());
    let dialect = match engine {
        SearchEngineName::SearXng => SearchDialect::SearXng,
        SearchEngineName::Brave => SearchDialect::Brave,
        SearchEngineName::Tavily => SearchDialect::Tavily,
    };
    if key.is_none() && dialect != SearchDialect::SearXng {
        return Err(WiringError::Search(
            "`search.key` is empty; this engine wants one",
        ));
    }
    let url = search.url.clone();
    let settings = SearchSettings {
        dialect,
        url: url.ok_or(WiringError::Search(
            "`search.url` is empty; name the engine's address",
        ))?,
        key,
        results: search.results,
    };
    Ok(Some(Arc::new(SearchEngine::new(settings)?)))
}
