//! [`AcceptedProjectStore`](haithe_orgs::ports::AcceptedProjectStore), and what it means for prices.

use crate::{
    database::{Database, NOON, on_every_database},
    world::{World, act, wallet},
};
use haithe_kernel::{AnnouncedPrice, Page, PriceSchedule, ProjectUid, Usdt};
use haithe_orgs::{Organization, PriceNotice, Project, ProjectChange, audit::AuditAction, ports::Accepting};
use std::time::Duration;
use uuid::Uuid;

const NOTICE: PriceNotice = PriceNotice(Duration::from_secs(604_800));

async fn change<D: Database>(world: &World<D>, project: &Project, change: ProjectChange) -> Project {
    let projects = world.db.projects();
    let changed = projects.change(project.id, change, NOTICE, act(wallet(2)));
    changed.await.unwrap().unwrap()
}

async fn publish<D: Database>(world: &World<D>, project: &Project) -> Project {
    let public = ProjectChange {
        public: Some(true),
        ..ProjectChange::default()
    };
    change(world, project, public).await
}

async fn priced<D: Database>(world: &World<D>, project: &Project, nano: i64) -> PriceSchedule {
    let price = ProjectChange {
        price_per_call: Some(Usdt::from_nano(nano)),
        ..ProjectChange::default()
    };
    change(world, project, price).await.price_per_call
}

async fn accept<D: Database>(
    world: &World<D>,
    org: &Organization,
    project: ProjectUid,
    nano: i64,
) -> Accepting {
    let store = world.db.accepted_projects();
    store
        .put(org.id, project, Usdt::from_nano(nano), act(wallet(1)))
        .await
        .unwrap()
}

async fn only_a_public_project_of_another_organization_is_accepted(db: impl Database) {
    let mut world = World::over(db).await;
    let payer = world.organization("Payer", wallet(1)).await;
    let seller = world.organization("Seller", wallet(2)).await;
    let (own, project) = (world.project(&payer).await, world.project(&seller).await);
    assert_eq!(accept(&world, &payer, project.uid, 5).await, Accepting::NotPublic);
    let unknown = ProjectUid::new(Uuid::nil());
    assert_eq!(accept(&world, &payer, unknown, 5).await, Accepting::NotPublic);
    assert_eq!(accept(&world, &payer, own.uid, 5).await, Accepting::Own);
    publish(&world, &project).await;
    let Accepting::Accepted(accepted) = accept(&world, &payer, project.uid, 5).await else {
        panic!("a public project is accepted");
    };
    assert_eq!(
        (accepted.project, accepted.max_price_per_call.nano()),
        (project.uid, 5)
    );
    assert_eq!((accepted.accepted_by, accepted.accepted_at), (wallet(1), NOON));
    assert_eq!(accepted.offer.map(|offer| offer.name), Some(project.name));
}

async fn a_maximum_is_replaced_and_withdrawn_and_shows_in_the_next_context(db: impl Database) {
    let mut world = World::over(db).await;
    let payer = world.organization("Payer", wallet(1)).await;
    let other = world.organization("Other payer", wallet(1)).await;
    let seller = world.organization("Seller", wallet(2)).await;
    let project = world.project(&seller).await;
    publish(&world, &project).await;
    let directory = world.db.directory();
    let maximum = async |org: &Organization| {
        let context = directory.context(org.uid, project.uid, wallet(1)).await;
        context.unwrap().unwrap().accepted.map(Usdt::nano)
    };
    assert_eq!(maximum(&payer).await, None);
    for nano in [5, 7] {
        let before = directory.version();
        accept(&world, &payer, project.uid, nano).await;
        assert!(directory.version() > before);
        assert_eq!(maximum(&payer).await, Some(nano));
        assert_eq!(maximum(&other).await, None);
    }
    let store = world.db.accepted_projects();
    let listed = store.of_org(payer.id, Page::FIRST).await.unwrap();
    assert_eq!((listed.total, listed.items[0].max_price_per_call.nano()), (1, 7));
    assert_eq!(store.of_org(other.id, Page::FIRST).await.unwrap().total, 0);
    let before = directory.version();
    assert!(store.remove(payer.id, project.uid, act(wallet(1))).await.unwrap());
    assert!(directory.version() > before);
    assert!(!store.remove(payer.id, project.uid, act(wallet(1))).await.unwrap());
    assert_eq!(maximum(&payer).await, None);
}

