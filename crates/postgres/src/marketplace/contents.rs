//! [`ContentStore`] on PostgreSQL.

use crate::{
    columns::{self, Columns},
    db::Db,
    write::WriteTx,
};
use async_trait::async_trait;
use haithe_kernel::{StoreError, Timestamp, WalletAddress};
use haithe_marketplace::hosting::{ContentDigest, ContentStore, HostingLimits, NewContent, NotHosted};

/// [`ContentStore`] on PostgreSQL.
#[derive(Clone)]
pub struct PgContentStore {
    db: Db,
}

impl PgContentStore {
    /// The contents of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

const FIND: &str = "SELECT id FROM contents WHERE sha256 = $1";
const OWNED: &str = "SELECT content_id FROM content_owners WHERE wallet_address = $1 AND content_id = $2";
const OF_WALLET: &str = "
    SELECT count(*) AS contents, coalesce(sum(contents.bytes), 0)::BIGINT AS bytes
    FROM content_owners JOIN contents ON contents.id = content_owners.content_id
    WHERE content_owners.wallet_address = $1";
const OF_ALL: &str = "SELECT coalesce(sum(bytes), 0)::BIGINT AS bytes FROM contents";
const CREATE: &str = "INSERT INTO contents (sha256, bytes, created_at) VALUES ($1, $2, $3) RETURNING id";
const FILL: &str = "INSERT INTO content_bytes (content_id, bytes) VALUES ($1, $2)";
const OWN: &str = "INSERT INTO content_owners (wallet_address, content_id, created_at) VALUES ($1, $2, $3)";
const GET: &str = "
    SELECT content_bytes.bytes
    FROM contents JOIN content_bytes ON content_bytes.content_id = contents.id
    WHERE contents.sha256 = $1";
const DISOWN: &str = "
    DELETE FROM content_owners
    WHERE wallet_address = $1 AND content_id = (SELECT id FROM contents WHERE sha256 = $2)";
const DELETE_WITHOUT_OWNER: &str = "
    DELETE FROM contents
    WHERE sha256 = $1 AND NOT EXISTS (SELECT 1 FROM content_owners WHERE content_id = contents.id)";

const BROUGHT_AGAIN: &str = "UPDATE contents SET unreferenced_since = NULL WHERE id = $1";

/// The digests at the end of the addresses of products and of the contents that projects accepted, wherever the
/// content lies.
macro_rules! referred_to {
    () => {
        "(SELECT right(lower(uri), 64) FROM products WHERE on_chain
          UNION SELECT right(lower(content_uri), 64) FROM project_products)"
    };
}

const REFERRED_TO: &str = concat!(
    "UPDATE contents SET unreferenced_since = NULL
     WHERE unreferenced_since IS NOT NULL AND encode(sha256, 'hex') COLLATE \"C\" IN ",
    referred_to!()
);
const UNREFERENCED: &str = concat!(
    "UPDATE contents SET unreferenced_since = $1
     WHERE unreferenced_since IS NULL AND encode(sha256, 'hex') COLLATE \"C\" NOT IN ",
    referred_to!()
);
const DISOWN_EXPIRED: &str = "
    DELETE FROM content_owners
    WHERE content_id IN (SELECT id FROM contents WHERE unreferenced_since <= $1)";
const DELETE_EXPIRED: &str = "DELETE FROM contents WHERE unreferenced_since <= $1";

async fn expire(
    write: &mut WriteTx,
    (now, unreferenced_before): &(Timestamp, Timestamp),
) -> Result<u64, StoreError> {
    write.execute(sqlx::query(REFERRED_TO)).await?;
    write
        .execute(sqlx::query(UNREFERENCED).bind(now.micros()))
        .await?;
    let before = unreferenced_before.micros();
    write.execute(sqlx::query(DISOWN_EXPIRED).bind(before)).await?;
    write.execute(sqlx::query(DELETE_EXPIRED).bind(before)).await
}

async fn find(write: &mut WriteTx, digest: ContentDigest) -> Result<Option<i64>, StoreError> {
    let row = write.optional(sqlx::query(FIND).bind(digest.0.to_vec())).await?;
    row.map(|row| Columns::of(&row).get("contents.id")).transpose()
}

async fn put(write: &mut WriteTx, (new, limits): &(NewContent, HostingLimits)) -> Result<bool, NotHosted> {
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
        None => create(write, new, size, *limits).await?,
    };
    let own = sqlx::query(OWN).bind(owner).bind(id).bind(new.at.micros());
    write.execute(own).await?;
    Ok(true)
}

async fn of_wallet(write: &mut WriteTx, wallet: WalletAddress) -> Result<(u64, u64), StoreError> {
    let statement = sqlx::query(OF_WALLET).bind(columns::address(wallet));
    let row = write.one(statement).await?;
    let columns = Columns::of(&row);
    Ok((
        columns.get("content_owners.contents")?,
        columns.get("contents.bytes")?,
    ))
}

async fn create(
    write: &mut WriteTx,
    new: &NewContent,
    size: u64,
    limits: HostingLimits,
) -> Result<i64, NotHosted> {
    let all = write.one(sqlx::query(OF_ALL)).await?;
    let all: u64 = Columns::of(&all).get("contents.bytes")?;
    if all.saturating_add(size) > limits.all_bytes {
        return Err(NotHosted::NoRoom);
    }
    let create = sqlx::query(CREATE)
        .bind(new.digest.0.to_vec())
        .bind(columns::number(size, "contents.bytes")?)
        .bind(new.at.micros());
    let row = write.one(create).await?;
    let id = Columns::of(&row).get("contents.id")?;
    let fill = sqlx::query(FILL).bind(id).bind(new.bytes.clone());
    write.execute(fill).await?;
    Ok(id)
}

async fn delete(
    write: &mut WriteTx,
    (owner, digest): &(WalletAddress, ContentDigest),
) -> Result<bool, StoreError> {
    let disown = sqlx::query(DISOWN)
        .bind(columns::address(*owner))
        .bind(digest.0.to_vec());
    if write.execute(disown).await? == 0 {
        return Ok(false);
    }
    let delete = sqlx::query(DELETE_WITHOUT_OWNER).bind(digest.0.to_vec());
    write.execute(delete).await?;
    Ok(true)
}

#[async_trait]
impl ContentStore for PgContentStore {
    async fn put(&self, new: NewContent, limits: HostingLimits) -> Result<bool, NotHosted> {
        self.db
            .write((new, limits), |write, new| Box::pin(put(write, new)))
            .await
    }

    async fn get(&self, digest: ContentDigest) -> Result<Option<Vec<u8>>, StoreError> {
        let row = self.db.optional(sqlx::query(GET).bind(digest.0.to_vec())).await?;
        row.map(|row| Columns::of(&row).get("content_bytes.bytes"))
            .transpose()
    }

    async fn delete(&self, owner: WalletAddress, digest: ContentDigest) -> Result<bool, StoreError> {
        self.db
            .write((owner, digest), |write, of| Box::pin(delete(write, of)))
            .await
    }

    async fn expire(&self, now: Timestamp, unreferenced_before: Timestamp) -> Result<u64, StoreError> {
        self.db
            .write((now, unreferenced_before), |write, times| {
                Box::pin(expire(write, times))
            })
            .await
    }
}
