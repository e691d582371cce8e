//! [`OrgStore`] on SQLite.

use crate::{
    columns::{self, Columns},
    db::{Db, WriteTx},
};
use async_trait::async_trait;
use haithe_kernel::{ModelId, OrgId, OrgUid, ProjectId, StoreError, Timestamp, WalletAddress};
use haithe_orgs::{
    model::{OrgMember, OrgRole, Organization, ProjectRole, Standing},
    ports::OrgStore,
};
use sqlx::sqlite::SqliteRow;

/// [`OrgStore`] on SQLite. Organizations come into being by indexing only.
#[derive(Clone)]
pub struct SqliteOrgStore {
    db: Db,
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
            " organizations.id, organization_uid, address, orchestrator_index, name, owner, created_at, deleted_at ",
            $after
        )
    };
}

/// Reads an organization from the next eight columns.
pub(super) fn read(columns: &mut Columns<'_>) -> Result<Organization, StoreError> {
    Ok(Organization {
        id: columns.read("organizations.id")?,
        uid: columns.read("organizations.organization_uid")?,
        address: columns.read("organizations.address")?,
        orchestrator_index: columns.read("organizations.orchestrator_index")?,
        name: columns.read("organizations.name")?,
        owner: columns.read("organizations.owner")?,
        created_at: columns.read("organizations.created_at")?,
        deleted_at: columns.read("organizations.deleted_at")?,
    })
}

