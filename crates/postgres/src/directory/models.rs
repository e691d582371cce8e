//! [`OrgModelStore`] on PostgreSQL: models that organizations enabled.

use super::audit::Line;
use crate::{columns::Columns, db::Db, write::WriteTx};
use async_trait::async_trait;
use haithe_kernel::{ModelId, OrgId, StoreError, Timestamp};
use haithe_orgs::{
    audit::{Act, AuditAction},
    ports::OrgModelStore,
};

/// [`OrgModelStore`] on PostgreSQL.
#[derive(Clone)]
pub struct PgOrgModelStore {
    db: Db,
}

impl PgOrgModelStore {
    /// The enabled models in this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

const OF_ORG: &str = "SELECT model_id FROM org_model_enrollments WHERE org_id = $1 ORDER BY model_id";
const ENABLE: &str = "
    INSERT INTO org_model_enrollments (org_id, model_id, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
const DISABLE: &str = "DELETE FROM org_model_enrollments WHERE org_id = $1 AND model_id = $2";
const HAS_ANY: &str = "SELECT model_id FROM org_model_enrollments WHERE org_id = $1 LIMIT 1";

/// A model of an organization, and who decides about it.
type Enrollment = (OrgId, ModelId, Act);

async fn enable(write: &mut WriteTx, (org, model, act): &Enrollment) -> Result<(), StoreError> {
    let enable = sqlx::query(ENABLE)
        .bind(org.0)
        .bind(model.0)
        .bind(act.at.micros());
    if write.execute(enable).await? == 0 {
        return Ok(());
    }
    write.directory_changed();
    let line = Line::of(*org, AuditAction::ModelEnabled);
    write.audit(act, line.subject(model)).await
}

async fn disable(write: &mut WriteTx, (org, model, act): &Enrollment) -> Result<bool, StoreError> {
    let disable = sqlx::query(DISABLE).bind(org.0).bind(model.0);
    if write.execute(disable).await? == 0 {
        return Ok(false);
    }
    write.directory_changed();
    let line = Line::of(*org, AuditAction::ModelDisabled);
    write.audit(act, line.subject(model)).await?;
    Ok(true)
}

/// Enables the model if the organization has none.
async fn enable_default(
    write: &mut WriteTx,
    (org, model, at): &(OrgId, ModelId, Timestamp),
) -> Result<(), StoreError> {
    if write.optional(sqlx::query(HAS_ANY).bind(org.0)).await?.is_some() {
        return Ok(());
    }
    let enable = sqlx::query(ENABLE).bind(org.0).bind(model.0).bind(at.micros());
    write.execute(enable).await?;
    write.directory_changed();
    Ok(())
}

#[async_trait]
impl OrgModelStore for PgOrgModelStore {
    async fn models(&self, org: OrgId) -> Result<Vec<ModelId>, StoreError> {
        let rows = self.db.all(sqlx::query(OF_ORG).bind(org.0)).await?;
        rows.iter()
            .map(|row| Columns::of(row).get("org_model_enrollments.model_id"))
            .collect()
    }

    async fn enable_model(&self, org: OrgId, model: ModelId, act: Act) -> Result<(), StoreError> {
        self.db
            .write((org, model, act), |write, of| Box::pin(enable(write, of)))
            .await
    }

    async fn disable_model(&self, org: OrgId, model: ModelId, act: Act) -> Result<bool, StoreError> {
        self.db
            .write((org, model, act), |write, of| Box::pin(disable(write, of)))
            .await
    }

    async fn enable_default_model(
        &self,
        org: OrgId,
        model: ModelId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.db
            .write((org, model, at), |write, of| Box::pin(enable_default(write, of)))
            .await
    }
}
