//! [`ChallengeStore`] on PostgreSQL.

use crate::{
    columns::{self, Columns},
    db::Db,
    write::WriteTx,
};
use async_trait::async_trait;
use haithe_identity::{
    challenge::{LIVE_PER_ADDRESS, LIVE_PER_ADDRESS_AND_NETWORK, MessageDigest, NonceHash, StoredChallenge},
    ports::ChallengeStore,
};
use haithe_kernel::{StoreError, Timestamp, WalletAddress};
use sqlx::postgres::PgRow;

/// [`ChallengeStore`] on PostgreSQL.
#[derive(Clone)]
pub struct PgChallengeStore {
    db: Db,
}

impl PgChallengeStore {
    /// The challenges of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

/// Expired challenges of the address, which do not count, and what the new one replaces.
const MAKE_ROOM: &str = "
    DELETE FROM challenges WHERE wallet_address = $1 AND (expires_at <= $2 OR digest = $3 OR nonce_hash = $4)";

const INSERT: &str = "
    INSERT INTO challenges
        (wallet_address, digest, nonce_hash, site, network, site_network, issued_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

/// The oldest beyond the limit of the same address and client network. Rows are numbered in the order of
/// their insertion, which a step of the wall clock does not change.
const EVICT_OWN: &str = "
    DELETE FROM challenges WHERE id IN (
        SELECT id FROM challenges WHERE wallet_address = $1 AND network IS NOT DISTINCT FROM $2
        ORDER BY id DESC OFFSET $3
    )";

/// The oldest of the network that holds most, within the site that holds most.
const EVICT_FLOODER: &str = "
    DELETE FROM challenges WHERE id = (
        SELECT id FROM (
            SELECT id,
                   count(*) OVER (PARTITION BY site_network) AS site_holds,
                   count(*) OVER (PARTITION BY network) AS network_holds
            FROM challenges WHERE wallet_address = $1
        ) AS held
        ORDER BY site_holds DESC, network_holds DESC, id LIMIT 1
    )
    AND (SELECT count(*) FROM challenges WHERE wallet_address = $1) > $2";

async fn put(write: &mut WriteTx, challenge: &StoredChallenge) -> Result<u64, StoreError> {
    let address = columns::address(challenge.address);
    let network = challenge.network.map(|network| network.to_string());
    let site_network = challenge.network.map(|network| network.site().to_string());
    let make_room = sqlx::query(MAKE_ROOM)
        .bind(address.clone())
        .bind(challenge.issued_at.micros())
        .bind(challenge.digest.0.to_vec())
        .bind(challenge.nonce.0.to_vec());
    write.execute(make_room).await?;
    let insert = sqlx::query(INSERT)
        .bind(address.clone())
        .bind(challenge.digest.0.to_vec())
        .bind(challenge.nonce.0.to_vec())
        .bind(columns::text(challenge.site.as_str()))
        .bind(network.clone())
        .bind(site_network)
        .bind(challenge.issued_at.micros())
        .bind(challenge.expires_at.micros());
    write.execute(insert).await?;
    let own = sqlx::query(EVICT_OWN)
        .bind(address.clone())
        .bind(network)
        .bind(i64::from(LIVE_PER_ADDRESS_AND_NETWORK));
    let flooder = sqlx::query(EVICT_FLOODER)
        .bind(address)
        .bind(i64::from(LIVE_PER_ADDRESS));
    Ok(write.execute(own).await? + write.execute(flooder).await?)
}

fn challenge(row: &PgRow) -> Result<StoredChallenge, StoreError> {
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
impl ChallengeStore for PgChallengeStore {
    async fn put(&self, challenge: StoredChallenge) -> Result<u64, StoreError> {
        self.db
            .write(challenge, |write, challenge| Box::pin(put(write, challenge)))
            .await
    }

    async fn live(&self, address: WalletAddress, now: Timestamp) -> Result<Vec<MessageDigest>, StoreError> {
        let statement = sqlx::query(
            "SELECT digest FROM challenges WHERE wallet_address = $1 AND expires_at > $2 ORDER BY id DESC",
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
             WHERE wallet_address = $1 AND nonce_hash = $2 AND expires_at > $3",
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
        // Of concurrent deletions of one row, one returns it.
        let delete = "DELETE FROM challenges WHERE wallet_address = $1 AND digest = $2 RETURNING expires_at";
        let taken = self.db.change(|| {
            sqlx::query(delete)
                .bind(columns::address(address))
                .bind(digest.0.to_vec())
        });
        let live = |row| {
            let end: Timestamp = Columns::of(row).get("challenges.expires_at")?;
            Ok(end > now)
        };
        taken.await?.first().map_or(Ok(false), live)
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        let delete = "DELETE FROM challenges WHERE expires_at <= $1";
        self.db.execute(|| sqlx::query(delete).bind(now.micros())).await
    }
}
