//! Crashes, lost answers and reorganizations: every transaction still happens once.

use crate::fixture::{Chain, Fault, Rig, alice};
use haithe_billing::{outbox::TxState, ports::TxOutbox};

const SEND: &str = "eth_sendRawTransaction";

on_every_chain! {
    bytes_that_could_not_be_stored_are_never_sent,
    a_database_that_fails_at_any_point_costs_time_and_nothing_else,
    a_crash_before_the_broadcast_sends_the_stored_bytes,
    a_crash_before_the_answer_finds_the_transaction_there,
    a_lost_answer_is_not_taken_for_a_failure,
    a_crash_between_nonce_and_signature_uses_that_nonce,
    a_nonce_whose_call_is_refused_by_then_is_used_for_nothing,
    a_reorganization_puts_the_same_bytes_back,
    a_reorganization_is_noticed_after_a_crash_too,
    a_receipt_that_a_lagging_node_hides_changes_nothing,
    a_node_that_is_away_is_waited_for,
}

async fn a_crash_before_the_broadcast_sends_the_stored_bytes(chain: Chain) {
    let mut rig = Rig::on(chain);
    rig.chain.wire.fail(SEND, 1, Fault::Undelivered);
    rig.ask_for_org("acme").await;
    rig.sender.step().await.unwrap();
    assert_eq!(rig.orgs().await, 0, "it was stored and never arrived");
    rig.crash();
    rig.drive().await;
    rig.finalize().await;
    assert_eq!(rig.state("acme"), TxState::Done);
    let raw = rig.chain.wire.raw();
    assert_eq!((raw.len(), &raw[0]), (2, &raw[1]), "the same bytes");
    assert_eq!(rig.attempts("acme").len(), 1);
    assert_eq!(rig.orgs().await, 1);
}

async fn a_crash_before_the_answer_finds_the_transaction_there(chain: Chain) {
    let mut rig = Rig::on(chain);
    rig.chain.wire.fail(SEND, 1, Fault::AnswerLost);
    rig.ask_for_org("acme").await;
    rig.sender.step().await.unwrap();
    assert_eq!(rig.state("acme"), TxState::Sent);
    rig.chain.settled().await;
    assert_eq!(rig.orgs().await, 1, "it happened");
    rig.crash();
    rig.drive().await;
    rig.finalize().await;
    assert_eq!(rig.state("acme"), TxState::Done);
    assert_eq!((rig.attempts("acme").len(), rig.chain.wire.raw().len()), (1, 1));
    assert_eq!(rig.orgs().await, 1);
}

async fn a_lost_answer_is_not_taken_for_a_failure(chain: Chain) {
    let mut rig = Rig::on(chain);
    rig.chain.hold().await;
    rig.chain.wire.fail(SEND, 1, Fault::AnswerLost);
    rig.ask_for_org("acme").await;
    rig.drive().await;
    assert_eq!(rig.state("acme"), TxState::Sent);
    assert_eq!(rig.handle.health().alarms, []);
    let raw = rig.chain.wire.raw();
    assert!(
        raw.len() == 2 && raw[0] == raw[1],
        "sent again at once, the same bytes; the node knows them"
    );
    rig.chain.release().await;
    rig.finalize().await;
    assert_eq!(rig.state("acme"), TxState::Done);
    assert_eq!(rig.orgs().await, 1);
}

async fn a_crash_between_nonce_and_signature_uses_that_nonce(chain: Chain) {
    let mut rig = Rig::on(chain);
    let nonce = rig.chain.nonce(rig.server()).await;
    let intent = rig.ask_for_org("acme").await;
    rig.outbox.assign_nonce(intent.id, nonce).await.unwrap();
    rig.crash();
    rig.drive().await;
    assert_eq!(rig.intent("acme").nonce, Some(nonce));
    assert_eq!(rig.orgs().await, 1);
}

async fn a_nonce_whose_call_is_refused_by_then_is_used_for_nothing(chain: Chain) {
    let mut rig = Rig::on(chain);
    let nonce = rig.chain.nonce(rig.server()).await;
    let intent = rig.ask_for_org("acme").await;
    rig.outbox.assign_nonce(intent.id, nonce).await.unwrap();
    rig.chain.actor(alice()).create_org("acme").await;
    rig.ask_for_org("other").await;
    rig.crash();
    rig.drive().await;
    rig.finalize().await;
    let given_up = rig.intent("acme");
    assert!(given_up.attempts[0].cancels);
    assert_eq!(
        (given_up.state, given_up.failure.as_deref()),
        (TxState::Failed, Some("cancelled"))
    );
    assert_eq!(rig.state("other"), TxState::Done);
}

