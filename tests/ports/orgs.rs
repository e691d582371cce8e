//! The ports over organizations: `OrgStore`, `StandingStore`, `OrgMemberStore`, `OrgModelStore`.

use crate::{
    database::{Database, NOON, on_every_database},
    world::{World, wallet},
};
use haithe_billing::chain::EventBody;
use haithe_kernel::{Failure, ModelId, OrgId, Page, Timestamp};
use haithe_orgs::{
    Act, Caller, OrgRole, Organization, ProjectRole, Standing,
    members::{Edit, decided, of_organization, of_project},
};
use std::{collections::BTreeMap, time::Duration};

/// What the owner does at a second past noon.
fn done(second: u8) -> Act {
    Caller::from(wallet(1)).acts(at(second))
}

fn at(second: u8) -> Timestamp {
    NOON.plus(Duration::from_secs(u64::from(second)))
}

async fn names<D: Database>(world: &World<D>, number: u8) -> Vec<String> {
    let orgs = world
        .db
        .orgs()
        .of_wallet(wallet(number), None, Page::FIRST)
        .await
        .unwrap();
    assert_eq!(orgs.total, orgs.items.len() as u64);
    orgs.items.into_iter().map(|org| org.name).collect()
}

async fn an_organization_appears_by_indexing_and_is_found_every_way(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    assert_eq!(
        (org.name.as_str(), org.owner, org.orchestrator_index),
        ("Acme", wallet(1), 1)
    );
    assert_eq!(org.deleted_at, None);
    let orgs = world.db.orgs();
    assert_eq!(orgs.find(org.id).await.unwrap(), Some(org.clone()));
    assert_eq!(
        orgs.find_by_address(org.address).await.unwrap(),
        Some(org.clone())
    );
    assert_eq!(orgs.newest_owned(wallet(1)).await.unwrap(), Some(org.clone()));
    assert_eq!(orgs.count().await.unwrap(), 1);
    assert_eq!(orgs.find(OrgId(org.id.0 + 1)).await.unwrap(), None);
    assert_eq!(orgs.find_by_address(wallet(1)).await.unwrap(), None);
    assert_eq!(orgs.newest_owned(wallet(2)).await.unwrap(), None);
}

async fn a_wallet_sees_what_it_owns_belongs_to_or_works_in_newest_first(db: impl Database) {
    let mut world = World::over(db).await;
    let first = world.organization("first", wallet(1)).await;
    let second = world.organization("second", wallet(2)).await;
    let third = world.organization("third", wallet(3)).await;
    world.organization("fourth", wallet(4)).await;
    world
        .db
        .org_members()
        .put_member(first.id, wallet(3), OrgRole::Member, decided(), done(3))
        .await
        .unwrap();
    let project = world.project(&second).await;
    let developer = ProjectRole::Developer;
    world
        .db
        .projects()
        .put_member(project.id, wallet(3), developer, decided(), done(1))
        .await
        .unwrap();
    assert_eq!(names(&world, 3).await, ["third", "second", "first"]);
    assert_eq!(names(&world, 1).await, ["first"]);
    assert_eq!(names(&world, 9).await, Vec::<String>::new());
    assert_eq!(
        world.db.orgs().newest_owned(wallet(3)).await.unwrap(),
        Some(third)
    );
}

