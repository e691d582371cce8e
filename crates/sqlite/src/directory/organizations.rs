//! [`OrgStore`] and [`StandingStore`] on SQLite.

use super::audit::Line;
use crate::{
    columns::{self, Columns},
    db::{Db, Statement, WriteTx},
};
use async_trait::async_trait;
use haithe_kernel::{Listed, OrgId, Page, ProjectId, StoreError, WalletAddress};
use haithe_orgs::{
    audit::{Act, AuditAction},
    members::MemberFacts,
    model::{OrgRole, Organization, ProjectRole, Search, Standing},
    ports::{OrgStore, StandingStore},
};
use sqlx::sqlite::SqliteRow;

/// The ports over organizations on SQLite. Only the index creates organizations.
#[derive(Clone)]
pub struct SqliteOrgStore {
    pub(super) db: Db,
}

impl SqliteOrgStore {
    /// The organizations of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

/// The columns that [`read`] reads, between two pieces of SQL.
macro_rules! with_columns {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            " organizations.id AS organization_id, organization_uid, address, orchestrator_index,
              name AS organization_name, owner, created_at AS organization_created_at, deleted_at,
              coalesce(organizations.created_block <= (SELECT confirmed FROM chain_binding), 1) AS confirmed ",
            $after
        )
    };
}

/// Reads an organization from the columns of `with_columns!`.
pub(super) fn read(columns: &Columns<'_>) -> Result<Organization, StoreError> {
    Ok(Organization {
        id: columns.get_as("organization_id", "organizations.id")?,
        uid: columns.get("organizations.organization_uid")?,
        address: columns.get("organizations.address")?,
        orchestrator_index: columns.get("organizations.orchestrator_index")?,
        name: columns.get_as("organization_name", "organizations.name")?,
        owner: columns.get("organizations.owner")?,
        created_at: columns.get_as("organization_created_at", "organizations.created_at")?,
        deleted_at: columns.get("organizations.deleted_at")?,
        confirmed: columns.get_as("confirmed", "organizations.created_block")?,
    })
}

fn organization(row: &SqliteRow) -> Result<Organization, StoreError> {
    read(&Columns::of(row))
}

/// A role by its word.
pub(super) fn org_role(word: Option<String>) -> Result<Option<OrgRole>, StoreError> {
    let role = word.map(|word| word.parse()).transpose();
    role.map_err(|_| StoreError::inconsistent("org_members.role"))
}

/// A role by its word.
pub(super) fn project_role(word: Option<String>) -> Result<Option<ProjectRole>, StoreError> {
    let role = word.map(|word| word.parse()).transpose();
    role.map_err(|_| StoreError::inconsistent("project_members.role"))
}

/// The standing of a wallet: one row where there is such an organization.
fn standing(org: OrgId, project: Option<ProjectId>, address: WalletAddress) -> Statement {
    sqlx::query(
        "SELECT organizations.owner = ?3 AS is_owner,
                (SELECT role FROM org_members WHERE org_id = ?1 AND wallet_address = ?3) AS org_role,
                (SELECT role FROM project_members
                 JOIN projects ON projects.id = project_members.project_id
                 WHERE projects.id = ?2 AND projects.org_id = ?1 AND projects.deleted = 0
                   AND project_members.wallet_address = ?3) AS project_role,
                EXISTS (SELECT 1 FROM project_members
                 JOIN projects ON projects.id = project_members.project_id
                 WHERE projects.org_id = ?1 AND projects.deleted = 0
                   AND project_members.wallet_address = ?3) AS any_project,
                organizations.owner
         FROM organizations WHERE id = ?1 AND on_chain = 1 AND deleted_at IS NULL",
    )
    .bind(org.0)
    .bind(project.map(|project| project.0))
    .bind(columns::address(address))
}

impl WriteTx<'_> {
    /// What a change of a member is judged by.
    pub(super) async fn facts<R>(
        &mut self,
        org: OrgId,
        project: Option<ProjectId>,
        by: WalletAddress,
        present: Option<R>,
    ) -> Result<MemberFacts<R>, StoreError> {
        let Some(row) = self.optional(standing(org, project, by)).await? else {
            return Ok(MemberFacts {
                standing: Standing::default(),
                owner: None,
                present,
            });
        };
        let columns = Columns::of(&row);
        Ok(MemberFacts {
            standing: read_standing(&columns)?,
            owner: Some(columns.get("organizations.owner")?),
            present,
        })
    }
}

async fn rename(
    write: &mut WriteTx<'_>,
    id: OrgId,
    name: String,
    act: &Act,
) -> Result<Option<Organization>, StoreError> {
    let before = "SELECT name FROM organizations WHERE id = ? AND on_chain = 1 AND deleted_at IS NULL";
    let Some(row) = write.optional(sqlx::query(before).bind(id.0)).await? else {
        return Ok(None);
    };
    let before: String = Columns::of(&row).get("organizations.name")?;
    let rename = with_columns!("UPDATE organizations SET name = ? WHERE id = ? RETURNING", "");
    let renamed = sqlx::query(rename).bind(name.clone()).bind(id.0);
    let renamed = write.optional(renamed).await?;
    write.directory_changed();
    if before != name {
        let line = Line::of(id, AuditAction::OrganizationRenamed);
        write.audit(act, line.before(before).after(name)).await?;
    }
    renamed.as_ref().map(organization).transpose()
}

