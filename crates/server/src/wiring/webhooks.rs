//! Webhooks: messages in, answers out.

use super::{SWEEP_EVERY, WiringError};
use crate::{
    config,
    service::{Supervisor, system::TokioTasks},
};
use haithe_inference::{
    Completions,
    webhooks::{Deliveries, ProjectWebhooks, Triggers, WebhookInbox, WebhookSecret, WebhookStore},
};
use haithe_kernel::{Clock, Fetcher, Random, StoreError};
use haithe_orgs::{Contexts, Projects};
use haithe_sqlite::{Db, EncryptionKey, SqliteWebhookInbox, SqliteWebhookStore};
use std::{sync::Arc, time::Duration};

/// How often it is looked whether an answer is due.
const DELIVER_EVERY: Duration = Duration::from_millis(250);

/// What webhooks are made of.
pub(super) struct Parts<'a> {
    pub config: &'a config::Webhooks,
    pub db: &'a Db,
    pub encryption: &'a EncryptionKey,
    pub projects: Arc<Projects>,
    pub contexts: Arc<Contexts>,
    pub completions: Arc<Completions>,
    pub fetcher: Arc<dyn Fetcher>,
    pub tasks: TokioTasks,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub supervisor: &'a Supervisor,
}

/// The use cases; deliveries run in the background.
pub(super) async fn webhooks(parts: Parts<'_>) -> Result<(Arc<ProjectWebhooks>, Triggers), WiringError> {
    let store: Arc<dyn WebhookStore> = Arc::new(SqliteWebhookStore::new(parts.db, parts.encryption));
    let inbox: Arc<dyn WebhookInbox> = Arc::new(SqliteWebhookInbox::new(parts.db, parts.encryption));
    let due = SqliteWebhookInbox::new(&parts.db.for_background(), parts.encryption);
    let deliveries = Arc::new(Deliveries::new(
        Arc::new(due),
        parts.fetcher,
        parts.clock.clone(),
        parts.random.clone(),
    ));
    let cut_off = deliveries.begin().await?;
    if cut_off > 0 {
        tracing::warn!(
            cut_off,
            "messages of webhooks were being answered when the service stopped"
        );
    }
    run(parts.supervisor, &deliveries);
    let manage = ProjectWebhooks::new(
        parts.projects,
        store,
        inbox.clone(),
        parts.clock.clone(),
        parts.random.clone(),
        parts.config.max_per_project,
    );
    let nobody = WebhookSecret::new(parts.random.bytes32().to_vec()).map_err(StoreError::new)?;
    // Anybody may send a message: the webhook is read before its signature can be checked.
    let asked = SqliteWebhookStore::new(&parts.db.for_public(), parts.encryption);
    let triggers = Triggers::new(
        Arc::new(asked),
        inbox,
        parts.contexts,
        parts.completions,
        Arc::new(parts.tasks),
        parts.clock,
        nobody,
    );
    Ok((Arc::new(manage), triggers))
}

fn run(supervisor: &Supervisor, deliveries: &Arc<Deliveries>) {
    let due = deliveries.clone();
    supervisor.every("webhook deliveries", DELIVER_EVERY, move || {
        let due = due.clone();
        async move { due.step().await.map(drop) }
    });
    let old = deliveries.clone();
    supervisor.every("webhook sweeper", SWEEP_EVERY, move || {
        let old = old.clone();
        async move { old.sweep().await.map(drop) }
    });
}
