//! Who calls: challenges, sessions and API keys.

mod api_keys;
mod challenges;
mod sessions;

pub use api_keys::SqliteApiKeyStore;
pub use challenges::SqliteChallengeStore;
pub use sessions::SqliteSessionStore;

use crate::{
    columns::Columns,
    db::{Db, Statement},
};
use haithe_kernel::{Listed, StoreError};
use sqlx::sqlite::SqliteRow;

/// One page of rows and the count of all, as they were at one moment.
async fn listed<T>(
    db: &Db,
    page: Statement,
    count: Statement,
    read: impl Fn(&SqliteRow) -> Result<T, StoreError>,
) -> Result<Listed<T>, StoreError> {
    let mut moment = db.snapshot().await?;
    let rows = page.fetch_all(&mut *moment).await.map_err(StoreError::new)?;
    let count = count.fetch_one(&mut *moment).await.map_err(StoreError::new)?;
    Ok(Listed {
        items: rows.iter().map(read).collect::<Result<_, _>>()?,
        total: Columns::of(&count).read("count")?,
    })
}
