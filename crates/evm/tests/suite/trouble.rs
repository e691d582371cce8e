//! Fees that stall, funds that run out, nodes that forget or refuse, a key that is used elsewhere.

use crate::fixture::{Chain, Fault, Rig, server};
use alloy::{
    eips::eip2718::Encodable2718,
    primitives::{B256, U256, utils::parse_ether},
    providers::Provider,
};
use haithe_billing::outbox::TxState;
use haithe_evm::{Alarm, GWEI, SendPolicy};
use std::time::Duration;

const SEND: &str = "eth_sendRawTransaction";
const BUMP: Duration = Duration::from_secs(60);
const RESEND: Duration = Duration::from_secs(15);

on_every_chain! {
    a_call_that_the_node_cannot_simulate_rests_and_the_others_go_on,
    a_stalled_transaction_is_replaced_by_a_dearer_one,
    the_attempt_that_is_mined_counts_whichever_it_is,
    at_the_ceiling_it_waits_and_says_so,
    only_the_lowest_nonce_is_raised,
    a_transaction_that_nodes_forgot_is_sent_again_and_what_waits_behind_it_goes_on,
    without_funds_the_lane_stops_and_goes_on_when_they_come,
    a_nonce_used_by_a_stranger_halts_the_lane,
    final_nonces_that_the_chain_has_never_seen_stop_the_lane,
    a_transaction_under_way_can_be_cancelled,
    a_queued_transaction_can_be_cancelled,
    what_the_node_never_takes_raises_an_alarm_and_keeps_its_nonce,
    fees_follow_a_base_fee_that_ran_away,
    stored_bytes_are_what_the_database_says_they_are,
}

async fn a_stalled_transaction_is_replaced_by_a_dearer_one(chain: Chain) {
    let mut rig = Rig::on(chain);
    rig.chain.hold().await;
    rig.ask_for_org("acme").await;
    rig.drive().await;
    rig.after(BUMP - Duration::from_secs(1)).await;
    assert_eq!(rig.attempts("acme").len(), 1, "not yet");
    rig.after(Duration::from_secs(1)).await;
    let attempts = rig.intent("acme").attempts;
    assert_eq!(attempts.len(), 2);
    assert!(attempts[1].max_fee_per_gas * 8 >= attempts[0].max_fee_per_gas * 9);
    assert!(attempts[1].max_priority_fee_per_gas * 8 >= attempts[0].max_priority_fee_per_gas * 9);
    assert_eq!(attempts[1].gas_limit, attempts[0].gas_limit);
    let [old, new] = rig.attempts("acme")[..] else {
        panic!("two")
    };
    assert!(
        rig.chain.is_waiting(new).await && !rig.chain.is_waiting(old).await,
        "the node took it"
    );
    rig.chain.release().await;
    rig.finalize().await;
    assert_eq!(rig.state("acme"), TxState::Done);
    assert_eq!(rig.intent("acme").mined.unwrap().0, new.0);
    assert_eq!(rig.orgs().await, 1);
}

async fn the_attempt_that_is_mined_counts_whichever_it_is(chain: Chain) {
    let mut rig = Rig::on(chain);
    rig.chain.hold().await;
    rig.ask_for_org("acme").await;
    rig.drive().await;
    // The replacement never arrives; the first attempt is mined.
    rig.chain.wire.fail(SEND, 100, Fault::Undelivered);
    rig.clock.advance(BUMP);
    rig.sender.step().await.unwrap();
    assert_eq!(rig.attempts("acme").len(), 2);
    rig.chain.release().await;
    rig.chain.wire.heal();
    rig.finalize().await;
    assert_eq!(rig.state("acme"), TxState::Done);
    assert_eq!(rig.intent("acme").mined.unwrap().0, rig.attempts("acme")[0].0);
    assert_eq!(rig.orgs().await, 1);
}

async fn at_the_ceiling_it_waits_and_says_so(chain: Chain) {
    let policy = SendPolicy {
        max_fee_ceiling: 2 * GWEI,
        ..SendPolicy::default()
    };
    let mut rig = Rig::with(chain, policy);
    rig.chain.hold().await;
    rig.ask_for_org("acme").await;
    rig.drive().await;
    for _ in 0..20 {
        rig.after(BUMP).await;
    }
    let intent = rig.intent("acme");
    assert!(
        intent
            .attempts
            .iter()
            .all(|attempt| attempt.max_fee_per_gas <= 2 * GWEI)
    );
    let alarms = rig.handle.health().alarms;
    assert!(
        matches!(&alarms[..], [Alarm::FeesAtCap { key, .. }] if key == "acme"),
        "{alarms:?}"
    );
    assert_eq!(
        (intent.state, rig.handle.health().halted),
        (TxState::Sent, false),
        "the nonce is kept"
    );
    rig.chain.release().await;
    rig.finalize().await;
    assert_eq!(rig.state("acme"), TxState::Done);
    assert_eq!(rig.handle.health().alarms, []);
}

