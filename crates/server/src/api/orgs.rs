//! `/api/v1/orgs`: organizations, their members, models and money.

pub mod collection;
pub mod item;
pub mod members;
pub mod models;
pub mod money;

use crate::http::wire::AddressText;
use haithe_kernel::WalletAddress;
use haithe_orgs::Organization;
use serde::Serialize;
use utoipa::ToSchema;

/// An organization on the wire.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Organization)]
pub struct OrgView {
    id: i64,
    organization_uid: String,
    #[schema(value_type = AddressText)]
    address: WalletAddress,
    orchestrator_idx: u64,
    name: String,
    #[schema(value_type = AddressText)]
    owner: WalletAddress,
    created_at: String,
}

impl From<Organization> for OrgView {
    fn from(org: Organization) -> Self {
        Self {
            id: org.id.0,
            organization_uid: org.uid.to_string(),
            address: org.address,
            orchestrator_idx: org.orchestrator_index,
            name: org.name,
            owner: org.owner,
            created_at: org.created_at.legacy(),
        }
    }
}
