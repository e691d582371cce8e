//! Keys as they are written.

use crate::http::ApiError;
use haithe_identity::{
    IssuedKey,
    api_key::{ApiKey, BudgetWindow, KeyBudget, RouteFamily},
};
use haithe_kernel::{Timestamp, Usdt};
use serde::{Deserialize, Serialize};
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
    routes: Option<Vec<RouteView>>,
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
#[schema(as = NewApiKey)]
pub struct NewKeyView {
    api_key: String,
    message: String,
    #[serde(flatten)]
    key: KeyView,
}

impl From<IssuedKey> for NewKeyView {
    fn from(issued: IssuedKey) -> Self {
        Self {
            api_key: issued.api_key,
            message: issued.message,
            key: issued.row.into(),
        }
    }
}

/// A family of routes under `/api/v1beta`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[schema(as = RouteFamily)]
pub enum RouteView {
    #[serde(rename = "chat.completions")]
    ChatCompletions,
    #[serde(rename = "models")]
    Models,
    #[serde(rename = "embeddings")]
    Embeddings,
    #[serde(rename = "conversations")]
    Conversations,
    #[serde(rename = "webhooks")]
    Webhooks,
}

impl From<RouteFamily> for RouteView {
    fn from(family: RouteFamily) -> Self {
        match family {
            RouteFamily::ChatCompletions => Self::ChatCompletions,
            RouteFamily::Models => Self::Models,
            RouteFamily::Embeddings => Self::Embeddings,
            RouteFamily::Conversations => Self::Conversations,
            RouteFamily::Webhooks => Self::Webhooks,
        }
    }
}

impl From<RouteView> for RouteFamily {
    fn from(view: RouteView) -> Self {
        match view {
            RouteView::ChatCompletions => Self::ChatCompletions,
            RouteView::Models => Self::Models,
            RouteView::Embeddings => Self::Embeddings,
            RouteView::Conversations => Self::Conversations,
            RouteView::Webhooks => Self::Webhooks,
        }
    }
}

/// `{"limit_usdt":"12.5","window":"day"}`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = ApiKeyBudget)]
#[serde(deny_unknown_fields)]
pub struct BudgetView {
    limit_usdt: String,
    window: WindowView,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[schema(as = BudgetWindow)]
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

impl BudgetView {
    /// The budget; `field` names it in a refusal.
    pub fn read(&self, field: &'static str) -> Result<KeyBudget, ApiError> {
        let limit: Option<Usdt> = self.limit_usdt.parse().ok();
        let limit = limit.filter(|limit| !limit.is_negative()).ok_or_else(|| {
            ApiError::parameter(
                field,
                "`limit_usdt` must be a decimal number of USDT in quotes, such as \"12.5\"",
            )
        })?;
        Ok(KeyBudget {
            limit,
            window: match self.window {
                WindowView::Day => BudgetWindow::Day,
                WindowView::Month => BudgetWindow::Month,
                WindowView::Total => BudgetWindow::Total,
            },
        })
    }
}

impl TryFrom<BudgetView> for KeyBudget {
    type Error = ApiError;
    fn try_from(view: BudgetView) -> Result<Self, ApiError> {
        view.read("budget")
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
            routes: key
                .scope
                .routes
                .map(|routes| routes.into_iter().map(RouteView::from).collect()),
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

/// A point in time on the wire.
#[derive(Debug)]
pub struct Moment(pub Timestamp);

impl std::str::FromStr for Moment {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let at = OffsetDateTime::parse(text, &Rfc3339)
            .map_err(|_| "must be a time such as 2027-01-31T12:00:00Z (RFC 3339)")?;
        let micros = i64::try_from(at.unix_timestamp_nanos() / 1000).map_err(|_| "is out of range")?;
        Ok(Self(Timestamp::from_micros(micros)))
    }
}
