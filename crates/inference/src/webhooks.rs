//! Webhooks: an outside program asks a project's agent by a signed message.
//!
//! A [`Webhook`] belongs to a project and acts for the wallet that made it or last rotated its secret,
//! for as long as that wallet may call as the project. Messages are signed as
//! [Standard Webhooks](https://www.standardwebhooks.com) says ([`signature`]). [`Triggers`] verifies a
//! message, takes its `webhook-id` once, and asks the project's default model on the account of the
//! project's own organization. The answer is given inline, or queued for the webhook's delivery
//! address, to which [`Deliveries`] sends it, signed, until it is taken. [`ProjectWebhooks`] manages
//! them.
//!
//! A message is asked at most once: what a restart interrupts is not asked again by itself, because
//! it may have been charged.

mod deliver;
mod error;
mod manage;
mod model;
mod ports;
mod secret;
pub mod signature;
mod trigger;

pub use deliver::{Attempted, Deliveries};
pub use error::WebhookError;
pub use manage::{ProjectWebhooks, Revealed, WebhookInput};
pub use model::{
    DeliveryUrl, EventId, EventKey, Message, MessageState, NewWebhook, Webhook, WebhookChange, WebhookId,
    WebhookName,
};
pub use ports::{Agent, Delivery, Due, NewEvent, Outcome, Received, WebhookInbox, WebhookStore};
#[cfg(any(test, feature = "mocks"))]
pub use ports::{MockAgent, MockWebhookInbox, MockWebhookStore};
pub use secret::{SecretError, WebhookSecret};
pub use trigger::{Accepted, Ran, Triggers};

#[cfg(test)]
mod tests;
