//! The mempool takes, orders, replaces and refuses as geth's does.

use crate::support::*;
use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope, TxLegacy},
    eips::eip2718::Encodable2718,
    primitives::{B256, Bytes, TxKind, U64, U256},
    signers::SignerSync,
};
use haithe_devchain::{DEFAULT_CHAIN_ID, DevChain, DevChainConfig, GWEI, Hardfork, Mining};
use serde_json::{Value, json};

fn refusal(chain: &DevChain, tx: TxEip1559) -> String {
    chain.send(&sign(0, tx)).unwrap_err().message
}

fn pending_nonce(chain: &DevChain) -> u64 {
    chain
        .ask::<U64>("eth_getTransactionCount", json!([account(0).address, "pending"]))
        .to()
}

fn mined(chain: &DevChain) -> Vec<B256> {
    chain.block("latest").into_hashes_vec()
}

#[test]
fn a_nonce_gap_waits_until_it_is_filled() {
    let chain = instant();
    let third = chain.send(&sign(0, draft(2))).unwrap();
    let second = chain.send(&sign(0, draft(1))).unwrap();
    assert_eq!((chain.head().number, chain.pending()), (0, 2));
    assert_eq!(pending_nonce(&chain), 0);
    assert_eq!(
        chain.ask::<Value>("txpool_status", json!([])),
        json!({"pending": "0x0", "queued": "0x2"})
    );
    assert!(chain.transaction(third).unwrap().block_hash.is_none());
    assert!(chain.receipt(third).is_none());

    let first = chain.send(&sign(0, draft(0))).unwrap();
    assert_eq!(mined(&chain), [first, second, third]);
    assert_eq!(chain.pending(), 0);
}

#[test]
fn the_pending_nonce_counts_what_waits() {
    let chain = manual();
    chain.send(&sign(0, draft(0))).unwrap();
    chain.send(&sign(0, draft(1))).unwrap();
    assert_eq!((chain.nonce(account(0).address), pending_nonce(&chain)), (0, 2));
    let content: Value = chain.ask("txpool_content", json!([]));
    let mine = &content["pending"][account(0).address.to_checksum(None)];
    assert_eq!(mine["1"]["nonce"], "0x1");
    chain.mine(1);
    assert_eq!((chain.nonce(account(0).address), pending_nonce(&chain)), (2, 2));
}

#[test]
fn the_better_tip_goes_first_and_equals_in_order_of_arrival() {
    let chain = manual();
    let tip = |gwei: u64| TxEip1559 {
        max_priority_fee_per_gas: u128::from(gwei * GWEI),
        max_fee_per_gas: 100 * u128::from(GWEI),
        ..draft(0)
    };
    let low = chain.send(&sign(1, tip(1))).unwrap();
    let equal = chain.send(&sign(2, tip(1))).unwrap();
    let high = chain.send(&sign(3, tip(9))).unwrap();
    chain.mine(1);
    assert_eq!(mined(&chain), [high, low, equal]);
}

#[test]
fn a_replacement_needs_ten_percent_more_of_both_fees() {
    let chain = manual();
    let fees = |fee: u128, tip: u128| TxEip1559 {
        max_fee_per_gas: fee * u128::from(GWEI),
        max_priority_fee_per_gas: tip * u128::from(GWEI),
        ..draft(0)
    };
    let old = chain.send(&sign(0, fees(100, 10))).unwrap();
    for (fee, tip) in [(100, 11), (110, 10), (109, 11), (200, 10), (99, 20)] {
        assert_eq!(
            refusal(&chain, fees(fee, tip)),
            "replacement transaction underpriced",
            "{fee} {tip}"
        );
    }
    let new = chain.send(&sign(0, fees(110, 11))).unwrap();
    assert!(chain.transaction(old).is_none());
    chain.mine(1);
    assert_eq!(mined(&chain), [new]);
    assert!(chain.receipt(old).is_none());
    assert_eq!(
        refusal(&chain, fees(300, 30)),
        "nonce too low: next nonce 1, tx nonce 0"
    );
}

#[test]
fn one_wei_more_is_no_replacement() {
    let chain = manual();
    let low = TxEip1559 {
        max_fee_per_gas: u128::from(GWEI),
        max_priority_fee_per_gas: 1,
        ..draft(0)
    };
    chain.send(&sign(0, low.clone())).unwrap();
    let same_tip = TxEip1559 {
        max_fee_per_gas: 2 * u128::from(GWEI),
        ..low.clone()
    };
    assert_eq!(refusal(&chain, same_tip), "replacement transaction underpriced");
    let both = TxEip1559 {
        max_fee_per_gas: 2 * u128::from(GWEI),
        max_priority_fee_per_gas: 2,
        ..low
    };
    chain.send(&sign(0, both)).unwrap();
}

