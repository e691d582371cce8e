//! `/api/v1/projects`: projects and their members.

pub mod bots;
pub mod item;
pub mod members;
pub mod webhooks;

use crate::http::wire::BaseUnits;
use haithe_kernel::{Decimals, Timestamp};
use haithe_orgs::Project;
use serde::Serialize;
use utoipa::ToSchema;

/// A project on the wire. Bot tokens are never shown.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Project)]
pub struct ProjectView {
    id: i64,
    org_id: i64,
    project_uid: String,
    name: String,
    created_at: String,
    search_enabled: bool,
    memory_enabled: bool,
    memory_window: u8,
    #[schema(required = true)]
    memory_retention_days: Option<u16>,
    skip_unavailable_products: bool,
    default_model_id: i64,
    price_per_call: BaseUnits,
    price_per_call_usdt: String,
    /// The announced price, while it is not in force.
    #[schema(required = true)]
    next_price_per_call: Option<BaseUnits>,
    #[schema(required = true)]
    next_price_per_call_usdt: Option<String>,
    /// When the announced price comes into force; RFC 3339.
    #[schema(required = true)]
    next_price_at: Option<String>,
    public: bool,
    /// `set` where there is one.
    #[schema(required = true)]
    teloxide_token: Option<&'static str>,
    /// `set` where there is one.
    #[schema(required = true)]
    discord_token: Option<&'static str>,
}

impl ProjectView {
    /// The view of a project at this moment.
    pub fn of(project: Project, decimals: Decimals, now: Timestamp) -> Self {
        let price = project.price_per_call.in_force(now);
        let next = project.price_per_call.pending(now);
        Self {
            id: project.id.0,
            org_id: project.org.0,
            project_uid: project.uid.to_string(),
            name: project.name,
            created_at: project.created_at.legacy(),
            search_enabled: project.search_enabled,
            memory_enabled: project.memory_enabled,
            memory_window: project.memory_window,
            memory_retention_days: project.memory_retention_days,
            skip_unavailable_products: project.skip_unavailable_products,
            default_model_id: project.default_model.0,
            price_per_call: BaseUnits::of(price, decimals),
            price_per_call_usdt: price.to_string(),
            next_price_per_call: next.map(|next| BaseUnits::of(next.price, decimals)),
            next_price_per_call_usdt: next.map(|next| next.price.to_string()),
            next_price_at: next.map(|next| next.at.rfc3339()),
            public: project.public,
            teloxide_token: project.bots.telegram.then_some("set"),
            discord_token: project.bots.discord.then_some("set"),
        }
    }
}