async fn delete(write: &mut WriteTx<'_>, id: OrgId, act: &Act) -> Result<Option<Organization>, StoreError> {
    let delete = with_columns!(
        "UPDATE organizations SET deleted_at = ? WHERE id = ? AND on_chain = 1 AND deleted_at IS NULL RETURNING",
        ""
    );
    let deleted = sqlx::query(delete).bind(act.at.micros()).bind(id.0);
    let Some(row) = write.optional(deleted).await? else {
        return Ok(None);
    };
    write.directory_changed();
    let deleted = Organization {
        deleted_at: None,
        ..organization(&row)?
    };
    let line = Line::of(id, AuditAction::OrganizationDeleted);
    write.audit(act, line.before(&deleted.name)).await?;
    Ok(Some(deleted))
}

/// A text to look for, as `instr(lower(name), ?)` wants it.
pub(super) fn needle(search: Option<Search>) -> Option<String> {
    search.map(|search| search.as_str().to_ascii_lowercase())
}

#[async_trait]
impl OrgStore for SqliteOrgStore {
    async fn find(&self, id: OrgId) -> Result<Option<Organization>, StoreError> {
        let find = with_columns!(
            "SELECT",
            "FROM organizations WHERE id = ? AND on_chain = 1 AND deleted_at IS NULL"
        );
        self.db
            .optional(sqlx::query(find).bind(id.0))
            .await?
            .as_ref()
            .map(organization)
            .transpose()
    }

    async fn find_by_address(&self, address: WalletAddress) -> Result<Option<Organization>, StoreError> {
        let find = with_columns!(
            "SELECT",
            "FROM organizations WHERE address = ? AND on_chain = 1 AND deleted_at IS NULL"
        );
        let row = self
            .db
            .optional(sqlx::query(find).bind(columns::address(address)))
            .await?;
        row.as_ref().map(organization).transpose()
    }

    async fn of_wallet(
        &self,
        address: WalletAddress,
        name: Option<Search>,
        page: Page,
    ) -> Result<Listed<Organization>, StoreError> {
        /// Those the wallet has to do with, whose name fits.
        macro_rules! mine {
            () => {
                "FROM organizations
                 WHERE id IN (
                     SELECT id FROM organizations WHERE owner = ?1
                     UNION SELECT org_id FROM org_members WHERE wallet_address = ?1
                     UNION SELECT projects.org_id FROM project_members
                           JOIN projects ON projects.id = project_members.project_id AND projects.deleted = 0
                           WHERE project_members.wallet_address = ?1
                 )
                 AND on_chain = 1 AND deleted_at IS NULL AND (?2 IS NULL OR instr(lower(name), ?2) > 0)"
            };
        }
        let name = needle(name);
        let count = sqlx::query(concat!("SELECT count(*) AS count ", mine!()));
        let count = count.bind(columns::address(address)).bind(name.clone());
        let find = concat!(
            with_columns!("SELECT", ""),
            mine!(),
            " ORDER BY organizations.id DESC LIMIT ?3 OFFSET ?4"
        );
        let find = sqlx::query(find).bind(columns::address(address)).bind(name);
        let find = find.bind(page.limit()).bind(page.offset());
        self.db.listed(count, find, organization).await
    }

    async fn newest_owned(&self, owner: WalletAddress) -> Result<Option<Organization>, StoreError> {
        let find = with_columns!(
            "SELECT",
            "FROM organizations WHERE owner = ? AND on_chain = 1 AND deleted_at IS NULL ORDER BY id DESC"
        );
        let row = self
            .db
            .optional(sqlx::query(find).bind(columns::address(owner)))
            .await?;
        row.as_ref().map(organization).transpose()
    }

    async fn count(&self) -> Result<u64, StoreError> {
        let count = "SELECT count(*) AS count FROM organizations WHERE on_chain = 1";
        let row = self.db.optional(sqlx::query(count)).await?;
        row.map_or(Ok(0), |row| Columns::of(&row).get_as("count", "organizations.id"))
    }

    async fn rename(&self, id: OrgId, name: String, act: Act) -> Result<Option<Organization>, StoreError> {
        self.db
            .write(move |write| Box::pin(async move { rename(write, id, name, &act).await }))
            .await
    }

    async fn delete(&self, id: OrgId, act: Act) -> Result<Option<Organization>, StoreError> {
        self.db
            .write(move |write| Box::pin(async move { delete(write, id, &act).await }))
            .await
    }

    async fn pending_owner(&self, id: OrgId) -> Result<Option<WalletAddress>, StoreError> {
        let pending =
            "SELECT pending_owner FROM organizations WHERE id = ? AND on_chain = 1 AND deleted_at IS NULL";
        let row = self.db.optional(sqlx::query(pending).bind(id.0)).await?;
        row.map_or(Ok(None), |row| {
            Columns::of(&row).get("organizations.pending_owner")
        })
    }
}

#[async_trait]
impl StandingStore for SqliteOrgStore {
    async fn standing(
        &self,
        org: OrgId,
        project: Option<ProjectId>,
        address: WalletAddress,
    ) -> Result<Standing, StoreError> {
        let statement = standing(org, project, address);
        let Some(row) = self.db.optional(statement).await? else {
            return Ok(Standing::default());
        };
        read_standing(&Columns::of(&row))
    }
}

/// Reads a standing from `is_owner`, `org_role`, `project_role` and `any_project`.
pub(super) fn read_standing(columns: &Columns<'_>) -> Result<Standing, StoreError> {
    Ok(Standing {
        owner: columns.get_as("is_owner", "organizations.owner")?,
        org: org_role(columns.get_as("org_role", "org_members.role")?)?,
        project: project_role(columns.get_as("project_role", "project_members.role")?)?,
        any_project: columns.get_as("any_project", "project_members.project_id")?,
    })
}
