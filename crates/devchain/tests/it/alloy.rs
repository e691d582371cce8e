//! alloy drives the chain unmodified: deploy, send, call, events, custom errors.

use alloy::{
    network::EthereumWallet,
    primitives::{Address, U256},
    providers::{Provider, ProviderBuilder},
    rpc::types::Filter,
    sol,
    sol_types::SolEvent,
};
use haithe_devchain::{DevChain, DevChainConfig, demo_accounts};

sol!(
    #[sol(rpc)]
    #[derive(Debug)]
    Token,
    "../../abi/tUSDT.json"
);

#[tokio::test]
async fn a_token_is_deployed_used_and_refuses_with_its_own_error() {
    let chain = DevChain::start(DevChainConfig::default()).unwrap();
    let owner = &demo_accounts()[0];
    let bob = Address::repeat_byte(0xb0);
    let provider = ProviderBuilder::new()
        .wallet(EthereumWallet::from(owner.signer.clone()))
        .connect_client(chain.rpc_client());

    let token = Token::deploy(&provider, 18, owner.address).await.unwrap();
    assert_eq!(token.decimals().call().await.unwrap(), 18);

    token
        .mint(owner.address, U256::from(100))
        .send()
        .await
        .unwrap()
        .get_receipt()
        .await
        .unwrap();
    let receipt = token
        .transfer(bob, U256::from(5))
        .send()
        .await
        .unwrap()
        .get_receipt()
        .await
        .unwrap();
    assert!(receipt.status());
    let event = Token::Transfer::decode_log(&receipt.logs()[0].inner).unwrap();
    assert_eq!((event.to, event.value), (bob, U256::from(5)));
    assert_eq!(token.balanceOf(bob).call().await.unwrap(), U256::from(5));

    let transfers = Filter::new()
        .address(*token.address())
        .event_signature(Token::Transfer::SIGNATURE_HASH);
    let logs = provider.get_logs(&transfers.clone().from_block(0)).await.unwrap();
    assert_eq!(logs.len(), 2);
    assert_eq!(logs[1].transaction_hash, Some(receipt.transaction_hash));
    assert_eq!(
        provider
            .get_logs(&transfers.topic2(bob.into_word()).from_block(0))
            .await
            .unwrap()
            .len(),
        1
    );

    let refused = token
        .transferFrom(bob, owner.address, U256::from(1))
        .call()
        .await
        .unwrap_err();
    let error = refused
        .as_decoded_interface_error::<Token::TokenErrors>()
        .unwrap();
    assert!(matches!(error, Token::TokenErrors::ERC20InsufficientAllowance(e) if e.needed == U256::from(1)));
    let refused = token
        .transferFrom(bob, owner.address, U256::from(1))
        .send()
        .await
        .unwrap_err();
    assert!(
        refused
            .as_decoded_interface_error::<Token::TokenErrors>()
            .is_some(),
        "estimation says why as well"
    );
}
