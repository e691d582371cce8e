//! What webhooks need from outside. One method is one atomic operation.
//!
//! A store promises something *globally* when the promise holds over all processes that use the database,
//! and *per process* when it holds among the callers in one process only. While a store promises anything per
//! process, one process at a time may use the database.

use super::{EventId, EventKey, Message, NewWebhook, Webhook, WebhookChange, WebhookId, WebhookSecret};
use crate::{
    completions::{Answer, Caller, Completions},
    error::CompletionError,
};
use async_trait::async_trait;
use bytes::Bytes;
use haithe_kernel::{Listed, Page, ProjectId, StoreError, Timestamp};
use haithe_orgs::Act;

/// Webhooks and their secrets, which are encrypted where they are kept. Those of deleted projects are
/// not found. A method that takes an [`Act`] writes a line of the audit.
///
/// **Guarantees**: global. The bound on a project's webhooks holds over all processes.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait WebhookStore: Send + Sync {
    /// Makes one for the wallet of the act; `None` when the project has `most` already.
    async fn create(&self, new: NewWebhook, most: u32, act: Act) -> Result<Option<Webhook>, StoreError>;
    /// Those of a project, newest first.
    async fn of_project(&self, project: ProjectId, page: Page) -> Result<Listed<Webhook>, StoreError>;
    /// One of a project.
    async fn find(&self, project: ProjectId, id: WebhookId) -> Result<Option<Webhook>, StoreError>;
    /// Changes it; gives it after the change.
    async fn change(
        &self,
        project: ProjectId,
        id: WebhookId,
        change: WebhookChange,
        act: Act,
    ) -> Result<Option<Webhook>, StoreError>;
    /// Puts another secret in the place of the one before, and the wallet of the act in that of the
    /// wallet before.
    async fn rotate(
        &self,
        project: ProjectId,
        id: WebhookId,
        secret: WebhookSecret,
        act: Act,
    ) -> Result<Option<Webhook>, StoreError>;
    /// Deletes it with its messages; gives what it was.
    async fn delete(
        &self,
        project: ProjectId,
        id: WebhookId,
        act: Act,
    ) -> Result<Option<Webhook>, StoreError>;
    /// Any project's, with its secret.
    async fn with_secret(&self, id: WebhookId) -> Result<Option<(Webhook, WebhookSecret)>, StoreError>;
}

/// A message that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// The webhook.
    pub webhook: WebhookId,
    /// The sender's name for it.
    pub key: EventKey,
    /// Now.
    pub at: Timestamp,
    /// What to deliver if answering is cut off; `None` where nothing is delivered.
    pub otherwise: Option<Bytes>,
}

/// What a message is to the inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// Seen for the first time: it is the caller's to answer, and nobody else's.
    New(EventId),
    /// Being answered.
    InFlight,
    /// Answered before; with the answer, where it was kept.
    Answered(Option<Bytes>),
    /// Answered before; the answer is on its way to the delivery address, or was.
    Delivering,
    /// Cut off before its answer was kept.
    Lost,
}

/// How answering a message ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The answer, for whoever sends the message again; `None` when it is too large to be kept.
    Keep(Option<Bytes>),
    /// The body to deliver.
    Deliver(Bytes),
    /// Nothing was charged: the message may come again.
    Forget,
    /// It may have been charged, and the answer is gone.
    Lost,
}

/// An answer that is due at its webhook's delivery address.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The message.
    pub event: EventId,
    /// Its webhook as it is now.
    pub webhook: Webhook,
    /// The secret as it is now.
    pub secret: WebhookSecret,
    /// The body.
    pub body: Bytes,
    /// Tries before this one.
    pub attempts: u32,
}

/// What is due.
#[derive(Debug, Clone)]
pub enum Due {
    /// An answer to deliver.
    Ready(Box<Delivery>),
    /// An answer that cannot be read, because its row, its webhook's secret or its address does not open.
    Unreadable {
        /// The message.
        event: EventId,
        /// Its webhook.
        webhook: WebhookId,
        /// Tries before this one.
        attempts: u32,
    },
}

/// Messages and what became of them, their answers encrypted. They outlive a restart.
///
/// **Guarantees**: global, also for [`receive`](Self::receive) and [`due`](Self::due): over all processes a
/// message is received once and an answer is due to one caller at a time. [`interrupted`](Self::interrupted)
/// is per process: it ends what every process is answering.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait WebhookInbox: Send + Sync {
    /// Messages of a webhook that are remembered, newest first.
    async fn list(&self, webhook: WebhookId, page: Page) -> Result<Listed<Message>, StoreError>;
    /// Takes a message: [`Received::New`] for exactly one of all that carry the same key.
    async fn receive(&self, event: NewEvent) -> Result<Received, StoreError>;
    /// Says how answering it ended. Does nothing to a message whose webhook is gone.
    async fn close(&self, event: EventId, outcome: Outcome, at: Timestamp) -> Result<(), StoreError>;
    /// Answers that are due, the longest waiting first, at most `limit` and few of one webhook; none of
    /// them is due again before `again`, whoever asks. Those whose webhook is turned off or has no
    /// delivery address any more are given up. One that cannot be read holds up no other.
    async fn due(&self, now: Timestamp, again: Timestamp, limit: u32) -> Result<Vec<Due>, StoreError>;
    /// It was taken.
    async fn delivered(&self, event: EventId) -> Result<(), StoreError>;
    /// It was not; it is due again then, or never.
    async fn undelivered(&self, event: EventId, due: Option<Timestamp>) -> Result<(), StoreError>;
    /// For the start: nobody answers any more what was being answered. Such messages are lost, or what
    /// was to be delivered otherwise is due `at` once. Gives how many there were.
    async fn interrupted(&self, at: Timestamp) -> Result<u64, StoreError>;
    /// Forgets messages received before this time that nobody answers any more; gives how many.
    async fn sweep(&self, before: Timestamp) -> Result<u64, StoreError>;
}

/// Whoever answers for a project: [`Completions`].
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait Agent: Send + Sync {
    /// Answers a chat request, given as the bytes of its body, authorized, held and charged.
    async fn ask(&self, caller: Caller, body: Bytes) -> Result<Answer, CompletionError>;
}

#[async_trait]
impl Agent for Completions {
    async fn ask(&self, caller: Caller, body: Bytes) -> Result<Answer, CompletionError> {
        self.run(caller, None, body).await
    }
}
