//! [`SessionStore`]: logins and the accounts behind them.

use crate::{
    database::{Database, NOON, on_every_database},
    world::wallet,
};
use haithe_identity::session::{Session, SessionId};
use haithe_kernel::ClientIp;
use haithe_kernel::{Page, Timestamp, WalletAddress};
use std::time::Duration;

/// Session `number` of the wallet, opened `number` seconds after noon for three days.
fn session(number: u8, address: WalletAddress) -> Session {
    let created_at = NOON.plus(Duration::from_secs(u64::from(number)));
    Session {
        id: SessionId([number; 32]),
        address,
        ip: Some("2001:db8::7".parse::<ClientIp>().unwrap()),
        user_agent: Some("a browser".into()),
        created_at,
        last_seen_at: created_at,
        expires_at: created_at.plus(Duration::from_secs(3 * 86_400)),
    }
}

fn soon() -> Timestamp {
    NOON.plus(Duration::from_secs(100))
}

async fn names(db: &impl Database, address: WalletAddress) -> Vec<u8> {
    page(db, address, Page::FIRST).await.0
}

/// The names on this page, and how many there are on all.
async fn page(db: &impl Database, address: WalletAddress, page: Page) -> (Vec<u8>, u64) {
    let listed = db.sessions().list(address, soon(), page).await.unwrap();
    let names = listed.items.iter().map(|session| session.id.0[0]).collect();
    (names, listed.total)
}

async fn a_session_reads_back_as_it_was_opened(db: impl Database) {
    let opened = session(1, wallet(1));
    db.sessions().open(opened.clone()).await.unwrap();
    let found = db.sessions().find(opened.id, soon()).await.unwrap().unwrap();
    assert_eq!(format!("{found:?}"), format!("{opened:?}"));
    assert_eq!(found.id, opened.id);
    assert!(
        db.sessions()
            .find(SessionId([9; 32]), soon())
            .await
            .unwrap()
            .is_none()
    );
}

async fn a_session_ends_when_its_token_does(db: impl Database) {
    let opened = session(1, wallet(1));
    db.sessions().open(opened.clone()).await.unwrap();
    let before = opened.expires_at.minus(Duration::from_secs(1));
    let after = opened.expires_at.plus(Duration::from_secs(1));
    assert!(db.sessions().find(opened.id, before).await.unwrap().is_some());
    assert!(db.sessions().find(opened.id, after).await.unwrap().is_none());
    let listed = db.sessions().list(wallet(1), after, Page::FIRST).await.unwrap();
    assert_eq!((listed.items.len(), listed.total), (0, 0));
}

async fn a_wallet_has_many_sessions_and_sees_only_its_own(db: impl Database) {
    for (number, owner) in [(1, 1), (2, 1), (3, 2)] {
        db.sessions().open(session(number, wallet(owner))).await.unwrap();
    }
    assert_eq!(names(&db, wallet(1)).await, [2, 1]);
    assert_eq!(names(&db, wallet(2)).await, [3]);
}

async fn sessions_are_listed_page_by_page(db: impl Database) {
    for number in 1..=5 {
        db.sessions().open(session(number, wallet(1))).await.unwrap();
    }
    db.sessions().open(session(6, wallet(2))).await.unwrap();
    let at = async |limit, offset| page(&db, wallet(1), Page::new(limit, offset).unwrap()).await;
    assert_eq!(at(2, 0).await, (vec![5, 4], 5));
    assert_eq!(at(2, 4).await, (vec![1], 5));
    assert_eq!(at(2, 9).await, (vec![], 5));
}

async fn all_but_the_one_that_is_kept_are_revoked(db: impl Database) {
    for (number, owner) in [(1, 1), (2, 1), (3, 1), (4, 2)] {
        db.sessions().open(session(number, wallet(owner))).await.unwrap();
    }
    let kept = SessionId([2; 32]);
    let mut revoked = db.sessions().revoke_all(wallet(1), Some(kept)).await.unwrap();
    revoked.sort_by_key(|id| id.0);
    assert_eq!(revoked, [SessionId([1; 32]), SessionId([3; 32])]);
    assert_eq!(names(&db, wallet(1)).await, [2]);
    assert_eq!(names(&db, wallet(2)).await, [4]);
}

