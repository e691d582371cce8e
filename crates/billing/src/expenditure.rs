//! Whose expenditure a caller sees: it is shown only to callers that may read it.

use haithe_identity::api_key::ApiKey;
use haithe_orgs::{Action, allows, model::Standing};

/// Whose spending `usage.expense_till_now` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ExpenditureScope {
    /// The paying organization's.
    Organization,
    /// What the payer spent through the called project.
    #[default]
    Project,
    /// The API key's.
    ApiKey,
}

impl ExpenditureScope {
    /// The scope for a caller of this standing towards the payer, who uses this key, if any.
    ///
    /// A budgeted key shows its own spending, and a key bound to a project the project's, for any creator of the key:
    /// such keys are handed to others. Otherwise those who may read the organization's money see the
    /// organization's, and everybody else the project's.
    pub fn of(standing: Standing, key: Option<&ApiKey>) -> Self {
        match key {
            Some(key) if key.budget.is_some() => Self::ApiKey,
            Some(key) if key.scope.project.is_some() => Self::Project,
            _ if allows(standing, Action::ReadOrgMoney) => Self::Organization,
            _ => Self::Project,
        }
    }

    /// Whether figures of the whole organization, such as its balance, may be shown beside it.
    pub const fn shows_organization(self) -> bool {
        matches!(self, Self::Organization)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haithe_identity::api_key::{ApiKeyId, BudgetWindow, KeyBudget, KeyHash, KeyScope};
    use haithe_kernel::{ProjectId, Timestamp, Usdt, WalletAddress};
    use haithe_orgs::{OrgRole, ProjectRole};

    fn key(project: bool, budget: bool) -> ApiKey {
        ApiKey {
            id: ApiKeyId(1),
            address: WalletAddress::new([1; 20]),
            nonce: uuid::Uuid::nil(),
            hash: KeyHash([0; 32]),
            name: "key".to_owned(),
            is_default: false,
            scope: KeyScope {
                project: project.then_some(ProjectId(1)),
                ..KeyScope::default()
            },
            expires_at: None,
            budget: budget.then_some(KeyBudget {
                limit: Usdt::whole(1),
                window: BudgetWindow::Day,
            }),
            requests_per_minute: None,
            tokens_per_minute: None,
            issued_at: Timestamp::from_seconds(0),
            last_used_at: None,
            revoked_at: None,
        }
    }

    #[test]
    fn only_owner_and_admin_see_the_organizations_expenditure() {
        use ExpenditureScope::{ApiKey, Organization, Project};
        let none = Standing::default();
        let in_project = |role| Standing {
            project: Some(role),
            any_project: true,
            ..none
        };
        let admin = Standing {
            org: Some(OrgRole::Admin),
            ..none
        };
        for (standing, unbound) in [
            (Standing { owner: true, ..none }, Organization),
            (admin, Organization),
            (
                Standing {
                    project: Some(ProjectRole::Developer),
                    ..admin
                },
                Organization,
            ),
            (in_project(ProjectRole::Admin), Project),
            (in_project(ProjectRole::Developer), Project),
            (in_project(ProjectRole::Viewer), Project),
            (
                Standing {
                    org: Some(OrgRole::Member),
                    ..none
                },
                Project,
            ),
            (none, Project),
        ] {
            let scope = |key: Option<&super::ApiKey>| ExpenditureScope::of(standing, key);
            assert_eq!(scope(None), unbound, "{standing:?}");
            assert_eq!(scope(Some(&key(false, false))), unbound, "{standing:?}");
            assert_eq!(scope(Some(&key(true, false))), Project, "{standing:?}");
            assert_eq!(scope(Some(&key(false, true))), ApiKey, "{standing:?}");
            assert_eq!(scope(Some(&key(true, true))), ApiKey, "{standing:?}");
        }
    }
}
