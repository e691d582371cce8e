//! The task that runs what callers ask of the ledger: in their order, in groups that grow with the load.

use super::{
    Command,
    group::{self, Answers, Decided, Group},
};
use crate::{
    db::Db,
    instances::{PgInstance, StaleEpoch},
    retry::blames_the_data,
};
use haithe_billing::{
    capture::Captured,
    hold::HoldError,
    ledger::{PostError, TokenScale},
};
use haithe_kernel::{StoreError, Usdt};
use std::{error::Error, mem, sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot};

/// Commands of a group at most.
const MOST: usize = 256;
/// How long releases wait that could not be written.
const RELEASE_AGAIN: Duration = Duration::from_millis(500);

/// What waits in the queue.
pub(super) enum Work {
    /// To be decided.
    Decide(Arc<Command>, Answer),
    /// To be answered when everything before it is done.
    Barrier(oneshot::Sender<()>),
}

/// Where the answer to a command goes.
pub(super) enum Answer {
    Money(oneshot::Sender<Result<Usdt, HoldError>>),
    Captured(oneshot::Sender<Result<Captured, StoreError>>),
    None,
}

impl Answer {
    /// Sends what was decided. A caller that went away needs no answer: it gives back what is held.
    fn send(self, decided: Decided) {
        match (self, decided) {
            (Self::Money(caller), Decided::Money(money)) => drop(caller.send(money)),
            (Self::Captured(caller), Decided::Captured(captured)) => drop(caller.send(captured)),
            (Self::Money(_) | Self::Captured(_) | Self::None, _) => {}
        }
    }

    fn fail(self, error: StoreError) {
        match self {
            Self::Money(caller) => drop(caller.send(Err(error.into()))),
            Self::Captured(caller) => drop(caller.send(Err(error))),
            Self::None => {}
        }
    }
}

type Asked = (Arc<Command>, Answer);

/// Runs the queue until every sender is gone.
pub(super) async fn run(db: Db, instance: PgInstance, mut queue: mpsc::UnboundedReceiver<Work>) {
    let mut worker = Worker {
        scale: TokenScale::of(db.decimals()),
        db,
        instance,
        releases: Vec::new(),
    };
    let mut work = Vec::new();
    loop {
        let waits = !worker.releases.is_empty();
        tokio::select! {
            biased;
            received = queue.recv_many(&mut work, MOST) => {
                if received == 0 {
                    return;
                }
            }
            () = tokio::time::sleep(RELEASE_AGAIN), if waits => {}
        }
        worker.group(mem::take(&mut work)).await;
    }
}

struct Worker {
    db: Db,
    instance: PgInstance,
    scale: TokenScale,
    /// Releases that could not be written; they come before everything that is asked later.
    releases: Vec<Arc<Command>>,
}

impl Worker {
    async fn group(&mut self, work: Vec<Work>) {
        let mut asked: Vec<Asked> = Vec::with_capacity(work.len());
        let mut barriers = Vec::new();
        for work in work {
            match work {
                Work::Decide(command, answer) => asked.push((command, answer)),
                Work::Barrier(done) => barriers.push(done),
            }
        }
        let releases = mem::take(&mut self.releases).into_iter();
        asked.splice(0..0, releases.map(|release| (release, Answer::None)));
        if !asked.is_empty() {
            self.decide(asked).await;
        }
        for barrier in barriers {
            // Its caller may have left.
            let _ = barrier.send(());
        }
    }

    /// Runs a group and answers its callers. When one command harms the others, each is run alone.
    async fn decide(&mut self, asked: Vec<Asked>) {
        let error = match self.transact(&asked).await {
            Ok(answers) => return answer(asked, answers),
            Err(error) => error,
        };
        if StaleEpoch::is_cause_of(&error) {
            return self.start_anew(asked, error).await;
        }
        if asked.len() == 1 || !is_of_one(&error) {
            return self.fail(asked, error);
        }
        for one in asked {
            let alone = vec![one];
            match self.transact(&alone).await {
                Ok(answers) => answer(alone, answers),
                Err(error) => self.fail(alone, error),
            }
        }
    }

    /// The lease was lost, and with it every hold: new calls are refused, and what calls did cost is captured by
    /// the instance as which this process goes on.
    async fn start_anew(&mut self, asked: Vec<Asked>, stale: StoreError) {
        let stale = Arc::new(stale);
        let renewed = self.instance.renew().await;
        let (captures, others): (Vec<Asked>, Vec<Asked>) = asked
            .into_iter()
            .partition(|(command, _)| matches!(**command, Command::Capture(_)));
        for (_, answer) in others {
            answer.fail(shared(&stale));
        }
        if captures.is_empty() {
            return;
        }
        if let Err(error) = renewed {
            return self.fail(captures, error);
        }
        match self.transact(&captures).await {
            Ok(answers) => answer(captures, answers),
            Err(error) => self.fail(captures, error),
        }
    }

    async fn transact(&self, asked: &[Asked]) -> Result<Answers, StoreError> {
        let group = Group {
            commands: asked.iter().map(|(command, _)| Arc::clone(command)).collect(),
            epoch: self.instance.epoch(),
            scale: self.scale,
        };
        self.db
            .write_locking(group, |write, group| group::run(write, group))
            .await
    }

    /// Nothing was stored, or it is unknown whether it was: a capture can be asked again, and a caller that got no
    /// answer to its hold releases it.
    fn fail(&mut self, asked: Vec<Asked>, error: StoreError) {
        tracing::error!(
            error = error.source().map(tracing::field::display),
            commands = asked.len(),
            "ledger transaction failed"
        );
        let error = Arc::new(error);
        for (command, answer) in asked {
            if matches!(*command, Command::Release(_)) {
                self.releases.push(command);
            }
            answer.fail(shared(&error));
        }
    }
}

fn answer(asked: Vec<Asked>, answers: Answers) {
    for unforeseen in answers.unforeseen {
        tracing::error!(
            target: "haithe::alarm",
            call = %unforeseen.call,
            org = unforeseen.org.0,
            lost_nano = unforeseen.lost.nano(),
            "call cost more than was left after its hold was released; the platform bears the rest"
        );
    }
    for ((_, answer), decided) in asked.into_iter().zip(answers.decided) {
        answer.send(decided);
    }
}

/// Whether one command may be why the group failed.
fn is_of_one(error: &StoreError) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<PostError>() || error.downcast_ref().is_some_and(blames_the_data) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// One failure, for every caller in the group.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct SharedError(Arc<StoreError>);

fn shared(error: &Arc<StoreError>) -> StoreError {
    StoreError::new(SharedError(Arc::clone(error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use haithe_billing::ledger::Account;

    #[test]
    fn a_command_is_told_from_a_database_that_is_away() {
        let of_one = PostError::OutOfRange {
            key: "call/1".to_owned(),
            account: Account::Platform,
        };
        assert!(is_of_one(&StoreError::new(of_one)));
        assert!(!is_of_one(&StoreError::new(sqlx::Error::PoolTimedOut)));
        assert!(!is_of_one(&StoreError::new("the connection was closed")));
    }

    #[test]
    fn every_caller_of_a_group_learns_why_it_failed() {
        let stale = Arc::new(StoreError::new(StaleEpoch));
        assert!(StaleEpoch::is_cause_of(&shared(&stale)));
    }
}
