//! Use case: answers go to where their webhook wants them.

use super::{Delivery, Due, WebhookInbox, signature};
use futures::future::join_all;
use haithe_kernel::{
    Clock, FetchError, FetchMethod, FetchRequest, Fetcher, Random, Redirects, StoreError, Timestamp,
};
use std::{sync::Arc, time::Duration};

/// Pauses before the second and every later try. After the last the answer is given up, a day after
/// it was there.
const PAUSES: [Duration; 8] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3_600),
    Duration::from_secs(4 * 3_600),
    Duration::from_secs(7 * 3_600),
    Duration::from_secs(10 * 3_600),
];
/// Longest a receiver may take.
const WITHIN: Duration = Duration::from_secs(15);
/// A delivery that says nothing for so long was lost with its process.
const AGAIN: Duration = Duration::from_secs(120);
/// Most of a receiver's answer that is read.
const MOST_BYTES: usize = 64 << 10;
/// Deliveries at the same time.
const AT_ONCE: u32 = 16;
/// How long messages are remembered, and with them their answers.
const REMEMBERED: Duration = Duration::from_secs(72 * 3_600);

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempted {
    /// The receiver took it.
    Delivered,
    /// It is due again at this time.
    Postponed(Timestamp),
    /// It is given up.
    GivenUp,
}

/// Deliveries of answers.
pub struct Deliveries {
    inbox: Arc<dyn WebhookInbox>,
    fetcher: Arc<dyn Fetcher>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Deliveries {
    /// Composes the use case.
    pub fn new(
        inbox: Arc<dyn WebhookInbox>,
        fetcher: Arc<dyn Fetcher>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            inbox,
            fetcher,
            clock,
            random,
        }
    }

    /// Takes over what an earlier process left; before messages are taken.
    ///
    /// # Errors
    /// The store's.
    pub async fn begin(&self) -> Result<u64, StoreError> {
        self.inbox.interrupted(self.clock.now()).await
    }

    /// Tries everything that is due once. Gives how each try ended.
    ///
    /// # Errors
    /// The store's.
    pub async fn step(&self) -> Result<Vec<Attempted>, StoreError> {
        let now = self.clock.now();
        let due = self.inbox.due(now, now.plus(AGAIN), AT_ONCE).await?;
        let tries = due.into_iter().map(|due| self.attempt(due));
        join_all(tries).await.into_iter().collect()
    }

    /// Forgets old messages; gives how many.
    ///
    /// # Errors
    /// The store's.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        self.inbox.sweep(self.clock.now().minus(REMEMBERED)).await
    }

    async fn attempt(&self, due: Due) -> Result<Attempted, StoreError> {
        let (event, webhook, attempts, sent) = match due {
            Due::Ready(delivery) => {
                let (event, webhook, attempts) = (delivery.event, delivery.webhook.id, delivery.attempts);
                (event, webhook, attempts, self.send(*delivery).await)
            }
            // The operator may have started with another encryption key: it is tried like any other.
            Due::Unreadable {
                event,
                webhook,
                attempts,
            } => (event, webhook, attempts, Sent::Later("unreadable")),
        };
        let due = match sent {
            Sent::Taken => {
                self.inbox.delivered(event).await?;
                return Ok(Attempted::Delivered);
            }
            Sent::Later(reason) => {
                let due = self.after(attempts);
                tracing::info!(%webhook, attempts, reason, "an answer was not taken");
                due
            }
            Sent::Never(reason) => {
                tracing::warn!(%webhook, attempts, reason, "an answer cannot be delivered");
                None
            }
        };
        self.inbox.undelivered(event, due).await?;
        Ok(due.map_or(Attempted::GivenUp, Attempted::Postponed))
    }

    async fn send(&self, delivery: Delivery) -> Sent {
        let Some(url) = &delivery.webhook.delivery_url else {
            return Sent::Never("no_address");
        };
        // The same for every try, so that a receiver can tell them for one.
        let id = format!("evt_{}_{}", delivery.webhook.id.0.as_simple(), delivery.event.0);
        let secret = delivery.secret.for_deliveries();
        let signed = signature::sign(&secret, &id, self.clock.now(), &delivery.body);
        let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        headers.extend(signed);
        let request = FetchRequest {
            method: FetchMethod::Post,
            url: url.as_str().to_owned(),
            headers,
            body: delivery.body.to_vec(),
            most_bytes: MOST_BYTES,
            within: WITHIN,
            // A redirect that turns the delivery into a read would be taken for one that was taken.
            redirects: Redirects::Refused,
        };
        match self.fetcher.fetch(request).await {
            Ok(answer) if (200..300).contains(&answer.status) => Sent::Taken,
            // Standard Webhooks: the receiver is gone for good.
            Ok(answer) if answer.status == 410 => Sent::Never("gone"),
            Ok(_) => Sent::Later("status"),
            Err(FetchError::Refused(_)) => Sent::Never("address_refused"),
            Err(FetchError::Header) => Sent::Never("header_refused"),
            Err(FetchError::TooLarge) => Sent::Later("answer_too_large"),
            Err(FetchError::Late) => Sent::Later("address_timeout"),
            Err(FetchError::Busy) => Sent::Later("address_busy"),
            Err(FetchError::Redirect) => Sent::Later("redirect_refused"),
            Err(FetchError::Unreachable(_)) => Sent::Later("address_unreachable"),
        }
    }

    /// When the try after this many is due: the pause, and up to a fifth more by chance.
    fn after(&self, attempts: u32) -> Option<Timestamp> {
        let pause = *PAUSES.get(usize::try_from(attempts).ok()?)?;
        let [chance, ..] = self.random.bytes16();
        let more = pause.saturating_mul(u32::from(chance)) / (5 * 256);
        Some(self.clock.now().plus(pause.saturating_add(more)))
    }
}

enum Sent {
    Taken,
    Later(&'static str),
    Never(&'static str),
}
