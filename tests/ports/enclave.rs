//! [`Enclave`]: what every holder of keys must do, and what an attested one must not pass on.

use haithe_enclave::{Keyring, LocalEnclave, OysterEnclave};
use haithe_kernel::{Failure, WalletAddress};
use haithe_marketplace::{
    enclave::{Attestation, Enclave, EnclaveError, Nonce},
    sealing::{ContentKey, EnclaveSecretKey, SealingError},
};
use haithe_tests::agent::{Agent, Conduct};
use secrecy::SecretString;
use std::sync::Arc;

const CREATOR: WalletAddress = WalletAddress::new([7; 20]);

fn keys(newest: u8, former: &[u8]) -> Keyring {
    let key = |byte: &u8| SecretString::from(hex::encode([*byte; 32]));
    let former: Vec<_> = former.iter().map(key).collect();
    Keyring::new(&key(&newest), &former).unwrap()
}

fn nonce(byte: u8) -> Nonce {
    hex::encode([byte; 32]).parse().unwrap()
}

struct Oyster {
    agent: Agent,
    enclave: OysterEnclave,
}

async fn oyster(newest: u8, former: &[u8]) -> Oyster {
    let agent = Agent::start().await;
    let enclave = OysterEnclave::new(keys(newest, former), &agent.url()).unwrap();
    Oyster { agent, enclave }
}

/// An enclave with this newest key and these former ones, by every adapter.
async fn enclaves(newest: u8, former: &[u8]) -> Vec<(Arc<dyn Enclave>, Option<Agent>)> {
    let Oyster { agent, enclave } = oyster(newest, former).await;
    vec![
        (Arc::new(LocalEnclave::new(keys(newest, former))), None),
        (Arc::new(enclave), Some(agent)),
    ]
}

#[tokio::test]
async fn what_is_wrapped_to_its_key_unwraps_for_its_creator_only() {
    for (enclave, _agent) in enclaves(1, &[]).await {
        let key = ContentKey::new([9; 32]);
        let wrapped = enclave.public_key().wrap(&key, CREATOR, &[5; 32]).unwrap();
        assert_eq!(enclave.unwrap(&wrapped, CREATOR).await.unwrap(), key);
        let thief = enclave.unwrap(&wrapped, WalletAddress::new([8; 20])).await;
        assert!(matches!(
            thief,
            Err(EnclaveError::Sealing(SealingError::KeyRefused))
        ));
    }
}

#[tokio::test]
async fn after_a_rotation_the_newest_key_is_advertised_and_former_ones_still_unwrap() {
    let key = ContentKey::new([9; 32]);
    let old = EnclaveSecretKey::new(&[1; 32]).unwrap().public_key();
    let wrapped = old.wrap(&key, CREATOR, &[5; 32]).unwrap();
    for (enclave, _agent) in enclaves(2, &[3, 1]).await {
        let newest = EnclaveSecretKey::new(&[2; 32]).unwrap().public_key();
        assert_eq!(enclave.public_key(), newest);
        assert_eq!(enclave.unwrap(&wrapped, CREATOR).await.unwrap(), key);
        let anew = newest.wrap(&key, CREATOR, &[6; 32]).unwrap();
        assert_eq!(enclave.unwrap(&anew, CREATOR).await.unwrap(), key);
    }
    for (enclave, _agent) in enclaves(2, &[3]).await {
        let refused = enclave.unwrap(&wrapped, CREATOR).await.unwrap_err();
        assert_eq!(refused.code(), "other_enclave_key");
        assert!(refused.to_string().contains(&old.id().to_string()), "{refused}");
    }
}

#[tokio::test]
async fn keys_that_are_none_are_refused_without_being_repeated() {
    for bad in ["", "5ec2e7", &"00".repeat(32), &"ff".repeat(32)] {
        let refused = Keyring::new(&SecretString::from(bad), &[]).err().unwrap();
        assert!(bad.is_empty() || !refused.to_string().contains(bad));
    }
}

#[tokio::test]
async fn a_key_in_an_ordinary_process_claims_nothing() {
    let local = LocalEnclave::new(keys(1, &[]));
    assert_eq!(local.attest(Some(nonce(1))).await.unwrap(), Attestation::None);
}

#[tokio::test]
async fn a_report_binds_the_advertised_key_and_the_callers_nonce() {
    let Oyster { agent, enclave } = oyster(1, &[2]).await;
    let Attestation::AwsNitro(report) = enclave.attest(Some(nonce(7))).await.unwrap() else {
        panic!("an agent attests");
    };
    let within = |part: &[u8]| report.windows(part.len()).any(|window| window == part);
    assert!(within(&enclave.public_key().uncompressed()) && within(&[7; 32]));
    let expected = format!(
        "GET /attestation/raw?public_key={}&user_data={} HTTP/1.1",
        enclave.public_key(),
        nonce(7)
    );
    assert_eq!(agent.asked(), [expected]);
    assert!(matches!(
        enclave.attest(None).await.unwrap(),
        Attestation::AwsNitro(_)
    ));
}

#[tokio::test]
async fn a_report_about_something_else_is_not_passed_on() {
    let Oyster { agent, enclave } = oyster(1, &[]).await;
    for conduct in [Conduct::OtherKey, Conduct::OtherNonce] {
        agent.conduct(conduct.clone());
        for nonce in [Some(nonce(7)), None] {
            if conduct == Conduct::OtherKey || nonce.is_some() {
                let refused = enclave.attest(nonce).await;
                assert!(matches!(refused, Err(EnclaveError::Unbound)), "{conduct:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_agent_in_trouble_is_an_outage() {
    let Oyster { agent, enclave } = oyster(1, &[]).await;
    let answer = |status: &str, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        Conduct::Says([head.as_bytes(), body].concat())
    };
    for conduct in [
        answer("500 Internal Server Error", b"Failed to generate attestation doc"),
        answer("302 Found\r\nlocation: http://127.0.0.1:1/", b""),
        answer("200 OK", b"no document"),
        answer("200 OK", &vec![0x84; 70_000]),
        Conduct::Says(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbroken".to_vec()),
    ] {
        agent.conduct(conduct);
        let failed = enclave.attest(Some(nonce(1))).await.unwrap_err();
        assert_eq!(failed.code(), "attestation_unavailable");
    }
    let url = agent.url();
    drop(agent);
    let gone = OysterEnclave::new(keys(1, &[]), &url).unwrap();
    let failed = gone.attest(None).await.unwrap_err();
    assert_eq!(failed.code(), "attestation_unavailable");
}
