//! [`Directory`] on SQLite.

use super::{organizations, projects, settings};
use crate::{
    columns::{self, Columns},
    db::Db,
};
use async_trait::async_trait;
use haithe_kernel::{ModelId, OrgId, OrgUid, ProductId, ProjectId, ProjectUid, StoreError, WalletAddress};
use haithe_orgs::ports::{CallContext, Directory};

/// [`Directory`] on SQLite: one statement per question.
#[derive(Clone)]
pub struct SqliteDirectory {
    db: Db,
}

impl SqliteDirectory {
    /// The directory of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

const CONTEXT: &str = "
    SELECT payer.id AS organization_id, payer.organization_uid, payer.address, payer.orchestrator_index,
           payer.name AS organization_name, payer.owner, payer.created_at AS organization_created_at,
           payer.deleted_at,
           coalesce(payer.created_block <= (SELECT confirmed FROM chain_binding), 1) AS confirmed,
           projects.id AS project_id, projects.project_uid, projects.org_id, projects.name AS project_name,
           projects.search_enabled,
           projects.memory_enabled, projects.memory_window, projects.memory_retention_days,
           projects.skip_unavailable_products, projects.default_model_id, projects.price_per_call,
           projects.next_price_per_call, projects.next_price_at, projects.public,
           projects.teloxide_token IS NOT NULL AS has_telegram, projects.discord_token IS NOT NULL AS has_discord,
           projects.created_at AS project_created_at,
           payer.owner = ?3 AS is_owner,
           (SELECT role FROM org_members WHERE org_id = payer.id AND wallet_address = ?3) AS org_role,
           (SELECT role FROM project_members
            WHERE project_id = projects.id AND projects.org_id = payer.id AND wallet_address = ?3) AS project_role,
           EXISTS (SELECT 1 FROM project_members
                   JOIN projects AS other ON other.id = project_members.project_id
                   WHERE project_members.wallet_address = ?3 AND other.org_id = payer.id AND other.deleted = 0) AS any_project,
           (SELECT json_group_array(model_id ORDER BY model_id)
            FROM org_model_enrollments WHERE org_id = payer.id) AS models,
           (SELECT json_group_array(product_id ORDER BY enabled_at, product_id)
            FROM project_products WHERE project_id = projects.id) AS products,
           org_settings.default_model_id AS org_default_model_id, org_settings.prompt_log, org_settings.ip_allowlist,
           org_settings.default_key_budget_limit, org_settings.default_key_budget_window,
           accepted_projects.max_price
    FROM organizations AS payer
    LEFT JOIN org_settings ON org_settings.org_id = payer.id
    JOIN projects ON projects.project_uid = ?2 AND projects.deleted = 0
    LEFT JOIN accepted_projects
        ON accepted_projects.org_id = payer.id AND accepted_projects.project_id = projects.id
    JOIN organizations AS owner ON owner.id = projects.org_id AND owner.on_chain = 1 AND owner.deleted_at IS NULL
    WHERE payer.organization_uid = ?1 AND payer.on_chain = 1 AND payer.deleted_at IS NULL";

const UIDS: &str = "
    SELECT organizations.organization_uid, projects.project_uid
    FROM organizations
    LEFT JOIN projects ON projects.id = ?2 AND projects.org_id = organizations.id AND projects.deleted = 0
    WHERE organizations.id = coalesce(?1, (SELECT org_id FROM projects WHERE id = ?2))
      AND organizations.on_chain = 1 AND organizations.deleted_at IS NULL
      AND (?2 IS NULL OR projects.id IS NOT NULL)";

#[async_trait]
impl Directory for SqliteDirectory {
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
        let payer = organizations::read(&columns)?;
        let project = projects::read(&columns)?;
        let standing = organizations::read_standing(&columns)?;
        let models: String = columns.get_as("models", "org_model_enrollments.model_id")?;
        let models: Vec<ModelId> = serde_json::from_str(&models)
            .map_err(|_| StoreError::inconsistent("org_model_enrollments.model_id"))?;
        let products: String = columns.get_as("products", "project_products.product_id")?;
        let products: Vec<ProductId> = serde_json::from_str(&products)
            .map_err(|_| StoreError::inconsistent("project_products.product_id"))?;
        Ok(Some(CallContext {
            payer,
            project,
            standing,
            models,
            products,
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
