//! `eth_call` and `eth_estimateGas`.

use crate::support::*;
use alloy::primitives::{Address, B256, Bytes, U64, U256, b256, hex};
use haithe_devchain::{DevChain, Mining};
use serde_json::{Value, json};

fn call(chain: &DevChain, request: Value, block: &str) -> U256 {
    let data: Bytes = chain.ask("eth_call", json!([request, block]));
    U256::from_be_slice(&data)
}

fn estimate(chain: &DevChain, request: Value) -> u64 {
    chain.ask::<U64>("eth_estimateGas", json!([request])).to()
}

#[test]
fn a_call_sees_its_sender_value_and_block() {
    let chain = instant();
    let [caller, value, number, time, base_fee] =
        [CALLER, CALLVALUE, NUMBER, TIMESTAMP, BASEFEE].map(|op| chain.deploy(&returns(op)));
    let from = account(3).address;
    assert_eq!(
        call(&chain, json!({"to": caller, "from": from}), "latest"),
        U256::from_be_bytes(from.into_word().0)
    );
    assert_eq!(
        call(
            &chain,
            json!({"to": value, "from": from, "value": "0x7"}),
            "latest"
        ),
        U256::from(7)
    );
    assert_eq!(call(&chain, json!({"to": number}), "latest"), U256::from(5));
    assert_eq!(call(&chain, json!({"to": number}), "pending"), U256::from(6));
    assert_eq!(
        call(&chain, json!({"to": number}), "0x2"),
        U256::ZERO,
        "not deployed yet in block 2"
    );
    assert_eq!(
        call(&chain, json!({"to": time}), "latest"),
        U256::from(chain.head_time())
    );
    assert_eq!(
        call(&chain, json!({"to": base_fee}), "latest"),
        U256::from(haithe_devchain::GWEI)
    );
}

#[test]
fn a_call_changes_nothing() {
    let chain = instant();
    let store = chain.deploy(STORE);
    let head = chain.head();
    call(&chain, json!({"to": store, "data": word(3)}), "latest");
    call(&chain, json!({"to": store, "input": word(3)}), "pending");
    assert_eq!((chain.head(), chain.slot(store, 0)), (head, U256::ZERO));
}

#[test]
fn pending_shows_what_waiting_transactions_will_do() {
    let chain = instant();
    let store = chain.deploy(STORE);
    chain.set_mining(Mining::Manual);
    // PUSH0 SLOAD, seen through a deployless call at the store's address.
    let read = json!([{"to": store}, "pending", {store.to_string(): {"code": "0x5f545f5260205ff3"}}]);
    chain.send(&sign(0, call_draft(1, store, word(3)))).unwrap();
    assert_eq!(chain.ask::<Bytes>("eth_call", read.clone()), word(3));
    let latest = json!([read[0], "latest", read[2]]);
    assert_eq!(chain.ask::<Bytes>("eth_call", latest), word(0));
}

#[test]
fn a_revert_brings_its_data_and_its_reason() {
    let chain = instant();
    let revert = chain.deploy(REVERT);
    let data: Bytes = hex!("1234abcd").into();
    for method in ["eth_call", "eth_estimateGas"] {
        let error = chain.refuses(method, json!([{"to": revert, "data": data}]));
        assert_eq!((error.code, error.data.as_ref()), (3, Some(&data)), "{method}");
        assert_eq!(error.message, "execution reverted");
    }
    // Error("no")
    let reason: Bytes = hex!(
        "08c379a0"
        "0000000000000000000000000000000000000000000000000000000000000020"
        "0000000000000000000000000000000000000000000000000000000000000002"
        "6e6f000000000000000000000000000000000000000000000000000000000000"
    )
    .into();
    let error = chain.refuses("eth_call", json!([{"to": revert, "data": reason}]));
    assert_eq!(error.message, "execution reverted: no");
    // Panic(0x11)
    let panic: Bytes =
        hex!("4e487b710000000000000000000000000000000000000000000000000000000000000011").into();
    let error = chain.refuses("eth_call", json!([{"to": revert, "data": panic}]));
    assert!(error.message.starts_with("execution reverted: "), "{error}");
    let error = chain.refuses("eth_call", json!([{"to": revert}]));
    assert_eq!(
        (error.code, error.data),
        (3, Some(Bytes::new())),
        "a bare revert is a revert"
    );
}

