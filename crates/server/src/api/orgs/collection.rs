//! New organizations.

use super::{OrgView, transaction::ToSignView};
use crate::http::{
    Answer, ApiError, Success,
    extract::{AuthUser, Client, Input},
    idempotency::About,
};
use axum::extract::State;
use haithe_kernel::Decimals;
use haithe_orgs::{OrgError, Organizations};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// The caller's organization, and how many the index holds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CreatedOrganization)]
pub struct CreatedView {
    #[serde(flatten)]
    organization: OrgView,
    count: u64,
}

/// A new organization.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[schema(as = OrganizationInput)]
#[into_params(parameter_in = Query)]
pub struct CreateInput {
    /// Deploys one of this name on the wallet's behalf.
    name: Option<String>,
}

/// Find the wallet's newest organization, or deploy one.
///
/// After the wallet's own `createOrganization`, finds it; with `name`, deploys one for the wallet at the
/// server's expense, within daily budgets per wallet, per client network and in all. When the server does
/// not pay (429 `deployment_budget_spent`, 503 `sponsoring_paused`, 403 `not_sponsored`),
/// `data.transaction` is the transaction for the wallet to sign and send.
#[utoipa::path(post, path = "/api/v1/orgs", params(CreateInput), request_body = CreateInput,
    responses((status = 200, body = Success<CreatedView>)))]
pub async fn create(
    State(organizations): State<Arc<Organizations>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    client: Client,
    Input(CreateInput { name }): Input<CreateInput>,
) -> Answer<CreatedView> {
    let (organization, count) = match name {
        Some(name) => match organizations.deploy(user.address, &name, client.network()).await {
            Ok(deployed) => deployed,
            Err(OrgError::Deploy(refusal)) if refusal.is_unsponsored() => {
                let transaction = organizations.creation(user.address, &name)?;
                return Err(ApiError::from(refusal).with_data(&ToSignView::of(transaction, decimals)));
            }
            Err(error) => return Err(error.into()),
        },
        None => organizations.newest(user.address).await?,
    };
    let about = About::Org(organization.id.0);
    let view = CreatedView {
        organization: organization.into(),
        count,
    };
    Ok(Success::of("Organization", view).about(about))
}

/// The name of a new organization.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[schema(as = OrganizationNameInput)]
#[into_params(parameter_in = Query)]
pub struct NameInput {
    /// 1 to 64 characters, unique among organizations.
    name: String,
}

/// The transaction by which the wallet creates an organization itself.
///
/// The wallet signs, sends and pays it; the server's budgets do not matter. Afterwards `POST /api/v1/orgs`
/// without a name finds the organization.
#[utoipa::path(post, path = "/api/v1/orgs/transaction", params(NameInput), request_body = NameInput,
    responses((status = 200, body = Success<ToSignView>)))]
pub async fn transaction(
    State(organizations): State<Arc<Organizations>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Input(NameInput { name }): Input<NameInput>,
) -> Answer<ToSignView> {
    let transaction = organizations.creation(user.address, &name)?;
    Ok(Success::of(
        "Sign this transaction",
        ToSignView::of(transaction, decimals),
    ))
}
