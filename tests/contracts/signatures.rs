//! The signature probe: one call without a contract on the chain answers for every kind of wallet.

use alloy::{
    network::TransactionBuilder,
    primitives::{Address, B256, Bytes, Signature, U256, eip191_hash_message, uint},
    providers::Provider,
    rpc::types::TransactionRequest,
    signers::SignerSync,
    sol_types::{SolCall, SolValue},
};

use crate::{
    bindings::{ContractWallet, ContractWalletFactory, SignatureProbe},
    world::{Person, World},
};

const TEXT: &[u8] = b"haithe.example wants you to sign in";
const SALT: B256 = B256::repeat_byte(7);

/// What a node answers: one byte, 1 for valid; `None` if the call reverts.
async fn probe(world: &World, signer: Address, hash: B256, signature: &[u8]) -> Option<bool> {
    let mut code = SignatureProbe::BYTECODE.to_vec();
    code.extend((signer, hash, Bytes::copy_from_slice(signature)).abi_encode_params());
    let request = TransactionRequest::default()
        .with_deploy_code(code)
        .with_gas_limit(3_000_000);
    let answer = world.provider.call(request).await.ok()?;
    assert_eq!(answer.len(), 1);
    Some(answer[0] == 1)
}

fn sign(person: &Person) -> Signature {
    person.signer.sign_message_sync(TEXT).unwrap()
}

fn hash() -> B256 {
    eip191_hash_message(TEXT)
}

/// An ERC-6492 signature: what makes the wallet, and the signature it will accept.
fn wrapped(factory: Address, call: Vec<u8>, inner: &[u8]) -> Vec<u8> {
    let mut bytes = (factory, Bytes::from(call), Bytes::copy_from_slice(inner)).abi_encode_params();
    bytes.extend([0x64, 0x92].repeat(16));
    bytes
}

async fn factory(world: &World) -> Address {
    let deploy = ContractWalletFactory::deploy_builder(&world.provider);
    world
        .deploy(&world.people.mallory, deploy.into_transaction_request())
        .await
}

#[tokio::test]
async fn an_ordinary_wallet() {
    let world = World::plain().await;
    let (alice, bob) = (&world.people.alice, &world.people.bob);
    let signature = sign(alice).as_bytes();
    assert_eq!(probe(&world, alice.address, hash(), &signature).await, Some(true));
    assert_eq!(probe(&world, bob.address, hash(), &signature).await, Some(false));
    assert_eq!(
        probe(&world, alice.address, B256::ZERO, &signature).await,
        Some(false)
    );
    assert_eq!(probe(&world, Address::ZERO, hash(), &[0; 65]).await, Some(false));
    for malformed in [&signature[..64], &signature[..1], &[]] {
        assert_eq!(probe(&world, alice.address, hash(), malformed).await, Some(false));
    }
}

#[tokio::test]
async fn the_high_s_twin_of_a_signature_is_refused() {
    let world = World::plain().await;
    let alice = &world.people.alice;
    let order = uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);
    let low = sign(alice);
    let high = Signature::new(low.r(), order - low.s(), !low.v());
    assert_eq!(
        high.recover_address_from_msg(TEXT).unwrap(),
        alice.address,
        "it is a twin"
    );
    assert_eq!(
        probe(&world, alice.address, hash(), &high.as_bytes()).await,
        Some(false)
    );
}

#[tokio::test]
async fn a_smart_wallet_erc_1271() {
    let world = World::plain().await;
    let (alice, bob) = (&world.people.alice, &world.people.bob);
    let deploy = ContractWallet::deploy_builder(&world.provider, alice.address);
    let wallet = world.deploy(bob, deploy.into_transaction_request()).await;
    assert_eq!(
        probe(&world, wallet, hash(), &sign(alice).as_bytes()).await,
        Some(true)
    );
    assert_eq!(
        probe(&world, wallet, hash(), &sign(bob).as_bytes()).await,
        Some(false)
    );
    assert_eq!(
        probe(&world, wallet, B256::ZERO, &sign(alice).as_bytes()).await,
        Some(false)
    );
    assert_eq!(
        probe(&world, *world.hub.address(), hash(), &sign(alice).as_bytes()).await,
        Some(false)
    );
}

#[tokio::test]
async fn a_smart_wallet_that_is_not_deployed_yet_erc_6492() {
    let world = World::plain().await;
    let (alice, bob) = (&world.people.alice, &world.people.bob);
    let factory = factory(&world).await;
    let contract = ContractWalletFactory::new(factory, world.provider.clone());
    let wallet = contract.predict(alice.address, SALT).call().await.unwrap();
    let create = ContractWalletFactory::createCall {
        owner: alice.address,
        salt: SALT,
    }
    .abi_encode();

    let good = wrapped(factory, create.clone(), &sign(alice).as_bytes());
    assert_eq!(probe(&world, wallet, hash(), &good).await, Some(true));
    assert!(
        world.provider.get_code_at(wallet).await.unwrap().is_empty(),
        "the probe leaves no trace"
    );
    let foreign = wrapped(factory, create.clone(), &sign(bob).as_bytes());
    assert_eq!(probe(&world, wallet, hash(), &foreign).await, Some(false));
    let other = contract.predict(bob.address, SALT).call().await.unwrap();
    assert_eq!(
        probe(&world, other, hash(), &good).await,
        Some(false),
        "the factory makes another wallet"
    );
    let useless = wrapped(bob.address, create.clone(), &sign(alice).as_bytes());
    assert_eq!(
        probe(&world, wallet, hash(), &useless).await,
        Some(false),
        "the factory makes nothing"
    );

    world.act(bob, contract.create(alice.address, SALT)).await;
    assert_eq!(
        probe(&world, wallet, hash(), &good).await,
        Some(true),
        "and once it is deployed"
    );
    assert_eq!(probe(&world, wallet, hash(), &foreign).await, Some(false));
}

#[tokio::test]
async fn a_malformed_wrapper_is_never_valid() {
    let world = World::plain().await;
    let alice = &world.people.alice;
    let suffix = [0x64, 0x92].repeat(16);
    for front in [
        vec![],
        vec![0xff; 31],
        vec![0xff; 96],
        (Address::ZERO, U256::MAX, U256::MAX).abi_encode(),
    ] {
        let signature = [front, suffix.clone()].concat();
        assert_ne!(probe(&world, alice.address, hash(), &signature).await, Some(true));
    }
}

#[tokio::test]
async fn an_account_with_delegated_code_can_still_sign_as_itself() {
    let world = World::plain().await;
    let alice = &world.people.alice;
    let delegation = [&[0xef, 0x01, 0x00][..], world.hub.address().as_slice()].concat();
    world.chain.set_code(alice.address, delegation.into()).unwrap();
    assert_eq!(
        probe(&world, alice.address, hash(), &sign(alice).as_bytes()).await,
        Some(true)
    );
    assert_eq!(
        probe(&world, alice.address, hash(), &sign(&world.people.bob).as_bytes()).await,
        Some(false)
    );
}
