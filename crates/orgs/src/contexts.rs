//! Use case: as whom, and on whose account, a call of inference is made.

use crate::{
    model::OrgRole,
    policy::{Action, allows},
    ports::{CallContext, Directory},
};
use haithe_identity::{Credential, Principal, api_key::KeyScope};
use haithe_kernel::{Failure, Kind, OrgUid, ProjectUid, StoreError, WalletAddress};
use moka::sync::Cache;
use std::{net::IpAddr, sync::Arc};

/// Resolved contexts kept in memory.
const CACHED_CONTEXTS: u64 = 50_000;

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
    pub from: Option<IpAddr>,
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
            cache: Cache::new(CACHED_CONTEXTS),
            scopes: Cache::new(CACHED_CONTEXTS),
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
        from: Option<IpAddr>,
    ) -> Result<Arc<CallContext>, ContextError> {
        let version = self.directory.version();
        self.resolved(version, (payer, project, wallet), from).await
    }

    async fn resolved(
        &self,
        version: u64,
        key: Key,
        from: Option<IpAddr>,
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
mod tests {
    use super::*;
    use crate::{
        model::{Organization, Project, ProjectRole, Standing},
        ports::MockDirectory,
        settings::{IpAllowlist, OrgSettings},
    };
    use haithe_identity::{
        api_key::{ApiKey, ApiKeyId, KeyHash},
        session::SessionId,
    };
    use haithe_kernel::{ModelId, OrgId, ProjectId, Timestamp, Usdt};
    use std::sync::atomic::{AtomicU64, Ordering};

    const CALLER: WalletAddress = WalletAddress::new([1; 20]);

    fn org_uid() -> OrgUid {
        "0190a0b0c0d0e0f00102030405060708".parse().unwrap()
    }

    fn project_uid() -> ProjectUid {
        "1190a0b0c0d0e0f00102030405060708".parse().unwrap()
    }

    fn context(standing: Standing, project_org: i64, public: bool) -> CallContext {
        let at = Timestamp::from_seconds(0);
        CallContext {
            payer: Organization {
                id: OrgId(1),
                uid: org_uid(),
                address: WalletAddress::new([9; 20]),
                orchestrator_index: 1,
                name: "acme".into(),
                owner: CALLER,
                created_at: at,
                deleted_at: None,
            },
            project: Project {
                id: ProjectId(1),
                uid: project_uid(),
                org: OrgId(project_org),
                name: "agent".into(),
                search_enabled: false,
                memory_enabled: false,
                memory_window: 30,
                memory_retention_days: None,
                skip_unavailable_products: false,
                default_model: ModelId(1),
                price_per_call: Usdt::ZERO,
                public,
                bots: crate::BotTokens::default(),
                created_at: at,
            },
            standing,
            models: vec![ModelId(1)],
            products: Vec::new(),
            settings: OrgSettings::default(),
        }
    }

    fn session() -> Principal {
        Principal {
            address: CALLER,
            credential: Credential::Session(SessionId([0; 32])),
        }
    }

    fn key(scope: KeyScope) -> Principal {
        let key = ApiKey {
            id: ApiKeyId(1),
            address: CALLER,
            nonce: uuid::Uuid::nil(),
            hash: KeyHash([0; 32]),
            name: "k".into(),
            is_default: false,
            scope,
            expires_at: None,
            budget: None,
            requests_per_minute: None,
            tokens_per_minute: None,
            issued_at: Timestamp::from_seconds(0),
            last_used_at: None,
            revoked_at: None,
        };
        Principal {
            address: CALLER,
            credential: Credential::ApiKey(Arc::new(key)),
        }
    }

    fn both() -> ContextClaim {
        ContextClaim {
            org: Some(org_uid()),
            project: Some(project_uid()),
            from: None,
        }
    }

    fn directory(context: CallContext) -> MockDirectory {
        let mut directory = MockDirectory::new();
        directory.expect_version().returning(|| 1);
        directory
            .expect_context()
            .returning(move |_, _, _| Ok(Some(context.clone())));
        directory
    }

    async fn code(directory: MockDirectory, caller: Principal, claim: ContextClaim) -> &'static str {
        let resolved = Contexts::new(Arc::new(directory)).resolve(&caller, claim).await;
        resolved.map_or_else(|error| error.code(), |_| "ok")
    }

    #[tokio::test]
    async fn roles_decide_who_calls_as_a_project() {
        let owner = Standing {
            owner: true,
            ..Standing::default()
        };
        let org = |role| Standing {
            org: Some(role),
            ..Standing::default()
        };
        let project = |role| Standing {
            project: Some(role),
            any_project: true,
            ..Standing::default()
        };
        for (standing, own, public) in [
            (owner, "ok", "ok"),
            (org(OrgRole::Admin), "ok", "ok"),
            (org(OrgRole::Member), "forbidden", "not_found"),
            (project(ProjectRole::Admin), "ok", "not_found"),
            (project(ProjectRole::Developer), "ok", "not_found"),
            (project(ProjectRole::Viewer), "forbidden", "not_found"),
            (Standing::default(), "not_found", "not_found"),
        ] {
            assert_eq!(
                code(directory(context(standing, 1, false)), session(), both()).await,
                own,
                "{standing:?}"
            );
            assert_eq!(
                code(directory(context(standing, 2, true)), session(), both()).await,
                public,
                "{standing:?}"
            );
            assert_eq!(
                code(directory(context(standing, 2, false)), session(), both()).await,
                "not_found"
            );
        }
    }

    #[tokio::test]
    async fn a_session_needs_both_headers_and_a_scoped_key_needs_none() {
        let owner = Standing {
            owner: true,
            ..Standing::default()
        };
        let fresh = || {
            let mut directory = directory(context(owner, 1, false));
            directory
                .expect_uids()
                .returning(|_, _| Ok(Some((org_uid(), Some(project_uid())))));
            directory
        };
        let scope = KeyScope {
            project: Some(ProjectId(1)),
            ..KeyScope::default()
        };
        let none = ContextClaim::default();
        assert_eq!(code(fresh(), session(), none).await, "context_missing");
        assert_eq!(
            code(
                fresh(),
                session(),
                ContextClaim {
                    project: None,
                    ..both()
                }
            )
            .await,
            "context_missing"
        );
        assert_eq!(
            code(fresh(), key(KeyScope::default()), none).await,
            "context_missing"
        );
        assert_eq!(code(fresh(), key(scope.clone()), none).await, "ok");
        assert_eq!(code(fresh(), key(scope.clone()), both()).await, "ok");
        let other = ContextClaim {
            org: Some("ff90a0b0c0d0e0f00102030405060708".parse().unwrap()),
            ..none
        };
        assert_eq!(code(fresh(), key(scope), other).await, "key_scope");
    }

    #[tokio::test]
    async fn a_change_of_the_directory_acts_on_the_next_call() {
        let version = Arc::new(AtomicU64::new(1));
        let mut directory = MockDirectory::new();
        let current = version.clone();
        directory
            .expect_version()
            .returning(move || current.load(Ordering::SeqCst));
        let seen = version.clone();
        directory.expect_context().times(2).returning(move |_, _, _| {
            let owner = seen.load(Ordering::SeqCst) == 1;
            Ok(Some(context(
                Standing {
                    owner,
                    ..Standing::default()
                },
                1,
                false,
            )))
        });
        let contexts = Contexts::new(Arc::new(directory));
        contexts.resolve(&session(), both()).await.unwrap();
        contexts.resolve(&session(), both()).await.unwrap();
        version.store(2, Ordering::SeqCst);
        assert!(matches!(
            contexts.resolve(&session(), both()).await,
            Err(ContextError::NotFound)
        ));
    }

    #[tokio::test]
    async fn an_allowlist_of_the_payer_is_asked_last_and_anew_for_every_call() {
        let owner = Standing {
            owner: true,
            ..Standing::default()
        };
        let listed = |standing| {
            let mut context = context(standing, 1, false);
            context.settings.ip_allowlist = IpAllowlist::parse(&["203.0.113.0/24"]).unwrap();
            context
        };
        let from = |text: &str| ContextClaim {
            from: Some(text.parse().unwrap()),
            ..both()
        };
        let contexts = Contexts::new(Arc::new(directory(listed(owner))));
        let asked = async |claim| {
            let resolved = contexts.resolve(&session(), claim).await;
            resolved.map_or_else(|error| error.code(), |_| "ok")
        };
        assert_eq!(asked(from("203.0.113.9")).await, "ok");
        assert_eq!(asked(from("198.51.100.1")).await, "ip_not_allowed");
        assert_eq!(asked(both()).await, "ip_not_allowed", "from nobody knows where");
        let stranger = directory(listed(Standing::default()));
        assert_eq!(code(stranger, session(), from("198.51.100.1")).await, "not_found");
    }
}
