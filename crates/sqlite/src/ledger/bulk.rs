//! Statements that take many rows at once.
//!
//! A statement's way to SQLite's thread and back costs more than the rows it carries. A bulk
//! statement therefore exists in a few fixed sizes; places that stay empty are NULL and filtered
//! out, so that a handful of prepared statements serves groups of every size.

use sqlx::{
    Arguments, AssertSqlSafe, Encode, Sqlite, SqliteConnection, Type, error::BoxDynError,
    sqlite::SqliteArguments,
};
use std::sync::Arc;

/// Rows of the largest statement.
pub(crate) const MOST_ROWS: usize = 64;

/// Rows per statement, ascending.
const SIZES: [usize; 4] = [1, 4, 16, MOST_ROWS];

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
        let row = format!("({})", vec!["?"; names.len()].join(","));
        let (columns, values) = (names.join(","), values.join(","));
        let sizes = SIZES.map(|size| {
            let rows = vec![row.as_str(); size].join(",");
            let sql = format!(
                "INSERT INTO {table} ({columns}) SELECT {values} FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
            );
            (size, Arc::from(sql))
        });
        Self {
            columns: names.len(),
            sizes,
        }
    }

    /// Executes this for any number of rows: several statements, within a transaction of the caller's.
    pub(crate) async fn run<T>(
        &self,
        connection: &mut SqliteConnection,
        rows: &[T],
        bind: impl Fn(&mut Bound, &T) -> Result<(), BoxDynError>,
    ) -> sqlx::Result<()> {
        for some in rows.chunks(MOST_ROWS) {
            self.one(connection, some, &bind).await?;
        }
        Ok(())
    }

    /// Executes this as one statement, for [`MOST_ROWS`] at most; more are an error, and nothing is done.
    pub(crate) async fn one<T>(
        &self,
        connection: &mut SqliteConnection,
        rows: &[T],
        bind: impl Fn(&mut Bound, &T) -> Result<(), BoxDynError>,
    ) -> sqlx::Result<()> {
        let Some((size, sql)) = self.sizes.iter().find(|(size, _)| *size >= rows.len()) else {
            return Err(sqlx::Error::Encode("more rows than a statement takes".into()));
        };
        let mut bound = Bound::default();
        bound.0.reserve(size * self.columns, 0);
        for row in rows {
            bind(&mut bound, row).map_err(sqlx::Error::Encode)?;
        }
        sqlx::query_with(AssertSqlSafe(Arc::clone(sql)), bound.0)
            .execute(connection)
            .await?;
        Ok(())
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