fn organization(row: &SqliteRow) -> Result<Organization, StoreError> {
    read(&mut Columns::of(row))
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

fn member(row: &SqliteRow) -> Result<OrgMember, StoreError> {
    let mut columns = Columns::of(row);
    Ok(OrgMember {
        org: columns.read("org_members.org_id")?,
        address: columns.read("org_members.wallet_address")?,
        role: org_role(columns.read("org_members.role")?)?
            .ok_or(StoreError::inconsistent("org_members.role"))?,
        created_at: columns.read("org_members.created_at")?,
    })
}

async fn remove_member(
    write: &mut WriteTx<'_>,
    org: OrgId,
    address: WalletAddress,
) -> Result<Option<OrgMember>, StoreError> {
    let remove = "DELETE FROM org_members WHERE org_id = ? AND wallet_address = ?
                  RETURNING org_id, wallet_address, role, created_at";
    let removed = write
        .optional(sqlx::query(remove).bind(org.0).bind(columns::address(address)))
        .await?;
    let Some(removed) = removed else { return Ok(None) };
    let in_projects = "DELETE FROM project_members
                       WHERE wallet_address = ? AND project_id IN (SELECT id FROM projects WHERE org_id = ?)";
    write
        .execute(
            sqlx::query(in_projects)
                .bind(columns::address(address))
                .bind(org.0),
        )
        .await?;
    write.directory_changed();
    member(&removed).map(Some)
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

    async fn find_by_uid(&self, uid: OrgUid) -> Result<Option<Organization>, StoreError> {
        let find = with_columns!(
            "SELECT",
            "FROM organizations WHERE organization_uid = ? AND on_chain = 1 AND deleted_at IS NULL"
        );
        let row = self
            .db
            .optional(sqlx::query(find).bind(columns::uuid(uid.uuid())))
            .await?;
        row.as_ref().map(organization).transpose()
    }

    async fn find_by_chain_name(&self, name: String) -> Result<Option<Organization>, StoreError> {
        let find = with_columns!(
            "SELECT",
            "FROM organizations WHERE chain_name = ? AND on_chain = 1 AND deleted_at IS NULL ORDER BY id DESC"
        );
        self.db
            .optional(sqlx::query(find).bind(name))
            .await?
            .as_ref()
            .map(organization)
            .transpose()
    }

    async fn of_wallet(&self, address: WalletAddress) -> Result<Vec<Organization>, StoreError> {
        let find = with_columns!(
            "SELECT",
            "FROM organizations
             WHERE id IN (
                 SELECT id FROM organizations WHERE owner = ?1
                 UNION SELECT org_id FROM org_members WHERE wallet_address = ?1
                 UNION SELECT projects.org_id FROM project_members
                       JOIN projects ON projects.id = project_members.project_id AND projects.deleted = 0
                       WHERE project_members.wallet_address = ?1
             )
             AND on_chain = 1 AND deleted_at IS NULL ORDER BY id DESC"
        );
        let rows = self
            .db
            .all(sqlx::query(find).bind(columns::address(address)))
            .await?;
        rows.iter().map(organization).collect()
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
        let count = "SELECT count(*) FROM organizations WHERE on_chain = 1";
        let row = self.db.optional(sqlx::query(count)).await?;
        row.map_or(Ok(0), |row| Columns::of(&row).read("organizations.id"))
    }

    async fn rename(&self, id: OrgId, name: String) -> Result<Option<Organization>, StoreError> {
        let rename = with_columns!(
            "UPDATE organizations SET name = ? WHERE id = ? AND on_chain = 1 AND deleted_at IS NULL RETURNING",
            ""
        );
        let rows = self
            .db
            .change_directory(sqlx::query(rename).bind(name).bind(id.0))
            .await?;
        rows.first().map(organization).transpose()
    }

    async fn delete(&self, id: OrgId, at: Timestamp) -> Result<Option<Organization>, StoreError> {
        let delete = with_columns!(
            "UPDATE organizations SET deleted_at = ? WHERE id = ? AND on_chain = 1 AND deleted_at IS NULL RETURNING",
            ""
        );
        let rows = self
            .db
            .change_directory(sqlx::query(delete).bind(at.micros()).bind(id.0))
            .await?;
        let deleted = rows.first().map(organization).transpose()?;
        Ok(deleted.map(|org| Organization {
            deleted_at: None,
            ..org
        }))
    }

    async fn standing(
        &self,
        org: OrgId,
        project: Option<ProjectId>,
        address: WalletAddress,
    ) -> Result<Standing, StoreError> {
        let statement = sqlx::query(
            "SELECT organizations.owner = ?3,
                    (SELECT role FROM org_members WHERE org_id = ?1 AND wallet_address = ?3),
                    (SELECT role FROM project_members
                     JOIN projects ON projects.id = project_members.project_id
                     WHERE projects.id = ?2 AND projects.org_id = ?1 AND projects.deleted = 0
                       AND project_members.wallet_address = ?3),
                    EXISTS (SELECT 1 FROM project_members
                     JOIN projects ON projects.id = project_members.project_id
                     WHERE projects.org_id = ?1 AND projects.deleted = 0
                       AND project_members.wallet_address = ?3)
             FROM organizations WHERE id = ?1 AND on_chain = 1 AND deleted_at IS NULL",
        )
        .bind(org.0)
        .bind(project.map(|project| project.0))
        .bind(columns::address(address));
        let Some(row) = self.db.optional(statement).await? else {
            return Ok(Standing::default());
        };
        read_standing(&mut Columns::of(&row))
    }

    async fn members(&self, org: OrgId) -> Result<Vec<OrgMember>, StoreError> {
        let members = "SELECT org_id, wallet_address, role, org_members.created_at
                       FROM org_members JOIN organizations ON organizations.id = org_id
                       WHERE org_id = ? AND wallet_address <> owner
                       ORDER BY org_members.created_at DESC, wallet_address";
        self.db
            .all(sqlx::query(members).bind(org.0))
            .await?
            .iter()
            .map(member)
            .collect()
    }

    async fn put_member(&self, new: OrgMember) -> Result<OrgMember, StoreError> {
        let statement = sqlx::query(
            "INSERT INTO org_members (org_id, wallet_address, role, created_at, from_chain) VALUES (?, ?, ?, ?, 0)
             ON CONFLICT DO UPDATE SET role = excluded.role
             RETURNING org_id, wallet_address, role, created_at",
        )
        .bind(new.org.0)
        .bind(columns::address(new.address))
        .bind(new.role.as_str())
        .bind(new.created_at.micros());
        let rows = self.db.change_directory(statement).await?;
        rows.first()
            .map(member)
            .ok_or(StoreError::inconsistent("org_members.org_id"))?
    }

    async fn remove_member(
        &self,
        org: OrgId,
        address: WalletAddress,
    ) -> Result<Option<OrgMember>, StoreError> {
        self.db
            .write(move |write| Box::pin(remove_member(write, org, address)))
            .await
    }

    async fn role(&self, org: OrgId, address: WalletAddress) -> Result<Option<OrgRole>, StoreError> {
        let role = "SELECT role FROM org_members WHERE org_id = ? AND wallet_address = ?";
        let row = self
            .db
            .optional(sqlx::query(role).bind(org.0).bind(columns::address(address)))
            .await?;
        row.map_or(Ok(None), |row| {
            org_role(Columns::of(&row).read("org_members.role")?)
        })
    }

    async fn models(&self, org: OrgId) -> Result<Vec<ModelId>, StoreError> {
        let models = "SELECT model_id FROM org_model_enrollments WHERE org_id = ? ORDER BY model_id";
        let rows = self.db.all(sqlx::query(models).bind(org.0)).await?;
        rows.iter()
            .map(|row| Columns::of(row).read("org_model_enrollments.model_id"))
            .collect()
    }

    async fn enable_model(&self, org: OrgId, model: ModelId, at: Timestamp) -> Result<(), StoreError> {
        let enable = "INSERT INTO org_model_enrollments (org_id, model_id, created_at) VALUES (?, ?, ?)
                      ON CONFLICT DO NOTHING";
        let statement = sqlx::query(enable).bind(org.0).bind(model.0).bind(at.micros());
        self.db.change_directory(statement).await.map(drop)
    }

    async fn disable_model(&self, org: OrgId, model: ModelId) -> Result<bool, StoreError> {
        let disable =
            "DELETE FROM org_model_enrollments WHERE org_id = ? AND model_id = ? RETURNING model_id";
        let rows = self
            .db
            .change_directory(sqlx::query(disable).bind(org.0).bind(model.0))
            .await?;
        Ok(!rows.is_empty())
    }
}

/// Reads a standing from the next four columns.
pub(super) fn read_standing(columns: &mut Columns<'_>) -> Result<Standing, StoreError> {
    Ok(Standing {
        owner: columns.read("organizations.owner")?,
        org: org_role(columns.read("org_members.role")?)?,
        project: project_role(columns.read("project_members.role")?)?,
        any_project: columns.read("project_members.project_id")?,
    })
}
