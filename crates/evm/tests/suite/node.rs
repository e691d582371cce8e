//! Bounds on what is asked of a node, and secrets that stay where they are.

use crate::fixture::{Chain, Fault, LIMITS, config};
use futures::future::join_all;
use haithe_billing::ports::ChainReader;
use haithe_evm::{ChainClient, ConnectError, EvmChainReader, Node, RpcLimits};
use secrecy::SecretString;
use std::{
    error::Error,
    time::{Duration, Instant},
};
use tokio::net::TcpListener;

const KEY: &str = "s3cr3t";

fn impatient() -> RpcLimits {
    RpcLimits {
        timeout: Duration::from_millis(100),
        request_timeout: Duration::from_millis(100),
        ..LIMITS
    }
}

/// Everything an error says, its causes included.
fn told(error: &dyn Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(" {error} {error:?}"));
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn the_nodes_address_is_in_no_error_and_in_no_debug_output() {
    let chain = Chain::new().await;
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let mut config = config(&chain.deployment);
    config.rpc_url = SecretString::from(format!("http://{free}/v3/{KEY}"));
    config.limits = impatient();
    let client = ChainClient::new(&config).unwrap();
    let error = client.check().await.unwrap_err();
    assert!(error.is_outage());
    for text in [
        told(&error),
        format!("{config:?}"),
        format!("{client:?}"),
        format!("{:?}", client.node()),
    ] {
        assert!(!text.contains(KEY), "{text}");
    }
}

#[test]
fn addresses_that_are_none_are_refused_without_being_repeated() {
    for url in [
        "",
        "s3cr3t",
        "ftp://127.0.0.1/s3cr3t",
        "ws://127.0.0.1/s3cr3t",
        "http://",
    ] {
        let refused = Node::http(&SecretString::from(url), LIMITS).unwrap_err();
        assert!(matches!(refused, ConnectError::Url));
        assert!(!told(&refused).contains(KEY), "{url}");
    }
}

#[tokio::test]
async fn a_node_that_accepts_and_never_answers_is_given_up() {
    let chain = Chain::new().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = config(&chain.deployment);
    config.rpc_url = SecretString::from(format!("http://{}", silent.local_addr().unwrap()));
    config.limits = impatient();
    let started = Instant::now();
    assert!(
        ChainClient::new(&config)
            .unwrap()
            .check()
            .await
            .unwrap_err()
            .is_outage()
    );
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn no_more_questions_are_under_way_than_allowed_and_all_are_answered() {
    let chain = Chain::new().await;
    let mut config = config(&chain.deployment);
    config.limits.concurrency = 2;
    let client = ChainClient::over(chain.wire.client(), &config);
    client.check().await.unwrap();
    let reader = EvmChainReader::new(client);
    let heads = join_all((0..10).map(|_| reader.head())).await;
    assert!(heads.iter().all(Result::is_ok));
    assert_eq!(chain.wire.most_under_way(), 2);
}

#[tokio::test]
async fn an_unanswered_question_gives_its_place_back() {
    let chain = Chain::new().await;
    let mut config = config(&chain.deployment);
    config.limits = RpcLimits {
        concurrency: 1,
        ..impatient()
    };
    let client = ChainClient::over(chain.wire.client(), &config);
    client.check().await.unwrap();
    let reader = EvmChainReader::new(client);
    chain.wire.fail("eth_getBlockByNumber", 1, Fault::Silence);
    assert!(reader.head().await.is_err());
    assert!(reader.head().await.is_ok());
}
