//! Roles that contracts give, and what they mean here.
//!
//! What the contract says is kept as it is seen. It decides about the member here only when it is the
//! owner's own doing: our own transactions repeat decisions made here, perhaps older ones than the
//! newest. Of a decision made here and the owner's on chain the later one holds, also after blocks
//! were taken back: an owner's transaction that was overruled once stays overruled when it is mined
//! again.

use super::{Stored, step::Indexing};
use crate::{
    columns::{self, Columns},
    db::WriteTx,
};
use haithe_billing::{
    chain::{EventBody, Hash32},
    outbox::TxPurpose,
};
use haithe_kernel::{OrgId, StoreError, WalletAddress};

/// How an event is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// For the first time.
    First,
    /// Again, after blocks above it were taken back.
    Again,
}

/// A role given (1 member, 2 administrator) or taken (0) on chain.
///
/// Roles in projects are no matter of the chain: taking the role in the organization leaves them.
pub(super) async fn see(
    indexing: &mut Indexing<'_, '_>,
    stored: &Stored,
    sight: Sight,
) -> Result<(), StoreError> {
    let EventBody::RoleChanged { org, wallet, role } = stored.event.body else {
        return Ok(());
    };
    let Some(org) = indexing.org_at(org).await? else {
        return Ok(());
    };
    let word = match role {
        0 => None,
        1 => Some("member"),
        2 => Some("admin"),
        unknown => {
            tracing::warn!(
                org = org.0,
                role = unknown,
                "a role that does not exist was given on chain"
            );
            return Ok(());
        }
    };
    let write = &mut *indexing.write;
    write.note_chain_role(org, wallet, role).await?;
    if write.decides(org, wallet, stored, sight).await? {
        write.give_role(org, wallet, word, stored).await
    } else {
        write.reopen_role(org, wallet).await
    }
}

/// A new owner has no role, as the contract has it.
pub(super) async fn see_owner(
    indexing: &mut Indexing<'_, '_>,
    stored: &Stored,
    sight: Sight,
) -> Result<(), StoreError> {
    let EventBody::OwnershipTransferred { org, to, .. } = stored.event.body else {
        return Ok(());
    };
    let Some(org) = indexing.org_at(org).await? else {
        return Ok(());
    };
    if indexing.write.decides(org, to, stored, sight).await? {
        indexing.write.give_role(org, to, None, stored).await?;
    }
    Ok(())
}

/// Before blocks are taken back: an owner's change in them that a decision made here overruled
/// meanwhile stays overruled.
pub(super) async fn keep_overruled(
    indexing: &mut Indexing<'_, '_>,
    org: WalletAddress,
    wallet: WalletAddress,
    stored: &Stored,
) -> Result<(), StoreError> {
    let Some(org) = indexing.org_at(org).await? else {
        return Ok(());
    };
    let keep = "INSERT INTO org_roles_overruled (tx, org_id, wallet_address)
                SELECT ?1, org_id, wallet_address FROM org_role_decisions
                WHERE org_id = ?2 AND wallet_address = ?3 AND after_block >= ?4
                ON CONFLICT DO NOTHING";
    let statement = sqlx::query(keep)
        .bind(stored.event.tx.to_vec())
        .bind(org.0)
        .bind(columns::address(wallet))
        .bind(stored.block()?);
    indexing.write.execute(statement).await.map(drop)
}

/// After blocks were taken back, and before what remains is met again: the decision made here, if
/// there is one, is all that is known.
pub(super) async fn forget(
    indexing: &mut Indexing<'_, '_>,
    org: WalletAddress,
    wallet: WalletAddress,
) -> Result<(), StoreError> {
    let Some(org) = indexing.org_at(org).await? else {
        return Ok(());
    };
    for forget in [
        "DELETE FROM org_chain_roles WHERE org_id = ? AND wallet_address = ?",
        "DELETE FROM org_members WHERE org_id = ? AND wallet_address = ? AND from_chain = 1",
        "INSERT INTO org_members (org_id, wallet_address, role, created_at, from_chain)
         SELECT org_id, wallet_address, role, decided_at, 0 FROM org_role_decisions
         WHERE org_id = ? AND wallet_address = ? AND role IS NOT NULL
         ON CONFLICT DO NOTHING",
    ] {
        let statement = sqlx::query(forget).bind(org.0).bind(columns::address(wallet));
        indexing.write.execute(statement).await?;
    }
    indexing.write.directory_changed();
    indexing.write.reopen_role(org, wallet).await
}

