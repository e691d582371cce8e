//! Webhooks: messages in, answers out.

use super::{Base, SWEEP_EVERY, WiringError, directory::DirectoryParts};
use crate::service::Supervisor;
use haithe_inference::{
    Completions,
    webhooks::{Deliveries, ProjectWebhooks, Triggers, WebhookSecret},
};
use haithe_kernel::{Fetcher, StoreError};
use std::{sync::Arc, time::Duration};

/// How often it is looked whether an answer is due.
const DELIVER_EVERY: Duration = Duration::from_millis(250);

/// The use cases over webhooks.
pub(super) struct WebhookParts {
    /// Creates and changes webhooks.
    pub manage: Arc<ProjectWebhooks>,
    /// Receives their messages.
    pub triggers: Triggers,
}

/// Sets the use cases up; deliveries run in the background.
pub(super) async fn webhooks(
    base: &Base<'_>,
    directory: &DirectoryParts,
    completions: Arc<Completions>,
    fetcher: Arc<dyn Fetcher>,
) -> Result<WebhookParts, WiringError> {
    let (stores, clock, random) = (base.stores, base.clock, base.random);
    let deliveries = Arc::new(Deliveries::new(
        stores.background.webhook_inbox.clone(),
        fetcher,
        clock.clone(),
        random.clone(),
    ));
    let cut_off = deliveries.begin().await?;
    if cut_off > 0 {
        tracing::warn!(
            cut_off,
            "messages of webhooks were being answered when the service stopped"
        );
    }
    run(base.supervisor, &deliveries);
    let manage = ProjectWebhooks::new(
        directory.projects.clone(),
        stores.webhooks.clone(),
        stores.webhook_inbox.clone(),
        clock.clone(),
        random.clone(),
        base.config.webhooks.max_per_project,
    );
    let unknown = WebhookSecret::new(random.bytes32().to_vec()).map_err(StoreError::new)?;
    let triggers = Triggers::new(
        // Unauthenticated clients send messages: the webhook is read before its signature can be checked.
        stores.public.webhooks.clone(),
        stores.webhook_inbox.clone(),
        directory.contexts.clone(),
        completions,
        Arc::new(base.tasks.clone()),
        clock.clone(),
        unknown,
    );
    Ok(WebhookParts {
        manage: Arc::new(manage),
        triggers,
    })
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
