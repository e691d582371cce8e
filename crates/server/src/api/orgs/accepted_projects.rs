//! Public projects of other organizations that an organization accepts to pay for.

use crate::http::{
    Answer, Success,
    envelope::Nothing,
    extract::{Acting, AuthUser, Input, PageQuery, Paging, Parsed, Segment, Segments},
    wire::{AddressText, BaseUnits},
};
use axum::extract::State;
use haithe_kernel::{Clock, Decimals, OrgId, ProjectUid, Timestamp, Usdt, WalletAddress};
use haithe_orgs::{AcceptedProject, AcceptedProjects};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// A public project of another organization that the organization accepts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AcceptedProject)]
pub struct AcceptedView {
    project_uid: String,
    /// The most that the project and its products may cost per call, beside the model.
    max_price_per_call: BaseUnits,
    max_price_per_call_usdt: String,
    #[schema(value_type = AddressText)]
    accepted_by: WalletAddress,
    /// When it was accepted or the maximum last changed; RFC 3339.
    accepted_at: String,
    /// Whether the project is public at present. If it is not, calls of it are refused.
    public: bool,
    /// Its name, while it is public.
    #[schema(required = true)]
    name: Option<String>,
    /// The project's own price in force, without its products, while it is public.
    #[schema(required = true)]
    price_per_call_usdt: Option<String>,
    /// The announced price, while it is not in force.
    #[schema(required = true)]
    next_price_per_call_usdt: Option<String>,
    /// When the announced price comes into force; RFC 3339.
    #[schema(required = true)]
    next_price_at: Option<String>,
}

impl AcceptedView {
    fn of(accepted: AcceptedProject, decimals: Decimals, now: Timestamp) -> Self {
        let price = accepted.offer.as_ref().map(|offer| offer.price_per_call);
        let next = price.and_then(|price| price.pending(now));
        Self {
            project_uid: accepted.project.to_string(),
            max_price_per_call: BaseUnits::of(accepted.max_price_per_call, decimals),
            max_price_per_call_usdt: accepted.max_price_per_call.to_string(),
            accepted_by: accepted.accepted_by,
            accepted_at: accepted.accepted_at.rfc3339(),
            public: accepted.offer.is_some(),
            price_per_call_usdt: price.map(|price| price.in_force(now).to_string()),
            next_price_per_call_usdt: next.map(|next| next.price.to_string()),
            next_price_at: next.map(|next| next.at.rfc3339()),
            name: accepted.offer.map(|offer| offer.name),
        }
    }
}

/// The most that calls of the project may cost.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[schema(as = AcceptedProjectInput)]
pub struct AcceptInput {
    /// USDT per call for the project and its products together, such as `0.05`. The model's cost is not
    /// part of it.
    #[param(value_type = String, pattern = r"^\d{1,10}(\.\d{1,9})?$")]
    #[schema(value_type = String, pattern = r"^\d{1,10}(\.\d{1,9})?$")]
    max_price_per_call_usdt: Parsed<Usdt>,
}

/// The projects of other organizations that the organization accepts, newest first.
#[utoipa::path(get, path = "/api/v1/orgs/{id}/accepted-projects",
    params(("id" = i64, Path, description = "The organization's number"), PageQuery),
    responses((status = 200, body = Success<Vec<AcceptedView>>)))]
pub async fn list(
    State(accepted): State<Arc<AcceptedProjects>>,
    State(clock): State<Arc<dyn Clock>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
    Paging(page): Paging,
) -> Answer<Vec<AcceptedView>> {
    let listed = accepted.of_org(user.address, id, page).await?;
    let now = clock.now();
    let listed = listed.map(|accepted| AcceptedView::of(accepted, decimals, now));
    Ok(Success::listed("Accepted projects", listed))
}

/// Accept a public project of another organization, or change the maximum.
///
/// The organization pays for calls of the project up to this price per call. A call that costs more is
/// refused before any money is held, and so is every call of a project that was not accepted.
#[utoipa::path(put, path = "/api/v1/orgs/{id}/accepted-projects/{project_uid}",
    params(("id" = i64, Path, description = "The organization's number"),
        ("project_uid" = String, Path, description = "The project's uid, `proj-` in front or not"), AcceptInput),
    request_body = AcceptInput, responses((status = 200, body = Success<AcceptedView>)))]
pub async fn accept(
    State(accepted): State<Arc<AcceptedProjects>>,
    State(clock): State<Arc<dyn Clock>>,
    State(decimals): State<Decimals>,
    Acting(caller): Acting,
    Segments(id, project): Segments<OrgId, ProjectUid>,
    Input(input): Input<AcceptInput>,
) -> Answer<AcceptedView> {
    let maximum = input.max_price_per_call_usdt.0;
    let accepted = accepted.accept(caller, id, project, maximum).await?;
    let view = AcceptedView::of(accepted, decimals, clock.now());
    Ok(Success::of("Project accepted", view))
}

/// Stop accepting another organization's project.
#[utoipa::path(delete, path = "/api/v1/orgs/{id}/accepted-projects/{project_uid}",
    params(("id" = i64, Path, description = "The organization's number"),
        ("project_uid" = String, Path, description = "The project's uid, `proj-` in front or not")),
    responses((status = 200, body = Success<Nothing>)))]
pub async fn withdraw(
    State(accepted): State<Arc<AcceptedProjects>>,
    Acting(caller): Acting,
    Segments(id, project): Segments<OrgId, ProjectUid>,
) -> Answer<Nothing> {
    accepted.withdraw(caller, id, project).await?;
    Ok(Success::nothing("Acceptance withdrawn"))
}
