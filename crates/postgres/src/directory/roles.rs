//! [`RoleStore`] on PostgreSQL: decisions about roles, beside what the contracts say.

use super::standing::org_role;
use crate::{
    columns::{self, Columns},
    db::Db,
    write::WriteTx,
};
use async_trait::async_trait;
use haithe_kernel::{OrgId, StoreError, WalletAddress};
use haithe_orgs::{
    audit::Act,
    model::OrgRole,
    ports::RoleStore,
    roles::{ChainRole, RoleChange},
};
use sqlx::postgres::PgRow;

/// [`RoleStore`] on PostgreSQL.
#[derive(Clone)]
pub struct PgRoleStore {
    db: Db,
}

impl PgRoleStore {
    /// The decisions in this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

const DECIDE: &str = "
    INSERT INTO org_role_decisions
        (org_id, wallet_address, version, role, decided_by, decided_at, after_block, sent, open)
    VALUES ($1, $2, 1, $3, $4, $5, coalesce((SELECT max(number) FROM chain_blocks), -1), NULL, TRUE)
    ON CONFLICT (org_id, wallet_address) DO UPDATE SET
        version = org_role_decisions.version + 1, role = excluded.role, decided_by = excluded.decided_by,
        decided_at = excluded.decided_at, after_block = excluded.after_block, open = TRUE";
const HOLD_INDEX: &str = "SELECT id FROM chain_binding FOR SHARE";
const OPEN: &str = "
    SELECT decision.org_id, decision.wallet_address, version, sent, decided_by,
           organizations.address AS contract, organizations.owner = decision.wallet_address AS owns,
           (SELECT role FROM org_members
            WHERE org_id = decision.org_id AND wallet_address = decision.wallet_address) AS wanted,
           (SELECT role FROM org_chain_roles
            WHERE org_id = decision.org_id AND wallet_address = decision.wallet_address) AS seen
    FROM org_role_decisions AS decision
    JOIN organizations ON organizations.id = decision.org_id AND on_chain
    WHERE open ORDER BY decided_at LIMIT $1";
const NOTE_SENT: &str = "UPDATE org_role_decisions SET sent = $1 WHERE org_id = $2 AND wallet_address = $3";
const SETTLE: &str = "
    UPDATE org_role_decisions SET open = FALSE
    WHERE org_id = $1 AND wallet_address = $2 AND version = $3 AND open";

impl WriteTx {
    /// Notes what was decided about a wallet's role, and opens the change. The index reads decisions and does not
    /// run meanwhile: a transaction that began before its last step ended conflicts with it.
    pub(super) async fn decide_role(
        &mut self,
        org: OrgId,
        address: WalletAddress,
        role: Option<OrgRole>,
        act: &Act,
    ) -> Result<(), StoreError> {
        self.execute(sqlx::query(HOLD_INDEX)).await?;
        let decide = sqlx::query(DECIDE)
            .bind(org.0)
            .bind(columns::address(address))
            .bind(role.map(OrgRole::as_str))
            .bind(columns::address(act.by.address))
            .bind(act.at.micros());
        self.execute(decide).await.map(drop)
    }
}

/// A role by the contract's number; `NULL` means no role.
pub(super) fn chain_role(number: Option<u8>) -> Result<ChainRole, StoreError> {
    ChainRole::of_number(number.unwrap_or(0)).ok_or(StoreError::inconsistent("org_chain_roles.role"))
}

fn change(row: &PgRow) -> Result<RoleChange, StoreError> {
    let columns = Columns::of(row);
    Ok(RoleChange {
        org: columns.get("org_role_decisions.org_id")?,
        address: columns.get("org_role_decisions.wallet_address")?,
        version: columns.get("org_role_decisions.version")?,
        sent: columns.get("org_role_decisions.sent")?,
        decided_by: columns.get("org_role_decisions.decided_by")?,
        contract: columns.get("organizations.contract")?,
        owns: columns.get("organizations.owns")?,
        wanted: org_role(columns.get("org_members.wanted")?)?.into(),
        seen: chain_role(columns.get("org_chain_roles.seen")?)?,
    })
}

#[async_trait]
impl RoleStore for PgRoleStore {
    async fn open(&self, limit: u32) -> Result<Vec<RoleChange>, StoreError> {
        let rows = self.db.all(sqlx::query(OPEN).bind(i64::from(limit))).await?;
        rows.iter().map(change).collect()
    }

    async fn note_sent(&self, org: OrgId, address: WalletAddress, version: u64) -> Result<(), StoreError> {
        let version = columns::number(version, "org_role_decisions.sent")?;
        let noted = self.db.execute(|| {
            sqlx::query(NOTE_SENT)
                .bind(version)
                .bind(org.0)
                .bind(columns::address(address))
        });
        noted.await.map(drop)
    }

    async fn settle(&self, org: OrgId, address: WalletAddress, version: u64) -> Result<bool, StoreError> {
        let version = columns::number(version, "org_role_decisions.version")?;
        let settled = self.db.execute(|| {
            sqlx::query(SETTLE)
                .bind(org.0)
                .bind(columns::address(address))
                .bind(version)
        });
        Ok(settled.await? == 1)
    }
}
