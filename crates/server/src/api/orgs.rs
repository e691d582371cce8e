//! `/api/v1/orgs`: organizations, their members, models and money.

pub mod accepted_projects;
pub mod audit;
pub mod collection;
pub mod daily_cap;
pub mod item;
pub mod members;
pub mod models;
pub mod money;
pub mod ownership;
pub mod settings;
pub mod transaction;
pub mod withdrawals;

use crate::http::{
    extract::Parsed,
    wire::{AddressText, name_warning},
};
use haithe_kernel::WalletAddress;
use haithe_orgs::{Organization, Search};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

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
    /// Why the name can deceive, such as an invisible character; absent for an honest name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    name_warning: Option<String>,
    #[schema(value_type = AddressText)]
    owner: WalletAddress,
    created_at: String,
    /// False until the block that created it has `chain.confirmations`. A reorganization can remove it
    /// before that; its address stays its owner's.
    confirmed: bool,
}

/// What to look for in names.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SearchInput {
    /// A part of the name, A to Z in either case.
    #[param(value_type = Option<String>, min_length = 1, max_length = 64)]
    q: Option<Parsed<Search>>,
}

impl SearchInput {
    /// The text, where one was given.
    pub fn name(self) -> Option<Search> {
        self.q.map(|search| search.0)
    }
}

impl From<Organization> for OrgView {
    fn from(org: Organization) -> Self {
        Self {
            id: org.id.0,
            organization_uid: org.uid.to_string(),
            address: org.address,
            orchestrator_idx: org.orchestrator_index,
            name_warning: name_warning(&org.name),
            name: org.name,
            owner: org.owner,
            created_at: org.created_at.legacy(),
            confirmed: org.confirmed,
        }
    }
}
