//! What was used and what it did cost, as JSON or as a table for spreadsheets.

mod table;

use crate::http::{
    ApiError, Success,
    extract::{AuthUser, Input, PageQuery, Paging, Parsed, Segment},
    wire::BaseUnits,
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use haithe_billing::usage::{Day, Dimensions, Named, Usage, UsageQuery, UsageRow};
use haithe_identity::api_key::ApiKeyId;
use haithe_kernel::{Decimals, ModelId, OrgId, Page, ProductId, ProjectId};
use http::{HeaderMap, header::ACCEPT};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// One figure. It names the dimensions that were asked for, and nothing of the others.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageFigure)]
pub struct UsageView {
    /// A day in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = Date)]
    day: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    project_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_name: Option<Option<String>>,
    /// `null` for calls with a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key_id: Option<Option<i64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key_name: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    model_id: Option<i64>,
    /// By the name it had.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    product_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_name: Option<Option<String>>,
    calls: u64,
    /// Input includes cached. Absent where figures are about products, as the other counts of tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    cached_tokens: Option<u64>,
    /// Output includes reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reasoning_tokens: Option<u64>,
    charged: BaseUnits,
    charged_usdt: String,
}

/// The name of a thing that was asked for; the inner `None` has none any more.
fn name<T>(thing: &Option<Named<T>>) -> Option<Option<String>> {
    thing.as_ref().map(|thing| thing.name.clone())
}

impl UsageView {
    fn of(row: UsageRow, decimals: Decimals) -> Self {
        let key = row.api_key;
        Self {
            day: row.day.map(|day| day.to_string()),
            project_name: name(&row.project),
            project_id: row.project.map(|project| project.id.0),
            api_key_name: key
                .as_ref()
                .map(|key| key.as_ref().and_then(|key| key.name.clone())),
            api_key_id: key.map(|key| key.map(|key| key.id.0)),
            model: name(&row.model),
            model_id: row.model.map(|model| model.id.0),
            product_name: name(&row.product),
            product_id: row.product.map(|product| product.id.0),
            calls: row.calls,
            input_tokens: row.tokens.map(|tokens| tokens.input),
            cached_tokens: row.tokens.map(|tokens| tokens.cached),
            output_tokens: row.tokens.map(|tokens| tokens.output),
            reasoning_tokens: row.tokens.map(|tokens| tokens.reasoning),
            charged: BaseUnits::of(row.charged, decimals),
            charged_usdt: row.charged.to_string(),
        }
    }
}

/// How to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = UsageFormat)]
pub enum Format {
    /// One page.
    Json,
    /// Every row.
    Csv,
}

/// Which figures.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct UsageInput {
    /// What to tell apart: `total`, or some of `day`, `project`, `key`, `model` and `product` with
    /// commas between. With `product` the figures are about charges for products.
    #[param(value_type = Option<String>, default = "day", example = "day,model")]
    group_by: Option<Parsed<Dimensions>>,
    /// From this day on, in UTC.
    #[param(value_type = Option<String>, format = Date, example = "2026-01-01")]
    from: Option<Parsed<Day>>,
    /// Up to and with this day, in UTC.
    #[param(value_type = Option<String>, format = Date, example = "2026-01-31")]
    until: Option<Parsed<Day>>,
    /// Of this project alone.
    project_id: Option<i64>,
    /// Of calls with this key alone.
    api_key_id: Option<i64>,
    /// Of calls of this model alone.
    model_id: Option<i64>,
    /// About charges for this product alone.
    product_id: Option<i64>,
    /// `Accept: text/csv` asks for a table too. It has every row, whatever the page.
    #[param(inline)]
    format: Option<Format>,
}

impl UsageInput {
    fn query(self) -> (UsageQuery, Option<Format>) {
        let query = UsageQuery {
            by: self.group_by.map_or_else(Dimensions::daily, |by| by.0),
            from: self.from.map(|day| day.0),
            until: self.until.map(|day| day.0),
            project: self.project_id.map(ProjectId),
            api_key: self.api_key_id.map(ApiKeyId),
            model: self.model_id.map(ModelId),
            product: self.product_id.map(ProductId),
        };
        (query, self.format)
    }
}

/// What the query says, or what the client accepts.
fn format(asked: Option<Format>, headers: &HeaderMap) -> Format {
    let accepts = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let csv = accepts.is_some_and(|accepts| accepts.to_ascii_lowercase().contains("text/csv"));
    asked.unwrap_or(if csv { Format::Csv } else { Format::Json })
}

/// What an organization used.
///
/// Figures sum to what was charged. Each call counts on the day it ended.
#[utoipa::path(get, path = "/api/v1/orgs/{id}/usage",
    params(("id" = i64, Path, description = "The organization's number"), UsageInput, PageQuery),
    responses((status = 200, content((Success<Vec<UsageView>> = "application/json"), (String = "text/csv")))))]
pub async fn of_org(
    State(usage): State<Arc<Usage>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
    Paging(page): Paging,
    headers: HeaderMap,
    Input(input): Input<UsageInput>,
) -> Result<Response, ApiError> {
    let (query, asked) = input.query();
    let (answer, by) = (Answered::of(format(asked, &headers), page), query.clone());
    let rows = usage.of_org(user.address, id, query, answer.page()).await?;
    answer.render(&by, rows, decimals)
}

/// What a project's own organization used in it.
///
/// What other organizations paid for in a public project is theirs to read.
#[utoipa::path(get, path = "/api/v1/projects/{id}/usage",
    params(("id" = i64, Path, description = "The project's number"), UsageInput, PageQuery),
    responses((status = 200, content((Success<Vec<UsageView>> = "application/json"), (String = "text/csv")))))]
pub async fn of_project(
    State(usage): State<Arc<Usage>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(id): Segment<ProjectId>,
    Paging(page): Paging,
    headers: HeaderMap,
    Input(input): Input<UsageInput>,
) -> Result<Response, ApiError> {
    let (query, asked) = input.query();
    let (answer, by) = (Answered::of(format(asked, &headers), page), query.clone());
    let rows = usage.of_project(user.address, id, query, answer.page()).await?;
    answer.render(&by, rows, decimals)
}

/// How much is answered, and in which form.
enum Answered {
    Page(Page),
    Table,
}

impl Answered {
    fn of(format: Format, page: Page) -> Self {
        match format {
            Format::Json => Self::Page(page),
            Format::Csv => Self::Table,
        }
    }

    fn page(&self) -> Option<Page> {
        match self {
            Self::Page(page) => Some(*page),
            Self::Table => None,
        }
    }

    fn render(
        &self,
        query: &UsageQuery,
        rows: haithe_kernel::Listed<UsageRow>,
        decimals: Decimals,
    ) -> Result<Response, ApiError> {
        match self {
            Self::Table => table::response(query, &rows.items, decimals),
            Self::Page(_) => {
                let rows = rows.map(|row| UsageView::of(row, decimals));
                Ok(Success::<Vec<UsageView>>::listed("Usage", rows).into_response())
            }
        }
    }
}
