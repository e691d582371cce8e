//! [`ContentStore`]: the same bytes once, quotas per wallet, and no more than there is room for.

use crate::database::{Database, NOON, on_every_database};
use haithe_kernel::{Timestamp, WalletAddress};
use haithe_marketplace::hosting::{ContentDigest, ContentStore, HostingLimits, NewContent, NotHosted};
use std::time::Duration;

const ONE: WalletAddress = WalletAddress::new([1; 20]);
const OTHER: WalletAddress = WalletAddress::new([2; 20]);
const LIMITS: HostingLimits = HostingLimits {
    content_bytes: 1_000,
    wallet_contents: 3,
    wallet_bytes: 250,
    all_bytes: 400,
};

fn content(byte: u8, length: usize) -> Vec<u8> {
    vec![byte; length]
}

async fn put(store: &dyn ContentStore, owner: WalletAddress, bytes: Vec<u8>) -> Result<bool, NotHosted> {
    let new = NewContent {
        owner,
        digest: ContentDigest::of(&bytes),
        bytes,
        at: NOON,
    };
    store.put(new, LIMITS).await
}

async fn what_is_put_reads_back_after_a_restart(db: impl Database) {
    let bytes: Vec<u8> = (0..=255).cycle().take(200).collect();
    let digest = ContentDigest::of(&bytes);
    assert_eq!(db.contents().get(digest).await.unwrap(), None);
    assert!(put(&*db.contents(), ONE, bytes.clone()).await.unwrap());
    assert!(!put(&*db.contents(), ONE, bytes.clone()).await.unwrap());
    let db = db.reopened().await;
    assert_eq!(db.contents().get(digest).await.unwrap(), Some(bytes));
}

async fn the_same_content_is_kept_until_its_last_owner_deletes_it(db: impl Database) {
    let store = db.contents();
    let bytes = content(7, 100);
    let digest = ContentDigest::of(&bytes);
    assert!(put(&*store, ONE, bytes.clone()).await.unwrap());
    assert!(put(&*store, OTHER, bytes.clone()).await.unwrap());
    assert!(store.delete(ONE, digest).await.unwrap());
    assert!(!store.delete(ONE, digest).await.unwrap());
    assert_eq!(store.get(digest).await.unwrap(), Some(bytes.clone()));
    assert!(store.delete(OTHER, digest).await.unwrap());
    assert_eq!(store.get(digest).await.unwrap(), None);
    assert!(put(&*store, ONE, bytes).await.unwrap());
}

async fn a_wallet_keeps_so_many_and_so_much_and_deleting_makes_room(db: impl Database) {
    let store = db.contents();
    for byte in 1..=3 {
        assert!(put(&*store, ONE, content(byte, 50)).await.unwrap());
    }
    let many = put(&*store, ONE, content(4, 1)).await;
    assert!(matches!(many, Err(NotHosted::TooMany { most: 3 })), "{many:?}");
    assert!(!put(&*store, ONE, content(3, 50)).await.unwrap(), "no new one");
    assert!(
        store
            .delete(ONE, ContentDigest::of(&content(1, 50)))
            .await
            .unwrap()
    );
    let full = put(&*store, ONE, content(4, 151)).await;
    assert!(matches!(full, Err(NotHosted::Full { most: 250 })), "{full:?}");
    assert_eq!(
        store.get(ContentDigest::of(&content(4, 151))).await.unwrap(),
        None
    );
    assert!(put(&*store, ONE, content(4, 150)).await.unwrap());
}

async fn all_wallets_together_keep_what_there_is_room_for(db: impl Database) {
    let store = db.contents();
    assert!(put(&*store, ONE, content(1, 200)).await.unwrap());
    assert!(put(&*store, OTHER, content(2, 200)).await.unwrap());
    let third = WalletAddress::new([3; 20]);
    let full = put(&*store, third, content(3, 1)).await;
    assert!(matches!(full, Err(NotHosted::NoRoom)), "{full:?}");
    // What is there already takes no room.
    assert!(put(&*store, third, content(2, 200)).await.unwrap());
    assert!(
        store
            .delete(ONE, ContentDigest::of(&content(1, 200)))
            .await
            .unwrap()
    );
    assert!(put(&*store, third, content(3, 1)).await.unwrap());
}

async fn content_without_a_product_expires_after_the_period_unless_it_is_brought_again(db: impl Database) {
    let store = db.contents();
    let (first, second) = (content(1, 50), content(2, 50));
    let digests = [ContentDigest::of(&first), ContentDigest::of(&second)];
    assert!(put(&*store, ONE, first).await.unwrap());
    assert!(put(&*store, OTHER, second.clone()).await.unwrap());
    let week = Duration::from_secs(7 * 86_400);
    let sweep = async |at: Timestamp| store.expire(at, at.minus(week)).await.unwrap();
    assert_eq!(sweep(NOON).await, 0, "unreferenced from now on");
    assert_eq!(sweep(NOON.plus(week / 2)).await, 0);
    assert!(!put(&*store, OTHER, second).await.unwrap());
    assert_eq!(sweep(NOON.plus(week)).await, 1);
    assert_eq!(store.get(digests[0]).await.unwrap(), None);
    assert!(store.get(digests[1]).await.unwrap().is_some());
    assert_eq!(sweep(NOON.plus(2 * week)).await, 1);
    assert_eq!(store.get(digests[1]).await.unwrap(), None);
    // Gone for its owner, too: there is room again.
    assert!(put(&*store, OTHER, content(2, 250)).await.unwrap());
}

on_every_database!(
    what_is_put_reads_back_after_a_restart,
    the_same_content_is_kept_until_its_last_owner_deletes_it,
    a_wallet_keeps_so_many_and_so_much_and_deleting_makes_room,
    all_wallets_together_keep_what_there_is_room_for,
    content_without_a_product_expires_after_the_period_unless_it_is_brought_again,
);