#[test]
fn code_runs_without_being_deployed() {
    let chain = instant();
    // The creation's return value is the answer: PUSH1 42 PUSH0 MSTORE PUSH1 32 PUSH0 RETURN.
    assert_eq!(
        call(&chain, json!({"data": "0x602a5f5260205ff3"}), "latest"),
        U256::from(42)
    );
    assert!(estimate(&chain, json!({"data": "0x602a5f5260205ff3"})) > 53_000);
    assert_eq!(
        chain.refuses("eth_call", json!([{}])).message,
        "contract creation without any data provided"
    );
}

#[test]
fn a_call_without_end_ends() {
    let chain = instant();
    let burn = chain.deploy(BURN);
    assert_eq!(
        chain.refuses("eth_call", json!([{"to": burn}])).message,
        "out of gas"
    );
    let refused = chain.refuses("eth_estimateGas", json!([{"to": burn}]));
    assert_eq!(refused.message, "gas required exceeds allowance (16777216)");
}

#[test]
fn a_contract_may_call_itself_as_deep_as_the_evm_goes() {
    let chain = instant();
    // PUSH0 five times, ADDRESS GAS CALL STOP
    let deep = chain.deploy(&[0x5f, 0x5f, 0x5f, 0x5f, 0x5f, 0x30, 0x5a, 0xf1, 0x00]);
    assert_eq!(
        chain.ask::<Bytes>("eth_call", json!([{"to": deep}])),
        Bytes::new()
    );
    assert!(
        estimate(&chain, json!({"to": deep})) > 50_000,
        "hundreds of calls deep"
    );
}

#[test]
fn overrides_change_accounts_and_the_block_for_one_call() {
    let chain = instant();
    let balance = Address::repeat_byte(0x77);
    // ADDRESS BALANCE
    let code = "0x30315f5260205ff3";
    let state = json!({balance.to_string(): {"code": code, "balance": "0x10"}});
    assert_eq!(
        chain.ask::<Bytes>("eth_call", json!([{"to": balance}, "latest", state])),
        word(16)
    );
    let slot = b256!("0x0000000000000000000000000000000000000000000000000000000000000000");
    // PUSH0 SLOAD
    let load = "0x5f545f5260205ff3";
    for key in ["state", "stateDiff"] {
        let state = json!({balance.to_string(): {"code": load, key: {slot.to_string(): word(8)}}});
        assert_eq!(
            chain.ask::<Bytes>("eth_call", json!([{"to": balance}, "latest", state])),
            word(8)
        );
    }
    let time = json!([{"to": chain.deploy(&returns(TIMESTAMP))}, "latest", {}, {"time": "0x5"}]);
    assert_eq!(chain.ask::<Bytes>("eth_call", time), word(5));
    let both = json!({balance.to_string(): {"state": {}, "stateDiff": {}}});
    assert_eq!(
        chain
            .refuses("eth_call", json!([{"to": balance}, "latest", both]))
            .code,
        -32602
    );
    assert_eq!(chain.balance(balance), U256::ZERO);
}

#[test]
fn fees_are_checked_only_when_they_are_named() {
    let chain = instant();
    let poor = Address::repeat_byte(1);
    let request = |extra: Value| {
        let mut request = json!({"to": NOBODY, "from": poor, "gas": "0x5208"});
        request
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        json!([request])
    };
    chain.ask::<Bytes>("eth_call", request(json!({})));
    let refused = chain.refuses("eth_call", request(json!({"gasPrice": "0x77359400"})));
    assert!(
        refused
            .message
            .starts_with("insufficient funds for gas * price + value"),
        "{refused}"
    );
    let refused = chain.refuses("eth_call", request(json!({"value": "0x1"})));
    assert!(
        refused
            .message
            .starts_with("insufficient funds for gas * price + value"),
        "{refused}"
    );
    let rich = json!([{"to": NOBODY, "from": account(0).address, "gasPrice": "0x1"}]);
    assert_eq!(
        chain.refuses("eth_call", rich).message,
        "max fee per gas less than block base fee"
    );
    let both = json!([{"to": NOBODY, "gasPrice": "0x1", "maxFeePerGas": "0x1"}]);
    assert_eq!(chain.refuses("eth_call", both).code, -32602);
    let unequal = json!([{"to": NOBODY, "data": "0x01", "input": "0x02"}]);
    assert_eq!(chain.refuses("eth_call", unequal).code, -32602);
}

