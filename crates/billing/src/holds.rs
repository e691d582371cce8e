//! Holds as guards: whatever way a call ends, its money is either captured or given back.

use crate::{
    ExpenditureScope,
    capture::{Capture, Captured, PriceLine, UsageRecord},
    gate::SettlementGate,
    hold::{HoldError, HoldRequest},
    ports::Ledger,
};
use haithe_kernel::{CallId, Failure, Kind, OrgId, StoreError, Usdt};
use std::{fmt, mem, sync::Arc};

/// Sets money aside for calls.
#[derive(Clone)]
pub struct Holds {
    ledger: Arc<dyn Ledger>,
    gate: Arc<SettlementGate>,
}

impl Holds {
    /// Holds on `ledger` while `gate` is open.
    pub fn new(ledger: Arc<dyn Ledger>, gate: Arc<SettlementGate>) -> Self {
        Self { ledger, gate }
    }

    /// Sets money aside for a call before its upstream hears of it.
    ///
    /// # Errors
    /// [`HoldError`] when settlement lags, or when the balance, the daily cap or a budget does not
    /// cover the least the call can cost; nothing is set aside then.
    pub async fn hold(&self, request: HoldRequest) -> Result<Hold, HoldError> {
        self.gate.admit(request.org)?;
        let (call, org) = (request.call, request.org);
        // Armed before the question is asked: should the caller vanish while the ledger answers,
        // the guard gives back what it may have set aside. Unknown calls are ignored.
        let mut hold = Hold {
            ledger: self.ledger.clone(),
            call,
            org,
            amount: Usdt::ZERO,
            expenditure: request.expenditure,
            live: true,
        };
        match self.ledger.hold(request).await {
            Ok(amount) => {
                hold.amount = amount;
                Ok(hold)
            }
            Err(refused) => {
                // After a failure of the store nobody knows; the guard gives back what may be held.
                hold.live = matches!(refused, HoldError::Store(_));
                Err(refused)
            }
        }
    }

    /// What [`hold`](Self::hold) would set aside now. It sets nothing aside: work that is expensive is
    /// refused with it before it is done, and admitted by a hold after it.
    ///
    /// # Errors
    /// As [`hold`](Self::hold).
    pub async fn available(&self, request: HoldRequest) -> Result<Usdt, HoldError> {
        self.gate.admit(request.org)?;
        self.ledger.available(request).await
    }
}

impl fmt::Debug for Holds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Holds")
            .field("gate", &self.gate)
            .finish_non_exhaustive()
    }
}

/// Money set aside for one call. Dropping it gives the money back.
#[must_use = "dropping a hold gives the money back at once"]
pub struct Hold {
    ledger: Arc<dyn Ledger>,
    call: CallId,
    org: OrgId,
    amount: Usdt,
    expenditure: ExpenditureScope,
    live: bool,
}

impl Hold {
    /// The call it is for.
    pub fn call(&self) -> CallId {
        self.call
    }

    /// The payer.
    pub fn org(&self) -> OrgId {
        self.org
    }

    /// How much was set aside: at least the least, at most the most that was asked for.
    pub fn amount(&self) -> Usdt {
        self.amount
    }

    /// Takes what the call did cost and gives the rest back; returns once that is on disk. Run it in
    /// a task of its own ([`Tasks`](haithe_kernel::Tasks)): a request that is dropped must not cancel it.
    ///
    /// # Errors
    /// [`CaptureFailed`], which carries the hold: capture it again (the ledger takes a call once), or
    /// drop it to give the money back.
    pub async fn capture(
        mut self,
        lines: Vec<PriceLine>,
        usage: UsageRecord,
    ) -> Result<Captured, CaptureFailed> {
        let capture = Capture {
            call: self.call,
            org: self.org,
            lines,
            usage,
            expenditure: self.expenditure,
        };
        match self.ledger.capture(capture).await {
            Ok(captured) => {
                self.live = false;
                Ok(captured)
            }
            Err(source) => Err(CaptureFailed { hold: self, source }),
        }
    }

    /// Gives the money back: the call costs nothing.
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if mem::take(&mut self.live) {
            self.ledger.release(self.call);
        }
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold")
            .field("call", &self.call)
            .field("org", &self.org)
            .field("amount", &self.amount)
            .finish_non_exhaustive()
    }
}

/// The ledger failed to capture, and the money is still set aside.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct CaptureFailed {
    /// The hold, as it was.
    pub hold: Hold,
    /// Why.
    pub source: StoreError,
}

impl From<CaptureFailed> for StoreError {
    /// Gives the hold back and keeps the reason.
    fn from(failed: CaptureFailed) -> Self {
        failed.source
    }
}

impl Failure for CaptureFailed {
    fn kind(&self) -> Kind {
        self.source.kind()
    }
    fn code(&self) -> &'static str {
        self.source.code()
    }
    fn retry_after(&self) -> Option<u64> {
        self.source.retry_after()
    }
}

#[cfg(test)]
mod tests;
