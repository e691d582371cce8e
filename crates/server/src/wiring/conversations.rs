//! Conversations, their retention, and memory made of them.

use super::{Base, SWEEP_EVERY};
use haithe_inference::{
    agent::Memory,
    conversations::{Conversations, Quota, Retention},
};
use std::sync::Arc;

/// Conversations and memory; messages beyond their projects' retention are deleted in the background.
pub(super) fn conversations(base: &Base<'_>) -> (Arc<Conversations>, Memory) {
    let (config, stores) = (&base.config.conversations, base.stores);
    let old = stores.background.conversations.clone();
    let retention = Arc::new(Retention::new(old, base.clock.clone()));
    base.supervisor.every("retention", SWEEP_EVERY, move || {
        let retention = retention.clone();
        async move {
            let deleted = retention.sweep().await?;
            tracing::debug!(deleted, "messages beyond their retention deleted");
            Ok::<(), haithe_kernel::StoreError>(())
        }
    });
    let quota = Quota {
        conversations: config.max_per_wallet,
        bytes: config.max_bytes_per_wallet,
    };
    let conversations = Arc::new(Conversations::new(
        stores.conversations.clone(),
        base.clock.clone(),
        base.random.clone(),
        quota,
    ));
    let memory = Memory::new(stores.conversations.clone(), conversations.clone());
    (conversations, memory)
}
