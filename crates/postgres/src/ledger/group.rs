//! A group of commands as one transaction: locked, loaded, decided, stored. It may be run several times.

use super::{
    Command, load,
    store::{self, WrittenBy},
};
use crate::{instances::InstanceEpoch, write::WriteTx};
use futures::{FutureExt, future::BoxFuture};
use haithe_billing::{
    capture::Captured,
    hold::HoldError,
    ledger::{LedgerGroup, TokenScale},
};
use haithe_kernel::{CallId, OrgId, StoreError, Usdt};
use std::sync::Arc;

/// Commands that are decided in one transaction, in this order.
pub(super) struct Group {
    pub(super) commands: Vec<Arc<Command>>,
    pub(super) epoch: InstanceEpoch,
    pub(super) scale: TokenScale,
}

/// What a command was answered. Nothing of it counts before the transaction is committed.
#[derive(Debug)]
pub(super) enum Decided {
    /// Of a hold or a question for one.
    Money(Result<Usdt, HoldError>),
    /// Of a capture.
    Captured(Result<Captured, StoreError>),
    /// Of a release.
    Released,
}

/// The answers to the commands of a group, and the captures whose holds were released before and that could not be
/// charged in full.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) decided: Vec<Decided>,
    pub(super) unforeseen: Vec<Unforeseen>,
}

/// A charge that the platform bears because a call's hold was released before it ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unforeseen {
    pub(super) call: CallId,
    pub(super) org: OrgId,
    pub(super) lost: Usdt,
}

/// Runs a group in a transaction that [locks](crate::write::Isolation::Locking).
pub(super) fn run<'t>(
    write: &'t mut WriteTx,
    group: &'t Group,
) -> BoxFuture<'t, Result<Answers, StoreError>> {
    async move {
        let now = write.check_epoch(group.epoch).await?;
        let loaded = load::load(write, &group.commands, group.scale).await?;
        let mut decisions = LedgerGroup::new(loaded.input);
        let decide = |command: &Arc<Command>| match &**command {
            Command::Hold(request) => Decided::Money(decisions.hold(request, now)),
            Command::Available(request) => Decided::Money(decisions.available(request, now)),
            Command::Capture(capture) => Decided::Captured(decisions.capture(capture)),
            Command::Release(call) => {
                decisions.release(*call);
                Decided::Released
            }
        };
        let decided = group.commands.iter().map(decide).collect();
        let effects = decisions.into_effects();
        let unforeseen = effects.captures.iter().filter(|taken| !taken.was_held);
        let unforeseen = unforeseen.filter(|taken| taken.captured.lost.is_positive());
        let unforeseen = unforeseen.map(|taken| Unforeseen {
            call: taken.capture.call,
            org: taken.capture.org,
            lost: taken.captured.lost,
        });
        let unforeseen = unforeseen.collect();
        let by = WrittenBy {
            epoch: group.epoch,
            stored_holds: loaded.stored_holds,
        };
        store::store(write, &by, effects).await?;
        Ok(Answers { decided, unforeseen })
    }
    .boxed()
}
