//! A replay is a reading: it takes the right to read what the answer is about.

use crate::{http::ApiError, state::AppState};
use axum::extract::FromRef;
use haithe_kernel::{OrgId, ProjectId, WalletAddress};
use haithe_orgs::{Action, Organizations, Projects};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a kept answer is about, where that is somebody's. A path says it, or the handler does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum About {
    /// An organization, by its number.
    Org(i64),
    /// A project, by its number.
    Project(i64),
}

impl About {
    /// What a path names.
    pub fn of_path(path: &str) -> Option<Self> {
        let number = |rest: &str| rest.split('/').next()?.parse().ok();
        if let Some(rest) = path.strip_prefix("/api/v1/orgs/") {
            return number(rest).map(Self::Org);
        }
        number(path.strip_prefix("/api/v1/projects/")?).map(Self::Project)
    }

    /// Whether the wallet may read it now.
    ///
    /// # Errors
    /// The refusal that a reader without the right gets.
    pub async fn readable_by(self, wallet: WalletAddress, state: &AppState) -> Result<(), ApiError> {
        match self {
            Self::Org(id) => {
                let organizations = Arc::<Organizations>::from_ref(state);
                organizations
                    .authorize(wallet, OrgId(id), Action::ReadOrg)
                    .await?;
            }
            Self::Project(id) => {
                let projects = Arc::<Projects>::from_ref(state);
                projects
                    .authorize(wallet, ProjectId(id), Action::ReadProject)
                    .await?;
            }
        }
        Ok(())
    }
}
