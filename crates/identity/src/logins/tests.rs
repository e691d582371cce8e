use super::*;
use crate::{
    challenge::StoredChallenge,
    ports::{MockChallengeStore, MockContractWallets, MockSessionStore},
    signature::MessageSigner,
    siwe::{Mismatch, Site, SiweMessage},
};
use haithe_kernel::{Failure as _, FixedClock, MockRandom};
use secrecy::SecretString;
use std::time::Duration;

const TEXT: &str = "some text";

fn signer(byte: u8) -> MessageSigner {
    MessageSigner::from_hex(&SecretString::from(hex::encode([byte; 32]))).unwrap()
}

fn signature(signer: &MessageSigner, text: &str) -> WalletSignature {
    hex::encode(signer.sign(text.as_bytes()).unwrap())
        .parse()
        .unwrap()
}

fn tokens() -> Arc<Tokens> {
    Arc::new(Tokens::new(&SecretString::from("0123456789abcdef0123456789abcdef")).unwrap())
}

fn clock() -> Arc<FixedClock> {
    Arc::new(FixedClock::at(Timestamp::from_seconds(1_700_000_000)))
}

fn sign_in() -> SignIn {
    SignIn {
        first: Site {
            domain: "app.example".into(),
            uri: "https://app.example/login".parse().unwrap(),
            origin: "https://app.example".into(),
        },
        others: Vec::new(),
        chain_id: 137,
    }
}

fn logins(
    challenges: MockChallengeStore,
    sessions: MockSessionStore,
    wallets: Option<MockContractWallets>,
) -> Logins {
    let mut random = MockRandom::new();
    random.expect_bytes16().returning(|| [9; 16]);
    let wallets = wallets.map(|wallets| Arc::new(wallets) as Arc<dyn ContractWallets>);
    Logins::new(
        Arc::new(challenges),
        Arc::new(sessions),
        wallets,
        tokens(),
        Arc::new(sign_in()),
        clock(),
        Arc::new(random),
    )
}

fn request(claim: LoginClaim, signature: WalletSignature) -> LoginRequest {
    LoginRequest {
        claim,
        signature,
        ip: None,
        user_agent: None,
    }
}

#[tokio::test]
async fn a_signed_challenge_is_used_up_and_opens_a_session_whose_token_is_accepted() {
    let wallet = signer(1);
    let mut challenges = MockChallengeStore::new();
    challenges
        .expect_live()
        .returning(|_, _| Ok(vec![personal_digest(b"older"), personal_digest(TEXT.as_bytes())]));
    challenges
        .expect_take()
        .withf(|_, digest, _| *digest == personal_digest(TEXT.as_bytes()))
        .once()
        .returning(|_, _, _| Ok(true));
    let mut sessions = MockSessionStore::new();
    let (opened, session) = std::sync::mpsc::channel();
    sessions.expect_open().once().returning(move |session| {
        opened.send(session).unwrap();
        Ok(())
    });
    let claim = LoginClaim::Address(wallet.address());
    let login = logins(challenges, sessions, None)
        .log_in(request(claim, signature(&wallet, TEXT)))
        .await
        .unwrap();
    let facts = tokens()
        .verify(&login.token, Timestamp::from_seconds(1_700_000_000))
        .unwrap();
    assert_eq!(facts.address, wallet.address());
    assert_eq!(session.recv().unwrap().id, session_id(&facts.jti));
}

#[tokio::test]
async fn wrong_foreign_and_used_signatures_open_nothing() {
    let wallet = signer(1);
    for (signed_by, text, live) in [(1, "other text", true), (2, TEXT, true), (1, TEXT, false)] {
        let mut challenges = MockChallengeStore::new();
        challenges
            .expect_live()
            .returning(|_, _| Ok(vec![personal_digest(TEXT.as_bytes())]));
        challenges.expect_take().returning(move |_, _, _| Ok(live));
        let mut sessions = MockSessionStore::new();
        sessions.expect_open().never();
        let claim = LoginClaim::Address(wallet.address());
        let attempt = request(claim, signature(&signer(signed_by), text));
        let refused = logins(challenges, sessions, None)
            .log_in(attempt)
            .await
            .unwrap_err();
        assert!(matches!(refused, LoginError::Refused(_)));
    }
}

#[tokio::test]
async fn a_plain_wallet_never_asks_the_chain_and_a_smart_one_does() {
    let wallet = signer(1);
    let live = |challenges: &mut MockChallengeStore| {
        challenges
            .expect_live()
            .returning(|_, _| Ok(vec![personal_digest(TEXT.as_bytes())]));
        challenges.expect_take().returning(|_, _, _| Ok(true));
    };
    let sessions = || {
        let mut sessions = MockSessionStore::new();
        sessions.expect_open().returning(|_| Ok(()));
        sessions
    };
    let mut challenges = MockChallengeStore::new();
    live(&mut challenges);
    let mut unasked = MockContractWallets::new();
    unasked.expect_accepted().never();
    let plain = request(LoginClaim::Address(wallet.address()), signature(&wallet, TEXT));
    logins(challenges, sessions(), Some(unasked))
        .log_in(plain)
        .await
        .unwrap();

    let contract = WalletAddress::new([5; 20]);
    let mut challenges = MockChallengeStore::new();
    live(&mut challenges);
    let mut asked = MockContractWallets::new();
    asked
        .expect_accepted()
        .withf(move |check| check.address == contract)
        .once()
        .returning(|check| Ok(check.digests.first().copied()));
    let smart = request(LoginClaim::Address(contract), signature(&wallet, TEXT));
    let login = logins(challenges, sessions(), Some(asked))
        .log_in(smart)
        .await
        .unwrap();
    assert_eq!(login.address, contract);
}

