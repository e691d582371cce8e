//! What creators seal: where it is kept, and how it is opened.

use super::SWEEP_EVERY;
use crate::{config, service::Supervisor};
use haithe_kernel::{Clock, Fetcher, StoreError};
use haithe_marketplace::{
    enclave::Enclave,
    hosting::{ContentStore, Hosting, HostingLimits},
    loading::{CacheLimits, ContentPorts, ProductContents},
};
use haithe_sqlite::{Db, SqliteContentStore, SqliteCreatorStore};
use std::{convert::Infallible, sync::Arc, time::Duration};

/// How often content without a product is searched for.
const EXPIRE_EVERY: Duration = Duration::from_secs(60 * 60);

/// Hosting and loading; content in the clear is swept out of memory in the background.
pub(super) fn contents(
    config: &config::Content,
    db: &Db,
    (fetcher, enclave): (Arc<dyn Fetcher>, Arc<dyn Enclave>),
    clock: &Arc<dyn Clock>,
    supervisor: &Supervisor,
) -> (Arc<Hosting>, Arc<ProductContents>) {
    let hosted: Arc<dyn ContentStore> = Arc::new(SqliteContentStore::new(db));
    let expiring = Arc::new(hosting(config, &db.for_background(), clock));
    let hosting = Arc::new(hosting(config, db, clock));
    let ports = ContentPorts {
        hosted,
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
    (hosting, contents)
}

/// Hosted content, on this handle's readers.
pub(super) fn hosting(config: &config::Content, db: &Db, clock: &Arc<dyn Clock>) -> Hosting {
    let limits = HostingLimits {
        content_bytes: config.max_bytes,
        wallet_contents: config.max_per_wallet,
        wallet_bytes: config.max_bytes_per_wallet,
        all_bytes: config.max_bytes_in_all,
    };
    let creators = Arc::new(SqliteCreatorStore::new(db));
    Hosting::new(
        Arc::new(SqliteContentStore::new(db)),
        creators,
        clock.clone(),
        limits,
    )
}
