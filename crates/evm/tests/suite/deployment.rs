//! Contracts are deployed once, however often it is asked for, and misfits are refused.

use crate::fixture::{Chain, Fault, LIMITS, alice, config, decimals, key, owner, plan, wallet};
use haithe_billing::ports::ChainReader;
use haithe_devchain::{DEFAULT_CHAIN_ID, DevChain, DevChainConfig};
use haithe_evm::{ChainClient, ConnectError, DeploymentError, EvmChainReader, Node, TokenPlan, deploy};
use haithe_kernel::{TokenUnits, WalletAddress};
use std::time::Duration;

on_every_chain! {
    a_deployment_is_found_again_instead_of_repeated,
    another_plan_is_another_deployment,
    an_existing_token_is_used_when_its_decimals_are_as_planned,
    a_client_refuses_what_does_not_fit_and_says_what,
    a_client_made_while_the_chain_is_away_works_once_it_is_back,
    test_money_is_topped_up_and_not_added,
}

async fn a_deployment_is_found_again_instead_of_repeated(chain: Chain) {
    let head = chain.head().await;
    let again = deploy(&chain.node, DEFAULT_CHAIN_ID, &key(owner()), &plan(18))
        .await
        .unwrap();
    assert_eq!(again, chain.deployment);
    assert_eq!(chain.head().await, head, "nothing was sent");
    assert_eq!(again.start_block, head, "the orchestrator came last");
}

async fn another_plan_is_another_deployment(chain: Chain) {
    let mut other = plan(18);
    other.server = wallet(alice().address);
    let second = deploy(&chain.node, DEFAULT_CHAIN_ID, &key(owner()), &other)
        .await
        .unwrap();
    assert_eq!(second.usdt, chain.deployment.usdt);
    assert_ne!(second.orchestrator, chain.deployment.orchestrator);
}

async fn an_existing_token_is_used_when_its_decimals_are_as_planned(chain: Chain) {
    let mut existing = plan(18);
    existing.token = TokenPlan::Existing(chain.deployment.usdt, decimals(18));
    let same = deploy(&chain.node, DEFAULT_CHAIN_ID, &key(owner()), &existing)
        .await
        .unwrap();
    assert_eq!(same, chain.deployment);
    existing.token = TokenPlan::Existing(chain.deployment.usdt, decimals(6));
    let refused = deploy(&chain.node, DEFAULT_CHAIN_ID, &key(owner()), &existing)
        .await
        .unwrap_err();
    assert!(matches!(
        refused,
        DeploymentError::Decimals {
            found: 18,
            wanted: 6,
            ..
        }
    ));
}

async fn a_client_refuses_what_does_not_fit_and_says_what(chain: Chain) {
    assert_eq!(chain.client.check().await.unwrap(), chain.deployment.usdt);

    let mut other = config(&chain.deployment);
    other.chain_id += 1;
    let refused = ChainClient::on(chain.node.clone(), &other)
        .check()
        .await
        .unwrap_err();
    assert!(
        matches!(refused, ConnectError::ChainId { .. }) && !refused.is_outage(),
        "{refused}"
    );

    let mut other = config(&chain.deployment);
    other.decimals = decimals(6);
    let refused = ChainClient::on(chain.node.clone(), &other)
        .check()
        .await
        .unwrap_err();
    assert!(
        matches!(
            refused,
            ConnectError::Decimals {
                found: 18,
                wanted: 6,
                ..
            }
        ),
        "{refused}"
    );

    let mut other = config(&chain.deployment);
    other.orchestrator = WalletAddress::new([7; 20]);
    let refused = ChainClient::on(chain.node.clone(), &other)
        .check()
        .await
        .unwrap_err();
    assert!(matches!(refused, ConnectError::NoContract { .. }), "{refused}");

    other.orchestrator = chain.deployment.usdt;
    let refused = ChainClient::on(chain.node.clone(), &other)
        .check()
        .await
        .unwrap_err();
    assert!(
        matches!(refused, ConnectError::NotAnOrchestrator { .. }),
        "{refused}"
    );
}

async fn a_client_made_while_the_chain_is_away_works_once_it_is_back(chain: Chain) {
    chain.wire.fail("eth_chainId", 1, Fault::Undelivered);
    assert!(chain.client.check().await.unwrap_err().is_outage());
    let reader = EvmChainReader::new(chain.client.clone());
    assert_eq!(reader.head().await.unwrap().number, chain.head().await);
}

async fn test_money_is_topped_up_and_not_added(chain: Chain) {
    let to = wallet(alice().address);
    let reader = EvmChainReader::new(chain.client.clone());
    assert!(chain.money().top_up(to, TokenUnits::new(500)).await.unwrap());
    assert!(!chain.money().top_up(to, TokenUnits::new(500)).await.unwrap());
    assert!(chain.money().top_up(to, TokenUnits::new(700)).await.unwrap());
    assert_eq!(
        reader.token_balances(vec![to], None).await.unwrap(),
        [TokenUnits::new(700)]
    );
}

#[tokio::test]
async fn an_interrupted_deployment_goes_on_where_it_stopped() {
    let dev = DevChain::start(DevChainConfig::default()).unwrap();
    let node = Node::over(dev.rpc_client(), LIMITS);
    let mut broken = plan(6);
    broken.withdrawal_delay = Duration::ZERO; // the orchestrator refuses, the token is there
    let refused = deploy(&node, dev.chain_id(), &key(owner()), &broken)
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("BadDelay"), "{refused}");
    assert_eq!(dev.head().number, 1);
    let done = deploy(&node, dev.chain_id(), &key(owner()), &plan(6))
        .await
        .unwrap();
    assert_eq!(dev.head().number, 2, "the token was not deployed twice");
    assert_eq!(u8::from(done.decimals), 6);
}

#[tokio::test]
async fn a_node_of_another_chain_is_refused_before_anything_is_sent() {
    let dev = DevChain::start(DevChainConfig::default()).unwrap();
    let node = Node::over(dev.rpc_client(), LIMITS);
    let refused = deploy(&node, 1, &key(owner()), &plan(18)).await.unwrap_err();
    assert!(matches!(refused, DeploymentError::ChainId { wanted: 1, .. }));
    assert_eq!(dev.head().number, 0);
}