async fn a_reorganization_puts_the_same_bytes_back(chain: Chain) {
    let mut rig = Rig::on(chain);
    rig.ask_for_org("acme").await;
    rig.drive().await;
    assert_eq!(rig.state("acme"), TxState::Mined);
    let before = rig.intent("acme").mined.unwrap().0;
    rig.chain.reorg(1).await;
    assert_eq!(rig.orgs().await, 0, "it is gone");
    rig.drive().await;
    rig.finalize().await;
    assert_eq!(rig.state("acme"), TxState::Done);
    let raw = rig.chain.wire.raw();
    assert!(raw.iter().all(|bytes| *bytes == raw[0]), "the same bytes");
    assert_eq!(rig.intent("acme").mined.unwrap().0, before);
    assert_eq!((rig.attempts("acme").len(), rig.orgs().await), (1, 1), "once");
}

async fn a_reorganization_is_noticed_after_a_crash_too(chain: Chain) {
    let mut rig = Rig::on(chain);
    rig.ask_for_org("acme").await;
    rig.drive().await;
    rig.chain.reorg(1).await;
    rig.crash();
    rig.drive().await;
    rig.finalize().await;
    assert_eq!((rig.state("acme"), rig.orgs().await), (TxState::Done, 1));
}

async fn a_receipt_that_a_lagging_node_hides_changes_nothing(chain: Chain) {
    let mut rig = Rig::on(chain);
    rig.ask_for_org("acme").await;
    rig.drive().await;
    assert_eq!(rig.state("acme"), TxState::Mined);
    rig.chain.wire.fail("eth_getTransactionReceipt", 1, Fault::Null);
    rig.drive().await;
    rig.finalize().await;
    assert_eq!((rig.state("acme"), rig.orgs().await), (TxState::Done, 1));
    assert_eq!(rig.attempts("acme").len(), 1);
}

async fn a_node_that_is_away_is_waited_for(chain: Chain) {
    let mut rig = Rig::on(chain);
    rig.ask_for_org("acme").await;
    rig.chain
        .wire
        .fail("eth_getTransactionCount", 2, Fault::Undelivered);
    assert!(rig.sender.step().await.is_err());
    assert!(rig.sender.step().await.is_err());
    let health = rig.handle.health();
    assert_eq!((health.failures, health.failure.is_some()), (2, true));
    rig.drive().await;
    assert_eq!(rig.handle.health().failures, 0);
    assert_eq!(rig.orgs().await, 1);
}

async fn bytes_that_could_not_be_stored_are_never_sent(chain: Chain) {
    let mut rig = Rig::on(chain);
    rig.ask_for_org("acme").await;
    rig.outbox.fail_next("record_attempt");
    assert!(rig.sender.step().await.is_err());
    assert!(rig.chain.wire.raw().is_empty());
    rig.drive().await;
    assert_eq!((rig.attempts("acme").len(), rig.orgs().await), (1, 1));
}

async fn a_database_that_fails_at_any_point_costs_time_and_nothing_else(chain: Chain) {
    let mut rig = Rig::on(chain);
    for method in [
        "assign_nonce",
        "record_attempt",
        "mark_mined",
        "close",
        "mark_unmined",
    ] {
        rig.ask_for_org(method).await;
        rig.outbox.fail_next(method);
        if method == "mark_unmined" {
            rig.drive().await;
            rig.chain.reorg(1).await;
        }
        // Until the failure, through it, and on.
        for _ in 0..20 {
            let _ = rig.sender.step().await;
            rig.chain.mine(1).await;
        }
        assert_eq!(rig.state(method), TxState::Done, "{method}");
        assert_eq!(rig.attempts(method).len(), 1, "{method}");
    }
    assert_eq!(rig.orgs().await, 5);
    assert!(
        rig.chain.wire.raw().len() <= 6,
        "one each, and one again after the reorganization"
    );
}
