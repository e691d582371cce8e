//! Reading within a write transaction or a snapshot.

use crate::{db::Statement, write::WriteTx};
use haithe_kernel::StoreError;
use sqlx::{Postgres, Transaction, postgres::PgRow};
use std::future::Future;

/// A transaction that can be read in.
pub(crate) trait ReadRows: Send {
    /// The rows of a statement.
    fn rows(&mut self, statement: Statement) -> impl Future<Output = Result<Vec<PgRow>, StoreError>> + Send;
}

impl ReadRows for WriteTx {
    async fn rows(&mut self, statement: Statement) -> Result<Vec<PgRow>, StoreError> {
        self.all(statement).await
    }
}

impl ReadRows for Transaction<'_, Postgres> {
    async fn rows(&mut self, statement: Statement) -> Result<Vec<PgRow>, StoreError> {
        statement.fetch_all(&mut **self).await.map_err(StoreError::new)
    }
}
