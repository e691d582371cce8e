//! A server that stops in the middle of everything.

use crate::fixture::{Fixture, ORCHESTRATOR, call_id, capture, created, deposit, exactly, line, nano};
use haithe_billing::{
    capture::Payee,
    ports::{Books, ChainIndex, Ledger},
};
use haithe_kernel::{CallId, OrgId};
use haithe_sqlite::{SqliteBooks, SqliteLedger};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// Every round stops the server's runtime, with whatever it is doing, after some acknowledged charges.
#[test]
fn every_acknowledged_charge_is_there_once_after_a_crash() {
    let outside = tokio::runtime::Runtime::new().unwrap();
    let (fixture, org) = outside.block_on(Fixture::funded(nano(1_000_000)));
    outside.block_on(fixture.db.close()).unwrap();
    let mut all = Vec::new();
    for round in 1..=6 {
        let acknowledged = load_until_crash(&fixture, org, round * 37);
        all.extend(acknowledged);
    }
    outside.block_on(async {
        let db = fixture.open_after_crash().await;
        let (ledger, books) = (SqliteLedger::new(&db), SqliteBooks::new(&db.read_only()));
        for call in &all {
            assert!(
                books.receipt(*call).await.unwrap().is_some(),
                "an acknowledged charge is lost"
            );
        }
        let snapshot = books.snapshot().await.unwrap();
        assert_eq!((snapshot.sum_of_postings, snapshot.broken_receipts), (0, 0));
        assert!(snapshot.drifted.is_empty());
        let spent = ledger.expenditure(org).await.unwrap();
        assert!(spent.nano() >= all.len() as i64 * 10);
        let balance = ledger.balance(org).await.unwrap();
        assert_eq!(balance.available.nano() + spent.nano(), 1_000_000);
        assert_eq!((balance.held, balance.unsettled), (nano(0), spent));
    });
}

/// Charges from many tasks until `enough` are acknowledged, then drops the runtime under them.
fn load_until_crash(fixture: &Fixture, org: OrgId, enough: usize) -> Vec<CallId> {
    let server = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let acknowledged: Arc<Mutex<Vec<CallId>>> = Arc::default();
    let seen = Arc::clone(&acknowledged);
    server.block_on(async move {
        let db = fixture.open_after_crash().await;
        for _ in 0..32 {
            let (ledger, acknowledged) = (SqliteLedger::new(&db), Arc::clone(&seen));
            tokio::spawn(async move {
                loop {
                    let call = call_id();
                    let Ok(_) = ledger.hold(exactly(call, org, nano(10))).await else {
                        return;
                    };
                    let capture = capture(call, org, vec![line(Payee::Platform, nano(10))]);
                    if ledger.capture(capture).await.is_ok() {
                        acknowledged.lock().unwrap().push(call);
                    }
                }
            });
        }
        while seen.lock().unwrap().len() < enough {
            tokio::task::yield_now().await;
        }
    });
    server.shutdown_timeout(Duration::ZERO);
    std::mem::take(&mut *acknowledged.lock().unwrap())
}

#[test]
fn an_index_cut_off_between_steps_goes_on_where_it_was() {
    let outside = tokio::runtime::Runtime::new().unwrap();
    let mut fixture = outside.block_on(Fixture::new());
    outside.block_on(fixture.mine(vec![created(1), deposit(1, nano(5))]));
    let checkpoint = fixture.head;
    outside.block_on(fixture.db.close()).unwrap();
    let server = tokio::runtime::Runtime::new().unwrap();
    server.block_on(async {
        let db = fixture.open_again().await.unwrap();
        let index = haithe_sqlite::SqliteChainIndex::new(&db);
        index.bind(31_337, ORCHESTRATOR, 1).await.unwrap();
        assert_eq!(index.checkpoint().await.unwrap(), checkpoint);
    });
    server.shutdown_timeout(Duration::ZERO);
    outside.block_on(async {
        fixture.db = fixture.open_after_crash().await;
        fixture.mine(vec![deposit(1, nano(7))]).await;
        let org = fixture.org(1).await;
        assert_eq!(fixture.balance(org).await.available, nano(12));
    });
}
