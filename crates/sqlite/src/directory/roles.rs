//! [`RoleStore`] on SQLite: decisions about roles, beside what the contracts say.

use crate::{
    columns::{self, Columns},
    db::{Db, WriteTx},
    directory::organizations::org_role,
};
use async_trait::async_trait;
use haithe_kernel::{OrgId, StoreError, WalletAddress};
use haithe_orgs::{
    audit::Act,
    model::OrgRole,
    ports::RoleStore,
    roles::{ChainRole, RoleChange},
};
use sqlx::sqlite::SqliteRow;

/// [`RoleStore`] on SQLite.
#[derive(Clone)]
pub struct SqliteRoleStore {
    db: Db,
}

impl SqliteRoleStore {
    /// The decisions in this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

impl WriteTx<'_> {
    /// Notes what was decided about a wallet's role, and opens the change.
    pub(super) async fn decide_role(
        &mut self,
        org: OrgId,
        address: WalletAddress,
        role: Option<OrgRole>,
        act: &Act,
    ) -> Result<(), StoreError> {
        let decide = "INSERT INTO org_role_decisions
                          (org_id, wallet_address, version, role, decided_by, decided_at, after_block, sent, open)
                      VALUES (?, ?, 1, ?, ?, ?, coalesce((SELECT max(number) FROM chain_blocks), -1), NULL, 1)
                      ON CONFLICT DO UPDATE SET
                          version = version + 1, role = excluded.role, decided_by = excluded.decided_by,
                          decided_at = excluded.decided_at, after_block = excluded.after_block, open = 1";
        let statement = sqlx::query(decide)
            .bind(org.0)
            .bind(columns::address(address))
            .bind(role.map(OrgRole::as_str))
            .bind(columns::address(act.by.address))
            .bind(act.at.micros());
        self.execute(statement).await.map(drop)
    }
}

/// A role by the contract's number; `NULL` is none.
pub(super) fn chain_role(number: Option<u8>) -> Result<ChainRole, StoreError> {
    ChainRole::of_number(number.unwrap_or(0)).ok_or(StoreError::inconsistent("org_chain_roles.role"))
}

fn change(row: &SqliteRow) -> Result<RoleChange, StoreError> {
    let columns = Columns::of(row);
    Ok(RoleChange {
        org: columns.get("org_role_decisions.org_id")?,
        address: columns.get("org_role_decisions.wallet_address")?,
        version: columns.get("org_role_decisions.version")?,
        sent: columns.get("org_role_decisions.sent")?,
        decided_by: columns.get("org_role_decisions.decided_by")?,
        contract: columns.get_as("contract", "organizations.address")?,
        owns: columns.get_as("owns", "organizations.owner")?,
        wanted: org_role(columns.get_as("wanted", "org_members.role")?)?.into(),
        seen: chain_role(columns.get_as("seen", "org_chain_roles.role")?)?,
    })
}

#[async_trait]
impl RoleStore for SqliteRoleStore {
    async fn open(&self, limit: u32) -> Result<Vec<RoleChange>, StoreError> {
        let open = "SELECT decision.org_id, decision.wallet_address, version, sent, decided_by,
                           organizations.address AS contract, organizations.owner = decision.wallet_address AS owns,
                           (SELECT role FROM org_members
                            WHERE org_id = decision.org_id AND wallet_address = decision.wallet_address) AS wanted,
                           (SELECT role FROM org_chain_roles
                            WHERE org_id = decision.org_id AND wallet_address = decision.wallet_address) AS seen
                    FROM org_role_decisions AS decision
                    JOIN organizations ON organizations.id = decision.org_id AND on_chain = 1
                    WHERE open = 1 ORDER BY decided_at LIMIT ?";
        let rows = self.db.all(sqlx::query(open).bind(limit)).await?;
        rows.iter().map(change).collect()
    }

    async fn note_sent(&self, org: OrgId, address: WalletAddress, version: u64) -> Result<(), StoreError> {
        let note = "UPDATE org_role_decisions SET sent = ? WHERE org_id = ? AND wallet_address = ?";
        let statement = sqlx::query(note)
            .bind(columns::number(version, "org_role_decisions.sent")?)
            .bind(org.0)
            .bind(columns::address(address));
        self.db.execute(statement).await.map(drop)
    }

    async fn settle(&self, org: OrgId, address: WalletAddress, version: u64) -> Result<bool, StoreError> {
        let settle = "UPDATE org_role_decisions SET open = 0
                      WHERE org_id = ? AND wallet_address = ? AND version = ? AND open = 1";
        let statement = sqlx::query(settle)
            .bind(org.0)
            .bind(columns::address(address))
            .bind(columns::number(version, "org_role_decisions.version")?);
        Ok(self.db.execute(statement).await? == 1)
    }
}