async fn only_the_lowest_nonce_is_raised(chain: Chain) {
    let mut rig = Rig::on(chain);
    rig.chain.hold().await;
    rig.ask_for_org("a").await;
    rig.ask_for_org("b").await;
    rig.drive().await;
    rig.after(BUMP).await;
    assert_eq!((rig.attempts("a").len(), rig.attempts("b").len()), (2, 1));
}

async fn a_transaction_that_nodes_forgot_is_sent_again_and_what_waits_behind_it_goes_on(chain: Chain) {
    let mut rig = Rig::on(chain);
    rig.chain.hold().await;
    rig.ask_for_org("a").await;
    rig.ask_for_org("b").await;
    rig.drive().await;
    rig.chain.forget(rig.attempts("a")[0]).await;
    rig.chain.mine(1).await;
    rig.drive().await;
    assert_eq!(rig.orgs().await, 0, "b waits for a's nonce");
    rig.after(RESEND).await;
    rig.chain.release().await;
    rig.finalize().await;
    assert_eq!((rig.state("a"), rig.state("b")), (TxState::Done, TxState::Done));
    assert_eq!((rig.attempts("a").len(), rig.attempts("b").len()), (1, 1));
}

async fn without_funds_the_lane_stops_and_goes_on_when_they_come(chain: Chain) {
    let mut rig = Rig::on(chain);
    rig.chain.set_balance(rig.server(), U256::from(1)).await;
    rig.ask_for_org("a").await;
    rig.ask_for_org("b").await;
    rig.drive().await;
    let alarms = rig.handle.health().alarms;
    assert!(
        matches!(&alarms[..], [Alarm::InsufficientFunds { .. }]),
        "{alarms:?}"
    );
    assert_eq!(rig.intent("b").nonce, None, "nothing new starts");
    rig.after(RESEND).await;
    assert_eq!(rig.handle.health().alarms.len(), 1, "still");
    rig.chain
        .set_balance(rig.server(), parse_ether("1").unwrap())
        .await;
    rig.after(RESEND).await;
    rig.finalize().await;
    assert_eq!((rig.state("a"), rig.state("b")), (TxState::Done, TxState::Done));
    assert_eq!(rig.handle.health().alarms, []);
    assert!(rig.attempts("a").len() <= 1, "no attempt was wasted on it");
}

async fn a_nonce_used_by_a_stranger_halts_the_lane(chain: Chain) {
    let mut rig = Rig::on(chain);
    rig.chain.wire.fail(SEND, 100, Fault::Undelivered);
    rig.ask_for_org("acme").await;
    rig.sender.step().await.unwrap();
    // The key is used by somebody else.
    let stranger = rig.chain.actor(server());
    stranger.create_org("strange").await;
    rig.chain.wire.heal();
    rig.drive().await;
    assert!(!rig.handle.health().halted, "a node may lag for a block or two");
    rig.ask_for_org("other").await;
    rig.finalize().await;
    let health = rig.handle.health();
    assert!(health.halted);
    assert!(
        matches!(&health.alarms[..], [Alarm::ForeignNonce { key, .. }] if key == "acme"),
        "{health:?}"
    );
    let sent = rig.chain.wire.raw().len();
    rig.after(BUMP * 3).await;
    assert_eq!(rig.chain.wire.raw().len(), sent, "nothing goes out any more");
    assert_eq!(rig.intent("other").nonce, None);
    // A crash forgets nothing of it.
    rig.crash();
    rig.drive().await;
    assert!(rig.handle.health().halted);
    // A person looks at it and gives the intent up: it can never happen any more.
    rig.handle.cancel("acme");
    rig.drive().await;
    rig.finalize().await;
    assert_eq!(
        (rig.state("acme"), rig.state("other")),
        (TxState::Failed, TxState::Done)
    );
    assert!(!rig.handle.health().halted);
}

