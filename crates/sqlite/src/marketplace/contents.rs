//! [`ContentStore`] on SQLite.

use crate::{
    columns::{self, Columns},
    db::{Db, WriteTx},
};
use async_trait::async_trait;
use haithe_kernel::{StoreError, Timestamp, WalletAddress};
use haithe_marketplace::hosting::{ContentDigest, ContentStore, HostingLimits, NewContent, NotHosted};

/// [`ContentStore`] on SQLite.
#[derive(Clone)]
pub struct SqliteContentStore {
    db: Db,
}

impl SqliteContentStore {
    /// The contents of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

const FIND: &str = "SELECT id FROM contents WHERE sha256 = ?";
const OWNED: &str = "SELECT 1 FROM content_owners WHERE wallet_address = ? AND content_id = ?";
const OF_WALLET: &str = "SELECT count(*) AS contents, coalesce(sum(contents.bytes), 0) AS bytes
    FROM content_owners JOIN contents ON contents.id = content_owners.content_id
    WHERE content_owners.wallet_address = ?";
const OF_ALL: &str = "SELECT coalesce(sum(bytes), 0) AS bytes FROM contents";
const CREATE: &str = "INSERT INTO contents (sha256, bytes, created_at) VALUES (?, ?, ?) RETURNING id";
const FILL: &str = "INSERT INTO content_bytes (content_id, bytes) VALUES (?, ?)";
const OWN: &str = "INSERT INTO content_owners (wallet_address, content_id, created_at) VALUES (?, ?, ?)";
const GET: &str = "SELECT content_bytes.bytes
    FROM contents JOIN content_bytes ON content_bytes.content_id = contents.id
    WHERE contents.sha256 = ?";
const DELETE: &str = "DELETE FROM content_owners WHERE wallet_address = ?
    AND content_id = (SELECT id FROM contents WHERE sha256 = ?)";

const BROUGHT_AGAIN: &str = "UPDATE contents SET unreferenced_since = NULL WHERE id = ?";
/// A product's address ends with the digest, wherever its content lies; so does what a project accepted.
const REFERRED_TO: &str = "UPDATE contents SET unreferenced_since = NULL
    WHERE unreferenced_since IS NOT NULL AND lower(hex(sha256)) IN
        (SELECT substr(lower(uri), -64) FROM products WHERE on_chain = 1
         UNION SELECT substr(lower(content_uri), -64) FROM project_products)";
const UNREFERENCED: &str = "UPDATE contents SET unreferenced_since = ?
    WHERE unreferenced_since IS NULL AND lower(hex(sha256)) NOT IN
        (SELECT substr(lower(uri), -64) FROM products WHERE on_chain = 1
         UNION SELECT substr(lower(content_uri), -64) FROM project_products)";
/// Without owners, a trigger deletes the content itself.
const EXPIRE: &str = "DELETE FROM content_owners WHERE content_id IN
    (SELECT id FROM contents WHERE unreferenced_since <= ?)";
const EXPIRED: &str = "SELECT count(*) AS count FROM contents WHERE unreferenced_since <= ?";

async fn expire(
    write: &mut WriteTx<'_>,
    now: Timestamp,
    unreferenced_before: Timestamp,
) -> Result<u64, StoreError> {
    write.execute(sqlx::query(REFERRED_TO)).await?;
    write
        .execute(sqlx::query(UNREFERENCED).bind(now.micros()))
        .await?;
    let before = unreferenced_before.micros();
    let row = write.optional(sqlx::query(EXPIRED).bind(before)).await?;
    let row = row.ok_or_else(|| StoreError::inconsistent("contents.count"))?;
    let expired = Columns::of(&row).get("contents.count")?;
    write.execute(sqlx::query(EXPIRE).bind(before)).await?;
    Ok(expired)
}

async fn find(write: &mut WriteTx<'_>, digest: ContentDigest) -> Result<Option<i64>, StoreError> {
    let row = write.optional(sqlx::query(FIND).bind(digest.0.to_vec())).await?;
    row.map(|row| Columns::of(&row).get("contents.id")).transpose()
}

async fn put(write: &mut WriteTx<'_>, new: NewContent, limits: HostingLimits) -> Result<bool, NotHosted> {
    let owner = columns::address(new.owner);
    let found = find(write, new.digest).await?;
    if let Some(id) = found {
        write.execute(sqlx::query(BROUGHT_AGAIN).bind(id)).await?;
        let owned = sqlx::query(OWNED).bind(owner.clone()).bind(id);
        if write.optional(owned).await?.is_some() {
            return Ok(false);
        }
    }
    let size = u64::try_from(new.bytes.len()).unwrap_or(u64::MAX);
    let (contents, bytes) = of_wallet(write, new.owner).await?;
    if contents >= limits.wallet_contents {
        return Err(NotHosted::TooMany {
            most: limits.wallet_contents,
        });
    }
    if bytes.saturating_add(size) > limits.wallet_bytes {
        return Err(NotHosted::Full {
            most: limits.wallet_bytes,
        });
    }
    let id = match found {
        Some(id) => id,
        None => create(write, &new, size, limits).await?,
    };
    let own = sqlx::query(OWN).bind(owner).bind(id).bind(new.at.micros());
    write.execute(own).await?;
    Ok(true)
}

async fn of_wallet(write: &mut WriteTx<'_>, wallet: WalletAddress) -> Result<(u64, u64), StoreError> {
    let statement = sqlx::query(OF_WALLET).bind(columns::address(wallet));
    let row = write.optional(statement).await?;
    let row = row.ok_or_else(|| StoreError::inconsistent("content_owners.content_id"))?;
    let columns = Columns::of(&row);
    Ok((
        columns.get_as("contents", "content_owners.content_id")?,
        columns.get("contents.bytes")?,
    ))
}

async fn create(
    write: &mut WriteTx<'_>,
    new: &NewContent,
    size: u64,
    limits: HostingLimits,
) -> Result<i64, NotHosted> {
    let all = write.optional(sqlx::query(OF_ALL)).await?;
    let all = all.ok_or_else(|| StoreError::inconsistent("contents.bytes"))?;
    let all: u64 = Columns::of(&all).get("contents.bytes")?;
    if all.saturating_add(size) > limits.all_bytes {
        return Err(NotHosted::NoRoom);
    }
    let create = sqlx::query(CREATE)
        .bind(new.digest.0.to_vec())
        .bind(columns::number(size, "contents.bytes")?)
        .bind(new.at.micros());
    let row = write.optional(create).await?;
    let row = row.ok_or_else(|| StoreError::inconsistent("contents.id"))?;
    let id = Columns::of(&row).get("contents.id")?;
    let fill = sqlx::query(FILL).bind(id).bind(new.bytes.clone());
    write.execute(fill).await?;
    Ok(id)
}

#[async_trait]
impl ContentStore for SqliteContentStore {
    async fn put(&self, new: NewContent, limits: HostingLimits) -> Result<bool, NotHosted> {
        self.db
            .write(move |write| Box::pin(put(write, new, limits)))
            .await
    }

    async fn get(&self, digest: ContentDigest) -> Result<Option<Vec<u8>>, StoreError> {
        let row = self.db.optional(sqlx::query(GET).bind(digest.0.to_vec())).await?;
        row.map(|row| Columns::of(&row).get("content_bytes.bytes"))
            .transpose()
    }

    async fn delete(&self, owner: WalletAddress, digest: ContentDigest) -> Result<bool, StoreError> {
        let statement = sqlx::query(DELETE)
            .bind(columns::address(owner))
            .bind(digest.0.to_vec());
        Ok(self.db.execute(statement).await? > 0)
    }

    async fn expire(&self, now: Timestamp, unreferenced_before: Timestamp) -> Result<u64, StoreError> {
        self.db
            .write(move |write| Box::pin(expire(write, now, unreferenced_before)))
            .await
    }
}
