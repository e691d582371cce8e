//! An organization's settings.

use crate::{columns::Columns, db::WriteTx, directory::audit::Line};
use haithe_kernel::{ModelId, OrgId, StoreError};
use haithe_orgs::{
    audit::{Act, AuditAction},
    settings::{IpAllowlist, OrgSettings, OrgSettingsChange},
};

/// The columns that [`read`] reads.
pub(super) const COLUMNS: &str =
    "SELECT default_model_id, prompt_log, ip_allowlist FROM org_settings WHERE org_id = ?";

/// Reads settings from the next three columns; where there is no row, all are `NULL`.
pub(super) fn read(columns: &mut Columns<'_>) -> Result<OrgSettings, StoreError> {
    let default_model: Option<ModelId> = columns.read("org_settings.default_model_id")?;
    let policy: Option<String> = columns.read("org_settings.prompt_log")?;
    let list: Option<String> = columns.read("org_settings.ip_allowlist")?;
    let policy = policy.map(|word| word.parse()).transpose();
    let networks: Vec<String> = list
        .map_or(Ok(Vec::new()), |list| serde_json::from_str(&list))
        .map_err(|_| StoreError::inconsistent("org_settings.ip_allowlist"))?;
    Ok(OrgSettings {
        default_model,
        prompt_log: policy
            .map_err(|_| StoreError::inconsistent("org_settings.prompt_log"))?
            .unwrap_or_default(),
        ip_allowlist: IpAllowlist::parse(&networks)
            .map_err(|_| StoreError::inconsistent("org_settings.ip_allowlist"))?,
    })
}

pub(super) async fn change(
    write: &mut WriteTx<'_>,
    org: OrgId,
    change: OrgSettingsChange,
    act: &Act,
) -> Result<OrgSettings, StoreError> {
    let row = write.optional(sqlx::query(COLUMNS).bind(org.0)).await?;
    let before = row.map_or_else(|| Ok(OrgSettings::default()), |row| read(&mut Columns::of(&row)))?;
    let text = change.to_string();
    let after = OrgSettings {
        default_model: change.default_model.unwrap_or(before.default_model),
        prompt_log: change.prompt_log.unwrap_or(before.prompt_log),
        ip_allowlist: change.ip_allowlist.unwrap_or_else(|| before.ip_allowlist.clone()),
    };
    if after == before {
        return Ok(after);
    }
    let list = serde_json::to_string(&after.ip_allowlist.texts()).map_err(StoreError::new)?;
    let put = "INSERT OR REPLACE INTO org_settings (org_id, default_model_id, prompt_log, ip_allowlist)
               VALUES (?, ?, ?, ?)";
    let statement = sqlx::query(put)
        .bind(org.0)
        .bind(after.default_model.map(|model| model.0))
        .bind(after.prompt_log.as_str())
        .bind(list);
    write.execute(statement).await?;
    write.directory_changed();
    let line = Line::of(org, AuditAction::SettingsChanged).after(text);
    write.audit(act, line).await?;
    Ok(after)
}
