//! Detecting the conditions that operators must act on.

use super::{Base, chain::Chain, database};
use crate::{
    Config,
    service::{
        conditions::{BackupRule, Checks, LevelSources, Levels, WriteProbe},
        supervisor::describe,
    },
};
use haithe_encryption::KeyId;
use std::{convert::Infallible, sync::Arc, time::Duration};

/// How often the database is probed with a write, and everything else is looked at that needs the disk.
const CHECK_EVERY: Duration = Duration::from_secs(5);
/// A charge that waits this much longer than `settlement.max_age_seconds` means that settlement has stopped.
const SETTLEMENT_SLACK: Duration = Duration::from_secs(600);

/// Starts the background tasks that detect conditions; returns what decides the others from memory.
pub(super) fn watch(base: &Base<'_>, chain: &Chain, key: KeyId) -> Arc<Levels> {
    let (config, database) = (base.config, &base.stores.database);
    let sources = LevelSources {
        database: database.clone(),
        ledger: chain.ledger_watch.clone(),
        gate: chain.gate.clone(),
        sender: chain.sender.clone(),
        settlement_limit: config.settlement.max_age.saturating_add(SETTLEMENT_SLACK),
    };
    let levels = Arc::new(Levels::new(base.conditions.clone(), sources));
    let probe = Arc::new(WriteProbe {
        database: database.clone(),
        levels: levels.clone(),
    });
    let checks = Arc::new(Checks::new(
        base.conditions.clone(),
        levels.clone(),
        database.clone(),
        base.clock.clone(),
        key,
        (config.chain.alarms_from_block, backup_rule(config)),
    ));
    base.supervisor.run("database-probe", move |stop| {
        let probe = probe.clone();
        async move {
            let probing = async {
                loop {
                    probe.step().await;
                    tokio::time::sleep(CHECK_EVERY).await;
                }
            };
            let _: Option<Infallible> = stop.run_until_cancelled(probing).await;
            Ok::<(), Infallible>(())
        }
    });
    base.supervisor.run("conditions", move |stop| {
        let checks = checks.clone();
        async move {
            let checking = async {
                loop {
                    if let Err(error) = checks.step().await {
                        tracing::warn!(error = describe(&error), "conditions could not be checked");
                    }
                    tokio::time::sleep(CHECK_EVERY).await;
                }
            };
            let _: Option<Infallible> = stop.run_until_cancelled(checking).await;
            Ok::<(), Infallible>(())
        }
    });
    levels
}

/// The rule for backups, where the configuration has one.
fn backup_rule(config: &Config) -> Option<BackupRule> {
    let max_age = config.backup.max_age?;
    let marker = config.backup.marker.clone();
    Some(BackupRule {
        marker: marker.or_else(|| database::backup_marker(config)),
        max_age,
    })
}
