//! Which databases a program may open, by the migrations that were applied to them.
//!
//! Released migrations never change, and a later version of the program only appends migrations. Each of them works
//! for the version before, too (expand and contract), so that version N+1 can start while N runs and N can start
//! again after N+1 has migrated. A migration that removes what older programs use raises the database's *oldest
//! version*: programs that have fewer migrations must not open it any more.

/// A migration: its number and the checksum of its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaMigration {
    /// Its number, from 1.
    pub version: i64,
    /// The checksum of its text, as the migrations' library computes it.
    pub checksum: Vec<u8>,
}

/// What the migrations of a database mean to a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaState {
    /// The program's own migrations were applied, and no others.
    Current,
    /// Only the migrations up to `found` were applied; 0 when none was. The program may apply the others.
    Behind {
        /// The newest one in the database.
        found: i64,
    },
    /// A later version of the program has appended migrations up to `found`, which leave the program working.
    Ahead {
        /// The newest one in the database.
        found: i64,
    },
    /// A later version of the program has removed what this one uses.
    TooNew {
        /// The oldest version that a program must have.
        oldest: i64,
    },
    /// A migration was applied that is not the program's migration of that number.
    Unknown {
        /// Its number in the database.
        version: i64,
    },
}

impl SchemaState {
    /// Compares the `known` migrations of a program with those that were `applied` to a database, both in the order of
    /// their numbers. `oldest` is the oldest version that a program must have, if the database states one.
    pub fn of(known: &[SchemaMigration], applied: &[SchemaMigration], oldest: Option<i64>) -> Self {
        let differing = known
            .iter()
            .zip(applied)
            .find(|(known, applied)| known != applied);
        if let Some((_, applied)) = differing {
            return Self::Unknown {
                version: applied.version,
            };
        }
        let newest = |migrations: &[SchemaMigration]| migrations.last().map_or(0, |newest| newest.version);
        if let Some(oldest) = oldest.filter(|oldest| *oldest > newest(known)) {
            return Self::TooNew { oldest };
        }
        let found = newest(applied);
        match applied.len().cmp(&known.len()) {
            std::cmp::Ordering::Less => Self::Behind { found },
            std::cmp::Ordering::Equal => Self::Current,
            std::cmp::Ordering::Greater => Self::Ahead { found },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migrations(versions: impl IntoIterator<Item = i64>) -> Vec<SchemaMigration> {
        let migration = |version| SchemaMigration {
            version,
            checksum: vec![1],
        };
        versions.into_iter().map(migration).collect()
    }

    #[test]
    fn a_program_may_migrate_what_is_empty_or_behind() {
        let known = migrations(1..=3);
        assert_eq!(
            SchemaState::of(&known, &[], None),
            SchemaState::Behind { found: 0 }
        );
        assert_eq!(
            SchemaState::of(&known, &migrations(1..=2), Some(1)),
            SchemaState::Behind { found: 2 }
        );
        assert_eq!(SchemaState::of(&known, &known, Some(1)), SchemaState::Current);
    }

    #[test]
    fn appended_migrations_leave_the_program_working() {
        let known = migrations(1..=3);
        let applied = migrations(1..=5);
        for oldest in [None, Some(1), Some(3)] {
            assert_eq!(
                SchemaState::of(&known, &applied, oldest),
                SchemaState::Ahead { found: 5 }
            );
        }
        assert_eq!(
            SchemaState::of(&known, &applied, Some(4)),
            SchemaState::TooNew { oldest: 4 }
        );
    }

    #[test]
    fn another_checksum_or_number_is_unknown() {
        let known = migrations(1..=3);
        let mut changed = migrations(1..=5);
        if let Some(second) = changed.get_mut(1) {
            second.checksum = vec![2];
        }
        assert_eq!(
            SchemaState::of(&known, &changed, None),
            SchemaState::Unknown { version: 2 }
        );
        assert_eq!(
            SchemaState::of(&known, &changed, Some(9)),
            SchemaState::Unknown { version: 2 }
        );
        assert_eq!(
            SchemaState::of(&known, &migrations([1, 2, 4]), None),
            SchemaState::Unknown { version: 4 }
        );
        assert_eq!(
            SchemaState::of(&known, &migrations([2]), None),
            SchemaState::Unknown { version: 2 }
        );
    }
}
