//! The table of conditions.

/// A failure that operators must act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// Writes fail: the disk is full, another process locks the database, or the writer has ended.
    DatabaseUnwritable,
    /// The settlement gate refuses calls of every organization.
    SettlementGateClosed,
    /// No backup is recent enough.
    BackupStale,
    /// No stored value of some kind was encrypted under the configured key.
    EncryptionKeyMismatch,
    /// The chain's index stored alarms that are not acknowledged.
    IndexAlarms,
    /// The last comparison of the ledger with the chain found a difference.
    LedgerDifference,
    /// A provider answered 401 or 403 to our credentials.
    ProviderCredentialsRejected,
    /// Charges are not settled.
    SettlementStopped,
    /// The orchestrator's server is another key than the settling key.
    SettlingKeyMismatch,
}

/// What a condition does to readiness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// No paid call can be served: 503.
    Unready,
    /// Paid calls are served: 200 with a warning.
    Degraded,
}

/// A row of the table.
struct Row {
    name: &'static str,
    severity: Severity,
    remedy: &'static str,
}

impl Condition {
    /// All of them, those first that make the service unready.
    pub const ALL: [Self; 9] = [
        Self::DatabaseUnwritable,
        Self::SettlementGateClosed,
        Self::BackupStale,
        Self::EncryptionKeyMismatch,
        Self::IndexAlarms,
        Self::LedgerDifference,
        Self::ProviderCredentialsRejected,
        Self::SettlementStopped,
        Self::SettlingKeyMismatch,
    ];

    const fn row(self) -> Row {
        use Severity::{Degraded, Unready};
        let (name, severity, remedy) = match self {
            Self::DatabaseUnwritable => (
                "database_unwritable",
                Unready,
                "free disk space, and end the process that locks the database; writing resumes by itself",
            ),
            Self::SettlementGateClosed => (
                "settlement_gate_closed",
                Unready,
                "restore the connection to a node that is in sync; see the tasks `indexer` and `settlement`",
            ),
            Self::BackupStale => (
                "backup_stale",
                Degraded,
                "make a backup and let it write its time to the marker file (setting backup.marker)",
            ),
            Self::EncryptionKeyMismatch => (
                "encryption_key_mismatch",
                Degraded,
                "set DATABASE_ENCRYPTION_KEY to the key that this database was used with, and restart; after a \
                 deliberate change of the key, let the owners enter these values again",
            ),
            Self::IndexAlarms => (
                "index_alarms",
                Degraded,
                "look the alarms up in docs/OPERATIONS.md (Of the chain's index); when they are resolved, set \
                 chain.alarms_from_block above their blocks and restart",
            ),
            Self::LedgerDifference => (
                "ledger_difference",
                Degraded,
                "run `haithe ledger check`, keep a copy of the database, and stop deposits until the cause is known",
            ),
            Self::ProviderCredentialsRejected => (
                "provider_credentials_rejected",
                Degraded,
                "set the named environment variable to a valid key of the provider, and restart",
            ),
            Self::SettlementStopped => (
                "settlement_stopped",
                Degraded,
                "see the sender's alarms and the log of settlement: the node, gas, or a batch that the contract refuses",
            ),
            Self::SettlingKeyMismatch => (
                "settling_key_mismatch",
                Degraded,
                "set SERVER_PVT_KEY to the key of the orchestrator's server, or appoint this key with proposeServer \
                 and acceptServer",
            ),
        };
        Row {
            name,
            severity,
            remedy,
        }
    }

    /// A stable name for readiness, metrics and logs.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// What it does to readiness.
    pub const fn severity(self) -> Severity {
        self.row().severity
    }

    /// What an operator does about it.
    pub const fn remedy(self) -> &'static str {
        self.row().remedy
    }
}

impl Severity {
    /// The word for readiness and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unready => "unready",
            Self::Degraded => "degraded",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_condition_has_a_name_of_its_own_and_a_remedy() {
        let names: BTreeSet<_> = Condition::ALL.iter().map(|condition| condition.name()).collect();
        assert_eq!(names.len(), Condition::ALL.len());
        for condition in Condition::ALL {
            let name = condition.name();
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
            assert!(condition.remedy().len() > 20, "{name}");
            assert!(!condition.remedy().contains("  "), "{name}");
        }
    }

    #[test]
    fn only_what_stops_every_paid_call_makes_the_service_unready() {
        let unready: Vec<_> = Condition::ALL
            .into_iter()
            .filter(|condition| condition.severity() == Severity::Unready)
            .collect();
        assert_eq!(
            unready,
            [Condition::DatabaseUnwritable, Condition::SettlementGateClosed]
        );
    }
}
