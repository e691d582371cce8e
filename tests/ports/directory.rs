//! [`Directory`]: what the hot path asks before every call, and when its answers go stale.

use crate::{
    database::{Database, on_every_database},
    world::{World, act, unknown_org, wallet},
};
use haithe_billing::chain::EventBody;
use haithe_kernel::{ModelId, ProjectUid};
use haithe_orgs::{OrgRole, OrgSettingsChange, ProjectChange, ProjectRole, PromptLog, members::decided};
use std::time::Duration;
use uuid::Uuid;

const NOTICE: haithe_orgs::PriceNotice = haithe_orgs::PriceNotice(Duration::from_secs(604_800));

async fn a_context_holds_payer_project_standing_and_models(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let project = world.project(&org).await;
    world
        .db
        .org_models()
        .enable_model(org.id, ModelId(5), act(wallet(1)))
        .await
        .unwrap();
    world
        .db
        .projects()
        .put_member(
            project.id,
            wallet(2),
            ProjectRole::Developer,
            decided(),
            act(wallet(1)),
        )
        .await
        .unwrap();
    let directory = world.db.directory();
    let owner = directory
        .context(org.uid, project.uid, wallet(1))
        .await
        .unwrap()
        .unwrap();
    assert!(owner.standing.owner);
    assert_eq!((owner.payer, owner.project), (org.clone(), project.clone()));
    assert_eq!(owner.models, world.db.org_models().models(org.id).await.unwrap());
    assert!(owner.models.contains(&ModelId(5)));
    let developer = directory
        .context(org.uid, project.uid, wallet(2))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(developer.standing.project, Some(ProjectRole::Developer));
    let stranger = directory
        .context(org.uid, project.uid, wallet(3))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stranger.standing, haithe_orgs::Standing::default());
}

async fn what_is_missing_has_no_context(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let project = world.project(&org).await;
    let directory = world.db.directory();
    let unknown = ProjectUid::new(Uuid::nil());
    assert_eq!(
        directory
            .context(unknown_org(), project.uid, wallet(1))
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        directory.context(org.uid, unknown, wallet(1)).await.unwrap(),
        None
    );
    world
        .db
        .projects()
        .delete(project.id, act(wallet(1)))
        .await
        .unwrap();
    assert_eq!(
        directory.context(org.uid, project.uid, wallet(1)).await.unwrap(),
        None
    );
}

async fn a_payer_has_no_standing_in_another_organizations_project(db: impl Database) {
    let mut world = World::over(db).await;
    let payer = world.organization("Payer", wallet(1)).await;
    let seller = world.organization("Seller", wallet(2)).await;
    let project = world.project(&seller).await;
    world
        .db
        .projects()
        .put_member(
            project.id,
            wallet(1),
            ProjectRole::Admin,
            decided(),
            act(wallet(1)),
        )
        .await
        .unwrap();
    let context = world
        .db
        .directory()
        .context(payer.uid, project.uid, wallet(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((context.payer.id, context.project.org), (payer.id, seller.id));
    assert!(context.standing.owner);
    assert_eq!(context.standing.project, None);
}

async fn uids_name_a_scope(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let project = world.project(&org).await;
    let directory = world.db.directory();
    let both = directory.uids(Some(org.id), Some(project.id)).await.unwrap();
    assert_eq!(both, Some((org.uid, Some(project.uid))));
    assert_eq!(
        directory.uids(Some(org.id), None).await.unwrap(),
        Some((org.uid, None))
    );
    let by_project = directory.uids(None, Some(project.id)).await.unwrap();
    assert_eq!(by_project, Some((org.uid, Some(project.uid))));
    world
        .db
        .projects()
        .delete(project.id, act(wallet(1)))
        .await
        .unwrap();
    assert_eq!(directory.uids(None, Some(project.id)).await.unwrap(), None);
}

async fn every_change_makes_older_answers_stale(db: impl Database) {
    let mut world = World::over(db).await;
    let directory = world.db.directory();
    let mut last = directory.version();
    let mut grew = |what: &str| {
        let now = directory.version();
        assert!(now > last, "{what} left the version at {now}");
        last = now;
    };
    let org = world.organization("Acme", wallet(1)).await;
    grew("an organization");
    let project = world.project(&org).await;
    grew("a project");
    let orgs = world.db.orgs();
    let members = world.db.org_members();
    let models = world.db.org_models();
    let settings = world.db.org_settings();
    let projects = world.db.projects();
    members
        .put_member(org.id, wallet(2), OrgRole::Admin, decided(), act(wallet(1)))
        .await
        .unwrap();
    grew("a member");
    projects
        .put_member(
            project.id,
            wallet(3),
            ProjectRole::Viewer,
            decided(),
            act(wallet(1)),
        )
        .await
        .unwrap();
    grew("a project member");
    projects
        .remove_member(project.id, wallet(3), decided(), act(wallet(1)))
        .await
        .unwrap();
    grew("a project member's departure");
    members
        .remove_member(org.id, wallet(2), decided(), act(wallet(1)))
        .await
        .unwrap();
    grew("a member's departure");
    models
        .enable_model(org.id, ModelId(5), act(wallet(1)))
        .await
        .unwrap();
    grew("an enabled model");
    models
        .disable_model(org.id, ModelId(5), act(wallet(1)))
        .await
        .unwrap();
    grew("a disabled model");
    orgs.rename(org.id, "Bcme".into(), act(wallet(1))).await.unwrap();
    grew("a new name");
    let logged = OrgSettingsChange {
        prompt_log: Some(PromptLog::Full),
        ..OrgSettingsChange::default()
    };
    settings
        .change_settings(org.id, logged, act(wallet(1)))
        .await
        .unwrap();
    grew("a changed setting");
    let context = directory.context(org.uid, project.uid, wallet(1)).await;
    assert_eq!(context.unwrap().unwrap().settings.prompt_log, PromptLog::Full);
    let public = ProjectChange {
        public: Some(true),
        ..ProjectChange::default()
    };
    projects
        .change(project.id, public, NOTICE, act(wallet(1)))
        .await
        .unwrap();
    grew("a changed project");
    let sold = EventBody::OwnershipTransferred {
        org: org.address,
        from: wallet(1),
        to: wallet(2),
    };
    world.mine_one(sold).await;
    grew("a new owner");
    world.rewind(1).await;
    grew("a rewind");
    projects.delete(project.id, act(wallet(1))).await.unwrap();
    grew("a deleted project");
    orgs.delete(org.id, act(wallet(1))).await.unwrap();
    grew("a deleted organization");
}

async fn reading_and_spending_leave_answers_fresh(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", crate::world::nano(100)).await;
    let before = world.db.directory().version();
    world
        .db
        .directory()
        .context(org.uid, project.uid, wallet(1))
        .await
        .unwrap();
    world.spend(&org, &project, crate::world::nano(1)).await;
    assert_eq!(world.db.directory().version(), before);
}

on_every_database!(
    a_context_holds_payer_project_standing_and_models,
    what_is_missing_has_no_context,
    a_payer_has_no_standing_in_another_organizations_project,
    uids_name_a_scope,
    every_change_makes_older_answers_stale,
    reading_and_spending_leave_answers_fresh,
);
