//! [`Waitlist`] on PostgreSQL.

use crate::db::Db;
use async_trait::async_trait;
use haithe_identity::{ports::Waitlist, waitlist::Email};
use haithe_kernel::{StoreError, Timestamp};

/// [`Waitlist`] on PostgreSQL.
#[derive(Clone)]
pub struct PgWaitlist {
    db: Db,
}

impl PgWaitlist {
    /// The waiting list of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

#[async_trait]
impl Waitlist for PgWaitlist {
    async fn add(&self, email: Email, at: Timestamp) -> Result<bool, StoreError> {
        let add = "INSERT INTO waitlist (email, registered_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        let added = self
            .db
            .execute(|| sqlx::query(add).bind(email.as_str().to_owned()).bind(at.micros()));
        Ok(added.await? > 0)
    }
}
