//! [`Directory`] on PostgreSQL.

use super::{
    organizations::{self, org_columns},
    projects::{self, project_columns},
    settings, standing,
};
use crate::{
    columns::{self, Columns},
    db::Db,
};
use async_trait::async_trait;
use haithe_kernel::{OrgId, OrgUid, ProjectId, ProjectUid, StoreError, WalletAddress};
use haithe_orgs::ports::{CallContext, Directory};

/// [`Directory`] on PostgreSQL: one statement per question.
#[derive(Clone)]
pub struct PgDirectory {
    db: Db,
}

impl PgDirectory {
    /// The directory of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

const CONTEXT: &str = concat!(
    "SELECT ",
    org_columns!("payer"),
    ", ",
    project_columns!(),
    ", payer.owner = $3 AS owns,
       (SELECT role FROM org_members WHERE org_id = payer.id AND wallet_address = $3) AS org_role,
       (SELECT role FROM project_members
        WHERE project_id = projects.id AND projects.org_id = payer.id AND wallet_address = $3) AS project_role,
       EXISTS (SELECT 1 FROM project_members
               JOIN projects AS other ON other.id = project_members.project_id
               WHERE project_members.wallet_address = $3 AND other.org_id = payer.id
                 AND NOT other.deleted) AS any_project,
       ARRAY(SELECT model_id FROM org_model_enrollments WHERE org_id = payer.id ORDER BY model_id) AS models,
       ARRAY(SELECT product_id FROM project_products WHERE project_id = projects.id
             ORDER BY enabled_at, product_id) AS products,
       org_settings.default_model_id AS org_default_model_id, org_settings.prompt_log, org_settings.ip_allowlist,
       org_settings.default_key_budget_limit, org_settings.default_key_budget_window,
       accepted_projects.max_price
     FROM organizations AS payer
     LEFT JOIN org_settings ON org_settings.org_id = payer.id
     JOIN projects ON projects.project_uid = $2 AND NOT projects.deleted
     LEFT JOIN accepted_projects
         ON accepted_projects.org_id = payer.id AND accepted_projects.project_id = projects.id
     JOIN organizations AS owner ON owner.id = projects.org_id AND owner.on_chain AND owner.deleted_at IS NULL
     WHERE payer.organization_uid = $1 AND payer.on_chain AND payer.deleted_at IS NULL"
);

const UIDS: &str = "
    SELECT organizations.organization_uid, projects.project_uid
    FROM organizations
    LEFT JOIN projects ON projects.id = $2 AND projects.org_id = organizations.id AND NOT projects.deleted
    WHERE organizations.id = coalesce($1, (SELECT org_id FROM projects WHERE id = $2))
      AND organizations.on_chain AND organizations.deleted_at IS NULL
      AND ($2 IS NULL OR projects.id IS NOT NULL)";

#[async_trait]
impl Directory for PgDirectory {
    async fn context(
        &self,
        payer: OrgUid,
        project: ProjectUid,
        address: WalletAddress,
    ) -> Result<Option<CallContext>, StoreError> {
        let statement = sqlx::query(CONTEXT)
            .bind(columns::uuid(payer.uuid()))
            .bind(columns::uuid(project.uuid()))
            .bind(columns::address(address));
        let Some(row) = self.db.optional(statement).await? else {
            return Ok(None);
        };
        let columns = Columns::of(&row);
        Ok(Some(CallContext {
            payer: organizations::read(&columns)?,
            project: projects::read(&columns)?,
            standing: standing::read(&columns)?,
            models: columns.get("org_model_enrollments.models")?,
            products: columns.get("project_products.products")?,
            settings: settings::read(&columns)?,
            accepted: columns.get("accepted_projects.max_price")?,
        }))
    }

    async fn uids(
        &self,
        org: Option<OrgId>,
        project: Option<ProjectId>,
    ) -> Result<Option<(OrgUid, Option<ProjectUid>)>, StoreError> {
        let statement = sqlx::query(UIDS)
            .bind(org.map(|org| org.0))
            .bind(project.map(|project| project.0));
        let Some(row) = self.db.optional(statement).await? else {
            return Ok(None);
        };
        let columns = Columns::of(&row);
        Ok(Some((
            columns.get("organizations.organization_uid")?,
            columns.get("projects.project_uid")?,
        )))
    }

    fn version(&self) -> u64 {
        self.db.directory_version()
    }
}
