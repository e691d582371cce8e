//! [`ProjectStore`].

use crate::{
    database::{Database, on_every_database},
    world::{World, act, new_project, wallet},
};
use haithe_kernel::{Listed, ModelId, Page, PriceSchedule, ProjectId, ProjectUid};
use haithe_orgs::{
    OrgError, PriceNotice, Project, ProjectChange, ProjectMember, ProjectRole, members::decided,
};
use std::time::Duration;
use uuid::Uuid;

const NOTICE: PriceNotice = PriceNotice(Duration::from_secs(604_800));

async fn a_project_starts_private_free_and_with_the_documented_defaults(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let new = new_project(org.id, "Agent");
    let made = world
        .db
        .projects()
        .create(new.clone(), act(wallet(1)))
        .await
        .unwrap();
    assert_eq!(
        (made.uid, made.org, made.name.as_str()),
        (new.uid, org.id, "Agent")
    );
    assert_eq!(
        (made.default_model, made.created_at),
        (new.default_model, new.created_at)
    );
    assert_eq!(
        (made.search_enabled, made.memory_enabled, made.public),
        (false, false, false)
    );
    assert_eq!(made.memory_window, 30);
    assert_eq!(made.memory_retention_days, None);
    assert_eq!(made.price_per_call, PriceSchedule::default());
    let projects = world.db.projects();
    assert_eq!(projects.find(made.id).await.unwrap(), Some(made.clone()));
    assert_eq!(projects.find_by_uid(made.uid).await.unwrap(), Some(made.clone()));
    assert_eq!(projects.find(ProjectId(made.id.0 + 1)).await.unwrap(), None);
    let unknown = ProjectUid::new(Uuid::nil());
    assert_eq!(projects.find_by_uid(unknown).await.unwrap(), None);
}

async fn a_change_touches_only_what_it_names(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let made = world.project(&org).await;
    let projects = world.db.projects();
    let everything = ProjectChange {
        name: Some("Other".into()),
        search_enabled: Some(true),
        memory_enabled: Some(true),
        memory_window: Some(100),
        memory_retention_days: Some(Some(365)),
        skip_unavailable_products: Some(true),
        default_model: Some(ModelId(3)),
        price_per_call: Some(haithe_kernel::Usdt::from_nano(i64::MAX)),
        public: Some(true),
    };
    let changed = projects
        .change(made.id, everything, NOTICE, act(wallet(1)))
        .await
        .unwrap()
        .unwrap();
    let expected = Project {
        name: "Other".into(),
        search_enabled: true,
        memory_enabled: true,
        memory_window: 100,
        memory_retention_days: Some(365),
        skip_unavailable_products: true,
        default_model: ModelId(3),
        price_per_call: PriceSchedule::fixed(haithe_kernel::Usdt::from_nano(i64::MAX)),
        public: true,
        ..made.clone()
    };
    assert_eq!(changed, expected);
    let forget = ProjectChange {
        memory_retention_days: Some(None),
        ..ProjectChange::default()
    };
    let changed = projects
        .change(made.id, forget, NOTICE, act(wallet(1)))
        .await
        .unwrap()
        .unwrap();
    let expected = Project {
        memory_retention_days: None,
        ..expected
    };
    assert_eq!(changed, expected);
    assert_eq!(projects.find(made.id).await.unwrap(), Some(expected));
    let nobody = projects.change(
        ProjectId(made.id.0 + 9),
        ProjectChange::default(),
        NOTICE,
        act(wallet(1)),
    );
    assert_eq!(nobody.await.unwrap(), None);
}

async fn lists_are_newest_first_and_per_organization_or_wallet(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let other = world.organization("Other", wallet(1)).await;
    let first = world.project(&org).await;
    let second = world.project(&org).await;
    let foreign = world.project(&other).await;
    let projects = world.db.projects();
    for project in [&first, &foreign] {
        projects
            .put_member(
                project.id,
                wallet(2),
                ProjectRole::Viewer,
                decided(),
                act(wallet(1)),
            )
            .await
            .unwrap();
    }
    let ids = |list: Listed<Project>| list.items.iter().map(|project| project.id).collect::<Vec<_>>();
    assert_eq!(
        ids(projects.of_org(org.id, None, Page::FIRST).await.unwrap()),
        [second.id, first.id]
    );
    assert_eq!(
        ids(projects.of_wallet(wallet(2), None, Page::FIRST).await.unwrap()),
        [foreign.id, first.id]
    );
    assert!(
        projects
            .of_wallet(wallet(1), None, Page::FIRST)
            .await
            .unwrap()
            .items
            .is_empty(),
        "owning is no project role"
    );
}

