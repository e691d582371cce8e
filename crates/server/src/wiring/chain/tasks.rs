//! The tasks that write to the chain, and the one that checks the books against it.

use super::backed_off;
use crate::service::{
    conditions::{Condition, Conditions},
    ledger_watch::LedgerWatch,
    supervisor::describe,
};
use haithe_billing::{
    check::LedgerCheck,
    settlement::{Settlement, SettlementError, SettlementProgress},
};
use haithe_evm::Sender;
use haithe_kernel::Failure;
use haithe_orgs::RoleMirroring;
use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// After so many failures in a row, which take two minutes or more, settlement counts as stopped.
const FAILURES_TO_STOP: u32 = 20;
/// The subject of the condition that settlement itself reports.
const BATCHES: &str = "batches";
/// The first comparison of the ledger with the chain comes this soon after the start.
const FIRST_CHECK: Duration = Duration::from_secs(15);

/// The sender holds what it knows of its attempts; it cannot be started twice in one process.
pub(super) async fn send(
    sender: Arc<Mutex<Option<Sender>>>,
    stop: CancellationToken,
) -> Result<(), &'static str> {
    let sender = sender.lock().unwrap_or_else(PoisonError::into_inner).take();
    let sender = sender.ok_or("the sender cannot start again in this process; restart the service")?;
    sender.run(stop.cancelled_owned()).await;
    Ok(())
}

/// Makes batches and sees them onto the chain until the stop.
pub(super) async fn settle(
    settlement: Arc<Settlement>,
    poll: Duration,
    conditions: Arc<Conditions>,
    stop: CancellationToken,
) -> Result<(), Infallible> {
    let mut failures = 0u32;
    loop {
        let pause = match settlement.step().await {
            Ok(progress) => {
                failures = 0;
                conditions.clear(Condition::SettlementStopped, BATCHES);
                if let SettlementProgress::Submitted { seq, calls, lines } = progress {
                    tracing::debug!(seq, calls, lines, "a batch is on its way to the chain");
                }
                poll
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                tracing::warn!(
                    error = describe(&error),
                    failures,
                    "settlement could not make its step"
                );
                if let Some(message) = stopped(&error, failures) {
                    conditions.raise(Condition::SettlementStopped, BATCHES, message);
                }
                backed_off(poll, failures)
            }
        };
        if stop
            .run_until_cancelled(tokio::time::sleep(pause))
            .await
            .is_none()
        {
            return Ok(());
        }
    }
}

/// Why settlement counts as stopped after so many failures in a row. A contract and a ledger that disagree about
/// batches do not agree again by waiting; everything else may pass. The causes of a failure may contain the node's
/// address and stay in the log.
fn stopped(error: &SettlementError, failures: u32) -> Option<String> {
    match error {
        SettlementError::Behind { .. } | SettlementError::Foreign { .. } => Some(error.to_string()),
        SettlementError::Chain(_) | SettlementError::Store(_) => (failures >= FAILURES_TO_STOP).then(|| {
            format!(
                "settlement has failed {FAILURES_TO_STOP} times in a row or more ({}): see the log",
                error.code()
            )
        }),
    }
}

/// Sees decisions about roles into the contracts until the stop.
pub(super) async fn mirror_roles(
    roles: Arc<RoleMirroring>,
    poll: Duration,
    stop: CancellationToken,
) -> Result<(), Infallible> {
    let mut failures = 0u32;
    loop {
        let pause = match roles.step().await {
            Ok(_) => {
                failures = 0;
                poll
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                tracing::warn!(error = describe(&error), failures, "roles could not be mirrored");
                backed_off(poll, failures)
            }
        };
        let slept = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        if slept.is_none() {
            return Ok(());
        }
    }
}

/// Compares the ledger with the chain until the stop, first soon after the start. A difference is an
/// alarm, never corrected; so is a comparison that could not be made for too long.
pub(super) async fn check(
    ledger: Arc<LedgerCheck>,
    watch: Arc<LedgerWatch>,
    every: Duration,
    stop: CancellationToken,
) -> Result<(), Infallible> {
    let mut pause = every.min(FIRST_CHECK);
    while stop
        .run_until_cancelled(tokio::time::sleep(pause))
        .await
        .is_some()
    {
        pause = every;
        match ledger.run().await {
            Ok(report) => {
                watch.completed(report.is_clean());
                if !report.is_clean() {
                    tracing::error!(target: "haithe::alarm", "the ledger does not agree: {report}");
                }
            }
            Err(error) => tracing::warn!(error = describe(&error), "the ledger could not be checked"),
        }
        if let Some(age) = watch.overdue() {
            tracing::error!(
                target: "haithe::alarm",
                seconds = age.as_secs(),
                "the ledger was not compared with the chain for too long"
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use haithe_kernel::StoreError;

    #[test]
    fn a_foreign_batch_stops_settlement_at_once_and_an_outage_after_many_failures() {
        let foreign = SettlementError::Foreign { seq: 7 };
        assert!(stopped(&foreign, 1).is_some_and(|message| message.contains("number 7")));
        let outage = SettlementError::Store(StoreError::new("https://node.example/secret"));
        assert_eq!(stopped(&outage, FAILURES_TO_STOP - 1), None);
        let message = stopped(&outage, FAILURES_TO_STOP).unwrap();
        assert!(!message.contains("secret"), "{message}");
    }
}
