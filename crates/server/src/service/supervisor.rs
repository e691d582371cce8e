//! Named background tasks: restarted with growing pauses, watched, drained at a stop.

use futures::FutureExt;
use std::{
    collections::BTreeMap,
    error::Error,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// First pause before a restart; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause before a restart.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A run this long forgives earlier failures.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);

/// What a task is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// At work.
    Running,
    /// Failed, waiting for its restart.
    Waiting,
    /// Ended because the service stops.
    Ended,
}

/// A task's health.
#[derive(Debug, Clone, Copy)]
pub struct TaskHealth {
    /// What it is doing.
    pub state: TaskState,
    /// How often it was restarted.
    pub restarts: u64,
}

/// Runs background tasks. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Supervisor {
    tracker: TaskTracker,
    stop: CancellationToken,
    health: Arc<Mutex<BTreeMap<&'static str, TaskHealth>>>,
}

impl Supervisor {
    /// Keeps `task` running until the stop, which it learns of by its token. A task that ends, fails
    /// or panics before that is started again after a pause.
    pub fn run<F, W, E>(&self, name: &'static str, task: F)
    where
        F: Fn(CancellationToken) -> W + Send + 'static,
        W: Future<Output = Result<(), E>> + Send,
        E: Into<Box<dyn Error + Send + Sync>> + Send,
    {
        let this = self.clone();
        self.note(name, TaskState::Running, 0);
        self.tracker.spawn(async move {
            let (mut restarts, mut pause) = (0, FIRST_PAUSE);
            loop {
                let began = Instant::now();
                let outcome = AssertUnwindSafe(task(this.stop.clone())).catch_unwind().await;
                if this.stop.is_cancelled() {
                    break;
                }
                let reason = match outcome {
                    Ok(Ok(())) => "it ended".to_owned(),
                    Ok(Err(error)) => describe(error.into().as_ref()),
                    Err(_) => "it panicked".to_owned(),
                };
                if began.elapsed() >= FORGIVEN_AFTER {
                    pause = FIRST_PAUSE;
                }
                tracing::error!(task = name, reason, restart_in = ?pause, "a background task failed");
                this.note(name, TaskState::Waiting, restarts);
                if this
                    .stop
                    .run_until_cancelled(tokio::time::sleep(pause))
                    .await
                    .is_none()
                {
                    break;
                }
                pause = LONGEST_PAUSE.min(pause * 2);
                restarts += 1;
                this.note(name, TaskState::Running, restarts);
            }
            this.note(name, TaskState::Ended, restarts);
        });
    }

    /// Runs `step` every `period`; after a step that fails the task starts again as [`Supervisor::run`] says.
    pub fn every<F, W, E>(&self, name: &'static str, period: Duration, step: F)
    where
        F: Fn() -> W + Clone + Send + Sync + 'static,
        W: Future<Output = Result<(), E>> + Send,
        E: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
    {
        self.run(name, move |stop| {
            let step = step.clone();
            async move {
                while stop
                    .run_until_cancelled(tokio::time::sleep(period))
                    .await
                    .is_some()
                {
                    step().await?;
                }
                Ok::<(), E>(())
            }
        });
    }

    /// Health by task.
    pub fn health(&self) -> BTreeMap<&'static str, TaskHealth> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells every task to end and waits until all have.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }

    fn note(&self, name: &'static str, state: TaskState, restarts: u64) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.insert(name, TaskHealth { state, restarts });
    }
}

/// An error with its causes.
pub fn describe(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[tokio::test(start_paused = true)]
    async fn a_task_that_fails_or_panics_is_started_again_with_growing_pauses() {
        let supervisor = Supervisor::default();
        let runs = Arc::new(AtomicU64::new(0));
        let (counted, began) = (runs.clone(), Instant::now());
        supervisor.run("flaky", move |stop| {
            let run = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                match run {
                    0 => Err("broken"),
                    1 => panic!("worse"),
                    _ => {
                        stop.cancelled().await;
                        Ok(())
                    }
                }
            }
        });
        while runs.load(Ordering::SeqCst) < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(began.elapsed() >= FIRST_PAUSE * 3);
        let health = supervisor.health();
        let flaky = health.get("flaky").unwrap();
        assert_eq!((flaky.state, flaky.restarts), (TaskState::Running, 2));
        supervisor.stop().await;
        assert_eq!(supervisor.health().get("flaky").unwrap().state, TaskState::Ended);
    }
}