async fn every_change_of_an_acceptance_is_audited_once(db: impl Database) {
    let mut world = World::over(db).await;
    let payer = world.organization("Payer", wallet(1)).await;
    let seller = world.organization("Seller", wallet(2)).await;
    let project = world.project(&seller).await;
    publish(&world, &project).await;
    for nano in [5_000_000_000, 5_000_000_000, 7_000_000_000] {
        accept(&world, &payer, project.uid, nano).await;
    }
    let store = world.db.accepted_projects();
    store.remove(payer.id, project.uid, act(wallet(1))).await.unwrap();
    let lines = world
        .db
        .audit()
        .of_org(payer.id, None, Page::FIRST)
        .await
        .unwrap();
    let lines: Vec<_> = lines
        .items
        .into_iter()
        .filter(|line| line.subject == Some(project.uid.to_string()))
        .map(|line| (line.action, line.before, line.after))
        .collect();
    let maximum = |usdt: u8| Some(format!("max_price_per_call_usdt={usdt}"));
    assert_eq!(
        lines,
        [
            (AuditAction::ProjectAcceptanceWithdrawn, maximum(7), None),
            (AuditAction::ProjectAccepted, maximum(5), maximum(7)),
            (AuditAction::ProjectAccepted, None, maximum(5)),
        ]
    );
}

async fn an_accepted_project_that_is_not_public_stays_listed_without_an_offer(db: impl Database) {
    let mut world = World::over(db).await;
    let payer = world.organization("Payer", wallet(1)).await;
    let seller = world.organization("Seller", wallet(2)).await;
    let project = world.project(&seller).await;
    publish(&world, &project).await;
    accept(&world, &payer, project.uid, 5).await;
    let hide = ProjectChange {
        public: Some(false),
        ..ProjectChange::default()
    };
    change(&world, &project, hide).await;
    let store = world.db.accepted_projects();
    let listed = store.of_org(payer.id, Page::FIRST).await.unwrap();
    assert_eq!((listed.total, &listed.items[0].offer), (1, &None));
    assert!(store.remove(payer.id, project.uid, act(wallet(1))).await.unwrap());
}

async fn a_price_rises_with_notice_while_the_project_is_public_or_accepted(db: impl Database) {
    let mut world = World::over(db).await;
    let payer = world.organization("Payer", wallet(1)).await;
    let seller = world.organization("Seller", wallet(2)).await;
    let project = world.project(&seller).await;
    let fixed = |nano| PriceSchedule::fixed(Usdt::from_nano(nano));
    let rising = |from, to| {
        let next = AnnouncedPrice {
            price: Usdt::from_nano(to),
            at: NOON.plus(NOTICE.0),
        };
        PriceSchedule::scheduled(Usdt::from_nano(from), Some(next))
    };
    assert_eq!(priced(&world, &project, 10).await, fixed(10), "a private project");
    publish(&world, &project).await;
    assert_eq!(priced(&world, &project, 20).await, rising(10, 20));
    let found = world.db.projects().find(project.id).await.unwrap().unwrap();
    assert_eq!(found.price_per_call, rising(10, 20), "as stored");
    assert_eq!(priced(&world, &project, 3).await, fixed(3), "a lower price");

    accept(&world, &payer, project.uid, 5).await;
    let hide = ProjectChange {
        public: Some(false),
        price_per_call: Some(Usdt::from_nano(499)),
        ..ProjectChange::default()
    };
    let hidden = change(&world, &project, hide).await;
    assert_eq!(hidden.price_per_call, rising(3, 499));
    assert_eq!(
        priced(&world, &project, 4).await,
        rising(3, 4),
        "private, and accepted"
    );
}

on_every_database!(
    only_a_public_project_of_another_organization_is_accepted,
    a_maximum_is_replaced_and_withdrawn_and_shows_in_the_next_context,
    every_change_of_an_acceptance_is_audited_once,
    an_accepted_project_that_is_not_public_stays_listed_without_an_offer,
    a_price_rises_with_notice_while_the_project_is_public_or_accepted,
);
