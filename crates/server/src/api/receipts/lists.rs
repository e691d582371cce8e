//! Receipts of organizations and projects.

use super::ReceiptView;
use crate::http::{
    Answer, ApiError, Success,
    extract::{AuthUser, Input, PageQuery, Paging, Parsed, Segment},
};
use axum::extract::State;
use haithe_billing::{
    ports::Books,
    receipt::{Receipt, ReceiptFilter},
};
use haithe_kernel::{CallId, Decimals, Listed, OrgId, ProjectId, Timestamp};
use haithe_orgs::{Action, Organizations, Projects};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;
use uuid::Uuid;

/// Which receipts.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ReceiptsInput {
    /// After this call's; with it `offset` skips from there.
    after: Option<Uuid>,
    /// Of calls that ended at this time or later (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Parsed<Timestamp>>,
    /// Of calls that ended before this time (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Parsed<Timestamp>>,
    /// Of this project's calls alone.
    project_id: Option<i64>,
}

impl ReceiptsInput {
    fn filter(self, org: OrgId) -> (ReceiptFilter, Option<CallId>) {
        let filter = ReceiptFilter {
            org,
            project: self.project_id.map(ProjectId),
            from: self.from.map(|from| from.0),
            until: self.until.map(|until| until.0),
        };
        (filter, self.after.map(CallId))
    }
}

/// Receipts that an organization paid for, oldest first.
#[utoipa::path(get, path = "/api/v1/orgs/{id}/receipts",
    params(("id" = i64, Path, description = "The organization's number"), ReceiptsInput, PageQuery),
    responses((status = 200, body = Success<Vec<ReceiptView>>)))]
pub async fn of_org(
    State(organizations): State<Arc<Organizations>>,
    State(books): State<Arc<dyn Books>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
    Paging(page): Paging,
    Input(input): Input<ReceiptsInput>,
) -> Answer<Vec<ReceiptView>> {
    organizations
        .authorize(user.address, id, Action::ReadOrgMoney)
        .await?;
    let (filter, after) = input.filter(id);
    let receipts = books.listed_receipts(filter, after, page).await?;
    listed(receipts, decimals)
}

/// Receipts that a project's own organization paid for in it, oldest first.
///
/// What other organizations paid for in a public project is theirs to read.
#[utoipa::path(get, path = "/api/v1/projects/{id}/receipts",
    params(("id" = i64, Path, description = "The project's number"), ReceiptsInput, PageQuery),
    responses((status = 200, body = Success<Vec<ReceiptView>>)))]
pub async fn of_project(
    State(projects): State<Arc<Projects>>,
    State(books): State<Arc<dyn Books>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(id): Segment<ProjectId>,
    Paging(page): Paging,
    Input(input): Input<ReceiptsInput>,
) -> Answer<Vec<ReceiptView>> {
    let access = projects
        .authorize(user.address, id, Action::ReadProjectMoney)
        .await?;
    let (filter, after) = input.filter(access.org.id);
    let filter = ReceiptFilter {
        project: Some(id),
        ..filter
    };
    let receipts = books.listed_receipts(filter, after, page).await?;
    listed(receipts, decimals)
}

fn listed(receipts: Listed<Receipt>, decimals: Decimals) -> Answer<Vec<ReceiptView>> {
    let views = receipts.items.into_iter();
    let views: Result<_, ApiError> = views.map(|receipt| ReceiptView::of(receipt, decimals)).collect();
    Ok(Success::of("Receipts", views?).out_of(receipts.total))
}