async fn renaming_changes_the_displayed_name(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let orgs = world.db.orgs();
    let renamed = orgs
        .rename(org.id, "Bcme".into(), done(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(renamed.name, "Bcme");
    assert_eq!(orgs.find(org.id).await.unwrap(), Some(renamed));
    assert_eq!(
        orgs.rename(OrgId(org.id.0 + 9), "x".into(), done(1))
            .await
            .unwrap(),
        None
    );
}

async fn a_deleted_organization_is_found_no_more(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let orgs = world.db.orgs();
    let was = orgs.delete(org.id, done(9)).await.unwrap().unwrap();
    assert_eq!((was.id, was.name), (org.id, org.name));
    assert_eq!(orgs.find(org.id).await.unwrap(), None);
    assert_eq!(orgs.find_by_address(org.address).await.unwrap(), None);
    assert_eq!(orgs.newest_owned(wallet(1)).await.unwrap(), None);
    assert_eq!(names(&world, 1).await, Vec::<String>::new());
    assert_eq!(orgs.delete(org.id, done(10)).await.unwrap(), None);
    assert_eq!(orgs.rename(org.id, "again".into(), done(1)).await.unwrap(), None);
}

async fn standing_tells_every_role_apart(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let other = world.organization("Other", wallet(9)).await;
    let project = world.project(&org).await;
    let sibling = world.project(&org).await;
    let members = world.db.org_members();
    let standings = world.db.standings();
    let projects = world.db.projects();
    members
        .put_member(org.id, wallet(2), OrgRole::Admin, decided(), done(2))
        .await
        .unwrap();
    members
        .put_member(org.id, wallet(3), OrgRole::Member, decided(), done(3))
        .await
        .unwrap();
    projects
        .put_member(project.id, wallet(4), ProjectRole::Viewer, decided(), done(1))
        .await
        .unwrap();
    let stand = async |number: u8, of| standings.standing(org.id, of, wallet(number)).await.unwrap();
    let nobody = Standing::default();
    assert_eq!(
        stand(1, None).await,
        Standing {
            owner: true,
            ..nobody
        }
    );
    let admin = Standing {
        org: Some(OrgRole::Admin),
        ..nobody
    };
    assert_eq!(stand(2, Some(project.id)).await, admin);
    let plain = Standing {
        org: Some(OrgRole::Member),
        ..nobody
    };
    assert_eq!(stand(3, None).await, plain);
    let viewer = Standing {
        project: Some(ProjectRole::Viewer),
        any_project: true,
        ..nobody
    };
    assert_eq!(stand(4, Some(project.id)).await, viewer);
    let elsewhere = Standing {
        any_project: true,
        ..nobody
    };
    assert_eq!(stand(4, Some(sibling.id)).await, elsewhere);
    assert_eq!(stand(4, None).await, elsewhere);
    assert_eq!(stand(5, Some(project.id)).await, nobody);
    let stranger = standings
        .standing(other.id, Some(project.id), wallet(1))
        .await
        .unwrap();
    assert_eq!(
        stranger, nobody,
        "a project of another organization gives no standing here"
    );
    let foreign_project = standings
        .standing(other.id, Some(project.id), wallet(4))
        .await
        .unwrap();
    assert_eq!(foreign_project, nobody);
}

async fn members_are_listed_newest_first_without_the_owner(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let members = world.db.org_members();
    for number in [2, 3, 4] {
        members
            .put_member(org.id, wallet(number), OrgRole::Member, decided(), done(number))
            .await
            .unwrap();
    }
    let changed = members
        .put_member(org.id, wallet(3), OrgRole::Admin, decided(), done(3))
        .await
        .unwrap();
    assert_eq!(changed.role, OrgRole::Admin);
    let listed = members.members(org.id, None, Page::FIRST).await.unwrap();
    assert_eq!(listed.total, 3);
    let listed: Vec<_> = listed.items.iter().map(|m| (m.address, m.role)).collect();
    let (plain, admin) = (OrgRole::Member, OrgRole::Admin);
    assert_eq!(
        listed,
        [(wallet(4), plain), (wallet(3), admin), (wallet(2), plain)]
    );
    assert_eq!(
        members.role(org.id, wallet(3)).await.unwrap(),
        Some(OrgRole::Admin)
    );
    assert_eq!(members.role(org.id, wallet(1)).await.unwrap(), None);
}

async fn removing_a_member_takes_its_roles_in_the_projects_too(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let other = world.organization("Other", wallet(1)).await;
    let (here, there) = (world.project(&org).await, world.project(&other).await);
    let members = world.db.org_members();
    let projects = world.db.projects();
    members
        .put_member(org.id, wallet(2), OrgRole::Admin, decided(), done(2))
        .await
        .unwrap();
    for project in [&here, &there] {
        projects
            .put_member(project.id, wallet(2), ProjectRole::Developer, decided(), done(1))
            .await
            .unwrap();
    }
    let removed = members
        .remove_member(org.id, wallet(2), decided(), done(9))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((removed.address, removed.role), (wallet(2), OrgRole::Admin));
    assert_eq!(members.role(org.id, wallet(2)).await.unwrap(), None);
    assert!(
        projects
            .members(here.id, None, Page::FIRST)
            .await
            .unwrap()
            .items
            .is_empty()
    );
    assert_eq!(
        projects.members(there.id, None, Page::FIRST).await.unwrap().total,
        1,
        "another organization's project"
    );
    assert_eq!(
        members
            .remove_member(org.id, wallet(2), decided(), done(9))
            .await
            .unwrap(),
        None
    );
}

async fn models_are_enabled_and_disabled_per_organization(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let other = world.organization("Other", wallet(1)).await;
    let models = world.db.org_models();
    let before = models.models(other.id).await.unwrap();
    for model in [7, 8, 7] {
        models
            .enable_model(org.id, ModelId(model), done(1))
            .await
            .unwrap();
    }
    let enabled = models.models(org.id).await.unwrap();
    assert_eq!(enabled.iter().filter(|model| model.0 == 7).count(), 1);
    assert!(enabled.contains(&ModelId(8)));
    assert!(models.disable_model(org.id, ModelId(7), done(2)).await.unwrap());
    assert!(!models.disable_model(org.id, ModelId(7), done(2)).await.unwrap());
    assert!(!models.models(org.id).await.unwrap().contains(&ModelId(7)));
    assert_eq!(models.models(other.id).await.unwrap(), before);
}

async fn the_owner_follows_the_chain_and_a_rewind(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let sold = EventBody::OwnershipTransferred {
        org: org.address,
        from: wallet(1),
        to: wallet(2),
    };
    world.mine_one(sold).await;
    let owner = |org: Option<Organization>| org.unwrap().owner;
    assert_eq!(owner(world.db.orgs().find(org.id).await.unwrap()), wallet(2));
    assert_eq!(names(&world, 1).await, Vec::<String>::new());
    world.rewind(1).await;
    assert_eq!(owner(world.db.orgs().find(org.id).await.unwrap()), wallet(1));
    assert!(
        world
            .db
            .standings()
            .standing(org.id, None, wallet(1))
            .await
            .unwrap()
            .owner
    );
}

async fn of_many_changes_at_once_each_is_judged_by_what_is_there(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let members = world.db.org_members();
    for (number, role) in [(2, OrgRole::Admin), (3, OrgRole::Member)] {
        members
            .put_member(org.id, wallet(number), role, decided(), done(number))
            .await
            .unwrap();
    }
    // The owner makes it an admin and a member by turns; an admin may touch it only in between.
    let changing = (0..100u8).map(|number| {
        let members = world.db.org_members();
        tokio::spawn(async move {
            let (by, edit) = match number % 4 {
                0 => (wallet(1), Edit::Change(OrgRole::Admin)),
                1 => (wallet(1), Edit::Change(OrgRole::Member)),
                2 => (wallet(2), Edit::Remove),
                _ => (wallet(2), Edit::Add(OrgRole::Member)),
            };
            let judge = of_organization(by, wallet(3), edit);
            let act = Caller::from(by).acts(at(4));
            let done = match edit {
                Edit::Add(role) | Edit::Change(role) => members
                    .put_member(org.id, wallet(3), role, judge, act)
                    .await
                    .map(drop),
                Edit::Remove => members
                    .remove_member(org.id, wallet(3), judge, act)
                    .await
                    .map(drop),
            };
            done.map_err(|error| error.code())
        })
    });
    let mut outcomes = BTreeMap::<_, usize>::new();
    for outcome in futures::future::join_all(changing).await {
        *outcomes.entry(outcome.unwrap()).or_default() += 1;
    }
    let lines = world.db.audit().of_org(org.id, None, Page::FIRST).await.unwrap();
    let about = Some(wallet(3).to_string());
    let mut now = None::<String>;
    let mut changes = 0;
    for line in lines.items.iter().rev().filter(|line| line.subject == about) {
        assert_eq!(
            line.before, now,
            "each line begins where the one before it ended: {line:?}"
        );
        if line.act.by.address == wallet(2) {
            assert_ne!(line.before.as_deref(), Some("admin"), "{line:?}");
        }
        now = line.after.clone();
        changes += 1;
    }
    assert!(changes > 1, "{outcomes:?}");
    let present = members.role(org.id, wallet(3)).await.unwrap();
    assert_eq!(present.map(|role| role.as_str().to_owned()), now);
}

async fn a_member_is_added_once_however_many_add_it(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let project = world.project(&org).await;
    let adding = (0..100).map(|_| {
        let members = world.db.org_members();
        let projects = world.db.projects();
        tokio::spawn(async move {
            let (by, member, role) = (wallet(1), wallet(2), OrgRole::Member);
            let judge = of_organization(by, member, Edit::Add(role));
            let in_org = members.put_member(org.id, member, role, judge, done(1)).await;
            let role = ProjectRole::Viewer;
            let judge = of_project(by, member, Edit::Add(role));
            let in_project = projects
                .put_member(project.id, member, role, judge, done(1))
                .await;
            (in_org.is_ok(), in_project.is_ok())
        })
    });
    let added = futures::future::join_all(adding).await;
    let added: Vec<_> = added.into_iter().map(|added| added.unwrap()).collect();
    assert_eq!(added.iter().filter(|(in_org, _)| *in_org).count(), 1);
    assert_eq!(added.iter().filter(|(_, in_project)| *in_project).count(), 1);
}

async fn whoever_lost_its_role_changes_nobody(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let members = world.db.org_members();
    let judge = || of_organization(wallet(2), wallet(3), Edit::Add(OrgRole::Member));
    let act = || Caller::from(wallet(2)).acts(at(5));
    let add = || members.put_member(org.id, wallet(3), OrgRole::Member, judge(), act());
    assert_eq!(add().await.unwrap_err().code(), "not_found", "a stranger");
    members
        .put_member(org.id, wallet(2), OrgRole::Member, decided(), done(1))
        .await
        .unwrap();
    assert_eq!(add().await.unwrap_err().code(), "forbidden");
    members
        .put_member(org.id, wallet(2), OrgRole::Admin, decided(), done(2))
        .await
        .unwrap();
    members
        .remove_member(org.id, wallet(2), decided(), done(3))
        .await
        .unwrap();
    assert_eq!(add().await.unwrap_err().code(), "not_found", "no more");
    assert_eq!(members.role(org.id, wallet(3)).await.unwrap(), None);
    let projects = world.db.projects();
    let project = world.project(&org).await;
    let judge = of_project(wallet(2), wallet(3), Edit::Add(ProjectRole::Viewer));
    let refused = projects
        .put_member(project.id, wallet(3), ProjectRole::Viewer, judge, act())
        .await;
    assert_eq!(refused.unwrap_err().code(), "not_found");
}

on_every_database!(
    of_many_changes_at_once_each_is_judged_by_what_is_there,
    a_member_is_added_once_however_many_add_it,
    whoever_lost_its_role_changes_nobody,
    an_organization_appears_by_indexing_and_is_found_every_way,
    a_wallet_sees_what_it_owns_belongs_to_or_works_in_newest_first,
    renaming_changes_the_displayed_name,
    a_deleted_organization_is_found_no_more,
    standing_tells_every_role_apart,
    members_are_listed_newest_first_without_the_owner,
    removing_a_member_takes_its_roles_in_the_projects_too,
    models_are_enabled_and_disabled_per_organization,
    the_owner_follows_the_chain_and_a_rewind,
);
