//! Rows of roles: what contracts say, what was decided here, and what holds.

use crate::{
    columns::{self, Columns},
    write::WriteTx,
};
use haithe_billing::{
    chain::{Hash32, RoleState},
    outbox::TxPurpose,
};
use haithe_kernel::{OrgId, StoreError, Timestamp, WalletAddress};
use haithe_orgs::{model::OrgRole, roles::RoleDecision};

/// A role by its word.
fn role(word: Option<String>) -> Result<Option<OrgRole>, StoreError> {
    let role = word.map(|word| word.parse()).transpose();
    role.map_err(|_| StoreError::inconsistent("org_role_decisions.role"))
}

impl WriteTx {
    /// What is known about a wallet's role, and about a transaction that changes it.
    pub(super) async fn role_state(
        &mut self,
        org: OrgId,
        wallet: WalletAddress,
        tx: Hash32,
    ) -> Result<RoleState, StoreError> {
        let state = "SELECT (SELECT from_chain FROM org_members WHERE org_id = $1 AND wallet_address = $2)
                                AS from_chain,
                            (SELECT purpose FROM chain_tx_attempt JOIN chain_tx ON chain_tx.id = tx_id
                             WHERE hash = $3) AS purpose,
                            EXISTS (SELECT 1 FROM org_roles_overruled
                                    WHERE tx = $3 AND org_id = $1 AND wallet_address = $2) AS overruled";
        let statement = sqlx::query(state)
            .bind(org.0)
            .bind(columns::address(wallet))
            .bind(tx.to_vec());
        let row = self.optional(statement).await?;
        let row = row.ok_or(StoreError::inconsistent("org_members.from_chain"))?;
        let columns = Columns::of(&row);
        let purpose: Option<String> = columns.get("chain_tx.purpose")?;
        let sent_for = purpose
            .map(|word| TxPurpose::from_word(&word).ok_or(StoreError::inconsistent("chain_tx.purpose")))
            .transpose()?;
        Ok(RoleState {
            decision: self.role_decision(org, wallet).await?,
            member_from_chain: columns.get("org_members.from_chain")?,
            sent_for,
            overruled: columns.get_as("overruled", "org_roles_overruled.tx")?,
        })
    }

    async fn role_decision(
        &mut self,
        org: OrgId,
        wallet: WalletAddress,
    ) -> Result<Option<RoleDecision>, StoreError> {
        let decision = "SELECT role, decided_at, after_block FROM org_role_decisions
                        WHERE org_id = $1 AND wallet_address = $2";
        let statement = sqlx::query(decision).bind(org.0).bind(columns::address(wallet));
        let Some(row) = self.optional(statement).await? else {
            return Ok(None);
        };
        let columns = Columns::of(&row);
        let after_block: i64 = columns.get("org_role_decisions.after_block")?;
        Ok(Some(RoleDecision {
            role: role(columns.get("org_role_decisions.role")?)?,
            decided_at: columns.get("org_role_decisions.decided_at")?,
            // −1 before the first.
            after_block: u64::try_from(after_block).ok(),
        }))
    }

    pub(super) async fn note_chain_role(
        &mut self,
        org: OrgId,
        wallet: WalletAddress,
        role: u8,
    ) -> Result<(), StoreError> {
        let statement = if role == 0 {
            sqlx::query("DELETE FROM org_chain_roles WHERE org_id = $1 AND wallet_address = $2")
                .bind(org.0)
                .bind(columns::address(wallet))
        } else {
            let put = "INSERT INTO org_chain_roles (org_id, wallet_address, role) VALUES ($1, $2, $3)
                 ON CONFLICT (org_id, wallet_address) DO UPDATE SET role = excluded.role";
            sqlx::query(put)
                .bind(org.0)
                .bind(columns::address(wallet))
                .bind(i64::from(role))
        };
        self.execute(statement).await.map(drop)
    }

    pub(super) async fn set_role(
        &mut self,
        org: OrgId,
        wallet: WalletAddress,
        role: Option<OrgRole>,
        (since, from_chain): (Timestamp, bool),
    ) -> Result<(), StoreError> {
        let statement = match role {
            None => sqlx::query("DELETE FROM org_members WHERE org_id = $1 AND wallet_address = $2")
                .bind(org.0)
                .bind(columns::address(wallet)),
            Some(role) => {
                let put = "INSERT INTO org_members (org_id, wallet_address, role, created_at, from_chain)
                           VALUES ($1, $2, $3, $4, $5)
                           ON CONFLICT (org_id, wallet_address) DO UPDATE SET
                               role = excluded.role, from_chain = excluded.from_chain";
                sqlx::query(put)
                    .bind(org.0)
                    .bind(columns::address(wallet))
                    .bind(role.as_str())
                    .bind(since.micros())
                    .bind(from_chain)
            }
        };
        self.directory_changed();
        self.execute(statement).await.map(drop)
    }

    pub(super) async fn reopen_decision(
        &mut self,
        org: OrgId,
        wallet: WalletAddress,
    ) -> Result<(), StoreError> {
        let reopen = "UPDATE org_role_decisions SET open = TRUE WHERE org_id = $1 AND wallet_address = $2";
        let statement = sqlx::query(reopen).bind(org.0).bind(columns::address(wallet));
        self.execute(statement).await.map(drop)
    }

    pub(super) async fn keep_overruled(
        &mut self,
        tx: Hash32,
        org: OrgId,
        wallet: WalletAddress,
    ) -> Result<(), StoreError> {
        let keep = "INSERT INTO org_roles_overruled (tx, org_id, wallet_address) VALUES ($1, $2, $3)
                    ON CONFLICT DO NOTHING";
        let statement = sqlx::query(keep)
            .bind(tx.to_vec())
            .bind(org.0)
            .bind(columns::address(wallet));
        self.execute(statement).await.map(drop)
    }

    /// Decisions that knew blocks above this one know blocks up to it.
    pub(super) async fn lower_decisions(&mut self, block: u64) -> Result<(), StoreError> {
        let lower = "UPDATE org_role_decisions SET after_block = $1 WHERE after_block > $1";
        let block = columns::number(block, "org_role_decisions.after_block")?;
        self.execute(sqlx::query(lower).bind(block)).await.map(drop)
    }
}
