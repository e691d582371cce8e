//! The wallet's API keys, each with its own scope, expiry and budget.

use crate::http::{
    Answer, ApiError, Success,
    envelope::Nothing,
    extract::{AuthUser, Input, Parsed, Segment},
};
use axum::extract::State;
use haithe_identity::{
    ApiKeys, KeySpec,
    api_key::{ApiKey, ApiKeyId, BudgetWindow, KeyBudget, KeyScope},
};
use haithe_inference::Catalogue;
use haithe_kernel::{OrgId, ProjectId, Timestamp, Usdt, WalletAddress};
use haithe_orgs::{Action, Organizations, Projects};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use utoipa::ToSchema;

/// A key without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub struct KeyView {
    id: i64,
    name: String,
    is_default: bool,
    #[schema(required = true)]
    org_id: Option<i64>,
    #[schema(required = true)]
    project_id: Option<i64>,
    #[schema(required = true)]
    models: Option<Vec<String>>,
    #[schema(required = true)]
    expires_at: Option<String>,
    #[schema(required = true)]
    budget: Option<BudgetView>,
    #[schema(required = true)]
    requests_per_minute: Option<u32>,
    #[schema(required = true)]
    tokens_per_minute: Option<u32>,
    issued_at: String,
    #[schema(required = true)]
    last_used_at: Option<String>,
    #[schema(required = true)]
    revoked_at: Option<String>,
}

/// A key, shown once.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewKeyView {
    api_key: String,
    message: String,
    #[serde(flatten)]
    key: KeyView,
}

/// `{"limit_usdt":"12.5","window":"day"}`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetView {
    limit_usdt: String,
    window: WindowView,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum WindowView {
    Day,
    Month,
    Total,
}

impl From<KeyBudget> for BudgetView {
    fn from(budget: KeyBudget) -> Self {
        Self {
            limit_usdt: budget.limit.to_string(),
            window: match budget.window {
                BudgetWindow::Day => WindowView::Day,
                BudgetWindow::Month => WindowView::Month,
                BudgetWindow::Total => WindowView::Total,
            },
        }
    }
}

impl TryFrom<BudgetView> for KeyBudget {
    type Error = ApiError;
    fn try_from(view: BudgetView) -> Result<Self, ApiError> {
        let limit: Option<Usdt> = view.limit_usdt.parse().ok();
        let limit = limit.filter(|limit| !limit.is_negative()).ok_or_else(|| {
            ApiError::parameter(
                "budget",
                "`limit_usdt` must be a decimal number of USDT in quotes, such as \"12.5\"",
            )
        })?;
        Ok(Self {
            limit,
            window: match view.window {
                WindowView::Day => BudgetWindow::Day,
                WindowView::Month => BudgetWindow::Month,
                WindowView::Total => BudgetWindow::Total,
            },
        })
    }
}

impl From<ApiKey> for KeyView {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id.0,
            name: key.name,
            is_default: key.is_default,
            org_id: key.scope.org.map(|id| id.0),
            project_id: key.scope.project.map(|id| id.0),
            models: key.scope.models,
            expires_at: key.expires_at.map(Timestamp::rfc3339),
            budget: key.budget.map(BudgetView::from),
            requests_per_minute: key.requests_per_minute,
            tokens_per_minute: key.tokens_per_minute,
            issued_at: key.issued_at.rfc3339(),
            last_used_at: key.last_used_at.map(Timestamp::rfc3339),
            revoked_at: key.revoked_at.map(Timestamp::rfc3339),
        }
    }
}

/// The scope that is asked for.
struct Asked {
    org: Option<OrgId>,
    project: Option<ProjectId>,
    models: Option<Vec<String>>,
}

/// What a key's scope is checked against.
#[derive(Clone)]
struct Scopes {
    organizations: Arc<Organizations>,
    projects: Arc<Projects>,
    catalogue: Arc<Catalogue>,
}

impl Scopes {
    /// The scope, if the wallet itself may act in it. A project brings its organization along.
    async fn read(&self, caller: WalletAddress, asked: Asked) -> Result<KeyScope, ApiError> {
        let Asked {
            mut org,
            project,
            models,
        } = asked;
        if let Some(id) = project {
            let access = self.projects.authorize(caller, id, Action::CallAsProject).await?;
            if org.is_some_and(|org| org != access.project.org) {
                return Err(ApiError::parameter(
                    "project_id",
                    "belongs to another organization than `org_id`",
                ));
            }
            org = Some(access.project.org);
        } else if let Some(id) = org {
            self.organizations.authorize(caller, id, Action::ReadOrg).await?;
        }
        let unknown = models
            .iter()
            .flatten()
            .find(|name| self.catalogue.by_name(name).is_none());
        if let Some(name) = unknown {
            return Err(ApiError::parameter(
                "models",
                format_args!("there is no model {name:?}"),
            ));
        }
        Ok(KeyScope { org, project, models })
    }
}