#[test]
fn the_same_transaction_twice_is_already_known() {
    let chain = manual();
    let tx = sign(0, draft(0));
    chain.send(&tx).unwrap();
    assert_eq!(chain.send(&tx).unwrap_err().message, "already known");
    chain.mine(1);
    assert_eq!(
        chain.send(&tx).unwrap_err().message,
        "nonce too low: next nonce 1, tx nonce 0"
    );
}

#[test]
fn what_cannot_be_paid_is_refused_also_together_with_what_waits() {
    let chain = manual();
    let balance = chain.balance(account(0).address);
    let all = TxEip1559 {
        value: balance,
        ..draft(0)
    };
    assert!(refusal(&chain, all).starts_with("insufficient funds for gas * price + value: balance "));
    let most = TxEip1559 {
        value: balance / U256::from(2),
        ..draft(0)
    };
    chain.send(&sign(0, most.clone())).unwrap();
    let too_much = TxEip1559 { nonce: 1, ..most };
    assert!(refusal(&chain, too_much).contains("queued cost"));
    chain.send(&sign(0, draft(1))).unwrap();
}

#[test]
fn a_transaction_that_became_unaffordable_is_dropped() {
    let chain = manual();
    let hash = chain.send(&sign(0, draft(0))).unwrap();
    chain.set_balance(account(0).address, U256::from(5)).unwrap();
    chain.mine(1);
    assert!(chain.receipt(hash).is_none());
    assert_eq!(chain.pending(), 0);
}

#[test]
fn each_broken_rule_has_its_words() {
    let chain = manual();
    let cases = [
        (
            TxEip1559 {
                gas_limit: 20_999,
                ..draft(0)
            },
            "intrinsic gas too low: gas 20999, minimum needed 21000",
        ),
        (
            TxEip1559 {
                gas_limit: 30_000_001,
                ..draft(0)
            },
            "exceeds block gas limit: gas 30000001, limit 30000000",
        ),
        (
            TxEip1559 {
                gas_limit: 16_777_217,
                ..draft(0)
            },
            "transaction gas limit too high (cap: 16777216, tx: 16777217)",
        ),
        (
            TxEip1559 {
                max_priority_fee_per_gas: 3_000_000_000,
                ..draft(0)
            },
            "max priority fee per gas higher than max fee per gas: maxPriorityFeePerGas: 3000000000, maxFeePerGas: 2000000000",
        ),
        (
            TxEip1559 {
                chain_id: 1,
                ..draft(0)
            },
            "invalid chain id for signer: have 1 want 133717",
        ),
        (
            TxEip1559 {
                nonce: u64::MAX,
                ..draft(0)
            },
            "nonce has max value",
        ),
        (
            TxEip1559 {
                input: vec![1; 1000].into(),
                gas_limit: 40_000,
                ..draft(0)
            },
            "insufficient gas for floor data gas cost: gas 40000, minimum needed 61000",
        ),
        (
            TxEip1559 {
                to: TxKind::Create,
                input: vec![0; 49_153].into(),
                gas_limit: 9_000_000,
                ..draft(0)
            },
            "max initcode size exceeded: code size 49153, limit 49152",
        ),
    ];
    for (tx, words) in cases {
        assert_eq!(refusal(&chain, tx), words);
    }
    let unprotected = TxLegacy {
        chain_id: None,
        gas_limit: 21_000,
        to: TxKind::Call(NOBODY),
        ..TxLegacy::default()
    };
    let refused = chain.send(&sign_legacy(0, unprotected)).unwrap_err().message;
    assert_eq!(
        refused,
        "only replay-protected (EIP-155) transactions allowed over RPC"
    );
    let oversized = TxEip1559 {
        input: vec![0; 131_072].into(),
        gas_limit: 9_000_000,
        ..draft(0)
    };
    assert!(refusal(&chain, oversized).starts_with("oversized data"));
    assert_eq!(chain.pending(), 0);
}

#[test]
fn contracts_do_not_send_transactions() {
    let chain = manual();
    chain.set_code(account(0).address, STORE.into()).unwrap();
    assert!(refusal(&chain, draft(0)).starts_with("sender not an eoa"));
}

