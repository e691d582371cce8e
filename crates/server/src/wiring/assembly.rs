//! The running parts, and how they end.

use crate::{
    service::{Supervisor, system::TokioTasks},
    state::{AppState, Drain},
};
use haithe_stores::DatabaseControl;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// Everything that runs, beside the listener.
pub(crate) struct Assembly {
    pub state: AppState,
    pub drain: Drain,
    pub tasks: TokioTasks,
    supervisor: Supervisor,
    database: Arc<dyn DatabaseControl>,
}

impl Assembly {
    pub(super) fn new(
        state: AppState,
        drain: Drain,
        tasks: TokioTasks,
        supervisor: Supervisor,
        database: Arc<dyn DatabaseControl>,
    ) -> Self {
        Self {
            state,
            drain,
            tasks,
            supervisor,
            database,
        }
    }

    /// Waits (`patience` at most, each) for charges and background tasks, then closes the database.
    pub(crate) async fn wind_up(self, patience: Duration) {
        if timeout(patience, self.tasks.ended()).await.is_err() {
            let left = self.tasks.tracker.len();
            tracing::error!(left, "shutdown timeout: abandoning in-flight calls");
        }
        if timeout(patience, self.supervisor.stop()).await.is_err() {
            tracing::error!("background tasks did not end in time");
        }
        if let Err(error) = self.database.close().await {
            tracing::error!(%error, "the database could not be closed");
        }
    }
}
