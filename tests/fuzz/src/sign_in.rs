//! Messages of "Sign-In with Ethereum": what is read can be written and read again, and only an answer
//! to the challenge passes.

use haithe_identity::{
    SignIn, SignedMessage, Site,
    challenge::{MessageDigest, NonceHash, StoredChallenge},
};
use haithe_kernel::Timestamp;
use std::{sync::OnceLock, time::Duration};
use url::Url;

const CHAIN: u64 = 84_532;
/// When the good seed was issued.
const ISSUED: i64 = 1_700_000_000;

/// The text that a wallet signed.
pub fn run(data: &[u8]) {
    static SIGN_IN: OnceLock<SignIn> = OnceLock::new();
    let sign_in = SIGN_IN.get_or_init(sign_in);
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(message) = text.parse::<SignedMessage>() else {
        return;
    };
    assert_eq!(message.text(), text, "the signature covers the text as it came");
    let parts = message.parts();
    let written = parts.text();
    let again = written.parse::<SignedMessage>();
    assert_eq!(
        again.map(|again| again.parts().clone()).as_ref(),
        Ok(parts),
        "{written}"
    );
    let issued_at = Timestamp::from_seconds(ISSUED);
    let now = issued_at.plus(Duration::from_secs(10));
    let challenge = StoredChallenge {
        address: parts.address,
        digest: MessageDigest([0; 32]),
        nonce: NonceHash::of(&parts.nonce),
        site: "https://app.haithe.example".into(),
        network: None,
        issued_at,
        expires_at: issued_at.plus(Duration::from_secs(300)),
    };
    if sign_in.check(parts, &challenge, now).is_ok() {
        assert_eq!(
            (parts.domain.as_str(), parts.chain_id),
            ("app.haithe.example", CHAIN)
        );
        assert!(
            parts.uri.to_ascii_lowercase().starts_with("https:"),
            "{}",
            parts.uri
        );
        assert!(
            parts
                .expiration_time
                .is_none_or(|at| at > now && at <= challenge.expires_at)
        );
    }
}

fn sign_in() -> SignIn {
    let origin = "https://app.haithe.example";
    SignIn {
        first: Site {
            domain: "app.haithe.example".into(),
            uri: Url::parse(&format!("{origin}/login")).expect("an address"),
            origin: origin.into(),
        },
        others: Vec::new(),
        chain_id: CHAIN,
    }
}