#[test]
fn a_delegation_makes_an_account_run_code_from_prague_on() {
    let delegate = |chain: &DevChain, target| {
        let authorization = alloy::eips::eip7702::Authorization {
            chain_id: U256::from(DEFAULT_CHAIN_ID),
            address: target,
            nonce: chain.nonce(account(1).address),
        };
        let signature = account(1)
            .signer
            .sign_hash_sync(&authorization.signature_hash())
            .unwrap();
        let tx = alloy::consensus::TxEip7702 {
            chain_id: DEFAULT_CHAIN_ID,
            nonce: chain.nonce(account(0).address),
            gas_limit: 200_000,
            max_fee_per_gas: 2 * u128::from(GWEI),
            to: account(1).address,
            input: word(9),
            authorization_list: vec![authorization.into_signed(signature)],
            ..Default::default()
        };
        let signature = account(0).signer.sign_hash_sync(&tx.signature_hash()).unwrap();
        chain.send(&TxEnvelope::from(tx.into_signed(signature)))
    };
    let chain = instant();
    let store = chain.deploy(STORE);
    assert!(chain.receipt(delegate(&chain, store).unwrap()).unwrap().status());
    assert_eq!(chain.slot(account(1).address, 0), U256::from(9));
    chain
        .send(&sign(1, draft(1)))
        .expect("a delegated account still sends");

    // A delegation uses up a nonce of the delegating account, and with it what waits there.
    chain.set_mining(Mining::Manual);
    chain.send(&sign(1, draft(2))).unwrap();
    delegate(&chain, store).unwrap();
    chain.mine(1);
    assert_eq!((chain.nonce(account(1).address), chain.pending()), (3, 0));

    let old = DevChain::start(DevChainConfig {
        hardfork: Hardfork::Cancun,
        ..config(Mining::Instant)
    })
    .unwrap();
    assert_eq!(
        delegate(&old, store).unwrap_err().message,
        "transaction type not supported: 4"
    );
}

#[test]
fn bytes_that_are_no_transaction_are_refused() {
    let chain = instant();
    let good = sign(0, draft(0)).encoded_2718();
    let mut signed_wrong = good.clone();
    *signed_wrong.last_mut().unwrap() ^= 1;
    let cases: [Vec<u8>; 5] = [
        vec![],
        vec![0x02],
        good[..good.len() - 1].to_vec(),
        [good.clone(), vec![0]].concat(),
        vec![0xff; 100],
    ];
    for raw in cases {
        assert_eq!(
            chain
                .refuses("eth_sendRawTransaction", json!([Bytes::from(raw)]))
                .code,
            -32602
        );
    }
    let _ = chain
        .handle("eth_sendRawTransaction", &json!([Bytes::from(signed_wrong)]))
        .unwrap_err();
    assert_eq!((chain.pending(), chain.head().number), (0, 0));
}

#[test]
fn a_signature_with_high_s_is_refused() {
    let chain = instant();
    let tx = draft(0);
    let signature = account(0).signer.sign_hash_sync(&tx.signature_hash()).unwrap();
    let order = U256::from_be_slice(&[
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xba,
        0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
    ]);
    let twin = alloy::primitives::Signature::new(signature.r(), order - signature.s(), !signature.v());
    let refused = chain.send(&tx.into_signed(twin).into()).unwrap_err();
    assert_eq!(refused.message, "invalid sender: the signature is not valid");
}

#[test]
fn a_full_block_leaves_the_rest_for_the_next() {
    let chain = DevChain::start(DevChainConfig {
        block_gas_limit: 50_000,
        ..config(Mining::Manual)
    })
    .unwrap();
    let hashes: Vec<B256> = (0..3)
        .map(|nonce| chain.send(&sign(0, draft(nonce))).unwrap())
        .collect();
    chain.mine(1);
    assert_eq!(mined(&chain), hashes[..2]);
    chain.mine(1);
    assert_eq!(mined(&chain), hashes[2..]);
}

#[test]
fn a_fee_cap_under_the_base_fee_waits() {
    let chain = instant();
    chain.set_mining(Mining::Manual);
    chain.set_base_fee(5 * GWEI);
    let cheap = chain.send(&sign(0, draft(0))).unwrap();
    chain.mine(1);
    assert!(chain.receipt(cheap).is_none());
    assert_eq!(chain.pending(), 1);
    until("the base fee came down", || {
        chain.mine(1);
        chain.receipt(cheap).is_some()
    });
}

#[test]
fn held_transactions_wait_and_released_ones_are_mined() {
    let chain = instant();
    chain.hold_pending();
    let hash = chain.send(&sign(0, draft(0))).unwrap();
    chain.mine(2);
    assert!(chain.receipt(hash).is_none());
    chain.release_pending();
    assert_eq!(chain.receipt(hash).unwrap().block_number, Some(3));
}

#[test]
fn dropped_transactions_are_forgotten_and_can_be_sent_again() {
    let chain = manual();
    let tx = sign(0, draft(0));
    let hash = chain.send(&tx).unwrap();
    chain.send(&sign(1, draft(0))).unwrap();
    assert!(chain.drop_transaction(hash));
    assert!(!chain.drop_transaction(hash));
    assert_eq!(chain.drop_pending(), 1);
    assert!(chain.transaction(hash).is_none());
    assert_eq!(pending_nonce(&chain), 0);
    chain.send(&tx).unwrap();
    chain.mine(1);
    assert!(chain.receipt(hash).unwrap().status());
}
