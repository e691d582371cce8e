//! Who calls as what, over a mocked directory.

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
use haithe_kernel::{ModelId, OrgId, PriceSchedule, ProjectId, Timestamp};
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
            confirmed: true,
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
            price_per_call: PriceSchedule::default(),
            public,
            bots: crate::BotTokens::default(),
            created_at: at,
        },
        standing,
        models: vec![ModelId(1)],
        products: Vec::new(),
        settings: OrgSettings::default(),
        accepted: None,
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
