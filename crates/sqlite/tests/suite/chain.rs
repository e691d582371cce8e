//! What follows from events, beyond what every database must do.

use crate::fixture::{
    Fixture, NOON, ORCHESTRATOR, OWNER, contract, created, deposit, hash, nano, settling, transfer, units,
    wallet,
};
use haithe_billing::{
    batch::BatchState,
    chain::{AlarmKind, BlockRef, ChainEvent, EventBody, IndexStep},
    ledger::Balance,
    ports::{ChainIndex, SettlementStore},
};
use haithe_kernel::{OrgUid, Usdt};
use haithe_marketplace::ports::ProductStore;
use haithe_orgs::{
    OrgRole,
    ports::{OrgMemberStore, OrgStore},
};
use haithe_sqlite::{SqliteOrgStore, SqliteProductStore};
use haithe_stores::{AlarmCount, DatabaseControl};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn the_index_must_be_bound_before_it_is_written() {
    let fixture = Fixture::new().await;
    let dir = tempfile::TempDir::new().unwrap();
    let unbound = crate::fixture::config(dir.path().join("x.db"), &fixture.clock);
    let db = haithe_sqlite::Db::open(unbound).await.unwrap();
    let block = BlockRef {
        number: 1,
        hash: [1; 32],
        parent: [0; 32],
        time: NOON,
    };
    let step = IndexStep {
        events: Vec::new(),
        blocks: vec![block],
        to: block,
        confirmed: 1,
        last_final: 1,
    };
    assert!(
        haithe_sqlite::SqliteChainIndex::new(&db)
            .apply(step)
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_in_the_orchestrators_list_counts_from_one() {
    let mut fixture = Fixture::new().await;
    let mut first = created(0);
    if let EventBody::OrganizationCreated { index, .. } = &mut first {
        *index = 0;
    }
    fixture.mine(vec![first]).await;
    let orgs = SqliteOrgStore::new(&fixture.db);
    let org = orgs.newest_owned(OWNER).await.unwrap().unwrap();
    assert_eq!(org.orchestrator_index, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_built_anew_gives_the_same_public_identifiers() {
    let mut uids: Vec<OrgUid> = Vec::new();
    for _ in 0..2 {
        let mut fixture = Fixture::new().await;
        fixture.mine(vec![created(1)]).await;
        let orgs = SqliteOrgStore::new(&fixture.db);
        uids.push(orgs.newest_owned(OWNER).await.unwrap().unwrap().uid);
    }
    assert_eq!(uids[0], uids[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_branchs_organization_at_the_same_address_is_another_one() {
    let mut fixture = Fixture::new().await;
    fixture.mine(Vec::new()).await;
    let before = fixture.head.unwrap();
    fixture.mine(vec![created(1), deposit(1, nano(100))]).await;
    let first = fixture.org(1).await;
    fixture.rewind(before).await;
    let thief = EventBody::OrganizationCreated {
        index: 1,
        org: contract(1),
        owner: wallet(66),
        name: "Bcme".into(),
    };
    fixture.mine(vec![thief]).await;
    let orgs = SqliteOrgStore::new(&fixture.db);
    let second = orgs.newest_owned(wallet(66)).await.unwrap().unwrap();
    assert_ne!(second.id, first);
    assert_eq!(fixture.balance(second.id).await, Balance::default());
    assert_eq!(orgs.find(first).await.unwrap(), None);
    fixture.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_sent_ahead_of_its_organization_counts_from_the_organizations_block() {
    let mut fixture = Fixture::new().await;
    fixture.mine(vec![deposit(1, nano(40))]).await;
    let before = fixture.head.unwrap();
    let funded = EventBody::OrganizationFunded {
        org: contract(1),
        amount: Some(units(nano(40))),
    };
    fixture.mine(vec![created(1), funded, deposit(1, nano(2))]).await;
    let org = fixture.org(1).await;
    assert_eq!(fixture.balance(org).await.available, nano(42));
    fixture.rewind(before).await;
    assert_eq!(fixture.balance(org).await.available, nano(0));
    fixture.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_of_nothing_leaves_no_deposit() {
    let (mut fixture, _) = Fixture::funded(nano(1)).await;
    let effects = fixture.mine(vec![deposit(1, nano(0))]).await;
    assert_eq!((effects.new_events, effects.deposits_confirmed), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn deposits_beyond_the_range_of_money_harm_only_themselves() {
    let (mut fixture, org) = Fixture::funded(nano(5)).await;
    let most = units(Usdt::MAX);
    fixture
        .mine(vec![transfer(wallet(9), contract(1), most), deposit(1, nano(3))])
        .await;
    assert_eq!(fixture.balance(org).await.available, nano(8));
    let alarms = fixture.index().alarms().await.unwrap();
    assert_eq!(alarms[0].kind, "deposit_out_of_range");
    fixture.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_settlement_moves_is_no_deposit() {
    let (mut fixture, org) = Fixture::funded(nano(100)).await;
    fixture.spend(org, nano(30)).await;
    let batch = fixture.seal().await.unwrap();
    let mut events = settling(&batch, &[]);
    // Also a transfer to an organization of ours, as when a payee is one.
    events.insert(0, transfer(ORCHESTRATOR, contract(1), units(nano(9))));
    let effects = fixture.mine_transactions(vec![events]).await;
    assert_eq!((effects.deposits_confirmed, effects.batches_final), (0, 1));
    assert_eq!(fixture.balance(org).await.available, nano(70));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_not_ours_raises_an_alarm_and_moves_nothing() {
    let (mut fixture, org) = Fixture::funded(nano(100)).await;
    fixture.spend(org, nano(30)).await;
    let batch = fixture.seal().await.unwrap();
    let before = fixture.balance(org).await;
    let settled = |seq, root, total| EventBody::BatchSettled {
        seq,
        hash: [7; 32],
        root,
        total: Some(total),
        skipped: 0,
    };
    let all = units(nano(30));
    fixture
        .mine(vec![
            settled(0, [9; 32], all),
            settled(0, batch.root, all + 1),
            settled(4, batch.root, all),
        ])
        .await;
    let alarms = fixture.index().alarms().await.unwrap();
    let kinds: Vec<&str> = alarms.iter().map(|alarm| alarm.kind.as_str()).collect();
    assert_eq!(kinds, ["unknown_batch", "wrong_batch", "wrong_batch"]);
    assert_eq!(fixture.balance(org).await, before);
    let open = fixture.settlements().open_batches().await.unwrap();
    assert_eq!(open.first().map(|(_, state)| *state), Some(BatchState::Sealed));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_goes_with_its_block() {
    let (mut fixture, _) = Fixture::funded(nano(1)).await;
    let before = fixture.head.unwrap();
    fixture
        .mine(vec![EventBody::WithdrawalCancelled { org: contract(1) }])
        .await;
    assert_eq!(
        fixture.index().alarms().await.unwrap()[0].kind,
        "unknown_withdrawal"
    );
    let block = fixture.head.unwrap().number;
    let counted = DatabaseControl::alarms(&fixture.db, block).await.unwrap();
    let expected = AlarmCount {
        kind: AlarmKind::UnknownWithdrawal,
        count: 1,
        last_block: block,
    };
    assert_eq!(counted, [expected]);
    let acknowledged = DatabaseControl::alarms(&fixture.db, block + 1).await.unwrap();
    assert!(acknowledged.is_empty());
    fixture.rewind(before).await;
    assert!(fixture.index().alarms().await.unwrap().is_empty());
    assert!(DatabaseControl::alarms(&fixture.db, 0).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_given_on_chain_are_members_and_follow_a_rewind() {
    let (mut fixture, org) = Fixture::funded(nano(1)).await;
    let role = |role| EventBody::RoleChanged {
        org: contract(1),
        wallet: wallet(2),
        role,
    };
    let orgs = SqliteOrgStore::new(&fixture.db);
    fixture.mine(vec![role(1)]).await;
    let member = fixture.head.unwrap();
    fixture.mine(vec![role(2), role(9)]).await;
    assert_eq!(orgs.role(org, wallet(2)).await.unwrap(), Some(OrgRole::Admin));
    let admin = fixture.head.unwrap();
    fixture.mine(vec![role(0)]).await;
    assert_eq!(orgs.role(org, wallet(2)).await.unwrap(), None);
    fixture.rewind(admin).await;
    assert_eq!(orgs.role(org, wallet(2)).await.unwrap(), Some(OrgRole::Admin));
    fixture.rewind(member).await;
    assert_eq!(orgs.role(org, wallet(2)).await.unwrap(), Some(OrgRole::Member));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_marketplace_follows_its_events_and_a_rewind() {
    let (mut fixture, _) = Fixture::funded(nano(1)).await;
    let product = wallet(0x77);
    let price = |units| EventBody::PriceChanged {
        product,
        price: units,
    };
    fixture
        .mine(vec![
            EventBody::CreatorRegistered {
                creator: wallet(8),
                id: 1,
                uri: "https://creator.example".into(),
                pub_key: "04".into(),
            },
            EventBody::ProductAdded {
                index: 0,
                product,
                creator: wallet(8),
                name: "Facts".into(),
                uri: "https://creator.example/facts".into(),
                encrypted_key: "00".into(),
                category: "knowledge:text".into(),
                price: Some(units(nano(5)) + 1),
            },
            EventBody::ProductEnabled {
                org: contract(1),
                product,
                max_price: Some(units(nano(6))),
            },
        ])
        .await;
    let added = fixture.head.unwrap();
    assert_eq!(shelf(&fixture).await, [(Some(5), 0, 1, 1)]);
    fixture
        .mine(vec![
            price(Some(u128::MAX)),
            EventBody::ProductDisabled {
                org: contract(1),
                product,
            },
            EventBody::ProductRetired { product },
        ])
        .await;
    assert_eq!(shelf(&fixture).await, [(None, 1, 0, 1)]);
    fixture.rewind(added).await;
    assert_eq!(shelf(&fixture).await, [(Some(5), 0, 1, 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announced_price_comes_into_force_with_a_blocks_time_and_leaves_with_it() {
    let (mut fixture, _) = Fixture::funded(nano(1)).await;
    let product = wallet(0x77);
    fixture
        .mine(vec![EventBody::ProductAdded {
            index: 0,
            product,
            creator: wallet(8),
            name: "Facts".into(),
            uri: "https://creator.example/facts".into(),
            encrypted_key: "00".into(),
            category: "knowledge:text".into(),
            price: Some(units(nano(5))),
        }])
        .await;
    let products = SqliteProductStore::new(&fixture.db);
    let id = haithe_kernel::ProductId(1);
    let due = fixture.head.unwrap().time.plus(Duration::from_secs(1));
    fixture
        .mine(vec![EventBody::PriceScheduled {
            product,
            price: Some(units(nano(5))),
            next_price: Some(units(nano(7))),
            next_price_at: fixture.head.unwrap().time.plus(Duration::from_secs(1_000_000)),
        }])
        .await;
    let far = products.find(id).await.unwrap().unwrap().product;
    assert_eq!(far.price_per_call, Some(nano(5)));
    let next = far.next_price.expect("an announced price");
    assert_eq!(next.price_per_call, Some(nano(7)));
    let announced = fixture.head.unwrap();

    fixture
        .mine(vec![EventBody::PriceScheduled {
            product,
            price: Some(units(nano(5))),
            next_price: Some(units(nano(6))),
            next_price_at: due,
        }])
        .await;
    let risen = products.find(id).await.unwrap().unwrap().product;
    assert_eq!((risen.price_per_call, risen.next_price), (Some(nano(6)), None));

    fixture.rewind(announced).await;
    assert_eq!(products.find(id).await.unwrap().unwrap().product, far);

    fixture
        .mine(vec![EventBody::PriceScheduled {
            product,
            price: Some(units(nano(5))),
            next_price: Some(units(nano(8))),
            next_price_at: fixture.head.unwrap().time.plus(Duration::from_secs(3)),
        }])
        .await;
    let mut before = fixture.head.unwrap();
    let mut price = products.find(id).await.unwrap().unwrap().product;
    while price.price_per_call == Some(nano(5)) {
        before = fixture.head.unwrap();
        fixture.mine(Vec::new()).await;
        price = products.find(id).await.unwrap().unwrap().product;
    }
    assert_eq!((price.price_per_call, price.next_price), (Some(nano(8)), None));
    fixture.rewind(before).await;
    let back = products.find(id).await.unwrap().unwrap().product;
    assert_eq!(back.price_per_call, Some(nano(5)), "the rise went with its block");
    assert!(back.next_price.is_some());

    fixture
        .mine(vec![EventBody::PriceChanged {
            product,
            price: Some(units(nano(4))),
        }])
        .await;
    let cut = products.find(id).await.unwrap().unwrap().product;
    assert_eq!((cut.price_per_call, cut.next_price), (Some(nano(4)), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn money_from_before_the_organization_counts_once() {
    let mut fixture = Fixture::new().await;
    let early = transfer(wallet(0xdd), contract(1), units(nano(30)));
    fixture.mine(vec![early]).await;
    fixture
        .mine(vec![
            transfer(wallet(0xdd), contract(1), units(nano(5))),
            created(1),
            EventBody::OrganizationFunded {
                org: contract(1),
                amount: Some(units(nano(35))),
            },
            transfer(wallet(0xdd), contract(1), units(nano(2))),
        ])
        .await;
    assert_eq!(fixture.balance(haithe_kernel::OrgId(1)).await.available, nano(37));
    let head = fixture.head.unwrap();
    fixture.mine(Vec::new()).await;
    fixture.rewind(head).await;
    assert_eq!(fixture.balance(haithe_kernel::OrgId(1)).await.available, nano(37));
    fixture.assert_sound().await;
}

/// Price, retired, organizations that enabled it, registered creators of it: of each product.
async fn shelf(fixture: &Fixture) -> Vec<(Option<i64>, i64, i64, i64)> {
    let mut stranger = fixture.stranger().await;
    sqlx::query_as(
        "SELECT price_per_call, retired,
                (SELECT count(*) FROM org_products WHERE product_id = products.id),
                (SELECT count(*) FROM creators WHERE wallet_address = creator)
         FROM products WHERE on_chain = 1",
    )
    .fetch_all(&mut stranger)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn payouts_leave_the_books_once_final() {
    let (mut fixture, org) = Fixture::funded(nano(100)).await;
    fixture.spend(org, nano(30)).await;
    let batch = fixture.seal().await.unwrap();
    fixture.mine_transactions(vec![settling(&batch, &[])]).await;
    fixture.finality = 2;
    let paid = EventBody::PlatformWithdrawn {
        to: OWNER,
        amount: Some(units(nano(20))),
    };
    fixture.mine(vec![paid]).await;
    let snapshot = haithe_billing::ports::Books::snapshot(&fixture.books())
        .await
        .unwrap();
    assert_eq!(snapshot.orchestrator_mirror, nano(30));
    assert_eq!(snapshot.orchestrator_unconfirmed, -(units(nano(20)) as i128));
    fixture.mine(Vec::new()).await;
    let snapshot = haithe_billing::ports::Books::snapshot(&fixture.books())
        .await
        .unwrap();
    assert_eq!(
        (snapshot.orchestrator_mirror, snapshot.orchestrator_unconfirmed),
        (nano(10), 0)
    );
    fixture.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_vanished_counts_again_in_its_new_place() {
    let (mut fixture, org) = Fixture::funded(nano(100)).await;
    let before = fixture.head.unwrap();
    let event = |block: BlockRef, log_index| ChainEvent {
        block: block.number,
        block_hash: block.hash,
        block_time: block.time,
        tx: [0x55; 32],
        log_index,
        body: deposit(1, nano(7)),
    };
    for (round, log_index) in [(1, 0), (2, 4), (3, 0)] {
        let block = BlockRef {
            number: before.number + 1,
            hash: hash(99, round),
            parent: before.hash,
            time: before.time,
        };
        let step = IndexStep {
            events: vec![event(block, log_index)],
            blocks: vec![block],
            to: block,
            confirmed: block.number,
            last_final: block.number,
        };
        fixture.index().apply(step).await.unwrap();
        assert_eq!(fixture.balance(org).await.available, nano(107));
        fixture.rewind(before).await;
        assert_eq!(fixture.balance(org).await.available, nano(100));
    }
    fixture.assert_sound().await;
    let mut stranger = fixture.stranger().await;
    let keys: Vec<String> =
        sqlx::query_scalar("SELECT key FROM ledger_transactions WHERE id > 1 ORDER BY id")
            .fetch_all(&mut stranger)
            .await
            .unwrap();
    let tx = format!("0x{}", hex::encode([0x55; 32]));
    let expected = [
        format!("deposit/{tx}/0"),
        format!("rewind/deposit/{tx}/0/1"),
        format!("deposit/{tx}/4"),
        format!("rewind/deposit/{tx}/4/1"),
        format!("deposit/{tx}/0#2"),
        format!("rewind/deposit/{tx}/0/2"),
    ];
    assert_eq!(keys, expected);
}
