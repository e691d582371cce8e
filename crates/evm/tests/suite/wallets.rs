//! Signatures of smart wallets: good ones, wrong ones, and wallets that mean harm.

use crate::fixture::{Chain, Fault, LIMITS, alice, bob, config, wallet};
use alloy::{
    primitives::{Address, B256, Bytes, eip191_hash_message},
    providers::Provider,
    signers::SignerSync,
    sol,
    sol_types::{SolCall, SolValue},
};
use haithe_devchain::DemoAccount;
use haithe_evm::{ChainClient, EvmContractWallets, RpcLimits};
use haithe_identity::{
    challenge::MessageDigest,
    ports::{ContractWallets, WalletCheck, WalletCheckError},
};
use haithe_kernel::WalletAddress;
use std::time::{Duration, Instant};

sol!(
    #[sol(rpc)]
    ContractWallet,
    "../../abi/test/ContractWallet.json"
);
sol!(
    #[sol(rpc)]
    ContractWalletFactory,
    "../../abi/test/ContractWalletFactory.json"
);

const TEXT: &[u8] = b"example.org wants you to sign in";

fn digest() -> MessageDigest {
    MessageDigest(eip191_hash_message(TEXT).0)
}

fn signature(account: &DemoAccount) -> Vec<u8> {
    account
        .signer
        .sign_message_sync(TEXT)
        .unwrap()
        .as_bytes()
        .to_vec()
}

/// What ERC-6492 puts around the signature of a wallet that is not there yet.
fn wrapped(factory: Address, call: Vec<u8>, inner: Vec<u8>) -> Vec<u8> {
    let mut wrapped = (factory, Bytes::from(call), Bytes::from(inner)).abi_encode_params();
    wrapped.extend([0x64, 0x92].repeat(16));
    wrapped
}

fn check(address: WalletAddress, digests: Vec<MessageDigest>, signature: Vec<u8>) -> WalletCheck {
    WalletCheck {
        client: None,
        address,
        digests,
        signature,
    }
}

/// Whether the wallet accepts the signature over this one digest.
async fn accepts(
    wallets: &EvmContractWallets,
    address: WalletAddress,
    digest: MessageDigest,
    signature: Vec<u8>,
) -> Result<bool, WalletCheckError> {
    let accepted = wallets.accepted(check(address, vec![digest], signature)).await?;
    Ok(accepted == Some(digest))
}

/// A contract at a free address.
async fn code(chain: &Chain, number: u8, code: &[u8]) -> Address {
    let address = Address::repeat_byte(number);
    chain.set_code(address, Bytes::copy_from_slice(code)).await;
    address
}

on_every_chain! {
    a_deployed_wallet_accepts_its_owner_and_nobody_else,
    a_wallet_that_is_not_deployed_yet_is_asked_through_its_factory,
    an_ordinary_account_is_checked_as_such,
    wallets_that_revert_burn_flood_or_babble_are_refused_in_time,
    garbage_instead_of_a_signature_is_refused,
    of_several_digests_the_signed_one_is_found,
    an_outage_is_not_a_wrong_signature,
}

async fn a_deployed_wallet_accepts_its_owner_and_nobody_else(chain: Chain) {
    let wallets = EvmContractWallets::new(chain.client.clone());
    let smart = ContractWallet::deploy(chain.actor(alice()).provider, alice().address)
        .await
        .unwrap();
    let smart = wallet(*smart.address());
    assert!(
        accepts(&wallets, smart, digest(), signature(alice()))
            .await
            .unwrap()
    );
    assert!(
        !accepts(&wallets, smart, digest(), signature(bob()))
            .await
            .unwrap()
    );
    assert!(
        !accepts(&wallets, smart, MessageDigest([1; 32]), signature(alice()))
            .await
            .unwrap()
    );
    assert!(!accepts(&wallets, smart, digest(), Vec::new()).await.unwrap());
}

async fn a_wallet_that_is_not_deployed_yet_is_asked_through_its_factory(chain: Chain) {
    let wallets = EvmContractWallets::new(chain.client.clone());
    let factory = ContractWalletFactory::deploy(chain.actor(alice()).provider)
        .await
        .unwrap();
    let (owner, salt) = (alice().address, B256::repeat_byte(7));
    let smart = factory.predict(owner, salt).call().await.unwrap();
    let create = ContractWalletFactory::createCall { owner, salt }.abi_encode();
    let good = wrapped(*factory.address(), create.clone(), signature(alice()));
    assert!(
        accepts(&wallets, wallet(smart), digest(), good.clone())
            .await
            .unwrap()
    );
    let wrong = wrapped(*factory.address(), create, signature(bob()));
    assert!(!accepts(&wallets, wallet(smart), digest(), wrong).await.unwrap());
    assert!(
        !accepts(&wallets, wallet(bob().address), digest(), good)
            .await
            .unwrap(),
        "another address"
    );

    assert!(
        chain.provider().get_code_at(smart).await.unwrap().is_empty(),
        "nothing was deployed"
    );
}

