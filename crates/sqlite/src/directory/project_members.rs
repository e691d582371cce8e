//! Members of projects.

use super::{audit::Line, organizations::project_role};
use crate::{
    columns::{self, Columns},
    db::{Db, WriteTx},
};
use haithe_kernel::{Listed, OrgId, Page, ProjectId, StoreError, WalletAddress};
use haithe_orgs::{
    OrgError,
    audit::{Act, AuditAction},
    members::Judge,
    model::{ProjectMember, ProjectRole},
};
use sqlx::sqlite::SqliteRow;

fn read(row: &SqliteRow) -> Result<ProjectMember, StoreError> {
    let columns = Columns::of(row);
    let missing = || StoreError::inconsistent("project_members.role");
    Ok(ProjectMember {
        project: columns.get("project_members.project_id")?,
        address: columns.get("project_members.wallet_address")?,
        role: project_role(columns.get("project_members.role")?)?.ok_or_else(missing)?,
    })
}

pub(super) async fn list(
    db: &Db,
    project: ProjectId,
    role: Option<ProjectRole>,
    page: Page,
) -> Result<Listed<ProjectMember>, StoreError> {
    let count =
        "SELECT count(*) AS count FROM project_members WHERE project_id = ?1 AND (?2 IS NULL OR role = ?2)";
    let members = "SELECT project_id, wallet_address, role FROM project_members
                   WHERE project_id = ?1 AND (?2 IS NULL OR role = ?2) ORDER BY id DESC LIMIT ?3 OFFSET ?4";
    let role = role.map(ProjectRole::as_str);
    let count = sqlx::query(count).bind(project.0).bind(role);
    let members = sqlx::query(members).bind(project.0).bind(role);
    let members = members.bind(page.limit()).bind(page.offset());
    db.listed(count, members, read).await
}

const ROLE: &str = "SELECT role FROM project_members WHERE project_id = ? AND wallet_address = ?";

/// The organization of a project that is there.
async fn org(write: &mut WriteTx<'_>, project: ProjectId) -> Result<OrgId, OrgError> {
    let org = "SELECT org_id FROM projects WHERE id = ? AND deleted = 0";
    let row = write.optional(sqlx::query(org).bind(project.0)).await?;
    let row = row.ok_or(OrgError::NotFound("project"))?;
    Ok(Columns::of(&row).get("projects.org_id")?)
}

/// The project's organization and the role that the wallet has, if `judge` lets its change pass.
async fn judged(
    write: &mut WriteTx<'_>,
    project: ProjectId,
    address: WalletAddress,
    judge: Judge<ProjectRole>,
    act: &Act,
) -> Result<(OrgId, Option<ProjectRole>), OrgError> {
    let org = org(write, project).await?;
    let before = sqlx::query(ROLE).bind(project.0).bind(columns::address(address));
    let before = match write.optional(before).await? {
        Some(row) => project_role(Columns::of(&row).get("project_members.role")?)?,
        None => None,
    };
    judge(write.facts(org, Some(project), act.by.address, before).await?)?;
    Ok((org, before))
}

pub(super) async fn put(
    write: &mut WriteTx<'_>,
    project: ProjectId,
    address: WalletAddress,
    role: ProjectRole,
    judge: Judge<ProjectRole>,
    act: &Act,
) -> Result<ProjectMember, OrgError> {
    let (org, before) = judged(write, project, address, judge, act).await?;
    let put = "INSERT INTO project_members (project_id, wallet_address, role) VALUES (?, ?, ?)
               ON CONFLICT DO UPDATE SET role = excluded.role
               RETURNING project_id, wallet_address, role";
    let put = sqlx::query(put)
        .bind(project.0)
        .bind(columns::address(address))
        .bind(role.as_str());
    let row = write.optional(put).await?;
    let member = read(&row.ok_or(StoreError::inconsistent("project_members.project_id"))?)?;
    write.directory_changed();
    if before == Some(role) {
        return Ok(member);
    }
    let line = match before {
        None => Line::of(org, AuditAction::ProjectMemberAdded),
        Some(before) => Line::of(org, AuditAction::ProjectMemberChanged).before(before),
    };
    let line = line.project(project).subject(address).after(role);
    write.audit(act, line).await?;
    Ok(member)
}

pub(super) async fn remove(
    write: &mut WriteTx<'_>,
    project: ProjectId,
    address: WalletAddress,
    judge: Judge<ProjectRole>,
    act: &Act,
) -> Result<Option<ProjectMember>, OrgError> {
    let (org, _) = judged(write, project, address, judge, act).await?;
    let remove = "DELETE FROM project_members WHERE project_id = ? AND wallet_address = ?
                  RETURNING project_id, wallet_address, role";
    let remove = sqlx::query(remove)
        .bind(project.0)
        .bind(columns::address(address));
    let Some(row) = write.optional(remove).await? else {
        return Ok(None);
    };
    let removed = read(&row)?;
    write.directory_changed();
    let line = Line::of(org, AuditAction::ProjectMemberRemoved);
    let line = line.project(project).subject(address).before(removed.role);
    write.audit(act, line).await?;
    Ok(Some(removed))
}
