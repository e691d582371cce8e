//! Who did what in an organization.

use crate::http::{
    Answer, Success,
    extract::{AuthUser, Input, PageQuery, Paging, Parsed, Segment},
    wire::AddressText,
};
use axum::extract::State;
use haithe_kernel::{OrgId, WalletAddress};
use haithe_orgs::{Audit, AuditAction, audit::AuditEntry};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// One line of the audit.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub struct AuditView {
    /// Grows with every line.
    id: i64,
    /// RFC 3339.
    at: String,
    #[schema(value_type = AddressText)]
    actor: WalletAddress,
    /// `member.added`, `settings.changed` and so on.
    action: &'static str,
    project_id: Option<i64>,
    /// The wallet, model or product it was done to.
    subject: Option<String>,
    before: Option<String>,
    after: Option<String>,
    ip: Option<String>,
    /// The client network of `ip`: the address itself (IPv4) or its /64 network (IPv6).
    network: Option<String>,
    request_id: Option<String>,
}

impl From<AuditEntry> for AuditView {
    fn from(entry: AuditEntry) -> Self {
        let by = entry.act.by;
        Self {
            id: entry.id,
            at: entry.act.at.rfc3339(),
            actor: by.address,
            action: entry.action.as_str(),
            project_id: entry.project.map(|project| project.0),
            subject: entry.subject,
            before: entry.before,
            after: entry.after,
            ip: by.ip.map(|ip| ip.to_string()),
            network: by.ip.map(|ip| ip.network().to_string()),
            request_id: by.request,
        }
    }
}

/// Which lines.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditInput {
    /// Only those of one action, such as `member.added`.
    #[param(value_type = Option<String>)]
    action: Option<Parsed<AuditAction>>,
}

/// What was done in an organization, newest first.
#[utoipa::path(get, path = "/api/v1/orgs/{id}/audit",
    params(("id" = i64, Path, description = "The organization's number"), AuditInput, PageQuery),
    responses((status = 200, body = Success<Vec<AuditView>>)))]
pub async fn list(
    State(audit): State<Arc<Audit>>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
    Paging(page): Paging,
    Input(input): Input<AuditInput>,
) -> Answer<Vec<AuditView>> {
    let action = input.action.map(|action| action.0);
    let lines = audit.of_org(user.address, id, action, page).await?;
    Ok(Success::listed("Audit", lines))
}
