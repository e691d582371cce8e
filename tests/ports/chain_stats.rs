//! [`ChainStats`]: transactions are counted once each, by the contract that they touched.

use crate::{
    database::{Database, NOON, on_every_database},
    world::{World, nano, wallet},
};
use haithe_billing::{
    chain::{ChainCounts, EventBody},
    outbox::{NewTx, TxPurpose},
};

const SERVER: haithe_kernel::WalletAddress = wallet(0x77);

async fn an_empty_chain_has_no_figures(db: impl Database) {
    let counts = db.chain_stats().count(SERVER).await.unwrap();
    assert_eq!(counts, ChainCounts::default());
}

async fn a_transaction_counts_once_however_many_events_it_has(db: impl Database) {
    let mut world = World::over(db).await;
    let quiet = world.organization("Quiet", wallet(1)).await;
    let busy = world.organization("Busy", wallet(2)).await;
    let (cap, effective_at) = (Some(5), NOON);
    let capped = EventBody::DailyCapChanged {
        org: busy.address,
        cap,
        effective_at,
    };
    world
        .mine(vec![vec![capped.clone(), capped.clone()], vec![capped]])
        .await;
    let product = EventBody::ProductAdded {
        index: 0,
        product: wallet(0x81),
        creator: wallet(3),
        name: "P".into(),
        uri: "https://example.com".into(),
        encrypted_key: "00".into(),
        category: "promptset".into(),
        price: Some(1),
    };
    world.mine_one(product).await;
    let counts = world.db.chain_stats().count(SERVER).await.unwrap();
    assert_eq!(
        counts.organizations,
        [(busy.address, 3), (quiet.address, 1)],
        "the busiest first"
    );
    assert_eq!(counts.products, [(wallet(0x81), 1)]);
    assert_eq!(counts.orchestrator, 5);
    let transfer = world.transfer_to(&quiet, nano(5));
    world.mine_one(transfer).await;
    let after = world.db.chain_stats().count(SERVER).await.unwrap();
    assert_eq!(after.orchestrator, 5, "a transfer is the token's");
}

async fn what_a_block_held_that_went_is_not_counted(db: impl Database) {
    let mut world = World::over(db).await;
    world.finality = 10;
    world.organization("First", wallet(1)).await;
    let before = world.db.chain_stats().count(SERVER).await.unwrap();
    world.organization("Second", wallet(1)).await;
    world.rewind(1).await;
    assert_eq!(world.db.chain_stats().count(SERVER).await.unwrap(), before);
}

async fn the_servers_own_count_when_they_are_mined(db: impl Database) {
    let outbox = db.outbox();
    let mut ids = Vec::new();
    for (key, signer) in [("a", SERVER), ("b", SERVER), ("c", wallet(1))] {
        let tx = NewTx {
            key: key.into(),
            purpose: TxPurpose::SettleBatch,
            signer,
            to: Some(wallet(2)),
            data: vec![1],
            on_behalf: None,
            created_at: NOON,
        };
        ids.push(outbox.enqueue(tx).await.unwrap().id);
    }
    assert_eq!(db.chain_stats().count(SERVER).await.unwrap().server, 0);
    for (id, mark) in [(ids[0], 1), (ids[2], 2)] {
        outbox.assign_nonce(id, 0).await.unwrap();
        outbox.mark_mined(id, [mark; 32], 7).await.unwrap();
    }
    assert_eq!(db.chain_stats().count(SERVER).await.unwrap().server, 1);
}

on_every_database!(
    an_empty_chain_has_no_figures,
    a_transaction_counts_once_however_many_events_it_has,
    what_a_block_held_that_went_is_not_counted,
    the_servers_own_count_when_they_are_mined,
);
