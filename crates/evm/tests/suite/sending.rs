//! The life of a transaction when nothing goes wrong, and when the contract says no.

use crate::fixture::{Chain, HaitheOrchestrator, Line, Rig, alice, does, owner};
use alloy::{
    primitives::{B256, aliases::U96},
    sol_types::SolCall,
};
use haithe_billing::outbox::{TxPurpose, TxState};
use haithe_evm::{Alarm, SendPolicy};
use std::time::Duration;

on_every_chain! {
    an_intent_is_sent_then_mined_then_final,
    the_same_key_twice_is_one_transaction,
    intents_get_their_nonces_in_the_order_they_were_asked_for,
    settlement_goes_before_what_was_asked_for_earlier,
    no_more_are_under_way_at_once_than_allowed,
    what_the_contract_refuses_fails_before_it_costs_a_nonce,
    a_transaction_that_fails_in_its_block_is_closed_with_the_reason,
    what_would_need_too_much_gas_is_not_sent,
    a_batch_that_is_refused_waits_without_a_nonce_until_it_is_not,
    a_batch_that_was_settled_already_is_given_up_once_that_is_final,
}

async fn an_intent_is_sent_then_mined_then_final(chain: Chain) {
    let mut rig = Rig::on(chain);
    rig.ask_for_org("acme").await;
    rig.drive().await;
    assert_eq!(rig.state("acme"), TxState::Mined, "in a block, but not final");
    assert_eq!(rig.orgs().await, 1);
    rig.chain.mine(1).await;
    rig.drive().await;
    assert_eq!(rig.state("acme"), TxState::Mined, "two blocks are not three");
    rig.chain.mine(1).await;
    rig.drive().await;
    assert_eq!(rig.state("acme"), TxState::Done);
    assert_eq!(rig.handle.health().alarms, []);
    assert_eq!(rig.chain.wire.raw().len(), 1, "one transaction went out");
}

async fn the_same_key_twice_is_one_transaction(chain: Chain) {
    let mut rig = Rig::on(chain);
    let first = rig.ask_for_org("acme").await;
    let second = rig.ask_for_org("acme").await;
    assert_eq!(first.id, second.id);
    rig.drive().await;
    rig.finalize().await;
    rig.ask_for_org("acme").await;
    rig.drive().await;
    assert_eq!(rig.chain.wire.raw().len(), 1);
    assert_eq!(rig.orgs().await, 1);
}

async fn settlement_goes_before_what_was_asked_for_earlier(chain: Chain) {
    let mut rig = Rig::on(chain);
    rig.chain.hold().await;
    for number in 0..12 {
        rig.ask_for_org(&format!("org {number}")).await;
    }
    let batch = HaitheOrchestrator::settleBatchCall {
        seq: 0,
        root: B256::repeat_byte(1),
        lines: vec![Line {
            org: rig.server(),
            platform: U96::from(1),
            credits: Vec::new(),
        }],
    };
    rig.drive().await;
    let waiting = rig.handle.health().queued;
    assert_eq!(waiting, 8, "half of the places are settlement's");
    rig.ask("settle/0", TxPurpose::SettleBatch, batch.abi_encode())
        .await;
    rig.drive().await;
    assert_eq!(rig.state("settle/0"), TxState::Sent);
    assert_eq!(rig.handle.health().queued, waiting, "nothing else was started");
    rig.chain.release().await;
    rig.chain.mine(1).await;
    rig.drive().await;
    let batch = rig.intent("settle/0");
    assert!(batch.mined.is_some(), "{batch:?}");
}

async fn intents_get_their_nonces_in_the_order_they_were_asked_for(chain: Chain) {
    let mut rig = Rig::on(chain);
    rig.chain.hold().await;
    let start = rig.chain.nonce(rig.server()).await;
    for name in ["a", "b", "c"] {
        rig.ask_for_org(name).await;
    }
    rig.drive().await;
    assert_eq!(rig.handle.health().in_flight, 3);
    let nonces: Vec<_> = ["a", "b", "c"]
        .map(|name| rig.intent(name).nonce.unwrap())
        .to_vec();
    assert_eq!(nonces, [start, start + 1, start + 2]);
    rig.chain.release().await;
    rig.finalize().await;
    assert_eq!(rig.orgs().await, 3);
    for name in ["a", "b", "c"] {
        assert_eq!(rig.state(name), TxState::Done, "{name}");
    }
}

async fn no_more_are_under_way_at_once_than_allowed(chain: Chain) {
    let policy = SendPolicy {
        // Half of the places are settlement's alone.
        max_in_flight: 4,
        ..SendPolicy::default()
    };
    let mut rig = Rig::with(chain, policy);
    rig.chain.hold().await;
    for name in ["a", "b", "c"] {
        rig.ask_for_org(name).await;
    }
    rig.drive().await;
    assert_eq!(rig.state("c"), TxState::Queued);
    let health = rig.handle.health();
    assert_eq!((health.in_flight, health.queued), (2, 1));
    rig.chain.release().await;
    rig.drive().await;
    assert_eq!(rig.orgs().await, 3);
}

