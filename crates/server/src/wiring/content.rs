//! What creators seal: where it is kept, and how it is opened.

use super::SWEEP_EVERY;
use crate::{config, service::Supervisor};
use haithe_kernel::{Clock, Fetcher};
use haithe_marketplace::{
    enclave::Enclave,
    hosting::{ContentStore, Hosting, HostingLimits},
    loading::{CacheLimits, ContentPorts, ProductContents},
};
use haithe_sqlite::{Db, SqliteContentStore};
use std::{convert::Infallible, sync::Arc};

/// Hosting and loading; content in the clear is swept out of memory in the background.
pub(super) fn contents(
    config: &config::Content,
    db: &Db,
    (fetcher, enclave): (Arc<dyn Fetcher>, Arc<dyn Enclave>),
    clock: &Arc<dyn Clock>,
    supervisor: &Supervisor,
) -> (Hosting, Arc<ProductContents>) {
    let hosted: Arc<dyn ContentStore> = Arc::new(SqliteContentStore::new(db));
    let hosting = hosting(config, db, clock);
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
    Hosting::new(Arc::new(SqliteContentStore::new(db)), clock.clone(), limits)
}
