//! [`KnowledgeIndexer`] on FTS5: a database of its own per document, in memory only.
//!
//! What creators sell is sealed, so its words must not reach a file: neither the database, nor its
//! journal, nor a sorter that spills. Dropping the index closes the connection and frees everything.

use async_trait::async_trait;
use haithe_kernel::StoreError;
use haithe_marketplace::{
    knowledge::{Chunk, Place, Terms, fold},
    ports::{Hit, KnowledgeIndex, KnowledgeIndexer},
};
use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use std::sync::Arc;
use tokio::sync::Mutex;

/// Contentless: only what BM25 needs is kept, the text stays with the caller. Words come folded
/// (`marketplace::knowledge::fold`); English endings are stemmed, other languages keep theirs.
const CREATE: &str = "CREATE VIRTUAL TABLE pieces USING fts5(heading, words, content='',
    tokenize=\"porter unicode61 remove_diacritics 0 categories 'L* N* Co Mn Mc'\")";
const INSERT: &str = "INSERT INTO pieces(rowid, heading, words) VALUES (?1, ?2, ?3)";
/// A word in a heading counts twice.
const SEARCH: &str = "SELECT rowid, bm25(pieces, 2.0, 1.0) AS badness FROM pieces
    WHERE pieces MATCH ?1 ORDER BY badness, rowid LIMIT ?2";

/// [`KnowledgeIndexer`] on SQLite's FTS5.
#[derive(Debug, Clone, Copy, Default)]
pub struct SqliteKnowledgeIndexer;

struct SqliteKnowledgeIndex {
    connection: Mutex<SqliteConnection>,
}

#[async_trait]
impl KnowledgeIndexer for SqliteKnowledgeIndexer {
    async fn index(&self, chunks: Arc<[Chunk]>) -> Result<Arc<dyn KnowledgeIndex>, StoreError> {
        // Folding megabytes would hold up everybody else on this thread.
        let folded = tokio::task::spawn_blocking(move || chunks.iter().map(words).collect::<Vec<_>>())
            .await
            .map_err(StoreError::new)?;
        let connection = build(folded).await.map_err(StoreError::new)?;
        Ok(Arc::new(SqliteKnowledgeIndex {
            connection: Mutex::new(connection),
        }))
    }
}

/// The words of a piece's heading and of its text.
fn words(chunk: &Chunk) -> (String, String) {
    let heading = match &chunk.place {
        Place::Heading(heading) => fold(heading),
        Place::Page(_) | Place::Rows(..) | Place::Lines(..) => String::new(),
    };
    (heading, fold(&chunk.text))
}

async fn build(pieces: Vec<(String, String)>) -> Result<SqliteConnection, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .in_memory(true)
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging();
    let mut connection = options.connect().await?;
    let mut transaction = connection.begin().await?;
    sqlx::query(CREATE).execute(&mut *transaction).await?;
    for (id, (heading, words)) in (0_i64..).zip(pieces) {
        sqlx::query(INSERT)
            .bind(id)
            .bind(heading)
            .bind(words)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(connection)
}

/// Any of the words. Each is a string of FTS5's, in which nothing is syntax.
fn any_of(terms: &Terms) -> String {
    let quoted = |word: &String| format!("\"{}\"", word.replace('"', "\"\""));
    terms.words().iter().map(quoted).collect::<Vec<_>>().join(" OR ")
}

#[async_trait]
impl KnowledgeIndex for SqliteKnowledgeIndex {
    async fn search(&self, terms: Terms, limit: u32) -> Result<Vec<Hit>, StoreError> {
        if terms.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection = self.connection.lock().await;
        let rows: Vec<(i64, f64)> = sqlx::query_as(SEARCH)
            .bind(any_of(&terms))
            .bind(limit)
            .fetch_all(&mut *connection)
            .await
            .map_err(StoreError::new)?;
        let hits = rows.into_iter().map(|(id, badness)| {
            let chunk = usize::try_from(id).map_err(|_| StoreError::inconsistent("pieces.rowid"))?;
            Ok(Hit {
                chunk,
                score: -badness,
            })
        });
        hits.collect()
    }
}
