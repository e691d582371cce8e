//! The file: one server at a time, of the right kind and version, and what may never change in it.

use crate::fixture::{Fixture, NOON, config, nano};
use haithe_billing::ports::{Books, Ledger};
use haithe_kernel::{Decimals, FixedClock, Usdt};
use haithe_sqlite::{Db, DbConfig, OpenError, ReadOnlyDb, SqliteBooks};
use sqlx::{Connection, Executor, SqliteConnection, sqlite::SqliteConnectOptions};
use std::sync::Arc;
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_the_same_file_is_refused_until_the_first_has_gone() {
    let (fixture, org) = Fixture::funded(nano(100)).await;
    let Err(error) = fixture.open_again().await else {
        panic!("two servers on one file")
    };
    assert!(matches!(error, OpenError::InUse { .. }));
    assert!(error.to_string().contains("in use by another server"), "{error}");
    let fixture = fixture.reopened().await;
    assert_eq!(fixture.balance(org).await.available, nano(100));
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_its_owner_can_read_a_database() {
    use std::os::unix::fs::PermissionsExt;
    let (fixture, _) = Fixture::funded(nano(100)).await;
    for name in ["haithe.db", "haithe.db-wal", "haithe.db-shm", "haithe.db.lock"] {
        let file = std::fs::metadata(fixture.dir.path().join(name)).unwrap();
        assert_eq!(file.permissions().mode() & 0o077, 0, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_books_can_be_read_beside_a_running_server() {
    let (fixture, org) = Fixture::funded(nano(100)).await;
    let call = fixture.spend(org, nano(7)).await;
    let beside = ReadOnlyDb::open(fixture.path(), fixture.clock.clone())
        .await
        .unwrap();
    let books = SqliteBooks::new(&beside);
    assert_eq!(books.receipt(call).await.unwrap().unwrap().charged, nano(7));
    assert_eq!(books.snapshot().await.unwrap().at, NOON);
}

/// What version N+1 does to a file when it migrates: it appends a migration, which adds a column here.
async fn migrate_to_the_next_version(fixture: &Fixture) {
    let mut later = fixture.stranger().await;
    for statement in [
        "ALTER TABLE waitlist ADD COLUMN note TEXT",
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (99, 'waitlist notes', 1, x'00', 0)",
    ] {
        later.execute(statement).await.unwrap();
    }
    later.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_works_on_a_file_that_the_next_one_has_migrated() {
    let (mut fixture, org) = Fixture::funded(nano(100)).await;
    fixture.db.close().await.unwrap();
    migrate_to_the_next_version(&fixture).await;
    fixture.db = fixture.open_again().await.unwrap();
    let call = fixture.spend(org, nano(7)).await;
    let beside = ReadOnlyDb::open(fixture.path(), fixture.clock.clone())
        .await
        .unwrap();
    let receipt = SqliteBooks::new(&beside).receipt(call).await.unwrap().unwrap();
    assert_eq!(receipt.charged, nano(7));
    // It has applied nothing of its own again, and removed nothing of the later version's.
    let mut stranger = fixture.stranger().await;
    let newest: i64 = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
        .fetch_one(&mut stranger)
        .await
        .unwrap();
    assert_eq!(newest, 99);
    fixture.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_requires_a_newer_program_is_refused() {
    let fixture = Fixture::new().await;
    fixture.db.close().await.unwrap();
    migrate_to_the_next_version(&fixture).await;
    let mut later = fixture.stranger().await;
    later
        .execute("UPDATE schema_compatibility SET oldest_version = 99")
        .await
        .unwrap();
    later.close().await.unwrap();
    assert!(matches!(
        fixture.open_again().await,
        Err(OpenError::Newer { oldest: 99, .. })
    ));
    let beside = ReadOnlyDb::open(fixture.path(), fixture.clock.clone()).await;
    assert!(matches!(beside, Err(OpenError::Newer { oldest: 99, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_migrated_to_the_end_is_completed_at_the_next_start() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("haithe.db");
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true);
    let mut first = SqliteConnection::connect_with(&options).await.unwrap();
    let migrations = sqlx::migrate!("../../migrations/sqlite");
    migrations.run_to(3, &mut first).await.unwrap();
    first.close().await.unwrap();
    let clock = Arc::new(FixedClock::at(NOON));
    let beside = ReadOnlyDb::open(path.clone(), clock.clone()).await;
    assert!(matches!(beside, Err(OpenError::Older { found: 3, .. })));
    let db = Db::open(config(path.clone(), &clock)).await.unwrap();
    assert!(ReadOnlyDb::open(path, clock).await.is_ok());
    db.close().await.unwrap();
}

/// The schema before the first release had other migrations under the same numbers, and the same `application_id`.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_an_unreleased_version_is_refused_with_the_way_out() {
    let dir = TempDir::new().unwrap();
    for (name, migrations) in [("without-record.db", ""), ("41.db", MIGRATIONS_BEFORE)] {
        let path = dir.path().join(name);
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true);
        let mut old = SqliteConnection::connect_with(&options).await.unwrap();
        for statement in [
            "PRAGMA application_id = 1212238164",
            "CREATE TABLE usage_records (id INTEGER PRIMARY KEY)",
            migrations,
        ] {
            old.execute(statement).await.unwrap();
        }
        let clock = Arc::new(FixedClock::at(NOON));
        let Err(refused) = Db::open(config(path.clone(), &clock)).await else {
            panic!("a file of an unreleased version was accepted")
        };
        assert!(matches!(refused, OpenError::Unreleased { .. }), "{refused}");
        assert!(
            refused.to_string().contains("set `database.url` to a new file"),
            "{refused}"
        );
        let beside = ReadOnlyDb::open(path, clock).await;
        assert!(matches!(beside, Err(OpenError::Unreleased { .. })));
        // Nothing was added to it.
        let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'ledger%'")
            .fetch_one(&mut old)
            .await
            .unwrap();
        assert_eq!(tables, 0);
    }
}

const MIGRATIONS_BEFORE: &str = "
    CREATE TABLE _sqlx_migrations (
        version BIGINT PRIMARY KEY,
        description TEXT NOT NULL,
        installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
        success BOOLEAN NOT NULL,
        checksum BLOB NOT NULL,
        execution_time BIGINT NOT NULL
    );
    INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
    VALUES (1, 'identity', 1, x'01', 0), (2, 'directory', 1, x'02', 0), (41, 'ledger values', 1, x'29', 0)";

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_program_is_refused_and_left_alone() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("other.db");
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true);
    let mut other = SqliteConnection::connect_with(&options).await.unwrap();
    other.execute("CREATE TABLE theirs (x)").await.unwrap();
    let clock = Arc::new(FixedClock::at(NOON));
    assert!(matches!(
        Db::open(config(path.clone(), &clock)).await,
        Err(OpenError::Foreign { .. })
    ));
    assert!(matches!(
        ReadOnlyDb::open(path, clock).await,
        Err(OpenError::Foreign { .. })
    ));
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(&mut other)
        .await
        .unwrap();
    assert_eq!(tables, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_its_schema_cannot_be_read_only() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("empty.db");
    std::fs::write(&path, b"").unwrap();
    let opened = ReadOnlyDb::open(path, Arc::new(FixedClock::at(NOON))).await;
    assert!(matches!(opened, Err(OpenError::Older { found: 0, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_counts_one_token_for_ever() {
    let fixture = Fixture::new().await;
    fixture.db.close().await.unwrap();
    let six = DbConfig {
        decimals: Decimals::new(6).unwrap(),
        ..config(fixture.path(), &fixture.clock)
    };
    let refused = Db::open(six).await;
    assert!(matches!(
        refused,
        Err(OpenError::Decimals {
            found: 18,
            configured: 6
        })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_transfer_is_seen_however_far_its_number_is_from_all_others() {
    let (fixture, _) = Fixture::funded(nano(100)).await;
    fixture.db.close().await.unwrap();
    let mut thief = fixture.stranger().await;
    for forged in [
        "INSERT INTO ledger_transactions (id, key, at) VALUES (9223372036854775807, 'forged', 0)",
        "INSERT INTO ledger_transfers VALUES (9223372036854775807, 0, 3, 2, 5)",
    ] {
        thief.execute(forged).await.unwrap();
    }
    thief.close().await.unwrap();
    let beside = ReadOnlyDb::open(fixture.path(), fixture.clock.clone())
        .await
        .unwrap();
    let drifted = SqliteBooks::new(&beside).snapshot().await.unwrap().drifted;
    assert_eq!(drifted, ["platform", "platform/loss"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn books_that_do_not_add_up_keep_the_server_from_starting() {
    let (fixture, _) = Fixture::funded(nano(100)).await;
    fixture.db.close().await.unwrap();
    let mut thief = fixture.stranger().await;
    thief
        .execute("UPDATE ledger_accounts SET balance = balance + 1 WHERE name = 'platform'")
        .await
        .unwrap();
    thief.close().await.unwrap();
    match fixture.open_again().await {
        Err(OpenError::Drifted { accounts }) => assert_eq!(accounts, ["platform"]),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("a forged balance was accepted"),
    }
    let beside = ReadOnlyDb::open(fixture.path(), fixture.clock.clone())
        .await
        .unwrap();
    assert_eq!(
        SqliteBooks::new(&beside).snapshot().await.unwrap().drifted,
        ["platform"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_booked_can_be_neither_changed_nor_deleted() {
    let (fixture, org) = Fixture::funded(nano(100)).await;
    fixture.spend(org, nano(7)).await;
    let mut thief = fixture.stranger().await;
    for forgery in [
        "UPDATE ledger_transactions SET at = 0",
        "DELETE FROM ledger_transactions",
        "UPDATE ledger_transfers SET amount = amount + 1",
        "DELETE FROM ledger_transfers",
        "UPDATE usage_records SET charged = 0",
        "DELETE FROM usage_records",
        "UPDATE receipts SET json = '{}'",
        "DELETE FROM receipts",
        "UPDATE charge_lines SET amount = 0",
        "DELETE FROM charge_lines",
    ] {
        let error = thief.execute(forgery).await.expect_err(forgery);
        assert!(error.to_string().contains("append-only"), "{forgery}: {error}");
    }
    fixture.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_database_refuses_loudly() {
    let (fixture, org) = Fixture::funded(nano(100)).await;
    let call = fixture.hold(org, nano(10)).await.unwrap();
    assert!(fixture.db.is_healthy());
    fixture.db.close().await.unwrap();
    assert!(!fixture.db.is_healthy());
    assert!(fixture.hold(org, nano(1)).await.is_err());
    assert!(fixture.capture(call, org, nano(1)).await.is_err());
    assert!(fixture.ledger().balance(org).await.is_err());
    assert!(fixture.ledger().expenditure(org).await.is_err());
    assert!(fixture.db.close().await.is_err());
    fixture.ledger().release(call);
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_stores_what_is_queued() {
    let (fixture, org) = Fixture::funded(nano(1_000)).await;
    let mut captures = Vec::new();
    for _ in 0..50 {
        let call = fixture.hold(org, nano(1)).await.unwrap();
        let ledger = fixture.ledger();
        captures.push(tokio::spawn(async move {
            let lines = vec![crate::fixture::line(
                haithe_billing::capture::Payee::Platform,
                nano(1),
            )];
            ledger.capture(crate::fixture::capture(call, org, lines)).await
        }));
    }
    fixture.db.close().await.unwrap();
    let mut acknowledged = 0;
    for capture in captures {
        acknowledged += i64::from(capture.await.unwrap().is_ok());
    }
    let db = fixture.open_again().await.unwrap();
    let spent = haithe_sqlite::SqliteLedger::new(&db)
        .expenditure(org)
        .await
        .unwrap();
    assert!(spent >= nano(acknowledged), "{spent:?} of {acknowledged}");
    assert!(spent <= Usdt::from_nano(50));
}