async fn a_use_is_noted(db: impl Database) {
    db.sessions().open(session(1, wallet(1))).await.unwrap();
    db.sessions().touch(SessionId([1; 32]), soon()).await.unwrap();
    let found = db
        .sessions()
        .find(SessionId([1; 32]), soon())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.last_seen_at, soon());
}

async fn only_its_own_wallet_revokes_a_session_and_only_once(db: impl Database) {
    db.sessions().open(session(1, wallet(1))).await.unwrap();
    let id = SessionId([1; 32]);
    assert!(!db.sessions().revoke(wallet(2), id).await.unwrap());
    assert!(db.sessions().find(id, soon()).await.unwrap().is_some());
    assert!(db.sessions().revoke(wallet(1), id).await.unwrap());
    assert!(db.sessions().find(id, soon()).await.unwrap().is_none());
    assert!(!db.sessions().revoke(wallet(1), id).await.unwrap());
}

async fn revoking_all_names_each_and_spares_other_wallets(db: impl Database) {
    for (number, owner) in [(1, 1), (2, 1), (3, 2)] {
        db.sessions().open(session(number, wallet(owner))).await.unwrap();
    }
    let mut revoked = db.sessions().revoke_all(wallet(1), None).await.unwrap();
    revoked.sort_by_key(|id| id.0);
    assert_eq!(revoked, [SessionId([1; 32]), SessionId([2; 32])]);
    assert!(names(&db, wallet(1)).await.is_empty());
    assert_eq!(names(&db, wallet(2)).await, [3]);
    assert!(
        db.sessions()
            .revoke_all(wallet(1), None)
            .await
            .unwrap()
            .is_empty()
    );
}

async fn the_first_login_makes_the_account(db: impl Database) {
    assert!(db.sessions().account(wallet(1)).await.unwrap().is_none());
    let (first, second) = (session(1, wallet(1)), session(2, wallet(1)));
    db.sessions().open(first.clone()).await.unwrap();
    db.sessions().open(second).await.unwrap();
    db.sessions().revoke_all(wallet(1), None).await.unwrap();
    let account = db.sessions().account(wallet(1)).await.unwrap().unwrap();
    assert_eq!(
        (account.address, account.created_at),
        (wallet(1), first.created_at)
    );
}

async fn a_sweep_deletes_expired_sessions_only(db: impl Database) {
    db.sessions().open(session(1, wallet(1))).await.unwrap();
    db.sessions().open(session(60, wallet(1))).await.unwrap();
    let between = session(30, wallet(1)).expires_at;
    assert_eq!(db.sessions().sweep(between).await.unwrap(), 1);
    assert_eq!(names(&db, wallet(1)).await, [60]);
}

async fn sessions_outlive_a_restart_and_so_does_their_revocation(db: impl Database) {
    for number in [1, 2] {
        db.sessions().open(session(number, wallet(1))).await.unwrap();
    }
    db.sessions().revoke(wallet(1), SessionId([1; 32])).await.unwrap();
    let db = db.reopened().await;
    assert_eq!(names(&db, wallet(1)).await, [2]);
}

async fn sessions_opened_before_a_time_are_revoked_and_later_ones_stay(db: impl Database) {
    for (number, address) in [(1, wallet(1)), (2, wallet(2)), (3, wallet(1))] {
        db.sessions().open(session(number, address)).await.unwrap();
    }
    let third = session(3, wallet(1)).created_at;
    assert_eq!(db.sessions().revoke_opened_before(third).await.unwrap(), 2);
    assert_eq!(db.sessions().revoke_opened_before(third).await.unwrap(), 0);
    assert_eq!(names(&db, wallet(1)).await, [3]);
    assert!(names(&db, wallet(2)).await.is_empty());
}

on_every_database!(
    a_session_reads_back_as_it_was_opened,
    a_session_ends_when_its_token_does,
    a_wallet_has_many_sessions_and_sees_only_its_own,
    sessions_are_listed_page_by_page,
    all_but_the_one_that_is_kept_are_revoked,
    a_use_is_noted,
    only_its_own_wallet_revokes_a_session_and_only_once,
    revoking_all_names_each_and_spares_other_wallets,
    sessions_opened_before_a_time_are_revoked_and_later_ones_stay,
    the_first_login_makes_the_account,
    a_sweep_deletes_expired_sessions_only,
    sessions_outlive_a_restart_and_so_does_their_revocation,
);
