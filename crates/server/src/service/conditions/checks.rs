//! Conditions that only the disk can tell: found in the background.

use super::{BackupRule, Condition, Conditions, Levels, sealed};
use crate::service::supervisor::describe;
use haithe_encryption::KeyId;
use haithe_kernel::{Clock, StoreError};
use haithe_stores::{AlarmCount, DatabaseControl};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::time::timeout;

/// A write probe that takes longer counts as failed. Longer than a write may wait for another process's lock.
const PROBE_LIMIT: Duration = Duration::from_secs(10);
/// While the encryption key does not fit, the stored values are read again in every so many rounds.
const SEALED_EVERY: u32 = 12;

/// Writes a small transaction and notes whether the database can be written.
pub struct WriteProbe {
    /// The database.
    pub database: Arc<dyn DatabaseControl>,
    /// Where the outcome is noted.
    pub levels: Arc<Levels>,
}

impl WriteProbe {
    /// Probes once. A probe that does not end in time counts as failed at once, and is waited for nevertheless, so that
    /// probes do not queue up behind a disk that hangs.
    pub async fn step(&self) {
        let mut probe = self.database.probe_write();
        let outcome = match timeout(PROBE_LIMIT, &mut probe).await {
            Ok(outcome) => outcome,
            Err(_) => {
                tracing::warn!(seconds = PROBE_LIMIT.as_secs(), "database write probe timed out");
                self.levels.probed(true);
                probe.await
            }
        };
        if let Err(error) = &outcome {
            tracing::warn!(error = describe(error), "database write probe failed");
        }
        self.levels.probed(outcome.is_err());
    }
}

/// Reads what the database and the backup's marker file say.
pub struct Checks {
    conditions: Arc<Conditions>,
    levels: Arc<Levels>,
    database: Arc<dyn DatabaseControl>,
    clock: Arc<dyn Clock>,
    key: KeyId,
    alarms_from: u64,
    backup: Option<BackupRule>,
    rounds: AtomicU32,
}

impl Checks {
    /// Of values that should be encrypted under `key`, of alarms in blocks from `alarms_from` on, and of the last
    /// backup where there is a rule for it.
    pub fn new(
        conditions: Arc<Conditions>,
        levels: Arc<Levels>,
        database: Arc<dyn DatabaseControl>,
        clock: Arc<dyn Clock>,
        key: KeyId,
        (alarms_from, backup): (u64, Option<BackupRule>),
    ) -> Self {
        Self {
            conditions,
            levels,
            database,
            clock,
            key,
            alarms_from,
            backup,
            rounds: AtomicU32::new(0),
        }
    }

    /// Looks once at everything. What cannot be read stays as it was found before.
    ///
    /// # Errors
    /// [`StoreError`] when the database could not be read; the rest was looked at.
    pub async fn step(&self) -> Result<(), StoreError> {
        self.levels.refresh();
        self.check_backup().await;
        self.check_sealed().await?;
        let alarms = self.database.alarms(self.alarms_from).await?;
        self.conditions.set(Condition::IndexAlarms, "", raised(&alarms));
        Ok(())
    }

    async fn check_backup(&self) {
        let Some(rule) = self.backup.clone() else { return };
        let now = self.clock.now();
        if let Ok(problem) = tokio::task::spawn_blocking(move || rule.problem(now)).await {
            self.conditions.set(Condition::BackupStale, "", problem);
        }
    }

    /// The key cannot stop fitting while the service runs, because everything new is encrypted under it: one look is
    /// enough until it does not fit.
    async fn check_sealed(&self) -> Result<(), StoreError> {
        let round = self.rounds.load(Ordering::Relaxed);
        let mismatched = self.conditions.is_active(Condition::EncryptionKeyMismatch);
        if round == 0 || (mismatched && round.is_multiple_of(SEALED_EVERY)) {
            let samples = self.database.sealed_samples().await?;
            self.conditions.set(
                Condition::EncryptionKeyMismatch,
                "",
                sealed::foreign(&samples, self.key),
            );
        }
        self.rounds.store(round.saturating_add(1), Ordering::Relaxed);
        Ok(())
    }
}

