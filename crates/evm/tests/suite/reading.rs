//! Blocks, ranges and balances, from nodes that are not always at their best.

use crate::fixture::{Chain, Fault, alice, all_events, bob, does, owner, wallet};
use alloy::{
    primitives::{B256, U256},
    providers::Provider,
};
use haithe_billing::{
    chain::{ChainError, EventBody},
    ports::ChainReader,
};
use haithe_devchain::LogLimits;
use haithe_evm::EvmChainReader;
use haithe_kernel::{TokenUnits, WalletAddress};
use serde_json::json;

on_every_chain! {
    only_transfers_of_organizations_and_of_the_payment_token_count,
    many_organizations_are_asked_for_in_pieces,
    an_amount_beyond_128_bits_harms_only_its_own_row,
    balances_are_read_at_a_block_and_at_the_head,
    many_balances_are_read_in_few_requests,
    a_reorganization_shows_in_the_blocks,
    logs_without_a_time_get_their_blocks,
    a_node_that_contradicts_itself_is_not_believed,
}

async fn only_transfers_of_organizations_and_of_the_payment_token_count(chain: Chain) {
    let org = chain.actor(alice()).create_org("acme").await;
    chain.fund(wallet(alice().address), 500).await;
    let money = chain.actor(alice()).usdt();
    does!(money.transfer(bob().address, U256::from(100)));
    does!(money.transfer(org, U256::from(40)));
    // Another token that looks the same.
    let fake = crate::fixture::Usdt::deploy(chain.actor(bob()).provider, 18, bob().address)
        .await
        .unwrap();
    does!(fake.mint(org, U256::from(1_000_000)));
    let events = all_events(&chain).await;
    let transfers: Vec<_> = events
        .iter()
        .filter(|event| matches!(event.body, EventBody::Transfer { .. }))
        .collect();
    let deposit = EventBody::Transfer {
        from: wallet(alice().address),
        to: wallet(org),
        amount: Some(40),
    };
    assert_eq!(
        transfers.iter().map(|event| &event.body).collect::<Vec<_>>(),
        [&deposit]
    );
}

async fn many_organizations_are_asked_for_in_pieces(chain: Chain) {
    let (acme, shop) = (
        chain.actor(alice()).create_org("acme").await,
        chain.actor(bob()).create_org("shop").await,
    );
    let from = chain.head().await + 1;
    chain.fund(wallet(acme), 7).await;
    chain.fund(wallet(shop), 8).await;
    let mut orgs: Vec<_> = (0u32..1_200)
        .map(|number| {
            let mut bytes = [0xee; 20];
            bytes[..4].copy_from_slice(&number.to_be_bytes());
            WalletAddress::new(bytes)
        })
        .collect();
    orgs.insert(0, wallet(acme));
    orgs.push(wallet(shop));
    let reader = EvmChainReader::new(chain.client.clone());
    let events = reader.events(from, chain.head().await, orgs).await.unwrap();
    assert_eq!(events.len(), 2, "{events:?}");
}

async fn an_amount_beyond_128_bits_harms_only_its_own_row(chain: Chain) {
    let org = chain.actor(alice()).create_org("acme").await;
    let whale = chain.actor(owner()).usdt();
    does!(whale.mint(org, U256::MAX - U256::from(10)));
    does!(whale.mint(org, U256::from(3)));
    let events = all_events(&chain).await;
    let amounts: Vec<_> = events
        .iter()
        .filter_map(|event| match event.body {
            EventBody::Transfer { amount, .. } => Some(amount),
            _ => None,
        })
        .collect();
    assert_eq!(amounts, [None, Some(3)]);
    let reader = EvmChainReader::new(chain.client.clone());
    let poor = wallet(alice().address);
    assert_eq!(
        reader
            .token_balances(vec![wallet(org), poor], None)
            .await
            .unwrap(),
        [TokenUnits::new(u128::MAX), TokenUnits::ZERO],
        "the largest number, which nothing in the ledger equals"
    );
}

async fn many_balances_are_read_in_few_requests(chain: Chain) {
    let org = wallet(chain.actor(alice()).create_org("acme").await);
    chain.fund(org, 7).await;
    let nobody = |number: u32| {
        let mut bytes = [0xdd; 20];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        WalletAddress::new(bytes)
    };
    let mut holders: Vec<_> = (0..249).map(nobody).collect();
    holders.push(org);
    let reader = EvmChainReader::new(chain.client.clone());
    chain.client.check().await.unwrap();
    let before = chain.wire.packets();
    let balances = reader.token_balances(holders.clone(), None).await.unwrap();
    assert_eq!(chain.wire.packets() - before, 3, "100 balances in each");
    assert_eq!(balances.len(), 250);
    assert_eq!(balances[249], TokenUnits::new(7));
    assert!(balances[..249].iter().all(|units| *units == TokenUnits::ZERO));

    chain.wire.refuse_batches();
    assert_eq!(reader.token_balances(holders, None).await.unwrap(), balances);
}

