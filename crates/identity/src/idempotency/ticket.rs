//! The right to end a claim.

use super::{Ending, LARGEST, Ports, SlotId};
use haithe_kernel::StoreError;
use std::{fmt, mem, sync::Arc, time::Duration};
use uuid::Uuid;

/// Seconds between tries while the store cannot note how a claim ended.
const PAUSES: [u64; 5] = [1, 2, 4, 8, 16];

/// The one holder of a slot. Dropping it releases the slot, in a task of its own; so does dropping
/// [`Ticket::finish`] in the middle, with the ending it was given.
pub struct Ticket {
    slot: SlotId,
    work: Uuid,
    /// `None` once the store knows.
    ending: Option<Ending>,
    ports: Arc<Ports>,
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket({})", self.work)
    }
}

impl Ticket {
    pub(super) const fn new(slot: SlotId, work: Uuid, ports: Arc<Ports>) -> Self {
        Self {
            slot,
            work,
            ending: Some(Ending::Released),
            ports,
        }
    }

    /// What the request's charge must be booked under.
    pub const fn work(&self) -> Uuid {
        self.work
    }

    /// Ends the claim; returns once the store knows, or has failed once. Then it is tried again in the
    /// background: an answer must not wait for that.
    pub async fn finish(mut self, ending: Ending) {
        let ending = self.bounded(ending);
        match settle(&self.ports, self.slot, self.work, &ending).await {
            Ok(()) => self.ending = None,
            Err(error) => tracing::warn!(?error, "the end of a request could not be noted yet"),
        }
    }

    /// Ends the claim in a task of its own.
    pub fn finish_later(mut self, ending: Ending) {
        self.bounded(ending);
    }

    /// From here on the claim ends like this, whatever happens.
    fn bounded(&mut self, ending: Ending) -> Ending {
        let ending = match ending {
            Ending::Answered(answer) if answer.len() > LARGEST => Ending::TooLarge,
            other => other,
        };
        self.ending = Some(ending.clone());
        ending
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let Some(ending) = mem::take(&mut self.ending) else {
            return;
        };
        let (ports, slot, work) = (Arc::clone(&self.ports), self.slot, self.work);
        let keep_trying = async move {
            for pause in PAUSES {
                if settle(&ports, slot, work, &ending).await.is_ok() {
                    return;
                }
                ports.timer.sleep(Duration::from_secs(pause)).await;
            }
            if let Err(error) = settle(&ports, slot, work, &ending).await {
                tracing::error!(
                    ?error,
                    "the end of a request was not noted; its key is taken until a restart"
                );
            }
        };
        self.ports.tasks.spawn("idempotency", Box::pin(keep_trying));
    }
}

async fn settle(ports: &Ports, slot: SlotId, work: Uuid, ending: &Ending) -> Result<(), StoreError> {
    ports.store.settle(slot, work, ending.clone()).await
}
