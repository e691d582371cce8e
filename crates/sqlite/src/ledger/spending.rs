//! What was captured of all time, by project of a payer and by API key, for those who may not know what the
//! whole organization spent. Kept up to date under the ledger's lock, so that it has no gaps.

use crate::columns::read_each;
use haithe_billing::{ExpenditureScope, capture::UsageRecord};
use haithe_identity::api_key::ApiKeyId;
use haithe_kernel::{OrgId, ProjectId, StoreError};
use sqlx::SqliteConnection;
use std::collections::HashMap;

/// Amounts are nano-USDT.
#[derive(Debug, Default)]
pub(crate) struct Spending {
    projects: HashMap<(OrgId, ProjectId), i128>,
    keys: HashMap<ApiKeyId, i128>,
}

impl Spending {
    /// A charge decided (or taken back, when negative).
    pub(crate) fn charge(&mut self, org: OrgId, project: ProjectId, key: Option<ApiKeyId>, amount: i128) {
        *self.projects.entry((org, project)).or_default() += amount;
        if let Some(key) = key {
            *self.keys.entry(key).or_default() += amount;
        }
    }

    /// What was spent in this scope before the call; `of_org` is what the organization spent.
    pub(crate) fn before(
        &self,
        scope: ExpenditureScope,
        org: OrgId,
        usage: &UsageRecord,
        of_org: i128,
    ) -> i128 {
        let of_project = || self.projects.get(&(org, usage.project)).copied().unwrap_or(0);
        match (scope, usage.api_key) {
            (ExpenditureScope::Organization, _) => of_org,
            (ExpenditureScope::ApiKey, Some(key)) => self.keys.get(&key).copied().unwrap_or(0),
            (ExpenditureScope::ApiKey | ExpenditureScope::Project, _) => of_project(),
        }
    }

    /// As the usage records were counted, by day.
    pub(crate) async fn load(connection: &mut SqliteConnection) -> Result<Self, StoreError> {
        let mut spending = Self::default();
        let sums = "SELECT org_id, project_id, api_key_id, sum(charged >> 32), sum(charged & 4294967295)
                    FROM usage_days GROUP BY org_id, project_id, api_key_id";
        read_each(connection, sqlx::query(sums), |columns| {
            let org = columns.read("usage_days.org_id")?;
            let project = columns.read("usage_days.project_id")?;
            let key: i64 = columns.read("usage_days.api_key_id")?;
            let high: i64 = columns.read("usage_days.charged")?;
            let low: i64 = columns.read("usage_days.charged")?;
            let sum = (i128::from(high) << 32) + i128::from(low);
            spending.charge(org, project, (key != 0).then_some(ApiKeyId(key)), sum);
            Ok(())
        })
        .await?;
        Ok(spending)
    }
}
