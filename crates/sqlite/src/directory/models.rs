//! [`OrgModelStore`] on SQLite: the models that organizations enabled.

use super::{audit::Line, organizations::SqliteOrgStore};
use crate::{columns::Columns, db::WriteTx};
use async_trait::async_trait;
use haithe_kernel::{ModelId, OrgId, StoreError, Timestamp};
use haithe_orgs::{
    audit::{Act, AuditAction},
    ports::OrgModelStore,
};

async fn enable_model(
    write: &mut WriteTx<'_>,
    org: OrgId,
    model: ModelId,
    act: &Act,
) -> Result<(), StoreError> {
    let enable = "INSERT INTO org_model_enrollments (org_id, model_id, created_at) VALUES (?, ?, ?)
                  ON CONFLICT DO NOTHING";
    let enable = sqlx::query(enable)
        .bind(org.0)
        .bind(model.0)
        .bind(act.at.micros());
    if write.execute(enable).await? == 0 {
        return Ok(());
    }
    write.directory_changed();
    let line = Line::of(org, AuditAction::ModelEnabled);
    write.audit(act, line.subject(model)).await
}

async fn disable_model(
    write: &mut WriteTx<'_>,
    org: OrgId,
    model: ModelId,
    act: &Act,
) -> Result<bool, StoreError> {
    let disable = "DELETE FROM org_model_enrollments WHERE org_id = ? AND model_id = ?";
    if write
        .execute(sqlx::query(disable).bind(org.0).bind(model.0))
        .await?
        == 0
    {
        return Ok(false);
    }
    write.directory_changed();
    let line = Line::of(org, AuditAction::ModelDisabled);
    write.audit(act, line.subject(model)).await?;
    Ok(true)
}

#[async_trait]
impl OrgModelStore for SqliteOrgStore {
    async fn models(&self, org: OrgId) -> Result<Vec<ModelId>, StoreError> {
        let models = "SELECT model_id FROM org_model_enrollments WHERE org_id = ? ORDER BY model_id";
        let rows = self.db.all(sqlx::query(models).bind(org.0)).await?;
        rows.iter()
            .map(|row| Columns::of(row).get("org_model_enrollments.model_id"))
            .collect()
    }

    async fn enable_model(&self, org: OrgId, model: ModelId, act: Act) -> Result<(), StoreError> {
        self.db
            .write(move |write| Box::pin(async move { enable_model(write, org, model, &act).await }))
            .await
    }

    async fn disable_model(&self, org: OrgId, model: ModelId, act: Act) -> Result<bool, StoreError> {
        self.db
            .write(move |write| Box::pin(async move { disable_model(write, org, model, &act).await }))
            .await
    }

    async fn enable_default_model(
        &self,
        org: OrgId,
        model: ModelId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let enable = "INSERT INTO org_model_enrollments (org_id, model_id, created_at)
                       SELECT ?1, ?2, ?3 WHERE NOT EXISTS (SELECT 1 FROM org_model_enrollments WHERE org_id = ?1)";
        let statement = sqlx::query(enable).bind(org.0).bind(model.0).bind(at.micros());
        self.db.change_directory(statement).await.map(drop)
    }
}
