//! Members of projects.

use super::{audit::Line, standing::project_role};
use crate::{
    columns::{self, Columns},
    db::{Db, Statement},
    write::WriteTx,
};
use haithe_kernel::{Listed, OrgId, Page, ProjectId, StoreError, WalletAddress};
use haithe_orgs::{
    OrgError,
    audit::{Act, AuditAction},
    members::Judge,
    model::{ProjectMember, ProjectRole},
};
use sqlx::postgres::PgRow;

const COUNT: &str =
    "SELECT count(*) FROM project_members WHERE project_id = $1 AND ($2 IS NULL OR role = $2)";
const LIST: &str = "
    SELECT project_id, wallet_address, role FROM project_members
    WHERE project_id = $1 AND ($2 IS NULL OR role = $2) ORDER BY id DESC LIMIT $3 OFFSET $4";
const ROLE: &str = "SELECT role FROM project_members WHERE project_id = $1 AND wallet_address = $2";
const ORG: &str = "SELECT org_id FROM projects WHERE id = $1 AND NOT deleted";
const PUT: &str = "
    INSERT INTO project_members (project_id, wallet_address, role) VALUES ($1, $2, $3)
    ON CONFLICT (project_id, wallet_address) DO UPDATE SET role = excluded.role
    RETURNING project_id, wallet_address, role";
const REMOVE: &str = "
    DELETE FROM project_members WHERE project_id = $1 AND wallet_address = $2
    RETURNING project_id, wallet_address, role";

fn read(row: &PgRow) -> Result<ProjectMember, StoreError> {
    let columns = Columns::of(row);
    let missing = || StoreError::inconsistent("project_members.role");
    Ok(ProjectMember {
        project: columns.get("project_members.project_id")?,
        address: columns.get("project_members.wallet_address")?,
        role: project_role(columns.get("project_members.role")?)?.ok_or_else(missing)?,
    })
}

/// A statement about one wallet in a project.
fn about(sql: &'static str, project: ProjectId, address: WalletAddress) -> Statement {
    sqlx::query(sql).bind(project.0).bind(columns::address(address))
}

pub(super) async fn list(
    db: &Db,
    project: ProjectId,
    role: Option<ProjectRole>,
    page: Page,
) -> Result<Listed<ProjectMember>, StoreError> {
    let bound = |sql| {
        sqlx::query(sql)
            .bind(project.0)
            .bind(role.map(ProjectRole::as_str))
    };
    db.listed(bound(COUNT), (bound(LIST), page), read).await
}

/// A change of a member, and the rule that it is judged by.
pub(super) struct MemberEdit {
    pub(super) project: ProjectId,
    pub(super) address: WalletAddress,
    pub(super) judge: Judge<ProjectRole>,
    pub(super) act: Act,
}

impl MemberEdit {
    /// The project's organization and the member's role, if the rule allows the change.
    async fn judged(&self, write: &mut WriteTx) -> Result<(OrgId, Option<ProjectRole>), OrgError> {
        let org = write.optional(sqlx::query(ORG).bind(self.project.0)).await?;
        let org = org.ok_or(OrgError::NotFound("project"))?;
        let org: OrgId = Columns::of(&org).get("projects.org_id")?;
        let before = match write.optional(about(ROLE, self.project, self.address)).await? {
            Some(row) => project_role(Columns::of(&row).get("project_members.role")?)?,
            None => None,
        };
        let facts = write
            .facts(org, Some(self.project), self.act.by.address, before)
            .await?;
        (self.judge)(facts)?;
        Ok((org, before))
    }
}

pub(super) async fn put(
    write: &mut WriteTx,
    (edit, role): &(MemberEdit, ProjectRole),
) -> Result<ProjectMember, OrgError> {
    let (org, before) = edit.judged(write).await?;
    let put = about(PUT, edit.project, edit.address).bind(role.as_str());
    let member = read(&write.one(put).await?)?;
    write.directory_changed();
    if before == Some(*role) {
        return Ok(member);
    }
    let line = match before {
        None => Line::of(org, AuditAction::ProjectMemberAdded),
        Some(before) => Line::of(org, AuditAction::ProjectMemberChanged).before(before),
    };
    let line = line.project(edit.project).subject(edit.address).after(role);
    write.audit(&edit.act, line).await?;
    Ok(member)
}

pub(super) async fn remove(
    write: &mut WriteTx,
    edit: &MemberEdit,
) -> Result<Option<ProjectMember>, OrgError> {
    let (org, _) = edit.judged(write).await?;
    let Some(row) = write.optional(about(REMOVE, edit.project, edit.address)).await? else {
        return Ok(None);
    };
    let removed = read(&row)?;
    write.directory_changed();
    let line = Line::of(org, AuditAction::ProjectMemberRemoved);
    let line = line
        .project(edit.project)
        .subject(edit.address)
        .before(removed.role);
    write.audit(&edit.act, line).await?;
    Ok(Some(removed))
}
