//! Several instances on one database, and databases that are not to be opened.

use crate::{
    database::{NOON, Setup},
    world::{CHAIN_ID, ORCHESTRATOR, act, new_project, wallet},
};
use futures::future::join_all;
use haithe_billing::{
    chain::{BlockRef, ChainEvent, EventBody, IndexStep},
    ports::ChainIndex,
};
use haithe_kernel::OrgId;
use haithe_marketplace::hosting::{ContentDigest, ContentStore, HostingLimits, NewContent, NotHosted};
use haithe_orgs::ports::{Directory, OrgStore, ProjectStore};
use haithe_postgres::{
    Db, OpenError, PgChainIndex, PgConfig, PgContentStore, PgDirectory, PgOrgStore, PgProjectStore,
};
use haithe_tests::{eventually, postgres::TestDatabase};
use sqlx::{ConnectOptions, postgres::PgConnectOptions};

async fn open(database: &TestDatabase) -> Result<Db, OpenError> {
    Db::open(&PgConfig::new(database.url(), Setup::default().decimals)).await
}

async fn execute(database: &TestDatabase, statement: &'static str) {
    let options: PgConnectOptions = database.url().parse().unwrap();
    let mut connection = options.connect().await.unwrap();
    sqlx::query(statement).execute(&mut connection).await.unwrap();
}

/// An organization in the database.
async fn organization(db: &Db) -> OrgId {
    let index = PgChainIndex::new(db);
    index.bind(CHAIN_ID, ORCHESTRATOR, 1).await.unwrap();
    let block = BlockRef {
        number: 1,
        hash: [1; 32],
        parent: [0; 32],
        time: NOON,
    };
    let created = ChainEvent {
        block: 1,
        block_hash: block.hash,
        block_time: NOON,
        tx: [1; 32],
        log_index: 0,
        body: EventBody::OrganizationCreated {
            index: 0,
            org: wallet(9),
            owner: wallet(1),
            name: "Acme".into(),
        },
    };
    let step = IndexStep {
        events: vec![created],
        blocks: vec![block],
        to: block,
        confirmed: 1,
        last_final: 1,
    };
    index.apply(step).await.unwrap();
    let found = PgOrgStore::new(db).find_by_address(wallet(9)).await.unwrap();
    found.unwrap().id
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_start_together_on_an_empty_database_all_open_it() {
    let Some(database) = TestDatabase::empty().await else {
        return;
    };
    let opened = join_all((0..6).map(|_| open(&database))).await;
    for db in opened {
        let db = db.unwrap();
        assert_eq!(PgOrgStore::new(&db).count().await.unwrap(), 0);
        db.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_directory_reaches_its_own_instance_at_once_and_every_other_soon() {
    let Some(database) = TestDatabase::create().await else {
        return;
    };
    let (one, other) = (open(&database).await.unwrap(), open(&database).await.unwrap());
    let org = organization(&one).await;
    let versions = || {
        (
            PgDirectory::new(&one).version(),
            PgDirectory::new(&other).version(),
        )
    };
    let before = versions();
    let project = new_project(org, "project");
    PgProjectStore::new(&one)
        .create(project, act(wallet(1)))
        .await
        .unwrap();
    let after = versions();
    assert!(after.0 > before.0);
    eventually("the other instance sees the change", async || {
        (versions().1 > before.1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_together_accept_exactly_what_a_quota_allows() {
    let Some(database) = TestDatabase::create().await else {
        return;
    };
    let (one, other) = (open(&database).await.unwrap(), open(&database).await.unwrap());
    let limits = HostingLimits {
        content_bytes: 1_000,
        wallet_contents: 10,
        wallet_bytes: 1_000_000,
        all_bytes: 1_000_000,
    };
    let putting = (0..24u8).map(|number| {
        let contents = PgContentStore::new(if number % 2 == 0 { &one } else { &other });
        let bytes = vec![number; 10];
        let new = NewContent {
            owner: wallet(1),
            digest: ContentDigest::of(&bytes),
            bytes,
            at: NOON,
        };
        tokio::spawn(async move { contents.put(new, limits).await })
    });
    let mut hosted = 0;
    for put in join_all(putting).await {
        match put.unwrap() {
            Ok(is_new) => hosted += u32::from(is_new),
            Err(refused) => assert!(matches!(refused, NotHosted::TooMany { most: 10 }), "{refused:?}"),
        }
    }
    assert_eq!(hosted, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_program_is_refused() {
    let Some(database) = TestDatabase::empty().await else {
        return;
    };
    execute(&database, "CREATE TABLE invoices (id BIGINT)").await;
    assert!(matches!(open(&database).await, Err(OpenError::Foreign)));
}

/// What version N+1 does to the database when it migrates: it appends a migration, which adds a column here.
async fn migrate_to_the_next_version(database: &TestDatabase) {
    execute(database, "ALTER TABLE waitlist ADD COLUMN note TEXT").await;
    execute(
        database,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'waitlist notes', TRUE, '\\x00', 0)",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_works_beside_and_after_the_next_one_has_migrated() {
    let Some(database) = TestDatabase::create().await else {
        return;
    };
    let running = open(&database).await.unwrap();
    let org = organization(&running).await;
    migrate_to_the_next_version(&database).await;
    let started_later = open(&database).await.unwrap();
    for (db, name) in [(&running, "one"), (&started_later, "two")] {
        PgProjectStore::new(db)
            .create(new_project(org, name), act(wallet(1)))
            .await
            .unwrap();
        assert_eq!(PgOrgStore::new(db).count().await.unwrap(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_requires_a_newer_program_is_refused() {
    let Some(database) = TestDatabase::create().await else {
        return;
    };
    migrate_to_the_next_version(&database).await;
    execute(&database, "UPDATE schema_compatibility SET oldest_version = 9999").await;
    let refused = open(&database).await;
    assert!(matches!(refused, Err(OpenError::Newer { oldest: 9999, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_an_unreleased_version_is_refused_with_the_way_out() {
    let Some(database) = TestDatabase::create().await else {
        return;
    };
    execute(
        &database,
        "UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = 2",
    )
    .await;
    let Err(refused) = open(&database).await else {
        panic!("a schema that differs from the program's was accepted");
    };
    assert!(matches!(refused, OpenError::Unreleased { version: 2 }));
    assert!(refused.to_string().contains("set `database.url`"), "{refused}");
}
