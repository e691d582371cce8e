//! Rows of a statement, read as values.

use crate::{columns::Columns, db::Statement, ledger::read::ReadRows};
use haithe_kernel::StoreError;

/// The rows of a statement, each read.
pub(crate) async fn read_each<T>(
    from: &mut impl ReadRows,
    statement: Statement,
    mut read: impl FnMut(&Columns<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let rows = from.rows(statement).await?;
    rows.iter().map(|row| read(&Columns::of(row))).collect()
}

/// The first row of a statement, read.
pub(crate) async fn read_first<T>(
    from: &mut impl ReadRows,
    statement: Statement,
    read: impl FnOnce(&Columns<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let rows = from.rows(statement).await?;
    rows.first().map(|row| read(&Columns::of(row))).transpose()
}
