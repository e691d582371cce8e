//! [`OrgSettingsStore`] on PostgreSQL.

use super::audit::Line;
use crate::{
    columns::{self, Columns},
    db::Db,
    write::WriteTx,
};
use async_trait::async_trait;
use haithe_identity::api_key::KeyBudget;
use haithe_kernel::{ModelId, OrgId, StoreError, Usdt, WalletAddress};
use haithe_orgs::{
    audit::{Act, AuditAction},
    ports::OrgSettingsStore,
    settings::{IpAllowlist, OrgSettings, OrgSettingsChange},
};
use sqlx::postgres::PgRow;

/// [`OrgSettingsStore`] on PostgreSQL.
#[derive(Clone)]
pub struct PgOrgSettingsStore {
    db: Db,
}

impl PgOrgSettingsStore {
    /// The settings in this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

const OF_ORG: &str = "
    SELECT default_model_id AS org_default_model_id, prompt_log, ip_allowlist, default_key_budget_limit,
           default_key_budget_window
    FROM org_settings WHERE org_id = $1";
/// Default budgets of new keys: of one organization, or of all that a wallet has a role in.
const DEFAULT_KEY_BUDGETS: &str = "
    SELECT default_key_budget_limit, default_key_budget_window
    FROM org_settings JOIN organizations ON organizations.id = org_settings.org_id
    WHERE organizations.on_chain AND organizations.deleted_at IS NULL AND default_key_budget_limit IS NOT NULL
      AND CASE WHEN $2 IS NOT NULL THEN org_id = $2 ELSE org_id IN (
          SELECT id FROM organizations WHERE owner = $1
          UNION SELECT org_id FROM org_members WHERE wallet_address = $1
          UNION SELECT projects.org_id FROM project_members
                JOIN projects ON projects.id = project_members.project_id AND NOT projects.deleted
                WHERE project_members.wallet_address = $1
      ) END";
const PUT: &str = "
    INSERT INTO org_settings
        (org_id, default_model_id, prompt_log, ip_allowlist, default_key_budget_limit, default_key_budget_window)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (org_id) DO UPDATE SET
        default_model_id = excluded.default_model_id, prompt_log = excluded.prompt_log,
        ip_allowlist = excluded.ip_allowlist, default_key_budget_limit = excluded.default_key_budget_limit,
        default_key_budget_window = excluded.default_key_budget_window";

/// Reads settings; where there is no row, all columns are `NULL`.
pub(super) fn read(columns: &Columns<'_>) -> Result<OrgSettings, StoreError> {
    let default_model: Option<ModelId> = columns.get("org_settings.org_default_model_id")?;
    let policy: Option<String> = columns.get("org_settings.prompt_log")?;
    let list: Option<String> = columns.get("org_settings.ip_allowlist")?;
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
        default_key_budget: budget(columns)?,
    })
}

fn budget(columns: &Columns<'_>) -> Result<Option<KeyBudget>, StoreError> {
    let limit: Option<Usdt> = columns.get("org_settings.default_key_budget_limit")?;
    let window: Option<String> = columns.get("org_settings.default_key_budget_window")?;
    let inconsistent = || StoreError::inconsistent("org_settings.default_key_budget_window");
    let budget = limit.zip(window).map(|(limit, window)| {
        let window = window.parse().map_err(|_| inconsistent())?;
        Ok(KeyBudget { limit, window })
    });
    budget.transpose()
}

fn of_row(row: Option<&PgRow>) -> Result<OrgSettings, StoreError> {
    row.map_or_else(|| Ok(OrgSettings::default()), |row| read(&Columns::of(row)))
}

async fn change(
    write: &mut WriteTx,
    (org, change, act): &(OrgId, OrgSettingsChange, Act),
) -> Result<OrgSettings, StoreError> {
    let before = of_row(write.optional(sqlx::query(OF_ORG).bind(org.0)).await?.as_ref())?;
    let text = change.to_string();
    let change = change.clone();
    let after = OrgSettings {
        default_model: change.default_model.unwrap_or(before.default_model),
        prompt_log: change.prompt_log.unwrap_or(before.prompt_log),
        ip_allowlist: change.ip_allowlist.unwrap_or_else(|| before.ip_allowlist.clone()),
        default_key_budget: change.default_key_budget.unwrap_or(before.default_key_budget),
    };
    if after == before {
        return Ok(after);
    }
    let list = serde_json::to_string(&after.ip_allowlist.texts()).map_err(StoreError::new)?;
    let put = sqlx::query(PUT)
        .bind(org.0)
        .bind(after.default_model.map(|model| model.0))
        .bind(after.prompt_log.as_str())
        .bind(list)
        .bind(after.default_key_budget.map(|budget| budget.limit.nano()))
        .bind(after.default_key_budget.map(|budget| budget.window.word()));
    write.execute(put).await?;
    write.directory_changed();
    let line = Line::of(*org, AuditAction::SettingsChanged).after(text);
    write.audit(act, line).await?;
    Ok(after)
}

#[async_trait]
impl OrgSettingsStore for PgOrgSettingsStore {
    async fn settings(&self, id: OrgId) -> Result<OrgSettings, StoreError> {
        of_row(self.db.optional(sqlx::query(OF_ORG).bind(id.0)).await?.as_ref())
    }

    async fn default_key_budgets(
        &self,
        wallet: WalletAddress,
        org: Option<OrgId>,
    ) -> Result<Vec<KeyBudget>, StoreError> {
        let statement = sqlx::query(DEFAULT_KEY_BUDGETS)
            .bind(columns::address(wallet))
            .bind(org.map(|org| org.0));
        let rows = self.db.all(statement).await?;
        let budgets = rows.iter().map(|row| budget(&Columns::of(row)));
        budgets.filter_map(Result::transpose).collect()
    }

    async fn change_settings(
        &self,
        id: OrgId,
        changes: OrgSettingsChange,
        act: Act,
    ) -> Result<OrgSettings, StoreError> {
        self.db
            .write((id, changes, act), |write, changes| {
                Box::pin(change(write, changes))
            })
            .await
    }
}