async fn final_nonces_that_the_chain_has_never_seen_stop_the_lane(chain: Chain) {
    let mut rig = Rig::on(chain);
    rig.ask_for_org("a").await;
    rig.drive().await;
    rig.finalize().await;
    rig.ask_for_org("b").await;
    // The chain was reset under us: final transactions never happened.
    rig.chain.set_nonce(rig.server(), 0).await;
    rig.drive().await;
    let alarms = rig.handle.health().alarms;
    assert_eq!(alarms, [Alarm::NonceGap { chain: 0, lowest: 1 }]);
    rig.ask_for_org("c").await;
    rig.drive().await;
    assert_eq!(rig.intent("c").nonce, None);
}

async fn a_transaction_under_way_can_be_cancelled(chain: Chain) {
    let mut rig = Rig::on(chain);
    rig.chain.hold().await;
    rig.ask_for_org("acme").await;
    rig.drive().await;
    rig.handle.cancel("acme");
    rig.drive().await;
    let attempts = rig.intent("acme").attempts;
    assert!(!attempts[0].cancels && attempts[1].cancels);
    rig.chain.release().await;
    rig.finalize().await;
    let given_up = rig.intent("acme");
    assert_eq!(
        (given_up.state, given_up.failure.as_deref()),
        (TxState::Failed, Some("cancelled"))
    );
    assert_eq!(rig.orgs().await, 0);
    rig.ask_for_org("other").await;
    rig.drive().await;
    assert_eq!(rig.orgs().await, 1);
}

async fn a_queued_transaction_can_be_cancelled(chain: Chain) {
    let policy = SendPolicy {
        max_in_flight: 0,
        ..SendPolicy::default()
    };
    let mut rig = Rig::with(chain, policy);
    rig.ask_for_org("acme").await;
    rig.drive().await;
    rig.handle.cancel("acme");
    rig.drive().await;
    assert_eq!(rig.state("acme"), TxState::Failed);
    assert!(rig.chain.wire.raw().is_empty());
}

async fn what_the_node_never_takes_raises_an_alarm_and_keeps_its_nonce(chain: Chain) {
    let mut rig = Rig::on(chain);
    rig.chain
        .wire
        .fail(SEND, 2, Fault::Says(-32000, "exceeds block gas limit"));
    rig.ask_for_org("acme").await;
    rig.ask_for_org("other").await;
    rig.drive().await;
    let alarms = rig.handle.health().alarms;
    assert!(
        matches!(&alarms[..], [Alarm::Rejected { key, .. }] if key == "acme"),
        "{alarms:?}"
    );
    assert_eq!(rig.intent("other").nonce, None, "nothing new behind it");
    rig.after(RESEND).await;
    rig.after(RESEND).await;
    assert_eq!(rig.orgs().await, 2, "the node changed its mind");
}

async fn fees_follow_a_base_fee_that_ran_away(chain: Chain) {
    let mut rig = Rig::on(chain);
    rig.chain.hold().await;
    rig.ask_for_org("acme").await;
    rig.drive().await;
    rig.chain.forget(rig.attempts("acme")[0]).await;
    rig.chain.set_base_fee(50_000_000_000).await;
    rig.after(BUMP).await;
    let attempts = rig.intent("acme").attempts;
    assert!(
        attempts.last().unwrap().max_fee_per_gas > 50 * GWEI,
        "{attempts:?}"
    );
    rig.chain.release().await;
    rig.finalize().await;
    assert_eq!((rig.state("acme"), rig.orgs().await), (TxState::Done, 1));
}

async fn stored_bytes_are_what_the_database_says_they_are(chain: Chain) {
    let mut rig = Rig::on(chain);
    rig.ask_for_org("acme").await;
    rig.drive().await;
    let attempt = rig.intent("acme").attempts[0].clone();
    let mined = rig
        .chain
        .provider()
        .get_transaction_by_hash(B256::new(attempt.hash))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(mined.inner.encoded_2718(), attempt.raw);
    assert_eq!(rig.chain.wire.raw()[0], attempt.raw);
}

async fn a_call_that_the_node_cannot_simulate_rests_and_the_others_go_on(chain: Chain) {
    let mut rig = Rig::on(chain);
    rig.chain
        .wire
        .fail("eth_estimateGas", 1, Fault::Says(-32000, "no such luck"));
    rig.ask_for_org("unlucky").await;
    rig.ask_for_org("other").await;
    rig.drive().await;
    assert_eq!(
        (rig.state("unlucky"), rig.state("other")),
        (TxState::Queued, TxState::Mined)
    );
    let alarms = rig.handle.health().alarms;
    assert!(
        matches!(&alarms[..], [Alarm::Refused { key, .. }] if key == "unlucky"),
        "{alarms:?}"
    );
    rig.after(RESEND).await;
    assert_eq!(rig.state("unlucky"), TxState::Mined);
}