async fn an_ordinary_account_is_checked_as_such(chain: Chain) {
    let wallets = EvmContractWallets::new(chain.client.clone());
    assert!(
        accepts(&wallets, wallet(alice().address), digest(), signature(alice()))
            .await
            .unwrap()
    );
    assert!(
        !accepts(&wallets, wallet(alice().address), digest(), signature(bob()))
            .await
            .unwrap()
    );
}

async fn wallets_that_revert_burn_flood_or_babble_are_refused_in_time(chain: Chain) {
    let wallets = EvmContractWallets::new(chain.client.clone());
    let strangers: [(&str, &[u8]); 6] = [
        ("reverts", &[0x60, 0, 0x60, 0, 0xfd]),
        ("loops for ever", &[0x5b, 0x60, 0, 0x56]),
        ("is no valid code", &[0xfe]),
        ("returns nothing", &[0x00]),
        // return(0, 32) of zeros
        ("returns the wrong word", &[0x60, 32, 0x60, 0, 0xf3]),
        // return(0, 1 MiB)
        ("floods", &[0x62, 0x10, 0, 0, 0x60, 0, 0xf3]),
    ];
    for (number, (what, bytes)) in (1..).zip(strangers) {
        let started = Instant::now();
        let stranger = code(&chain, number, bytes).await;
        let accepted = accepts(&wallets, wallet(stranger), digest(), signature(alice())).await;
        assert!(!accepted.unwrap(), "a wallet that {what}");
        assert!(started.elapsed() < LIMITS.request_timeout, "a wallet that {what}");
    }
}

async fn garbage_instead_of_a_signature_is_refused(chain: Chain) {
    let wallets = EvmContractWallets::new(chain.client.clone());
    let smart = ContractWallet::deploy(chain.actor(alice()).provider, alice().address)
        .await
        .unwrap();
    let suffix = [0x64, 0x92].repeat(16);
    let claims_huge = [vec![0xff; 96], suffix.clone()].concat();
    let burner = code(&chain, 9, &[0x5b, 0x60, 0, 0x56]).await;
    let burning_factory = wrapped(burner, vec![1, 2, 3], signature(bob()));
    for garbage in [
        vec![0],
        vec![0xff; 64],
        vec![0xff; 5000],
        vec![0; 17 * 1024],
        suffix,
        claims_huge,
        burning_factory,
    ] {
        let accepted = accepts(&wallets, wallet(*smart.address()), digest(), garbage.clone()).await;
        assert!(!accepted.unwrap(), "{} bytes", garbage.len());
    }
}

async fn of_several_digests_the_signed_one_is_found(chain: Chain) {
    let wallets = EvmContractWallets::new(chain.client.clone());
    let smart = ContractWallet::deploy(chain.actor(alice()).provider, alice().address)
        .await
        .unwrap();
    let smart = wallet(*smart.address());
    let several = vec![MessageDigest([1; 32]), digest(), MessageDigest([2; 32])];
    let found = wallets
        .accepted(check(smart, several, signature(alice())))
        .await
        .unwrap();
    assert_eq!(found, Some(digest()));
    let others = vec![MessageDigest([1; 32]), MessageDigest([2; 32])];
    let found = wallets
        .accepted(check(smart, others, signature(alice())))
        .await
        .unwrap();
    assert_eq!(found, None);
}

async fn an_outage_is_not_a_wrong_signature(chain: Chain) {
    chain.client.check().await.unwrap();
    let wallets = EvmContractWallets::new(chain.client.clone());
    for fault in [
        Fault::Undelivered,
        Fault::Says(-32005, "daily request count exceeded, request rate limited"),
        Fault::Says(-32603, "internal error"),
        Fault::Says(-32000, "header not found"),
    ] {
        chain.wire.fail("eth_call", 1, fault.clone());
        let answer = accepts(&wallets, wallet(alice().address), digest(), signature(alice())).await;
        assert!(
            matches!(answer, Err(WalletCheckError::Unavailable(_))),
            "{fault:?}: {answer:?}"
        );
    }
    assert!(
        accepts(&wallets, wallet(alice().address), digest(), signature(alice()))
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_node_that_never_answers_is_not_waited_for() {
    let chain = Chain::new().await;
    chain.client.check().await.unwrap();
    let mut impatient = config(&chain.deployment);
    impatient.limits = RpcLimits {
        request_timeout: Duration::from_millis(50),
        ..LIMITS
    };
    let client = ChainClient::over(chain.wire.client(), &impatient);
    client.check().await.unwrap();
    let wallets = EvmContractWallets::new(client);
    chain.wire.fail("eth_call", 1, Fault::Silence);
    let answer = accepts(&wallets, wallet(alice().address), digest(), signature(alice())).await;
    assert!(
        matches!(answer, Err(WalletCheckError::Unavailable(_))),
        "{answer:?}"
    );
}
