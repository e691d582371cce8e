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

    pub(crate) async fn run<T>(
        &self,
        connection: &mut SqliteConnection,
        rows: &[T],
        bind: impl Fn(&mut Bound, &T) -> Result<(), BoxDynError>,
    ) -> sqlx::Result<()> {
        let [.., (largest, _)] = &self.sizes;
        for chunk in rows.chunks(*largest) {
            let Some((_, sql)) = self.sizes.iter().find(|(size, _)| *size >= chunk.len()) else {
                continue;
            };
            let mut bound = Bound(SqliteArguments::default());
            bound.0.reserve(chunk.len() * self.columns, 0);
            for row in chunk {
                bind(&mut bound, row).map_err(sqlx::Error::Encode)?;
            }
            sqlx::query_with(AssertSqlSafe(Arc::clone(sql)), bound.0)
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }
}

/// The values of a statement, in order.
pub(crate) struct Bound(SqliteArguments);

impl Bound {
    pub(crate) fn add<'t, T: Encode<'t, Sqlite> + Type<Sqlite>>(
        &mut self,
        value: T,
    ) -> Result<(), BoxDynError> {
        self.0.add(value)
    }
}
