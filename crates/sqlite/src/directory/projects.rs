//! [`ProjectStore`] on SQLite.

use super::organizations::project_role;
use crate::{
    columns::{self, Columns},
    db::{Db, WriteTx},
};
use async_trait::async_trait;
use haithe_kernel::{OrgId, ProjectId, ProjectUid, StoreError, WalletAddress};
use haithe_orgs::{
    model::{NewProject, Project, ProjectChange, ProjectMember, ProjectRole},
    ports::ProjectStore,
};
use sqlx::sqlite::SqliteRow;

/// [`ProjectStore`] on SQLite. A deleted project is a hidden row, which usage records still name.
#[derive(Clone)]
pub struct SqliteProjectStore {
    db: Db,
}

impl SqliteProjectStore {
    /// The projects of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

/// The columns that [`read`] reads, between two pieces of SQL.
macro_rules! with_columns {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            " projects.id, project_uid, org_id, projects.name, search_enabled, memory_enabled, memory_window,
              memory_retention_days, default_model_id, price_per_call, public, projects.created_at ",
            $after
        )
    };
}

/// Reads a project from the next twelve columns.
pub(super) fn read(columns: &mut Columns<'_>) -> Result<Project, StoreError> {
    Ok(Project {
        id: columns.read("projects.id")?,
        uid: columns.read("projects.project_uid")?,
        org: columns.read("projects.org_id")?,
        name: columns.read("projects.name")?,
        search_enabled: columns.read("projects.search_enabled")?,
        memory_enabled: columns.read("projects.memory_enabled")?,
        memory_window: columns.read("projects.memory_window")?,
        memory_retention_days: columns.read("projects.memory_retention_days")?,
        default_model: columns.read("projects.default_model_id")?,
        price_per_call: columns.read("projects.price_per_call")?,
        public: columns.read("projects.public")?,
        created_at: columns.read("projects.created_at")?,
    })
}

fn project(row: &SqliteRow) -> Result<Project, StoreError> {
    read(&mut Columns::of(row))
}

fn member(row: &SqliteRow) -> Result<ProjectMember, StoreError> {
    let mut columns = Columns::of(row);
    let missing = || StoreError::inconsistent("project_members.role");
    Ok(ProjectMember {
        project: columns.read("project_members.project_id")?,
        address: columns.read("project_members.wallet_address")?,
        role: project_role(columns.read("project_members.role")?)?.ok_or_else(missing)?,
    })
}

async fn delete(write: &mut WriteTx<'_>, id: ProjectId) -> Result<Option<Project>, StoreError> {
    let hide = with_columns!(
        "UPDATE projects SET deleted = 1 WHERE id = ? AND deleted = 0 RETURNING",
        ""
    );
    let Some(row) = write.optional(sqlx::query(hide).bind(id.0)).await? else {
        return Ok(None);
    };
    write
        .execute(sqlx::query("DELETE FROM project_members WHERE project_id = ?").bind(id.0))
        .await?;
    write.directory_changed();
    project(&row).map(Some)
}

#[async_trait]
impl ProjectStore for SqliteProjectStore {
    async fn create(&self, new: NewProject) -> Result<Project, StoreError> {
        let create = with_columns!(
            "INSERT INTO projects (project_uid, org_id, name, default_model_id, created_at)
             VALUES (?, ?, ?, ?, ?) RETURNING",
            ""
        );
        let statement = sqlx::query(create)
            .bind(columns::uuid(new.uid.uuid()))
            .bind(new.org.0)
            .bind(new.name)
            .bind(new.default_model.0)
            .bind(new.created_at.micros());
        let rows = self.db.change_directory(statement).await?;
        rows.first()
            .map(project)
            .ok_or(StoreError::inconsistent("projects.id"))?
    }

    async fn find(&self, id: ProjectId) -> Result<Option<Project>, StoreError> {
        let find = with_columns!(
            "SELECT",
            "FROM projects JOIN organizations ON organizations.id = org_id
             WHERE projects.id = ? AND deleted = 0 AND on_chain = 1 AND deleted_at IS NULL"
        );
        self.db
            .optional(sqlx::query(find).bind(id.0))
            .await?
            .as_ref()
            .map(project)
            .transpose()
    }