async fn members_come_change_and_go(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let project = world.project(&org).await;
    let projects = world.db.projects();
    projects
        .put_member(
            project.id,
            wallet(2),
            ProjectRole::Viewer,
            decided(),
            act(wallet(1)),
        )
        .await
        .unwrap();
    let admin = ProjectMember {
        project: project.id,
        address: wallet(2),
        role: ProjectRole::Admin,
    };
    let put = projects
        .put_member(
            project.id,
            wallet(2),
            ProjectRole::Admin,
            decided(),
            act(wallet(1)),
        )
        .await
        .unwrap();
    assert_eq!(put, admin);
    let members = projects.members(project.id, None, Page::FIRST).await.unwrap();
    assert_eq!(members.items, std::slice::from_ref(&admin));
    assert_eq!(
        projects
            .remove_member(project.id, wallet(2), decided(), act(wallet(1)))
            .await
            .unwrap(),
        Some(admin)
    );
    assert_eq!(
        projects
            .remove_member(project.id, wallet(2), decided(), act(wallet(1)))
            .await
            .unwrap(),
        None
    );
}

async fn a_deleted_project_is_gone_and_its_receipts_stay(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", crate::world::nano(100)).await;
    let call = world.spend(&org, &project, crate::world::nano(40)).await;
    world
        .db
        .projects()
        .put_member(
            project.id,
            wallet(2),
            ProjectRole::Viewer,
            decided(),
            act(wallet(1)),
        )
        .await
        .unwrap();
    let was = world
        .db
        .projects()
        .delete(project.id, act(wallet(1)))
        .await
        .unwrap();
    assert_eq!(was.map(|was| was.id), Some(project.id));
    assert_eq!(world.db.projects().find(project.id).await.unwrap(), None);
    assert_eq!(world.db.projects().find_by_uid(project.uid).await.unwrap(), None);
    assert!(
        world
            .db
            .projects()
            .of_org(org.id, None, Page::FIRST)
            .await
            .unwrap()
            .items
            .is_empty()
    );
    assert!(
        world
            .db
            .projects()
            .of_wallet(wallet(2), None, Page::FIRST)
            .await
            .unwrap()
            .items
            .is_empty()
    );
    assert_eq!(
        world
            .db
            .projects()
            .delete(project.id, act(wallet(1)))
            .await
            .unwrap(),
        None
    );
    assert!(world.db.books().receipt(call).await.unwrap().is_some());
    world.assert_sound().await;
}

/// Finding 24: names are compared by their keys, per organization, among projects that are not deleted.
async fn a_name_is_used_once_in_an_organization(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let other = world.organization("Other", wallet(1)).await;
    let projects = world.db.projects();
    let create = |org, name| projects.create(new_project(org, name), act(wallet(1)));
    let first = create(org.id, "Agent").await.unwrap();
    let second = create(org.id, "Agents").await.unwrap();
    create(other.id, "Agent").await.unwrap();
    for name in ["Agent", "AGENT", "agent", "\u{ff21}gent"] {
        assert!(
            matches!(create(org.id, name).await, Err(OrgError::ProjectNameTaken)),
            "{name}"
        );
    }
    let rename = |id, name: &str| {
        let change = ProjectChange {
            name: Some(name.into()),
            search_enabled: Some(true),
            ..ProjectChange::default()
        };
        projects.change(id, change, NOTICE, act(wallet(1)))
    };
    assert!(matches!(
        rename(second.id, "agent").await,
        Err(OrgError::ProjectNameTaken)
    ));
    let unchanged = projects.find(second.id).await.unwrap().unwrap();
    assert_eq!(
        (unchanged.name.as_str(), unchanged.search_enabled),
        ("Agents", false)
    );
    assert_eq!(rename(first.id, "AGENT").await.unwrap().unwrap().name, "AGENT");
    projects.delete(first.id, act(wallet(1))).await.unwrap();
    assert_eq!(rename(second.id, "agent").await.unwrap().unwrap().name, "agent");
    assert!(matches!(
        create(org.id, "Agent").await,
        Err(OrgError::ProjectNameTaken)
    ));
    create(org.id, "Agents").await.unwrap();
}

async fn of_many_projects_of_one_name_one_is_created(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let creating = (0..32).map(|_| {
        let projects = world.db.projects();
        let new = new_project(org.id, "Agent");
        tokio::spawn(async move { projects.create(new, act(wallet(1))).await.is_ok() })
    });
    let created = futures::future::join_all(creating).await;
    assert_eq!(
        created.into_iter().filter(|made| *made.as_ref().unwrap()).count(),
        1
    );
}

on_every_database!(
    a_name_is_used_once_in_an_organization,
    of_many_projects_of_one_name_one_is_created,
    a_project_starts_private_free_and_with_the_documented_defaults,
    a_change_touches_only_what_it_names,
    lists_are_newest_first_and_per_organization_or_wallet,
    members_come_change_and_go,
    a_deleted_project_is_gone_and_its_receipts_stay,
);
