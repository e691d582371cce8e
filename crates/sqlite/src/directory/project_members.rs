//! Members of projects.

use super::{audit::Line, organizations::project_role};
use crate::{
    columns::{self, Columns},
    db::{Db, WriteTx},
};
use haithe_kernel::{Listed, OrgId, Page, ProjectId, StoreError, WalletAddress};
use haithe_orgs::{
    audit::{Act, AuditAction},
    model::{ProjectMember, ProjectRole},
};
use sqlx::sqlite::SqliteRow;

fn read(row: &SqliteRow) -> Result<ProjectMember, StoreError> {
    let mut columns = Columns::of(row);
    let missing = || StoreError::inconsistent("project_members.role");
    Ok(ProjectMember {
        project: columns.read("project_members.project_id")?,
        address: columns.read("project_members.wallet_address")?,
        role: project_role(columns.read("project_members.role")?)?.ok_or_else(missing)?,
    })
}

pub(super) async fn list(
    db: &Db,
    project: ProjectId,
    role: Option<ProjectRole>,
    page: Page,
) -> Result<Listed<ProjectMember>, StoreError> {
    let count = "SELECT count(*) FROM project_members WHERE project_id = ?1 AND (?2 IS NULL OR role = ?2)";
    let members = "SELECT project_id, wallet_address, role FROM project_members
                   WHERE project_id = ?1 AND (?2 IS NULL OR role = ?2) ORDER BY id DESC LIMIT ?3 OFFSET ?4";
    let role = role.map(ProjectRole::as_str);
    let count = sqlx::query(count).bind(project.0).bind(role);
    let members = sqlx::query(members).bind(project.0).bind(role);
    let members = members.bind(page.limit()).bind(page.offset());
    db.listed(count, members, read).await
}

const ROLE: &str = "SELECT role FROM project_members WHERE project_id = ? AND wallet_address = ?";

pub(super) async fn role(
    db: &Db,
    project: ProjectId,
    address: WalletAddress,
) -> Result<Option<ProjectRole>, StoreError> {
    let role = sqlx::query(ROLE).bind(project.0).bind(columns::address(address));
    db.optional(role).await?.map_or(Ok(None), |row| {
        project_role(Columns::of(&row).read("project_members.role")?)
    })
}

/// The organization of a project, for the audit.
async fn org(write: &mut WriteTx<'_>, project: ProjectId) -> Result<OrgId, StoreError> {
    let org = "SELECT org_id FROM projects WHERE id = ?";
    let row = write.optional(sqlx::query(org).bind(project.0)).await?;
    Columns::of(&row.ok_or(StoreError::inconsistent("project_members.project_id"))?).read("projects.org_id")
}

pub(super) async fn put(
    write: &mut WriteTx<'_>,
    project: ProjectId,
    address: WalletAddress,
    role: ProjectRole,
    act: &Act,
) -> Result<ProjectMember, StoreError> {
    let before = sqlx::query(ROLE).bind(project.0).bind(columns::address(address));
    let before = match write.optional(before).await? {
        Some(row) => project_role(Columns::of(&row).read("project_members.role")?)?,
        None => None,
    };
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
    let org = org(write, project).await?;
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
    act: &Act,
) -> Result<Option<ProjectMember>, StoreError> {
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
    let line = Line::of(org(write, project).await?, AuditAction::ProjectMemberRemoved);
    let line = line.project(project).subject(address).before(removed.role);
    write.audit(act, line).await?;
    Ok(Some(removed))
}
