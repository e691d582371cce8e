//! Databases of their own for tests, on the PostgreSQL server that `HAITHE_TEST_POSTGRES` names.
//!
//! `cargo xtask test` starts that server (`xtask/src/postgres.rs`). Without it the tests that need one print a line
//! and pass, unless `HAITHE_REQUIRE_POSTGRES` is set, as it is in CI. Each database is a copy of a template, which
//! the first test of a schema makes, and is dropped with its value.

use haithe_kernel::Decimals;
use haithe_postgres::{Db, PgConfig};
use sha2::{Digest, Sha256};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, PgConnection, migrate::Migrator, postgres::PgConnectOptions,
};
use url::Url;

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/postgres");

/// One number for all processes that make templates on a server.
const TEMPLATE_LOCK: i64 = 0x4841_4954_4845;

/// A database of its own. Dropped with this value, whoever is still connected.
pub struct TestDatabase {
    server: Url,
    name: String,
}

impl TestDatabase {
    /// Makes one with the current schema; `None` when there is no server.
    ///
    /// # Panics
    /// When the server cannot be used, or is required and not there.
    pub async fn create() -> Option<Self> {
        let server = server()?;
        let template = template(&server).await;
        Some(Self::copy_of(&template, server).await)
    }

    /// Makes one without any table; `None` when there is no server.
    ///
    /// # Panics
    /// As [`create`](Self::create) does.
    pub async fn empty() -> Option<Self> {
        Some(Self::copy_of("template1", server()?).await)
    }

    async fn copy_of(template: &str, server: Url) -> Self {
        let name = format!("haithe_test_{}", uuid::Uuid::new_v4().simple());
        let mut connection = connect(&server).await;
        run(
            &mut connection,
            format!("CREATE DATABASE {name} TEMPLATE {template}"),
        )
        .await;
        connection.close().await.expect("a connection that closes");
        Self { server, name }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        at(&self.server, &self.name)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // A runtime cannot wait for another on its own thread.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let mut connection = connect(&server).await;
                run(
                    &mut connection,
                    format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
                )
                .await;
            });
        });
        if dropped.join().is_err() {
            println!("the test database {} could not be dropped", self.name);
        }
    }
}

/// The server that tests may make databases on.
fn server() -> Option<Url> {
    if let Ok(server) = std::env::var("HAITHE_TEST_POSTGRES") {
        return Some(server.parse().expect("HAITHE_TEST_POSTGRES is a URL"));
    }
    let missing =
        "no PostgreSQL server: run `cargo xtask test`, or set HAITHE_TEST_POSTGRES to the URL of one";
    assert!(std::env::var_os("HAITHE_REQUIRE_POSTGRES").is_none(), "{missing}");
    println!("skipped: {missing}");
    None
}

fn at(server: &Url, database: &str) -> String {
    let mut url = server.clone();
    url.set_path(database);
    url.into()
}

async fn connect(server: &Url) -> PgConnection {
    let options: PgConnectOptions = server.as_str().parse().expect("the URL of a PostgreSQL server");
    options.connect().await.expect("a PostgreSQL server that answers")
}

async fn run(connection: &mut PgConnection, statement: String) {
    let done = sqlx::query(AssertSqlSafe(statement)).execute(connection).await;
    done.expect("a server that lets tests make databases");
}

/// The template of the current schema, made by the first test that asks for it.
async fn template(server: &Url) -> String {
    let digest = MIGRATIONS.iter().fold(Sha256::new(), |digest, migration| {
        digest
            .chain_update(migration.version.to_be_bytes())
            .chain_update(&migration.checksum)
    });
    let digest = hex::encode(digest.finalize());
    let name = format!("haithe_template_{}", &digest[..16]);
    let mut connection = connect(server).await;
    if is_ready(&mut connection, &name).await {
        return name;
    }
    let lock = sqlx::query("SELECT pg_advisory_lock($1)").bind(TEMPLATE_LOCK);
    lock.execute(&mut connection).await.expect("a lock on the server");
    if !is_ready(&mut connection, &name).await {
        run(
            &mut connection,
            format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        )
        .await;
        run(&mut connection, format!("CREATE DATABASE {name}")).await;
        let decimals = Decimals::new(18).expect("18 decimals are allowed");
        let db = Db::open(&PgConfig::new(at(server, &name), decimals)).await;
        db.expect("an empty database that can be migrated").close().await;
        run(&mut connection, format!("ALTER DATABASE {name} IS_TEMPLATE true")).await;
    }
    connection.close().await.expect("a connection that closes");
    name
}

async fn is_ready(connection: &mut PgConnection, template: &str) -> bool {
    let ready =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1 AND datistemplate)");
    let ready = ready.bind(template).fetch_one(connection).await;
    ready.expect("a server that lists its databases")
}
