//! Whether a wallet may give a key the scope it asks for.

use crate::http::ApiError;
use axum::extract::{FromRef, FromRequestParts};
use haithe_identity::api_key::{KeyScope, RouteFamily};
use haithe_inference::Catalogue;
use haithe_kernel::{OrgId, ProjectId, WalletAddress};
use haithe_orgs::{Action, Organizations, Projects};
use http::request::Parts;
use std::{convert::Infallible, sync::Arc};

/// The scope that is asked for.
pub struct Asked {
    pub org: Option<OrgId>,
    pub project: Option<ProjectId>,
    pub models: Option<Vec<String>>,
    pub routes: Option<Vec<RouteFamily>>,
}

/// What a key's scope is checked against.
pub struct Scopes {
    organizations: Arc<Organizations>,
    projects: Arc<Projects>,
    catalogue: Arc<Catalogue>,
}

impl<S> FromRequestParts<S> for Scopes
where
    S: Send + Sync,
    Arc<Organizations>: FromRef<S>,
    Arc<Projects>: FromRef<S>,
    Arc<Catalogue>: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Self {
            organizations: Arc::from_ref(state),
            projects: Arc::from_ref(state),
            catalogue: Arc::from_ref(state),
        })
    }
}

impl Scopes {
    /// The scope, if the wallet itself may act in it. A project brings its organization along.
    ///
    /// # Errors
    /// 404 for what is not the wallet's, 403 where its role does not reach, 400 for unknown models.
    pub async fn read(&self, caller: WalletAddress, asked: Asked) -> Result<KeyScope, ApiError> {
        let Asked {
            mut org,
            project,
            models,
            routes,
        } = asked;
        if let Some(id) = project {
            let access = self.projects.authorize(caller, id, Action::CallAsProject).await?;
            if org.is_some_and(|org| org != access.project.org) {
                return Err(ApiError::parameter(
                    "project_id",
                    "belongs to another organization than `org_id`",
                ));
            }
            org = Some(access.project.org);
        } else if let Some(id) = org {
            self.organizations.authorize(caller, id, Action::ReadOrg).await?;
        }
        let unknown = models
            .iter()
            .flatten()
            .find(|name| self.catalogue.by_name(name).is_none());
        if let Some(name) = unknown {
            return Err(ApiError::parameter(
                "models",
                format_args!("there is no model {name:?}"),
            ));
        }
        Ok(KeyScope {
            org,
            project,
            models,
            routes,
        })
    }
}