/// The alarms in words, if there are any.
fn raised(alarms: &[AlarmCount]) -> Option<String> {
    let each: Vec<_> = alarms
        .iter()
        .map(|alarm| {
            let (kind, count, block) = (alarm.kind.as_str(), alarm.count, alarm.last_block);
            format!("{count} × {kind} (last in block {block})")
        })
        .collect();
    (!each.is_empty()).then(|| format!("alarms of the chain's index: {}", each.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::{conditions::LevelSources, ledger_watch::LedgerWatch, metrics::SenderFigures};
    use haithe_billing::{chain::AlarmKind, gate::SettlementGate};
    use haithe_encryption::{EncryptionKey, SealedBox};
    use haithe_kernel::{FixedClock, Timestamp};
    use haithe_stores::{MockDatabaseControl, SealedSample};
    use mockall::Sequence;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn key(digits: &str) -> EncryptionKey {
        EncryptionKey::parse(&digits.repeat(32).into()).unwrap()
    }

    /// The checks over a mocked database, with a key of other values than those it stores.
    fn checks(database: MockDatabaseControl) -> (Arc<Conditions>, Arc<Levels>, Checks, WriteProbe) {
        let clock = Arc::new(FixedClock::at(Timestamp::from_seconds(1_769_860_800)));
        let conditions = Arc::new(Conditions::new(clock.clone()));
        let database: Arc<dyn DatabaseControl> = Arc::new(database);
        let levels = Arc::new(Levels::new(
            conditions.clone(),
            LevelSources {
                database: database.clone(),
                ledger: Arc::new(LedgerWatch::new(HOUR)),
                gate: Arc::new(SettlementGate::new(clock.clone(), 24 * HOUR)),
                sender: Arc::new(SenderFigures::default),
                settlement_limit: HOUR,
            },
        ));
        let checks = Checks::new(
            conditions.clone(),
            levels.clone(),
            database.clone(),
            clock,
            key("07").id(),
            (5, None),
        );
        let probe = WriteProbe {
            database,
            levels: levels.clone(),
        };
        (conditions, levels, checks, probe)
    }

    fn database() -> MockDatabaseControl {
        let mut database = MockDatabaseControl::new();
        database.expect_is_writable().return_const(true);
        database
    }

    #[tokio::test]
    async fn alarms_are_reported_until_they_are_gone() {
        let mut database = database();
        database
            .expect_sealed_samples()
            .times(1)
            .returning(|| Ok(Vec::new()));
        let mut order = Sequence::new();
        let alarm = AlarmCount {
            kind: AlarmKind::UnknownBatch,
            count: 2,
            last_block: 9,
        };
        database
            .expect_alarms()
            .withf(|from| *from == 5)
            .times(1)
            .in_sequence(&mut order)
            .returning(move |_| Ok(vec![alarm]));
        database
            .expect_alarms()
            .times(1)
            .in_sequence(&mut order)
            .returning(|_| Ok(Vec::new()));
        let (conditions, _, checks, _) = checks(database);
        checks.step().await.unwrap();
        let [active] = conditions.active().try_into().unwrap();
        assert_eq!(active.condition, Condition::IndexAlarms);
        assert!(
            active.message.contains("2 × unknown_batch (last in block 9)"),
            "{}",
            active.message
        );
        checks.step().await.unwrap();
        assert!(conditions.active().is_empty());
    }

    #[tokio::test]
    async fn a_key_that_opens_nothing_is_reported_and_looked_at_again() {
        let mut database = database();
        database.expect_alarms().returning(|_| Ok(Vec::new()));
        let mut order = Sequence::new();
        for digits in ["08", "07"] {
            database
                .expect_sealed_samples()
                .times(1)
                .in_sequence(&mut order)
                .returning(move || {
                    let sealed = SealedBox::new(&key(digits), "a test").seal(b"", b"secret");
                    Ok(vec![SealedSample {
                        what: "bot tokens",
                        heads: vec![sealed.unwrap()],
                    }])
                });
        }
        let (conditions, _, checks, _) = checks(database);
        checks.step().await.unwrap();
        assert!(conditions.is_active(Condition::EncryptionKeyMismatch));
        for _ in 0..2 * SEALED_EVERY {
            checks.step().await.unwrap();
        }
        assert!(
            conditions.active().is_empty(),
            "the second look found values of our key"
        );
    }

    #[tokio::test]
    async fn a_failed_write_probe_makes_the_database_unwritable_until_one_succeeds() {
        let mut database = database();
        let mut order = Sequence::new();
        database
            .expect_probe_write()
            .times(1)
            .in_sequence(&mut order)
            .returning(|| Err(StoreError::new("disk full")));
        database
            .expect_probe_write()
            .times(1)
            .in_sequence(&mut order)
            .returning(|| Ok(()));
        let (conditions, _, _, probe) = checks(database);
        probe.step().await;
        assert!(conditions.is_active(Condition::DatabaseUnwritable));
        probe.step().await;
        assert!(conditions.active().is_empty());
    }
}
