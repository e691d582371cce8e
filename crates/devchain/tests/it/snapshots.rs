//! Snapshots: everything comes back, as often as asked and from as far as needed.

use crate::support::*;
use alloy::primitives::{U64, U256};
use serde_json::json;

#[test]
fn a_revert_brings_back_state_blocks_pool_and_clock() {
    let chain = manual();
    let waiting = chain.send(&sign(1, draft(0))).unwrap();
    let (head, now) = (chain.head(), chain.now());
    let snapshot = chain.snapshot();

    chain.mine(1);
    chain.advance_time(1000);
    chain.set_balance(NOBODY, U256::from(99)).unwrap();
    chain.send(&sign(2, draft(0))).unwrap();
    assert!(chain.receipt(waiting).is_some());

    assert!(chain.revert(snapshot));
    assert_eq!((chain.head(), chain.now(), chain.pending()), (head, now, 1));
    assert_eq!(chain.balance(NOBODY), U256::ZERO);
    assert!(chain.receipt(waiting).is_none());
    chain.mine(1);
    assert!(chain.receipt(waiting).unwrap().status());
    assert_ne!(chain.head().hash, head.hash);
}

#[test]
fn a_snapshot_works_once_and_takes_the_later_ones_along() {
    let chain = manual();
    let first = chain.snapshot();
    chain.mine(1);
    let second = chain.snapshot();
    chain.mine(1);
    assert!(chain.revert(first));
    assert!(!chain.revert(second) && !chain.revert(first) && !chain.revert(77));
    assert_eq!(chain.head().number, 0);
}

#[test]
fn a_snapshot_between_two_edits_of_one_block_remembers_the_first_only() {
    let chain = manual();
    chain.mine(1);
    chain.set_balance(NOBODY, U256::from(1)).unwrap();
    let snapshot = chain.snapshot();
    chain.set_balance(NOBODY, U256::from(2)).unwrap();
    chain.set_storage(NOBODY, U256::from(5), U256::from(6)).unwrap();
    assert!(chain.revert(snapshot));
    assert_eq!(
        (chain.balance(NOBODY), chain.slot(NOBODY, 5)),
        (U256::from(1), U256::ZERO)
    );
    assert_eq!(chain.head().number, 1);
}

#[test]
fn a_snapshot_keeps_the_way_back_open_past_the_usual_depth() {
    let chain = manual();
    chain.send(&sign(0, draft(0))).unwrap();
    let snapshot = chain.snapshot();
    chain.mine(1000);
    assert_eq!(chain.balance(NOBODY), U256::from(1));
    assert!(chain.revert(snapshot));
    assert_eq!((chain.head().number, chain.balance(NOBODY)), (0, U256::ZERO));
}

#[test]
fn a_rollback_behind_a_snapshot_ends_it() {
    let chain = manual();
    chain.mine(5);
    let snapshot = chain.snapshot();
    chain.rollback(2).unwrap();
    assert!(!chain.revert(snapshot));
}

#[test]
fn snapshots_have_their_usual_methods() {
    let chain = instant();
    let id: U64 = chain.ask("evm_snapshot", json!([]));
    chain.send(&sign(0, draft(0))).unwrap();
    assert!(chain.ask::<bool>("evm_revert", json!([id])));
    assert!(!chain.ask::<bool>("evm_revert", json!([id])));
    assert_eq!(chain.nonce(account(0).address), 0);
}
