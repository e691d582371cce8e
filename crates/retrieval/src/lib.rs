//! Full-text retrieval: [`KnowledgeIndexer`] on SQLite's FTS5, in memory only.
//!
//! Creators sell sealed content, so its words must not reach a file: neither a database, nor its journal, nor
//! a sorter that spills to disk. The crate therefore opens databases in memory only, and it works the same
//! beside any database that the service stores its rows in.
//!
//! An index is the serialized database of one document: bytes whose size is known. A connection, with its
//! thread and its caches, exists only while an index is built or searched, and the number of connections is
//! bounded, however many documents are indexed.

use async_trait::async_trait;
use haithe_kernel::StoreError;
use haithe_marketplace::{
    knowledge::{Chunk, Place, Terms, fold},
    ports::{Hit, KnowledgeIndex, KnowledgeIndexer},
};
use sqlx::{
    ConnectOptions, Connection, Row, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteOwnedBuf, SqliteRow},
};
use std::{sync::Arc, thread::available_parallelism};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Contentless: only what BM25 needs is kept, the text stays with the caller. Words come folded
/// (`marketplace::knowledge::fold`); English endings are stemmed, other languages keep theirs.
const CREATE: &str = "CREATE VIRTUAL TABLE pieces USING fts5(heading, words, content='',
    tokenize=\"porter unicode61 remove_diacritics 0 categories 'L* N* Co Mn Mc'\")";
const INSERT: &str = "INSERT INTO pieces(rowid, heading, words) VALUES (?1, ?2, ?3)";
/// A word in a heading counts twice.
const SEARCH: &str = "SELECT rowid AS piece, bm25(pieces, 2.0, 1.0) AS badness FROM pieces
    WHERE pieces MATCH ?1 ORDER BY badness, piece LIMIT ?2";

/// [`KnowledgeIndexer`] on FTS5.
#[derive(Debug)]
pub struct FtsKnowledgeIndexer {
    slots: Arc<Slots>,
}

impl FtsKnowledgeIndexer {
    /// An indexer whose connections are bounded by the machine's cores: at most eight searches and
    /// four builds at a time, at least two and one.
    pub fn new() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self {
            slots: Arc::new(Slots {
                builds: Semaphore::new((cores / 4).clamp(1, 4)),
                searches: Semaphore::new((cores / 2).clamp(2, 8)),
            }),
        }
    }
}

impl Default for FtsKnowledgeIndexer {
    fn default() -> Self {
        Self::new()
    }
}

/// How many connections may exist at a time. Builds take longer, so they never use a search's slot.
#[derive(Debug)]
struct Slots {
    builds: Semaphore,
    searches: Semaphore,
}

struct FtsKnowledgeIndex {
    slots: Arc<Slots>,
    /// The database as SQLite would write it to a file.
    database: Arc<[u8]>,
}

async fn slot(slots: &Semaphore) -> Result<SemaphorePermit<'_>, StoreError> {
    slots.acquire().await.map_err(StoreError::new)
}

#[async_trait]
impl KnowledgeIndexer for FtsKnowledgeIndexer {
    async fn index(&self, chunks: Arc<[Chunk]>) -> Result<Arc<dyn KnowledgeIndex>, StoreError> {
        let _slot = slot(&self.slots.builds).await?;
        // Folding megabytes would block the other tasks of this thread.
        let folded = tokio::task::spawn_blocking(move || chunks.iter().map(words).collect::<Vec<_>>())
            .await
            .map_err(StoreError::new)?;
        let database = build(folded).await.map_err(StoreError::new)?;
        Ok(Arc::new(FtsKnowledgeIndex {
            slots: self.slots.clone(),
            database,
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

/// A connection to an empty database in memory. Its thread ends with it.
async fn connect() -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnectOptions::new()
        .in_memory(true)
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging()
        .connect()
        .await
}

async fn build(pieces: Vec<(String, String)>) -> Result<Arc<[u8]>, sqlx::Error> {
    let mut connection = connect().await?;
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
    let database: Arc<[u8]> = connection.serialize(None).await?.as_ref().into();
    connection.close().await?;
    Ok(database)
}

async fn search(database: &[u8], expression: String, limit: u32) -> Result<Vec<(i64, f64)>, sqlx::Error> {
    let mut connection = connect().await?;
    let database = SqliteOwnedBuf::try_from(database)?;
    connection.deserialize(None, database, true).await?;
    let rows = sqlx::query(SEARCH)
        .bind(expression)
        .bind(limit)
        .fetch_all(&mut connection)
        .await?;
    connection.close().await?;
    let found = |row: &SqliteRow| Ok((row.try_get("piece")?, row.try_get("badness")?));
    rows.iter().map(found).collect()
}

/// Any of the words. Each is a string of FTS5's, in which nothing is syntax.
fn any_of(terms: &Terms) -> String {
    let quoted = |word: &String| format!("\"{}\"", word.replace('"', "\"\""));
    terms.words().iter().map(quoted).collect::<Vec<_>>().join(" OR ")
}

#[async_trait]
impl KnowledgeIndex for FtsKnowledgeIndex {
    async fn search(&self, terms: Terms, limit: u32) -> Result<Vec<Hit>, StoreError> {
        if terms.is_empty() {
            return Ok(Vec::new());
        }
        let _slot = slot(&self.slots.searches).await?;
        let rows = search(&self.database, any_of(&terms), limit).await;
        let hits = rows.map_err(StoreError::new)?.into_iter().map(|(id, badness)| {
            let chunk = usize::try_from(id).map_err(|_| StoreError::inconsistent("pieces.rowid"))?;
            Ok(Hit {
                chunk,
                score: -badness,
            })
        });
        hits.collect()
    }

    fn bytes(&self) -> usize {
        self.database.len()
    }
}