#[test]
fn a_plain_transfer_is_estimated_at_21000() {
    let chain = instant();
    let request = json!({"from": account(0).address, "to": NOBODY, "value": "0x1"});
    assert_eq!(estimate(&chain, request), 21_000);
}

#[test]
fn an_estimate_is_the_least_that_succeeds() {
    let chain = instant();
    let (store, greedy) = (chain.deploy(STORE), chain.deploy(GREEDY));
    for request in [
        json!({"from": account(0).address, "to": store, "data": word(1)}),
        json!({"from": account(0).address, "to": greedy}),
    ] {
        let gas = estimate(&chain, request.clone());
        let with = |gas: u64| {
            let mut request = request.clone();
            request["gas"] = json!(U64::from(gas));
            chain.handle("eth_call", &json!([request]))
        };
        assert!(with(gas).is_ok(), "{request} succeeds with {gas}");
        assert!(with(gas - 1).is_err(), "{request} fails with less than {gas}");
    }
    let greedy_gas = estimate(&chain, json!({"to": greedy}));
    assert!(greedy_gas > 221_000, "it uses 21,0xx but needs {greedy_gas}");
}

#[test]
fn an_estimate_gives_back_no_more_than_the_sender_can_pay() {
    let chain = instant();
    let from = Address::repeat_byte(9);
    chain
        .set_balance(from, U256::from(30_000) * U256::from(2_000_000_000u64))
        .unwrap();
    let store = chain.deploy(STORE);
    let request = |price: &str| json!({"from": from, "to": store, "data": word(1), "gasPrice": price});
    let refused = chain.refuses("eth_estimateGas", json!([request("0x77359400")]));
    assert_eq!(refused.message, "gas required exceeds allowance (30000)");
    let refused = chain.refuses(
        "eth_estimateGas",
        json!([{"from": NOBODY, "to": store, "value": "0x5"}]),
    );
    assert!(refused.message.starts_with("insufficient funds"), "{refused}");
}

#[test]
fn code_and_storage_are_read_as_they_were_written() {
    let chain = instant();
    let store = chain.deploy(STORE);
    assert_eq!(
        chain.ask::<Bytes>("eth_getCode", json!([store, "latest"])),
        Bytes::from_static(STORE)
    );
    assert_eq!(
        chain.ask::<Bytes>("eth_getCode", json!([NOBODY, "latest"])),
        Bytes::new()
    );
    assert_eq!(
        chain.ask::<Bytes>("eth_getCode", json!([store, "0x0"])),
        Bytes::new()
    );
    chain.send(&sign(0, call_draft(1, store, word(77)))).unwrap();
    for slot in ["0x0", &B256::ZERO.to_string()] {
        assert_eq!(
            chain.ask::<Bytes>("eth_getStorageAt", json!([store, slot, "latest"])),
            word(77)
        );
    }
    assert_eq!(
        chain.ask::<Bytes>("eth_getStorageAt", json!([store, "0x0", "0x1"])),
        word(0)
    );
}

#[test]
fn signatures_are_recovered_inside_the_evm() {
    // The ecrecover precompile at address 1, with a signature of a demo account.
    use alloy::signers::SignerSync;
    let chain = instant();
    let hash = alloy::primitives::keccak256("hello");
    let signature = account(4).signer.sign_hash_sync(&hash).unwrap();
    let v = word(27 + u64::from(signature.v()));
    let input: Bytes = [
        hash.as_slice(),
        &v,
        &signature.r().to_be_bytes::<32>(),
        &signature.s().to_be_bytes::<32>(),
    ]
    .concat()
    .into();
    let recovered = call(
        &chain,
        json!({"to": Address::with_last_byte(1), "data": input}),
        "latest",
    );
    assert_eq!(recovered, U256::from_be_bytes(account(4).address.into_word().0));
}