async fn what_the_contract_refuses_fails_before_it_costs_a_nonce(chain: Chain) {
    let mut rig = Rig::on(chain);
    rig.chain.actor(alice()).create_org("acme").await;
    rig.ask_for_org("acme").await;
    rig.ask_for_org("other").await;
    rig.drive().await;
    let refused = rig.intent("acme");
    assert_eq!((refused.state, refused.nonce), (TxState::Failed, None));
    assert_eq!(refused.failure.unwrap(), "NameTaken { name: \"acme\" }");
    assert_eq!(rig.state("other"), TxState::Mined, "the next one goes on");
}

async fn a_transaction_that_fails_in_its_block_is_closed_with_the_reason(chain: Chain) {
    let mut rig = Rig::on(chain);
    rig.chain.hold().await;
    rig.ask_for_org("acme").await;
    rig.drive().await;
    // Somebody pays more and is first with the name.
    let rival = rig.chain.actor(alice()).orchestrator();
    let call = rival.createOrganization("acme".to_owned());
    let rival_tx = call
        .max_priority_fee_per_gas(50_000_000_000)
        .max_fee_per_gas(100_000_000_000)
        .gas(2_000_000);
    let pending = rival_tx.send().await.unwrap();
    rig.chain.release().await;
    assert!(pending.get_receipt().await.unwrap().status());
    rig.finalize().await;
    let failed = rig.intent("acme");
    assert_eq!(failed.state, TxState::Failed);
    assert!(
        failed.failure.unwrap().starts_with("reverted"),
        "the reason is there"
    );
    assert_eq!(rig.orgs().await, 1);
    // The lane goes on.
    rig.ask_for_org("other").await;
    rig.drive().await;
    assert_eq!(rig.orgs().await, 2);
}

async fn what_would_need_too_much_gas_is_not_sent(chain: Chain) {
    let policy = SendPolicy {
        gas_cap: 50_000,
        ..SendPolicy::default()
    };
    let mut rig = Rig::with(chain, policy);
    rig.ask_for_org("acme").await;
    rig.drive().await;
    let refused = rig.intent("acme");
    assert_eq!((refused.state, refused.nonce), (TxState::Failed, None));
    assert!(
        refused
            .failure
            .unwrap()
            .contains("more than the 50000 that are allowed")
    );
}

async fn a_batch_that_is_refused_waits_without_a_nonce_until_it_is_not(chain: Chain) {
    let mut rig = Rig::on(chain);
    let boss = rig.chain.actor(owner());
    does!(boss.orchestrator().pause());
    rig.ask("settle/0", TxPurpose::SettleBatch, settle_first()).await;
    rig.drive().await;
    let waiting = rig.intent("settle/0");
    assert_eq!((waiting.state, waiting.nonce), (TxState::Queued, None));
    let alarms = rig.handle.health().alarms;
    assert!(
        matches!(&alarms[..], [Alarm::Refused { reason, .. }] if reason.starts_with("EnforcedPause")),
        "{alarms:?}"
    );
    does!(boss.orchestrator().unpause());
    rig.drive().await;
    assert_eq!(rig.state("settle/0"), TxState::Queued, "it rests for a while");
    rig.after(Duration::from_secs(15)).await;
    assert_eq!(rig.state("settle/0"), TxState::Mined);
    assert_eq!(rig.handle.health().alarms, []);
}

async fn a_batch_that_was_settled_already_is_given_up_once_that_is_final(chain: Chain) {
    let mut rig = Rig::on(chain);
    let server = rig.chain.actor(crate::fixture::server());
    does!(
        server
            .orchestrator()
            .settleBatch(0, Default::default(), vec![line()])
    );
    rig.ask("settle/0", TxPurpose::SettleBatch, settle_first()).await;
    rig.drive().await;
    assert_eq!(
        rig.state("settle/0"),
        TxState::Queued,
        "a reorganization may undo it"
    );
    rig.chain.finalize().await;
    rig.after(Duration::from_secs(15)).await;
    assert_eq!(rig.state("settle/0"), TxState::Failed);
    assert!(
        rig.intent("settle/0")
            .failure
            .unwrap()
            .starts_with("settled already")
    );
}

/// A line of nobody, which is skipped.
fn line() -> Line {
    Line {
        org: Default::default(),
        platform: Default::default(),
        credits: Vec::new(),
    }
}

fn settle_first() -> Vec<u8> {
    let call = HaitheOrchestrator::settleBatchCall {
        seq: 0,
        root: Default::default(),
        lines: vec![line()],
    };
    call.abi_encode()
}
