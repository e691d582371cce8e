//! Statements that take many rows at once.
//!
//! A statement's way to SQLite's thread and back costs more than the rows it carries. A bulk
//! statement therefore exists in a few fixed sizes; places that stay empty are NULL and filtered
//! out, so that a handful of prepared statements serves groups of every size. A script takes several
//! of them along at once.

use sqlx::{
    Arguments, AssertSqlSafe, Encode, Sqlite, SqliteConnection, Type, error::BoxDynError,
    sqlite::SqliteArguments,
};
use std::sync::Arc;

/// Rows per statement, ascending.
const SIZES: [usize; 4] = [1, 4, 16, 64];

/// A statement in its sizes.
pub(crate) struct Bulk {
    columns: usize,
    sizes: [(usize, Arc<str>); SIZES.len()],
}

impl Bulk {
    /// Inserts into `names` of `table`. The first column must never be NULL.
    pub(crate) fn insert(table: &str, names: &[&str]) -> Self {
        let values: Vec<String> = (1..=names.len())
            .map(|column| format!("column{column}"))
            .collect();
        let (columns, values) = (names.join(","), values.join(","));
        Self::of(names.len(), |rows| {
            format!(
                "INSERT INTO {table} ({columns}) SELECT {values} FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
            )
        })
    }

    /// `sql` makes the statement around a list of rows; an empty row is all NULL and must have no effect.
    pub(crate) fn of(columns: usize, sql: impl Fn(&str) -> String) -> Self {
        let row = format!("({})", vec!["?"; columns].join(","));
        let sizes = SIZES.map(|size| (size, Arc::from(sql(&vec![row.as_str(); size].join(",")))));
        Self { columns, sizes }
    }

    /// Executes this alone, within a transaction of the caller's. Each of the largest size goes by
    /// itself: a script is prepared and kept as a whole, and one of thousands of rows takes megabytes.
    pub(crate) async fn run<T>(
        &self,
        connection: &mut SqliteConnection,
        rows: &[T],
        bind: impl Fn(&mut Bound, &T) -> Result<(), BoxDynError>,
    ) -> sqlx::Result<()> {
        let [.., (largest, _)] = &self.sizes;
        for some in rows.chunks(*largest) {
            let mut script = Script::default();
            self.write(&mut script, some, &bind)?;
            script.run(connection).await?;
        }
        Ok(())
    }

    /// Adds this to what a script does.
    pub(crate) fn write<T>(
        &self,
        script: &mut Script,
        rows: &[T],
        bind: impl Fn(&mut Bound, &T) -> Result<(), BoxDynError>,
    ) -> sqlx::Result<()> {
        let [.., (largest, _)] = &self.sizes;
        for chunk in rows.chunks(*largest) {
            let Some((size, sql)) = self.sizes.iter().find(|(size, _)| *size >= chunk.len()) else {
                continue;
            };
            script.text(sql);
            let bound = &mut script.bound;
            let end = bound.0.len() + size * self.columns;
            bound.0.reserve(size * self.columns, 0);
            for row in chunk {
                bind(bound, row).map_err(sqlx::Error::Encode)?;
            }
            // The next statement's values must not fill this one's empty places.
            while bound.0.len() < end {
                bound.add(None::<i64>).map_err(sqlx::Error::Encode)?;
            }
        }
        Ok(())
    }
}

/// Statements that make their way to SQLite's thread and back together.
#[derive(Default)]
pub(crate) struct Script {
    sql: String,
    bound: Bound,
}

impl Script {
    /// One that begins a transaction, which is to be ended within it.
    pub(crate) fn transaction() -> Self {
        let mut script = Self::default();
        script.text("BEGIN IMMEDIATE");
        script
    }

    fn text(&mut self, sql: &str) {
        self.sql.push_str(sql);
        self.sql.push(';');
    }

    async fn run(self, connection: &mut SqliteConnection) -> sqlx::Result<()> {
        sqlx::query_with(AssertSqlSafe(self.sql), self.bound.0)
            .execute(connection)
            .await?;
        Ok(())
    }

    /// Executes everything and commits, or changes nothing.
    pub(crate) async fn commit(mut self, connection: &mut SqliteConnection) -> sqlx::Result<()> {
        self.text("COMMIT");
        let done = self.run(connection).await;
        if done.is_err() {
            // It fails when SQLite has rolled back by itself, or nothing began: then that is done.
            let _ = sqlx::query("ROLLBACK").execute(connection).await;
        }
        done
    }
}

/// The values of a statement, in order.
#[derive(Default)]
pub(crate) struct Bound(SqliteArguments);

impl Bound {
    pub(crate) fn add<'t, T: Encode<'t, Sqlite> + Type<Sqlite>>(
        &mut self,
        value: T,
    ) -> Result<(), BoxDynError> {
        self.0.add(value)
    }
}
