//! [`Waitlist`] on SQLite.

use crate::db::Db;
use async_trait::async_trait;
use haithe_identity::{ports::Waitlist, waitlist::Email};
use haithe_kernel::{StoreError, Timestamp};

/// [`Waitlist`] on SQLite.
#[derive(Clone)]
pub struct SqliteWaitlist {
    db: Db,
}

impl SqliteWaitlist {
    /// The list of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

#[async_trait]
impl Waitlist for SqliteWaitlist {
    async fn add(&self, email: Email, at: Timestamp) -> Result<bool, StoreError> {
        let add = "INSERT INTO waitlist (email, registered_at) VALUES (?, ?) ON CONFLICT DO NOTHING";
        let statement = sqlx::query(add).bind(email.as_str().to_owned()).bind(at.micros());
        Ok(self.db.execute(statement).await? > 0)
    }
}
