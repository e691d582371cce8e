//! [`Waitlist`]: everybody waits once.

use crate::database::{Database, NOON, on_every_database};
use haithe_identity::waitlist::Email;

fn email(text: &str) -> Email {
    text.parse().unwrap()
}

async fn an_address_is_added_once_and_stays_after_a_restart(db: impl Database) {
    let list = db.waitlist();
    assert!(list.add(email("ada@example.com"), NOON).await.unwrap());
    assert!(!list.add(email("ada@example.com"), NOON).await.unwrap());
    assert!(!list.add(email(" ADA@Example.COM "), NOON).await.unwrap());
    assert!(list.add(email("bob@example.com"), NOON).await.unwrap());
    let db = db.reopened().await;
    assert!(!db.waitlist().add(email("bob@example.com"), NOON).await.unwrap());
}

async fn of_many_at_once_exactly_one_adds_it(db: impl Database) {
    let adding = (0..16).map(|_| {
        let list = db.waitlist();
        tokio::spawn(async move { list.add(email("ada@example.com"), NOON).await.unwrap() })
    });
    let added = futures::future::join_all(adding).await;
    assert_eq!(
        added.into_iter().filter(|added| *added.as_ref().unwrap()).count(),
        1
    );
}

on_every_database!(
    an_address_is_added_once_and_stays_after_a_restart,
    of_many_at_once_exactly_one_adds_it,
);
