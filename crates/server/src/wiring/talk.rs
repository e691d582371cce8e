//! Conversations, their retention, and memory made of them.

use super::SWEEP_EVERY;
use crate::{config, service::Supervisor};
use haithe_inference::{
    agent::Memory,
    conversations::{ConversationStore, Conversations, Quota, Retention},
};
use haithe_kernel::{Clock, Random};
use haithe_sqlite::{Db, SqliteConversationStore};
use std::sync::Arc;

/// Conversations, with the sweeper that forgets what projects no longer keep, and memory.
pub(super) fn conversations(
    config: &config::Conversations,
    db: &Db,
    clock: &Arc<dyn Clock>,
    random: &Arc<dyn Random>,
    supervisor: &Supervisor,
) -> (Arc<Conversations>, Memory) {
    let store: Arc<dyn ConversationStore> = Arc::new(SqliteConversationStore::new(db));
    let old = Arc::new(SqliteConversationStore::new(&db.for_background()));
    let retention = Arc::new(Retention::new(old, clock.clone()));
    supervisor.every("retention", SWEEP_EVERY, move || {
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
        store.clone(),
        clock.clone(),
        random.clone(),
        quota,
    ));
    let memory = Memory::new(store, conversations.clone());
    (conversations, memory)
}
