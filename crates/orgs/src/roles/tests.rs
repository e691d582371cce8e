use super::*;
use crate::ports::{MockRoleMirror, MockRoleStore};
use mockall::Sequence;

fn change(wanted: ChainRole, seen: ChainRole) -> RoleChange {
    RoleChange {
        org: OrgId(1),
        contract: WalletAddress::new([9; 20]),
        owns: false,
        address: WalletAddress::new([2; 20]),
        wanted,
        seen,
        version: 3,
        sent: None,
        decided_by: WalletAddress::new([1; 20]),
    }
}

fn store(change: &RoleChange) -> MockRoleStore {
    let open = vec![change.clone()];
    let mut store = MockRoleStore::new();
    store.expect_open().returning(move |_| Ok(open.clone()));
    store
}

async fn step(store: MockRoleStore, mirror: MockRoleMirror) -> MirrorProgress {
    RoleMirroring::new(Arc::new(store), Arc::new(mirror))
        .step()
        .await
        .unwrap()
}

#[test]
fn the_server_neither_makes_nor_unmakes_administrators() {
    use ChainRole::{Admin, Member, None};
    for (wanted, seen, expected) in [
        (None, None, Course::Agreed),
        (Admin, Admin, Course::Agreed),
        (Member, None, Course::Server),
        (None, Member, Course::Server),
        (Admin, None, Course::Owner),
        (Admin, Member, Course::Owner),
        (Member, Admin, Course::Owner),
        (None, Admin, Course::Owner),
    ] {
        assert_eq!(course(wanted, seen), expected, "{wanted:?} {seen:?}");
    }
}

#[tokio::test]
async fn a_change_is_noted_before_it_is_handed_to_the_outbox() {
    let change = change(ChainRole::Member, ChainRole::None);
    let (mut store, mut mirror, mut order) = (store(&change), MockRoleMirror::new(), Sequence::new());
    store
        .expect_note_sent()
        .withf(|_, _, version| *version == 3)
        .once()
        .in_sequence(&mut order)
        .returning(|_, _, _| Ok(()));
    mirror
        .expect_mirror()
        .once()
        .in_sequence(&mut order)
        .returning(|_| Ok(Mirrored::UnderWay));
    assert_eq!(step(store, mirror).await.under_way, 1);
}

#[tokio::test]
async fn an_earlier_transaction_is_waited_for_even_when_nothing_seems_to_be_to_do() {
    // Added (sent as version 2) and removed again: none is wanted and none is seen, but the
    // transaction that adds is on its way.
    let change = RoleChange {
        sent: Some(2),
        ..change(ChainRole::None, ChainRole::None)
    };
    let (store, mut mirror) = (store(&change), MockRoleMirror::new());
    mirror
        .expect_is_under_way()
        .withf(|_, version| *version == 2)
        .returning(|_, _| Ok(true));
    assert_eq!(step(store, mirror).await.under_way, 1);
}

#[tokio::test]
async fn what_agrees_is_settled_once_its_transaction_is_final() {
    let change = RoleChange {
        sent: Some(3),
        ..change(ChainRole::Member, ChainRole::Member)
    };
    let mut mirror = MockRoleMirror::new();
    mirror.expect_is_under_way().returning(|_, _| Ok(true));
    assert_eq!(step(store(&change), mirror).await.settled, 0);

    let (mut store, mut mirror) = (store(&change), MockRoleMirror::new());
    mirror.expect_is_under_way().returning(|_, _| Ok(false));
    store
        .expect_settle()
        .withf(|_, _, version| *version == 3)
        .once()
        .returning(|_, _, _| Ok(true));
    assert_eq!(step(store, mirror).await.settled, 1);
}

#[tokio::test]
async fn administrators_and_the_owner_are_left_to_the_owner() {
    let admin = change(ChainRole::Admin, ChainRole::None);
    let owner = RoleChange {
        owns: true,
        ..change(ChainRole::Member, ChainRole::None)
    };
    for change in [admin, owner] {
        let (mut store, mut mirror) = (store(&change), MockRoleMirror::new());
        mirror.expect_mirror().never();
        store.expect_settle().once().returning(|_, _, _| Ok(true));
        assert_eq!(step(store, mirror).await.settled, 1);
    }
}

#[tokio::test]
async fn what_the_contract_refuses_for_good_is_given_up() {
    let change = RoleChange {
        sent: Some(3),
        ..change(ChainRole::Member, ChainRole::None)
    };
    let (mut store, mut mirror) = (store(&change), MockRoleMirror::new());
    mirror.expect_mirror().returning(|_| Ok(Mirrored::GivenUp));
    store.expect_settle().once().returning(|_, _, _| Ok(true));
    assert_eq!(step(store, mirror).await.given_up, 1);
}
