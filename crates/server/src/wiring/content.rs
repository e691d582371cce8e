//! What creators seal: where it is kept, and how it is opened.

use super::{Base, SWEEP_EVERY};
use crate::config;
use haithe_kernel::{Clock, Fetcher, StoreError};
use haithe_marketplace::{
    enclave::Enclave,
    hosting::{ContentStore, Hosting, HostingLimits},
    loading::{CacheLimits, ContentPorts, ProductContents},
    ports::CreatorStore,
};
use std::{convert::Infallible, sync::Arc, time::Duration};

/// How often content without a product is searched for.
const EXPIRE_EVERY: Duration = Duration::from_secs(60 * 60);

/// The use cases over sealed content.
pub(super) struct ContentParts {
    pub hosting: Arc<Hosting>,
    /// For requests without a credential.
    pub public_hosting: Arc<Hosting>,
    /// Loads and opens content.
    pub loaded: Arc<ProductContents>,
}

/// Sets hosting and loading up; plaintext is removed from memory in the background.
pub(super) fn contents(
    base: &Base<'_>,
    (fetcher, enclave): (Arc<dyn Fetcher>, Arc<dyn Enclave>),
) -> ContentParts {
    let (config, stores) = (&base.config.content, base.stores);
    let (clock, supervisor) = (base.clock, base.supervisor);
    let background = &stores.background;
    let expiring = Arc::new(hosting(config, &background.contents, &background.creators, clock));
    let ports = ContentPorts {
        hosted: stores.contents.clone(),
        fetcher,
        enclave,
        clock: clock.clone(),
    };
    let cache = CacheLimits {
        bytes: config.cache_bytes,
        time: config.cache,
    };
    let contents = Arc::new(ProductContents::new(ports, cache, config.max_bytes));
    let swept = contents.clone();
    supervisor.every("plaintext", SWEEP_EVERY, move || {
        let contents = swept.clone();
        async move {
            contents.sweep().await;
            Ok::<(), Infallible>(())
        }
    });
    let period = config.unreferenced;
    // At once, too: a server that is restarted more often than that would never search.
    supervisor.run("hosted content", move |stop| {
        let hosting = expiring.clone();
        async move {
            loop {
                let deleted = hosting.expire(period).await?;
                if deleted > 0 {
                    tracing::info!(deleted, "hosted content without a product deleted");
                }
                let pause = tokio::time::sleep(EXPIRE_EVERY);
                if stop.run_until_cancelled(pause).await.is_none() {
                    return Ok::<(), StoreError>(());
                }
            }
        }
    });
    let public = &stores.public;
    ContentParts {
        hosting: Arc::new(hosting(config, &stores.contents, &stores.creators, clock)),
        public_hosting: Arc::new(hosting(config, &public.contents, &public.creators, clock)),
        loaded: contents,
    }
}

/// Hosted content in these stores.
fn hosting(
    config: &config::Content,
    contents: &Arc<dyn ContentStore>,
    creators: &Arc<dyn CreatorStore>,
    clock: &Arc<dyn Clock>,
) -> Hosting {
    let limits = HostingLimits {
        content_bytes: config.max_bytes,
        wallet_contents: config.max_per_wallet,
        wallet_bytes: config.max_bytes_per_wallet,
        all_bytes: config.max_bytes_in_all,
    };
    Hosting::new(contents.clone(), creators.clone(), clock.clone(), limits)
}