/// A text of the client's own for a challenge that began at the clock's time.
fn own_text(wallet: &MessageSigner) -> SiweMessage {
    SiweMessage {
        scheme: None,
        domain: "app.example".into(),
        address: wallet.address(),
        statement: Some("My own words.".into()),
        uri: "https://app.example/elsewhere".into(),
        chain_id: 137,
        nonce: "0123456789abcdef".into(),
        issued_at: clock().now(),
        expiration_time: None,
        not_before: None,
        request_id: Some("request-7".into()),
        resources: Some(vec!["https://app.example/terms".into()]),
    }
}

/// The challenge with that nonce.
fn challenge(wallet: &MessageSigner) -> StoredChallenge {
    StoredChallenge {
        address: wallet.address(),
        digest: MessageDigest([3; 32]),
        nonce: NonceHash::of("0123456789abcdef"),
        site: "https://app.example".into(),
        network: None,
        issued_at: clock().now(),
        expires_at: clock().now().plus(Duration::from_secs(300)),
    }
}

async fn log_in_with(message: &SiweMessage) -> Result<LoggedIn, LoginError> {
    let wallet = signer(1);
    let mut challenges = MockChallengeStore::new();
    let stored = challenge(&wallet);
    let found = stored.clone();
    challenges
        .expect_find()
        .returning(move |_, nonce, _| Ok(Some(found.clone()).filter(|found| found.nonce == nonce)));
    challenges
        .expect_take()
        .withf(move |_, digest, _| *digest == stored.digest)
        .returning(|_, _, _| Ok(true));
    let mut sessions = MockSessionStore::new();
    sessions.expect_open().returning(|_| Ok(()));
    let text = message.text();
    let claim = LoginClaim::Message(Box::new(text.parse().unwrap()));
    logins(challenges, sessions, None)
        .log_in(request(claim, signature(&wallet, &text)))
        .await
}

#[tokio::test]
async fn a_text_of_the_clients_own_uses_up_the_challenge_whose_nonce_it_names() {
    let login = log_in_with(&own_text(&signer(1))).await.unwrap();
    assert_eq!(login.address, signer(1).address());
}

#[tokio::test]
async fn a_text_that_does_not_answer_the_challenge_opens_nothing() {
    let good = own_text(&signer(1));
    let now = good.issued_at;
    let second = Duration::from_secs(1);
    let life = Duration::from_secs(300);
    type Spoil = fn(&mut SiweMessage, Timestamp);
    let cases: [(Spoil, Mismatch); 8] = [
        (|it, _| it.domain = "app.example.evil".into(), Mismatch::Domain),
        (|it, _| it.scheme = Some("http".into()), Mismatch::Scheme),
        (|it, _| it.uri = "https://evil.example/".into(), Mismatch::Uri),
        (|it, _| it.uri = "urn:app.example".into(), Mismatch::Uri),
        (
            |it, _| it.chain_id = 1,
            Mismatch::Chain {
                stated: 1,
                expected: 137,
            },
        ),
        (|it, at| it.issued_at = at, Mismatch::IssuedAt),
        (|it, at| it.expiration_time = Some(at), Mismatch::Expiration),
        (
            |it, at| it.not_before = Some(at),
            Mismatch::NotBefore { at: now.plus(second) },
        ),
    ];
    for (spoil, mismatch) in cases {
        let at = match mismatch {
            Mismatch::IssuedAt => now.minus(second),
            Mismatch::Expiration => now.plus(life).plus(second),
            _ => now.plus(second),
        };
        let mut spoilt = good.clone();
        spoil(&mut spoilt, at);
        let refused = log_in_with(&spoilt).await.unwrap_err();
        assert!(
            matches!(refused, LoginError::Refused(Refusal::Message(found)) if found == mismatch),
            "{refused:?} for {mismatch:?}"
        );
    }
    let mut unknown = good.clone();
    unknown.nonce = "fedcba9876543210".into();
    let refused = log_in_with(&unknown).await.unwrap_err();
    assert!(matches!(refused, LoginError::Refused(Refusal::NoChallenge)));
}

#[tokio::test]
async fn a_refusal_names_what_the_signed_text_itself_shows() {
    let now = clock().now();
    let mut chain = own_text(&signer(1));
    chain.chain_id = 1;
    let refused = log_in_with(&chain).await.unwrap_err().to_string();
    assert!(
        refused.contains("chain ID 1,") && refused.contains("chain ID 137"),
        "{refused}"
    );
    // Its challenge is gone, as an expired one is after a sweep.
    let mut expired = own_text(&signer(1));
    expired.expiration_time = Some(now);
    expired.nonce = "fedcba9876543210".into();
    let refused = log_in_with(&expired).await.unwrap_err();
    assert!(
        refused.to_string().contains(&format!("expired at {now}")),
        "{refused}"
    );
    assert_eq!(refused.code(), "login_refused");
    let mut domain = own_text(&signer(1));
    domain.domain = "app.example.evil".into();
    let refused = log_in_with(&domain).await.unwrap_err().to_string();
    assert!(refused.contains("matches no live challenge"), "{refused}");
}