/// What a new key shall be. What is left out is not restricted.
#[derive(Debug, Deserialize, ToSchema)]
pub struct KeyInput {
    /// 1 to 64 characters.
    name: String,
    /// Only as this organization.
    org_id: Option<i64>,
    /// Only as this project; such a key needs no context headers.
    project_id: Option<i64>,
    /// Only these models.
    models: Option<Vec<String>>,
    /// RFC 3339.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Parsed<Moment>>,
    budget: Option<BudgetView>,
    #[schema(minimum = 1)]
    requests_per_minute: Option<u32>,
    #[schema(minimum = 1)]
    tokens_per_minute: Option<u32>,
}

/// Create an API key, shown only once.
#[utoipa::path(post, path = "/api/v1/me/api-keys", request_body = KeyInput,
    responses((status = 200, body = Success<NewKeyView>)))]
pub async fn create(
    State(keys): State<Arc<ApiKeys>>,
    State(organizations): State<Arc<Organizations>>,
    State(projects): State<Arc<Projects>>,
    State(catalogue): State<Arc<Catalogue>>,
    user: AuthUser,
    Input(input): Input<KeyInput>,
) -> Answer<NewKeyView> {
    let scopes = Scopes {
        organizations,
        projects,
        catalogue,
    };
    let asked = Asked {
        org: input.org_id.map(OrgId),
        project: input.project_id.map(ProjectId),
        models: input.models,
    };
    let spec = KeySpec {
        name: input.name,
        scope: scopes.read(user.address, asked).await?,
        expires_at: input.expires_at.map(|moment| moment.0.0),
        budget: input.budget.map(KeyBudget::try_from).transpose()?,
        requests_per_minute: per_minute("requests_per_minute", input.requests_per_minute)?,
        tokens_per_minute: per_minute("tokens_per_minute", input.tokens_per_minute)?,
    };
    let issued = keys.issue(user.address, spec).await?;
    tracing::info!(target: "haithe::security", wallet = %user.address, key.id = issued.row.id.0, "API key created");
    Ok(Success::of(
        "API key created; it is shown only once",
        NewKeyView {
            api_key: issued.api_key,
            message: issued.message,
            key: issued.row.into(),
        },
    ))
}

fn per_minute(name: &str, limit: Option<u32>) -> Result<Option<u32>, ApiError> {
    match limit {
        Some(0) => Err(ApiError::parameter(name, "must be 1 or more")),
        limit => Ok(limit),
    }
}

/// A point in time on the wire.
#[derive(Debug)]
struct Moment(Timestamp);

impl std::str::FromStr for Moment {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let at = OffsetDateTime::parse(text, &Rfc3339)
            .map_err(|_| "must be a time such as 2027-01-31T12:00:00Z (RFC 3339)")?;
        let micros = i64::try_from(at.unix_timestamp_nanos() / 1000).map_err(|_| "is out of range")?;
        Ok(Self(Timestamp::from_micros(micros)))
    }
}

/// The wallet's API keys, newest first, without their secrets.
#[utoipa::path(get, path = "/api/v1/me/api-keys", responses((status = 200, body = Success<Vec<KeyView>>)))]
pub async fn list(State(keys): State<Arc<ApiKeys>>, user: AuthUser) -> Answer<Vec<KeyView>> {
    let keys = keys.list(user.address).await?;
    Ok(Success::of(
        "API keys",
        keys.into_iter().map(KeyView::from).collect(),
    ))
}

/// Revoke an API key for ever.
#[utoipa::path(delete, path = "/api/v1/me/api-keys/{id}", params(("id" = i64, Path)),
    responses((status = 200, body = Success<Nothing>)))]
pub async fn revoke(
    State(keys): State<Arc<ApiKeys>>,
    user: AuthUser,
    Segment(id): Segment<i64>,
) -> Answer<Nothing> {
    if !keys.revoke(user.address, ApiKeyId(id)).await? {
        return Err(ApiError::not_found("API key"));
    }
    tracing::info!(target: "haithe::security", wallet = %user.address, key.id = id, "API key revoked");
    Ok(Success::nothing("API key revoked"))
}
