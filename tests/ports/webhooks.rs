//! [`WebhookStore`]: webhooks, their secrets, and what the audit says of them.

use crate::{
    database::{Database, NOON, on_every_database},
    world::{World, act, wallet},
};
use haithe_inference::webhooks::{NewWebhook, Webhook, WebhookChange, WebhookId, WebhookSecret};
use haithe_kernel::{Page, Timestamp};
use haithe_orgs::{AuditAction, Organization, Project};
use std::time::Duration;
use uuid::Uuid;

pub const URL: &str = "https://receiver.example/hook?token=abc";

pub fn secret(byte: u8) -> WebhookSecret {
    WebhookSecret::new(vec![byte; 32]).unwrap()
}

pub fn new(project: &Project, number: u128, url: Option<&str>) -> NewWebhook {
    NewWebhook {
        id: WebhookId(Uuid::from_u128(number)),
        project: project.id,
        name: format!("hook {number}").parse().unwrap(),
        delivery_url: url.map(|url| url.parse().unwrap()),
        secret: secret(1),
    }
}

pub fn later(seconds: u64) -> Timestamp {
    NOON.plus(Duration::from_secs(seconds))
}

/// An organization, a project of it, and webhook 1 of that, which delivers.
pub async fn prepared<D: Database>(db: D) -> (World<D>, Organization, Project, Webhook) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let project = world.project(&org).await;
    let made = world
        .db
        .webhooks()
        .create(new(&project, 1, Some(URL)), 20, act(wallet(2)))
        .await
        .unwrap()
        .unwrap();
    (world, org, project, made)
}

async fn a_webhook_is_kept_with_its_secret_and_belongs_to_its_project(db: impl Database) {
    let (world, org, project, made) = prepared(db).await;
    assert_eq!((made.project, made.project_uid), (project.id, project.uid));
    assert_eq!((made.org, made.org_uid), (org.id, org.uid));
    assert_eq!((made.wallet, made.enabled), (wallet(2), true));
    assert_eq!((made.created_at, made.rotated_at), (NOON, NOON));
    assert_eq!(made.delivery_url.as_ref().map(|url| url.as_str()), Some(URL));
    let other = world.project(&org).await;
    let world = world.reopened().await;
    let store = world.db.webhooks();
    assert_eq!(store.find(project.id, made.id).await.unwrap(), Some(made.clone()));
    assert_eq!(store.find(other.id, made.id).await.unwrap(), None);
    let (found, kept) = store.with_secret(made.id).await.unwrap().unwrap();
    assert_eq!((found, kept.expose()), (made, secret(1).expose()));
    let unknown = WebhookId(Uuid::from_u128(99));
    assert!(store.with_secret(unknown).await.unwrap().is_none());
}

async fn a_project_has_so_many_and_lists_them_newest_first(db: impl Database) {
    let (world, _, project, _) = prepared(db).await;
    let store = world.db.webhooks();
    let clock = &world.db.setup().clock;
    clock.advance(Duration::from_secs(1));
    let two = haithe_orgs::Caller::from(wallet(1)).acts(later(1));
    assert!(
        store
            .create(new(&project, 2, None), 2, two)
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        store
            .create(new(&project, 3, None), 2, act(wallet(1)))
            .await
            .unwrap()
            .is_none()
    );
    let listed = store.of_project(project.id, Page::FIRST).await.unwrap();
    let ids: Vec<u128> = listed.items.iter().map(|hook| hook.id.0.as_u128()).collect();
    assert_eq!((ids, listed.total), (vec![2, 1], 2));
    let page = store
        .of_project(project.id, Page::new(1, 1).unwrap())
        .await
        .unwrap();
    assert_eq!(page.items[0].id.0.as_u128(), 1);
}

async fn changes_rotations_and_deletions_act_and_are_audited_without_secrets(db: impl Database) {
    let (world, org, project, made) = prepared(db).await;
    let store = world.db.webhooks();
    let change = WebhookChange {
        name: Some("renamed".parse().unwrap()),
        delivery_url: Some(None),
        enabled: Some(false),
    };
    let by = || act(wallet(3));
    let changed = store
        .change(project.id, made.id, change.clone(), by())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(changed.name.as_str(), "renamed");
    assert_eq!((changed.delivery_url.as_ref(), changed.enabled), (None, false));
    // The same again changes nothing and is not audited.
    let same = store.change(project.id, made.id, change, by()).await.unwrap();
    assert_eq!(same, Some(changed));
    let rotated = store
        .rotate(project.id, made.id, secret(2), by())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(rotated.wallet, wallet(3));
    let (_, kept) = store.with_secret(made.id).await.unwrap().unwrap();
    assert_eq!(kept.expose(), secret(2).expose());
    let deleted = store.delete(project.id, made.id, by()).await.unwrap();
    assert_eq!(deleted, Some(rotated));
    assert_eq!(store.delete(project.id, made.id, by()).await.unwrap(), None);
    assert_eq!(
        store
            .change(project.id, made.id, WebhookChange::default(), by())
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        store.rotate(project.id, made.id, secret(2), by()).await.unwrap(),
        None
    );
    let lines = world.db.audit().of_org(org.id, None, Page::FIRST).await.unwrap();
    let lines: Vec<_> = lines
        .items
        .into_iter()
        .filter(|line| line.action.as_str().starts_with("webhook."))
        .collect();
    let actions: Vec<AuditAction> = lines.iter().map(|line| line.action).collect();
    assert_eq!(
        actions,
        [
            AuditAction::WebhookDeleted,
            AuditAction::WebhookRotated,
            AuditAction::WebhookChanged,
            AuditAction::WebhookCreated,
        ]
    );
    assert!(
        lines
            .iter()
            .all(|line| !format!("{line:?}").contains("token=abc"))
    );
    assert!(
        lines
            .iter()
            .all(|line| line.subject.as_deref() == Some(made.id.to_string().as_str()))
    );
}

async fn a_deleted_project_has_no_webhook(db: impl Database) {
    let (world, _, project, made) = prepared(db).await;
    world
        .db
        .projects()
        .delete(project.id, act(wallet(1)))
        .await
        .unwrap();
    let store = world.db.webhooks();
    assert!(store.with_secret(made.id).await.unwrap().is_none());
    assert_eq!(store.find(project.id, made.id).await.unwrap(), None);
}

on_every_database!(
    a_webhook_is_kept_with_its_secret_and_belongs_to_its_project,
    a_project_has_so_many_and_lists_them_newest_first,
    changes_rotations_and_deletions_act_and_are_audited_without_secrets,
    a_deleted_project_has_no_webhook,
);
