//! Use case: as whom, and on whose account, a call of inference is made.

use crate::{
    model::OrgRole,
    policy::{Action, allows},
    ports::{CallContext, Directory},
};
use haithe_identity::{Credential, Principal, api_key::KeyScope};
use haithe_kernel::{ClientIp, Failure, Kind, OrgUid, ProjectUid, StoreError, WalletAddress};
use quick_cache::{UnitWeighter, sync::Cache};
use std::sync::Arc;

/// Resolved contexts kept in memory.
const CACHED_CONTEXTS: u64 = 50_000;
/// Those for which there is room without asking the allocator again.
const ROOM_AT_FIRST: usize = 64;

/// Why a call has no context.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// A header is needed and absent.
    #[error(
        "name the organization and the project: send the headers Haithe-Organization and Haithe-Project, or use an API key scoped to a project"
    )]
    Missing,
    /// The key is for another organization or project.
    #[error("this API key is for another organization or project")]
    KeyScope,
    /// Missing, or none of the caller's business: both answer alike.
    #[error("no such organization or project")]
    NotFound,
    /// The caller may see the project and may not call as it.
    #[error("your role does not allow calls as this project")]
    Forbidden,
    /// The payer allows calls from other networks only.
    #[error("the paying organization does not allow calls from this address")]
    Address,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure for ContextError {
    fn kind(&self) -> Kind {
        match self {
            Self::Missing => Kind::Invalid,
            Self::KeyScope | Self::Forbidden | Self::Address => Kind::Forbidden,
            Self::NotFound => Kind::NotFound,
            Self::Store(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Missing => "context_missing",
            Self::KeyScope => "key_scope",
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::Address => "ip_not_allowed",
            Self::Store(error) => error.code(),
        }
    }
}

/// What the context headers say, and where the request comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContextClaim {
    /// The organization that pays.
    pub org: Option<OrgUid>,
    /// The project that is called.
    pub project: Option<ProjectUid>,
    /// The caller's address, as far as that is known. The payer may allow some only.
    pub from: Option<ClientIp>,
}

type Key = (OrgUid, ProjectUid, WalletAddress);

/// Resolves context headers and key scopes, from memory while the directory stands still.
pub struct Contexts {
    directory: Arc<dyn Directory>,
    cache: Cache<Key, (u64, Arc<CallContext>)>,
    scopes: Cache<(i64, u64), (OrgUid, Option<ProjectUid>)>,
}

impl Contexts {
    /// Composes the use case.
    pub fn new(directory: Arc<dyn Directory>) -> Self {
        Self {
            directory,
            cache: Cache::with_weighter(ROOM_AT_FIRST, CACHED_CONTEXTS, UnitWeighter),
            scopes: Cache::with_weighter(ROOM_AT_FIRST, CACHED_CONTEXTS, UnitWeighter),
        }
    }

    /// The context of a call, if the caller may make calls in it.
    ///
    /// The payer's owner and admins, and the project's admins and developers, may call as a project
    /// of the payer. A public project of another organization may be called by the payer's owner
    /// and admins.
    ///
    /// # Errors
    /// [`ContextError`]; strangers and missing objects answer alike.
    pub async fn resolve(
        &self,
        caller: &Principal,
        claim: ContextClaim,
    ) -> Result<Arc<CallContext>, ContextError> {
        // Read before the rows are, so that a change in between makes the entry stale, not wrong.
        let version = self.directory.version();
        let (org, project) = self.named(caller, claim, version).await?;
        self.resolved(version, (org, project, caller.address), claim.from)
            .await
    }

    /// The context of a call that the service makes for a wallet, as [`Contexts::resolve`].
    ///
    /// # Errors
    /// [`ContextError`].
    pub async fn of_wallet(
        &self,
        wallet: WalletAddress,
        payer: OrgUid,
        project: ProjectUid,
        from: Option<ClientIp>,
    ) -> Result<Arc<CallContext>, ContextError> {
        let version = self.directory.version();
        self.resolved(version, (payer, project, wallet), from).await
    }

    async fn resolved(
        &self,
        version: u64,
        key: Key,
        from: Option<ClientIp>,
    ) -> Result<Arc<CallContext>, ContextError> {
        let context = match self.cache.get(&key) {
            Some((cached, context)) if cached == version => context,
            _ => {
                let (org, project, wallet) = key;
                let found = self.directory.context(org, project, wallet).await?;
                let context = Arc::new(found.ok_or(ContextError::NotFound)?);
                self.cache.insert(key, (version, Arc::clone(&context)));
                context
            }
        };
        permitted(&context)?;
        // Last, so that strangers learn nothing of the list.
        if !context.settings.ip_allowlist.allows(from) {
            return Err(ContextError::Address);
        }
        Ok(context)
    }

    async fn named(
        &self,
        caller: &Principal,
        claim: ContextClaim,
        version: u64,
    ) -> Result<(OrgUid, ProjectUid), ContextError> {
        let scope = match &caller.credential {
            Credential::ApiKey(key) if key.scope.org.is_some() || key.scope.project.is_some() => {
                Some(self.scope(key.id.0, &key.scope, version).await?)
            }
            _ => None,
        };
        let Some((org, project)) = scope else {
            return claim.org.zip(claim.project).ok_or(ContextError::Missing);
        };
        let foreign = claim.org.is_some_and(|claimed| claimed != org)
            || project
                .zip(claim.project)
                .is_some_and(|(own, claimed)| own != claimed);
        if foreign {
            return Err(ContextError::KeyScope);
        }
        Ok((org, project.or(claim.project).ok_or(ContextError::Missing)?))
    }

    async fn scope(
        &self,
        key: i64,
        scope: &KeyScope,
        version: u64,
    ) -> Result<(OrgUid, Option<ProjectUid>), ContextError> {
        if let Some(uids) = self.scopes.get(&(key, version)) {
            return Ok(uids);
        }
        let uids = self
            .directory
            .uids(scope.org, scope.project)
            .await?
            .ok_or(ContextError::NotFound)?;
        self.scopes.insert((key, version), uids);
        Ok(uids)
    }
}

fn permitted(context: &CallContext) -> Result<(), ContextError> {
    let standing = context.standing;
    if context.project.org == context.payer.id {
        if !allows(standing, Action::ReadOrg) {
            return Err(ContextError::NotFound);
        }
        return if allows(standing, Action::CallAsProject) {
            Ok(())
        } else {
            Err(ContextError::Forbidden)
        };
    }
    let pays = standing.owner || standing.org == Some(OrgRole::Admin);
    if pays && context.project.public {
        Ok(())
    } else {
        Err(ContextError::NotFound)
    }
}

#[cfg(test)]
mod tests;