    async fn find_by_uid(&self, uid: ProjectUid) -> Result<Option<Project>, StoreError> {
        let find = with_columns!(
            "SELECT",
            "FROM projects JOIN organizations ON organizations.id = org_id
             WHERE project_uid = ? AND deleted = 0 AND on_chain = 1 AND deleted_at IS NULL"
        );
        let row = self
            .db
            .optional(sqlx::query(find).bind(columns::uuid(uid.uuid())))
            .await?;
        row.as_ref().map(project).transpose()
    }

    async fn of_org(&self, org: OrgId) -> Result<Vec<Project>, StoreError> {
        let find = with_columns!(
            "SELECT",
            "FROM projects JOIN organizations ON organizations.id = org_id
             WHERE org_id = ? AND deleted = 0 AND on_chain = 1 AND deleted_at IS NULL ORDER BY projects.id DESC"
        );
        self.db
            .all(sqlx::query(find).bind(org.0))
            .await?
            .iter()
            .map(project)
            .collect()
    }

    async fn of_wallet(&self, address: WalletAddress) -> Result<Vec<Project>, StoreError> {
        let find = with_columns!(
            "SELECT",
            "FROM project_members JOIN projects ON projects.id = project_id
             JOIN organizations ON organizations.id = org_id
             WHERE wallet_address = ? AND deleted = 0 AND on_chain = 1 AND deleted_at IS NULL
             ORDER BY projects.id DESC"
        );
        let rows = self
            .db
            .all(sqlx::query(find).bind(columns::address(address)))
            .await?;
        rows.iter().map(project).collect()
    }

    async fn change(&self, id: ProjectId, change: ProjectChange) -> Result<Option<Project>, StoreError> {
        let update = with_columns!(
            "UPDATE projects SET
                 name = coalesce(?, name),
                 search_enabled = coalesce(?, search_enabled),
                 memory_enabled = coalesce(?, memory_enabled),
                 memory_window = coalesce(?, memory_window),
                 memory_retention_days = iif(?, ?, memory_retention_days),
                 default_model_id = coalesce(?, default_model_id),
                 price_per_call = coalesce(?, price_per_call),
                 public = coalesce(?, public)
             WHERE id = ? AND deleted = 0 RETURNING",
            ""
        );
        let statement = sqlx::query(update)
            .bind(change.name)
            .bind(change.search_enabled)
            .bind(change.memory_enabled)
            .bind(change.memory_window)
            .bind(change.memory_retention_days.is_some())
            .bind(change.memory_retention_days.flatten())
            .bind(change.default_model.map(|model| model.0))
            .bind(change.price_per_call.map(|price| price.nano()))
            .bind(change.public)
            .bind(id.0);
        self.db
            .change_directory(statement)
            .await?
            .first()
            .map(project)
            .transpose()
    }

    async fn delete(&self, id: ProjectId) -> Result<Option<Project>, StoreError> {
        self.db.write(move |write| Box::pin(delete(write, id))).await
    }

    async fn members(&self, project: ProjectId) -> Result<Vec<ProjectMember>, StoreError> {
        let members = "SELECT project_id, wallet_address, role FROM project_members
                       WHERE project_id = ? ORDER BY id DESC";
        self.db
            .all(sqlx::query(members).bind(project.0))
            .await?
            .iter()
            .map(member)
            .collect()
    }

    async fn put_member(
        &self,
        project: ProjectId,
        address: WalletAddress,
        role: ProjectRole,
    ) -> Result<ProjectMember, StoreError> {
        let put = "INSERT INTO project_members (project_id, wallet_address, role) VALUES (?, ?, ?)
                   ON CONFLICT DO UPDATE SET role = excluded.role
                   RETURNING project_id, wallet_address, role";
        let statement = sqlx::query(put)
            .bind(project.0)
            .bind(columns::address(address))
            .bind(role.as_str());
        let rows = self.db.change_directory(statement).await?;
        rows.first()
            .map(member)
            .ok_or(StoreError::inconsistent("project_members.project_id"))?
    }

    async fn remove_member(
        &self,
        project: ProjectId,
        address: WalletAddress,
    ) -> Result<Option<ProjectMember>, StoreError> {
        let remove = "DELETE FROM project_members WHERE project_id = ? AND wallet_address = ?
                      RETURNING project_id, wallet_address, role";
        let statement = sqlx::query(remove)
            .bind(project.0)
            .bind(columns::address(address));
        self.db
            .change_directory(statement)
            .await?
            .first()
            .map(member)
            .transpose()
    }
}