async fn balances_are_read_at_a_block_and_at_the_head(chain: Chain) {
    let org = chain.actor(alice()).create_org("acme").await;
    let before = chain.head().await;
    chain.fund(wallet(org), 7).await;
    let reader = EvmChainReader::new(chain.client.clone());
    assert_eq!(
        reader
            .token_balances(vec![wallet(org)], Some(before))
            .await
            .unwrap(),
        [TokenUnits::ZERO]
    );
    assert_eq!(
        reader.token_balances(vec![wallet(org)], None).await.unwrap(),
        [TokenUnits::new(7)]
    );
}

async fn a_reorganization_shows_in_the_blocks(chain: Chain) {
    let reader = EvmChainReader::new(chain.client.clone());
    let before = reader.head().await.unwrap();
    chain.actor(alice()).create_org("acme").await;
    let first = reader.head().await.unwrap();
    assert_eq!((first.number, first.parent), (before.number + 1, before.hash));
    chain.reorg(1).await;
    let second = reader.block(first.number).await.unwrap().unwrap();
    assert_eq!(second.parent, before.hash);
    assert_ne!(second.hash, first.hash);
    assert_eq!(
        reader
            .events(first.number, first.number, Vec::new())
            .await
            .unwrap(),
        []
    );
    assert_eq!(reader.block(first.number + 10).await.unwrap(), None);
}

async fn logs_without_a_time_get_their_blocks(chain: Chain) {
    chain.actor(alice()).create_org("acme").await;
    let expected = all_events(&chain).await;
    let mut logs: serde_json::Value = chain
        .provider()
        .raw_request(
            "eth_getLogs".into(),
            json!([{
                "address": chain.orchestrator(), "fromBlock": "0x0", "toBlock": "latest",
            }]),
        )
        .await
        .unwrap();
    for log in logs.as_array_mut().unwrap() {
        log.as_object_mut().unwrap().remove("blockTimestamp");
    }
    chain.wire.fail("eth_getLogs", 1, Fault::Gives(logs));
    assert_eq!(all_events(&chain).await, expected);
}

async fn a_node_that_contradicts_itself_is_not_believed(chain: Chain) {
    chain.actor(alice()).create_org("acme").await;
    let mut logs: serde_json::Value = chain
        .provider()
        .raw_request(
            "eth_getLogs".into(),
            json!([{
                "address": chain.orchestrator(), "fromBlock": "0x0", "toBlock": "latest",
            }]),
        )
        .await
        .unwrap();
    let logs_ = logs.as_array_mut().unwrap();
    logs_.last_mut().unwrap()["blockHash"] = json!(B256::repeat_byte(1));
    chain.wire.fail("eth_getLogs", 1, Fault::Gives(logs));
    let reader = EvmChainReader::new(chain.client.clone());
    let answer = reader.events(0, chain.head().await, Vec::new()).await;
    assert!(matches!(answer, Err(ChainError::Unavailable(_))), "{answer:?}");
}

#[tokio::test]
async fn a_range_that_the_node_refuses_is_told_from_an_outage() {
    let chain = Chain::new().await;
    let reader = EvmChainReader::new(chain.client.clone());
    chain.mine(20).await;
    chain.dev().set_log_limits(LogLimits {
        max_blocks: Some(5),
        max_results: None,
    });
    assert!(matches!(
        reader.events(0, 20, Vec::new()).await,
        Err(ChainError::RangeTooLarge)
    ));
    assert!(reader.events(16, 20, Vec::new()).await.is_ok());
    for (code, message) in [
        (
            -32005,
            "query returned more than 10000 results. Try with this block range [0x1, 0x2].",
        ),
        (
            -32602,
            "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range",
        ),
        (
            -32600,
            "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block range.",
        ),
        (-32614, "eth_getLogs is limited to a 10,000 range"),
        (-32000, "exceed maximum block range: 50000"),
        (-32602, "query exceeds max block range 100000"),
        (-32047, "Max range: 800"),
        (-32005, "limit exceeded"),
        (35, "ranges over 10000 blocks are not supported on freetier"),
    ] {
        chain.wire.fail("eth_getLogs", 1, Fault::Says(code, message));
        let answer = reader.events(16, 20, Vec::new()).await;
        assert!(
            matches!(answer, Err(ChainError::RangeTooLarge)),
            "{message}: {answer:?}"
        );
    }
    for (code, message) in [
        (-32005, "project ID request rate exceeded"),
        (-32005, "daily request count exceeded, request rate limited"),
        (429, "Your app has exceeded its compute units per second capacity"),
        (-32603, "internal error"),
    ] {
        chain.wire.fail("eth_getLogs", 1, Fault::Says(code, message));
        let answer = reader.events(16, 20, Vec::new()).await;
        assert!(
            matches!(answer, Err(ChainError::Unavailable(_))),
            "{message}: {answer:?}"
        );
    }
}
