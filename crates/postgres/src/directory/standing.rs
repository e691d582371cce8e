//! [`StandingStore`] on PostgreSQL: what a wallet is to an organization and its projects.

use crate::{
    columns::{self, Columns},
    db::{Db, Statement},
    write::WriteTx,
};
use async_trait::async_trait;
use haithe_kernel::{OrgId, ProjectId, StoreError, WalletAddress};
use haithe_orgs::{
    members::MemberFacts,
    model::{OrgRole, ProjectRole, Standing},
    ports::StandingStore,
};

/// [`StandingStore`] on PostgreSQL.
#[derive(Clone)]
pub struct PgStandingStore {
    db: Db,
}

impl PgStandingStore {
    /// The standings in this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

/// An organization's role by its word.
pub(super) fn org_role(word: Option<String>) -> Result<Option<OrgRole>, StoreError> {
    let role = word.map(|word| word.parse()).transpose();
    role.map_err(|_| StoreError::inconsistent("org_members.role"))
}

/// A project's role by its word.
pub(super) fn project_role(word: Option<String>) -> Result<Option<ProjectRole>, StoreError> {
    let role = word.map(|word| word.parse()).transpose();
    role.map_err(|_| StoreError::inconsistent("project_members.role"))
}

/// One row where there is such an organization.
const STANDING: &str = "
    SELECT organizations.owner, organizations.owner = $3 AS owns,
           (SELECT role FROM org_members WHERE org_id = $1 AND wallet_address = $3) AS org_role,
           (SELECT role FROM project_members
            JOIN projects ON projects.id = project_members.project_id
            WHERE projects.id = $2 AND projects.org_id = $1 AND NOT projects.deleted
              AND project_members.wallet_address = $3) AS project_role,
           EXISTS (SELECT 1 FROM project_members
            JOIN projects ON projects.id = project_members.project_id
            WHERE projects.org_id = $1 AND NOT projects.deleted
              AND project_members.wallet_address = $3) AS any_project
    FROM organizations WHERE id = $1 AND on_chain AND deleted_at IS NULL";

fn statement(org: OrgId, project: Option<ProjectId>, address: WalletAddress) -> Statement {
    sqlx::query(STANDING)
        .bind(org.0)
        .bind(project.map(|project| project.0))
        .bind(columns::address(address))
}

/// Reads the columns `owns`, `org_role`, `project_role` and `any_project`.
pub(super) fn read(columns: &Columns<'_>) -> Result<Standing, StoreError> {
    Ok(Standing {
        owner: columns.get("organizations.owns")?,
        org: org_role(columns.get("org_members.org_role")?)?,
        project: project_role(columns.get("project_members.project_role")?)?,
        any_project: columns.get("project_members.any_project")?,
    })
}

#[async_trait]
impl StandingStore for PgStandingStore {
    async fn standing(
        &self,
        org: OrgId,
        project: Option<ProjectId>,
        address: WalletAddress,
    ) -> Result<Standing, StoreError> {
        let row = self.db.optional(statement(org, project, address)).await?;
        row.map_or_else(|| Ok(Standing::default()), |row| read(&Columns::of(&row)))
    }
}

impl WriteTx {
    /// What a change of a member is judged by.
    pub(super) async fn facts<R>(
        &mut self,
        org: OrgId,
        project: Option<ProjectId>,
        by: WalletAddress,
        present: Option<R>,
    ) -> Result<MemberFacts<R>, StoreError> {
        let Some(row) = self.optional(statement(org, project, by)).await? else {
            return Ok(MemberFacts {
                standing: Standing::default(),
                owner: None,
                present,
            });
        };
        let columns = Columns::of(&row);
        Ok(MemberFacts {
            standing: read(&columns)?,
            owner: Some(columns.get("organizations.owner")?),
            present,
        })
    }
}