/// Decisions above `block` now come after it: what is mined next is newer than they.
pub(super) async fn lower_decisions(indexing: &mut Indexing<'_, '_>, block: i64) -> Result<(), StoreError> {
    let lower = "UPDATE org_role_decisions SET after_block = ?1 WHERE after_block > ?1";
    indexing
        .write
        .execute(sqlx::query(lower).bind(block))
        .await
        .map(drop)
}

impl WriteTx<'_> {
    async fn note_chain_role(
        &mut self,
        org: OrgId,
        wallet: WalletAddress,
        role: u8,
    ) -> Result<(), StoreError> {
        let statement = if role == 0 {
            sqlx::query("DELETE FROM org_chain_roles WHERE org_id = ? AND wallet_address = ?")
                .bind(org.0)
                .bind(columns::address(wallet))
        } else {
            let put =
                "INSERT OR REPLACE INTO org_chain_roles (org_id, wallet_address, role) VALUES (?, ?, ?)";
            sqlx::query(put)
                .bind(org.0)
                .bind(columns::address(wallet))
                .bind(role)
        };
        self.execute(statement).await.map(drop)
    }

    /// Whether the event is the newest word about the wallet's role.
    async fn decides(
        &mut self,
        org: OrgId,
        wallet: WalletAddress,
        stored: &Stored,
        sight: Sight,
    ) -> Result<bool, StoreError> {
        if self.is_our_mirroring(&stored.event.tx).await? {
            return Ok(false);
        }
        let overruled =
            "SELECT 1 FROM org_roles_overruled WHERE tx = ? AND org_id = ? AND wallet_address = ?";
        let overruled = sqlx::query(overruled)
            .bind(stored.event.tx.to_vec())
            .bind(org.0)
            .bind(columns::address(wallet));
        if self.optional(overruled).await?.is_some() {
            return Ok(false);
        }
        // The index may lag: what was mined before the decision and is seen after it is older.
        let newer = "SELECT 1 FROM org_role_decisions
                     WHERE org_id = ? AND wallet_address = ? AND (decided_at > ? OR (? AND after_block >= ?))";
        let newer = sqlx::query(newer)
            .bind(org.0)
            .bind(columns::address(wallet))
            .bind(stored.event.block_time.micros())
            .bind(sight == Sight::Again)
            .bind(stored.block()?);
        Ok(self.optional(newer).await?.is_none())
    }

    /// Signed bytes are stored before they are sent, so every transaction of ours is known here.
    async fn is_our_mirroring(&mut self, tx: &Hash32) -> Result<bool, StoreError> {
        let ours = "SELECT purpose FROM chain_tx_attempt JOIN chain_tx ON chain_tx.id = tx_id WHERE hash = ?";
        let row = self.optional(sqlx::query(ours).bind(tx.to_vec())).await?;
        row.map_or(Ok(false), |row| {
            let purpose: String = Columns::of(&row).read("chain_tx.purpose")?;
            Ok(purpose == TxPurpose::MirrorRole.as_str())
        })
    }

    async fn give_role(
        &mut self,
        org: OrgId,
        wallet: WalletAddress,
        role: Option<&'static str>,
        stored: &Stored,
    ) -> Result<(), StoreError> {
        let statement = match role {
            None => sqlx::query("DELETE FROM org_members WHERE org_id = ? AND wallet_address = ?")
                .bind(org.0)
                .bind(columns::address(wallet)),
            Some(role) => {
                let put = "INSERT INTO org_members (org_id, wallet_address, role, created_at, from_chain)
                           VALUES (?, ?, ?, ?, 1)
                           ON CONFLICT DO UPDATE SET role = excluded.role, from_chain = 1";
                sqlx::query(put)
                    .bind(org.0)
                    .bind(columns::address(wallet))
                    .bind(role)
                    .bind(stored.event.block_time.micros())
            }
        };
        self.execute(statement).await?;
        self.directory_changed();
        Ok(())
    }

    /// The contract may say something else than a decision made here.
    async fn reopen_role(&mut self, org: OrgId, wallet: WalletAddress) -> Result<(), StoreError> {
        let reopen = "UPDATE org_role_decisions SET open = 1 WHERE org_id = ? AND wallet_address = ?";
        let statement = sqlx::query(reopen).bind(org.0).bind(columns::address(wallet));
        self.execute(statement).await.map(drop)
    }
}
