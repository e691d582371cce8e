//! [`OrgMemberStore`] on PostgreSQL.

use super::{audit::Line, roles::chain_role, standing::org_role};
use crate::{
    columns::{self, Columns},
    db::{Db, Statement},
    write::WriteTx,
};
use async_trait::async_trait;
use haithe_kernel::{Listed, OrgId, Page, StoreError, WalletAddress};
use haithe_orgs::{
    OrgError,
    audit::{Act, AuditAction},
    members::Judge,
    model::{OrgMember, OrgRole},
    ports::OrgMemberStore,
};
use sqlx::postgres::PgRow;

/// [`OrgMemberStore`] on PostgreSQL.
#[derive(Clone)]
pub struct PgOrgMemberStore {
    db: Db,
}

impl PgOrgMemberStore {
    /// The members in this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

/// The columns that [`read`] reads.
macro_rules! select_members {
    ($rest:literal) => {
        concat!(
            "SELECT org_id, wallet_address, role, org_members.created_at,
                    (SELECT chain.role FROM org_chain_roles AS chain
                     WHERE chain.org_id = org_members.org_id
                       AND chain.wallet_address = org_members.wallet_address) AS chain_role
             FROM org_members ",
            $rest
        )
    };
}

const ONE: &str = select_members!("WHERE org_id = $1 AND wallet_address = $2");
const ROLE: &str = "SELECT role FROM org_members WHERE org_id = $1 AND wallet_address = $2";
const COUNT: &str = "
    SELECT count(*) FROM org_members
    WHERE org_id = $1 AND ($2 IS NULL OR role = $2)
      AND wallet_address <> (SELECT owner FROM organizations WHERE id = $1)";
const LIST: &str = select_members!(
    "WHERE org_id = $1 AND ($2 IS NULL OR role = $2)
       AND wallet_address <> (SELECT owner FROM organizations WHERE id = $1)
     ORDER BY org_members.created_at DESC, wallet_address LIMIT $3 OFFSET $4"
);
const PUT: &str = "
    INSERT INTO org_members (org_id, wallet_address, role, created_at, from_chain) VALUES ($1, $2, $3, $4, FALSE)
    ON CONFLICT (org_id, wallet_address) DO UPDATE SET role = excluded.role, from_chain = FALSE";
const REMOVE: &str = "DELETE FROM org_members WHERE org_id = $1 AND wallet_address = $2";
const REMOVE_FROM_PROJECTS: &str = "
    DELETE FROM project_members
    WHERE wallet_address = $2 AND project_id IN (SELECT id FROM projects WHERE org_id = $1)";

fn read(row: &PgRow) -> Result<OrgMember, StoreError> {
    let columns = Columns::of(row);
    let missing = || StoreError::inconsistent("org_members.role");
    Ok(OrgMember {
        org: columns.get("org_members.org_id")?,
        address: columns.get("org_members.wallet_address")?,
        role: org_role(columns.get("org_members.role")?)?.ok_or_else(missing)?,
        created_at: columns.get("org_members.created_at")?,
        on_chain: chain_role(columns.get("org_chain_roles.chain_role")?)?,
    })
}

/// A statement about one wallet in an organization.
fn about(sql: &'static str, org: OrgId, address: WalletAddress) -> Statement {
    sqlx::query(sql).bind(org.0).bind(columns::address(address))
}

async fn one(
    write: &mut WriteTx,
    org: OrgId,
    address: WalletAddress,
) -> Result<Option<OrgMember>, StoreError> {
    let row = write.optional(about(ONE, org, address)).await?;
    row.as_ref().map(read).transpose()
}

/// A change of a member, and the rule that it is judged by.
struct MemberEdit {
    org: OrgId,
    address: WalletAddress,
    judge: Judge<OrgRole>,
    act: Act,
}

impl MemberEdit {
    /// The member as it is, if the rule allows the change.
    async fn judged(&self, write: &mut WriteTx) -> Result<Option<OrgMember>, OrgError> {
        let before = one(write, self.org, self.address).await?;
        let present = before.as_ref().map(|member| member.role);
        let facts = write.facts(self.org, None, self.act.by.address, present).await?;
        (self.judge)(facts)?;
        Ok(before)
    }
}

async fn put(write: &mut WriteTx, (edit, role): &(MemberEdit, OrgRole)) -> Result<OrgMember, OrgError> {
    let (org, address, role, act) = (edit.org, edit.address, *role, &edit.act);
    let before = edit.judged(write).await?;
    let put = about(PUT, org, address).bind(role.as_str()).bind(act.at.micros());
    write.execute(put).await?;
    write.decide_role(org, address, Some(role), act).await?;
    write.directory_changed();
    let line = match before {
        None => Some(Line::of(org, AuditAction::MemberAdded)),
        Some(before) if before.role != role => {
            Some(Line::of(org, AuditAction::MemberChanged).before(before.role))
        }
        Some(_) => None,
    };
    if let Some(line) = line {
        write.audit(act, line.subject(address).after(role)).await?;
    }
    let member = one(write, org, address).await?;
    Ok(member.ok_or(StoreError::inconsistent("org_members.org_id"))?)
}

async fn remove(write: &mut WriteTx, edit: &MemberEdit) -> Result<Option<OrgMember>, OrgError> {
    let (org, address, act) = (edit.org, edit.address, &edit.act);
    let Some(removed) = edit.judged(write).await? else {
        return Ok(None);
    };
    write.execute(about(REMOVE, org, address)).await?;
    write.execute(about(REMOVE_FROM_PROJECTS, org, address)).await?;
    write.decide_role(org, address, None, act).await?;
    write.directory_changed();
    let line = Line::of(org, AuditAction::MemberRemoved);
    write
        .audit(act, line.subject(address).before(removed.role))
        .await?;
    Ok(Some(removed))
}

#[async_trait]
impl OrgMemberStore for PgOrgMemberStore {
    async fn members(
        &self,
        org: OrgId,
        role: Option<OrgRole>,
        page: Page,
    ) -> Result<Listed<OrgMember>, StoreError> {
        let bound = |sql| sqlx::query(sql).bind(org.0).bind(role.map(OrgRole::as_str));
        self.db.listed(bound(COUNT), (bound(LIST), page), read).await
    }

    async fn put_member(
        &self,
        org: OrgId,
        address: WalletAddress,
        role: OrgRole,
        judge: Judge<OrgRole>,
        act: Act,
    ) -> Result<OrgMember, OrgError> {
        let edit = MemberEdit {
            org,
            address,
            judge,
            act,
        };
        self.db
            .write((edit, role), |write, edit| Box::pin(put(write, edit)))
            .await
    }

    async fn remove_member(
        &self,
        org: OrgId,
        address: WalletAddress,
        judge: Judge<OrgRole>,
        act: Act,
    ) -> Result<Option<OrgMember>, OrgError> {
        let edit = MemberEdit {
            org,
            address,
            judge,
            act,
        };
        self.db
            .write(edit, |write, edit| Box::pin(remove(write, edit)))
            .await
    }

    async fn role(&self, org: OrgId, address: WalletAddress) -> Result<Option<OrgRole>, StoreError> {
        let row = self.db.optional(about(ROLE, org, address)).await?;
        row.map_or(Ok(None), |row| {
            org_role(Columns::of(&row).get("org_members.role")?)
        })
    }
}
