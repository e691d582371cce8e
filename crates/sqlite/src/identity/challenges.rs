//! [`ChallengeStore`] on SQLite.

use crate::{
    columns::{self, Columns},
    db::{Db, WriteTx},
};
use async_trait::async_trait;
use haithe_identity::{
    challenge::{LIVE_PER_ADDRESS, LIVE_PER_ADDRESS_AND_NETWORK, MessageDigest, NonceHash, StoredChallenge},
    ports::ChallengeStore,
};
use haithe_kernel::{StoreError, Timestamp, WalletAddress};
use sqlx::sqlite::SqliteRow;

/// [`ChallengeStore`] on SQLite.
#[derive(Clone)]
pub struct SqliteChallengeStore {
    db: Db,
}

impl SqliteChallengeStore {
    /// The challenges of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

/// What has expired goes first, so that it takes nobody's place.
const FORGET_EXPIRED: &str = "DELETE FROM challenges WHERE wallet_address = ? AND expires_at <= ?";

/// The oldest beyond the limit of the same address and client network. Rows are numbered in the order of
/// their insertion, which a step of the wall clock does not change.
const EVICT_OWN: &str = "
    DELETE FROM challenges WHERE id IN (
        SELECT id FROM challenges WHERE wallet_address = ? AND network IS ?
        ORDER BY id DESC LIMIT -1 OFFSET ?
    )";

/// The oldest of the network that holds most, within the site that holds most.
const EVICT_FLOODER: &str = "
    DELETE FROM challenges WHERE id = (
        SELECT id FROM (
            SELECT id,
                   count(*) OVER (PARTITION BY site_network) AS site_holds,
                   count(*) OVER (PARTITION BY network) AS network_holds
            FROM challenges WHERE wallet_address = ?1
        )
        ORDER BY site_holds DESC, network_holds DESC, id LIMIT 1
    )
    AND (SELECT count(*) FROM challenges WHERE wallet_address = ?1) > ?2";

async fn put(write: &mut WriteTx<'_>, challenge: StoredChallenge) -> Result<u64, StoreError> {
    let address = columns::address(challenge.address);
    let network = challenge.network.map(|network| network.to_string());
    let site_network = challenge.network.map(|network| network.site().to_string());
    let insert = "INSERT OR REPLACE INTO challenges
                      (wallet_address, digest, nonce_hash, site, network, site_network, issued_at, expires_at)
                  VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    write
        .execute(
            sqlx::query(FORGET_EXPIRED)
                .bind(address.clone())
                .bind(challenge.issued_at.micros()),
        )
        .await?;
    write
        .execute(
            sqlx::query(insert)
                .bind(address.clone())
                .bind(challenge.digest.0.to_vec())
                .bind(challenge.nonce.0.to_vec())
                .bind(challenge.site)
                .bind(network.clone())
                .bind(site_network)
                .bind(challenge.issued_at.micros())
                .bind(challenge.expires_at.micros()),
        )
        .await?;
    let own = sqlx::query(EVICT_OWN)
        .bind(address.clone())
        .bind(network)
        .bind(LIVE_PER_ADDRESS_AND_NETWORK);
    let flooder = sqlx::query(EVICT_FLOODER).bind(address).bind(LIVE_PER_ADDRESS);
    Ok(write.execute(own).await? + write.execute(flooder).await?)
}

fn challenge(row: &SqliteRow) -> Result<StoredChallenge, StoreError> {
    let columns = Columns::of(row);
    Ok(StoredChallenge {
        address: columns.get("challenges.wallet_address")?,
        digest: MessageDigest(columns.get("challenges.digest")?),
        nonce: NonceHash(columns.get("challenges.nonce_hash")?),
        site: columns.get("challenges.site")?,
        network: columns.get("challenges.network")?,
        issued_at: columns.get("challenges.issued_at")?,
        expires_at: columns.get("challenges.expires_at")?,
    })
}

#[async_trait]
impl ChallengeStore for SqliteChallengeStore {
    async fn put(&self, challenge: StoredChallenge) -> Result<u64, StoreError> {
        self.db.write(move |write| Box::pin(put(write, challenge))).await
    }

    async fn live(&self, address: WalletAddress, now: Timestamp) -> Result<Vec<MessageDigest>, StoreError> {
        let statement = sqlx::query(
            "SELECT digest FROM challenges WHERE wallet_address = ? AND expires_at > ?
             ORDER BY id DESC",
        )
        .bind(columns::address(address))
        .bind(now.micros());
        let rows = self.db.all(statement).await?;
        rows.iter()
            .map(|row| Columns::of(row).get("challenges.digest").map(MessageDigest))
            .collect()
    }

    async fn find(
        &self,
        address: WalletAddress,
        nonce: NonceHash,
        now: Timestamp,
    ) -> Result<Option<StoredChallenge>, StoreError> {
        let statement = sqlx::query(
            "SELECT wallet_address, digest, nonce_hash, site, network, issued_at, expires_at FROM challenges
             WHERE wallet_address = ? AND nonce_hash = ? AND expires_at > ?",
        )
        .bind(columns::address(address))
        .bind(nonce.0.to_vec())
        .bind(now.micros());
        let row = self.db.optional(statement).await?;
        row.as_ref().map(challenge).transpose()
    }

    async fn take(
        &self,
        address: WalletAddress,
        digest: MessageDigest,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let statement = sqlx::query(
            "DELETE FROM challenges WHERE wallet_address = ? AND digest = ? RETURNING expires_at",
        )
        .bind(columns::address(address))
        .bind(digest.0.to_vec());
        let taken = self.db.change(statement).await?;
        let live = |row| {
            Columns::of(row)
                .get::<Timestamp>("challenges.expires_at")
                .map(|end| end > now)
        };
        taken.first().map_or(Ok(false), live)
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        let statement = sqlx::query("DELETE FROM challenges WHERE expires_at <= ?").bind(now.micros());
        self.db.execute(statement).await
    }
}
