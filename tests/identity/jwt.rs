//! Tokens made by hand (RFC 7515), so that every mistake can be made.

use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// The fixture's own secret: a forger who has it is stopped by everything else.
pub const SECRET: &str = "a secret of tests that is long enough";

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Base64url without padding.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut word = [0; 3];
        word[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, word[0], word[1], word[2]]);
        for place in 0..=chunk.len() {
            let index = (bits >> (18 - 6 * place)) & 63;
            text.push(char::from(ALPHABET[index as usize]));
        }
    }
    text
}

fn decode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut bits, mut have) = (0u32, 0);
    for byte in text.bytes() {
        let value = ALPHABET
            .iter()
            .position(|letter| *letter == byte)
            .expect("Base64url");
        bits = (bits << 6) | u32::try_from(value).unwrap();
        have += 6;
        if have >= 8 {
            have -= 8;
            bytes.push(u8::try_from((bits >> have) & 0xff).unwrap());
        }
    }
    bytes
}

/// HMAC (RFC 2104) with a hash of this block size.
fn hmac<D: Digest>(block: usize, secret: &[u8], message: &[u8]) -> Vec<u8> {
    let mut key = secret.to_vec();
    assert!(key.len() <= block, "a short secret");
    key.resize(block, 0);
    let padded = |pad: u8| key.iter().map(|byte| byte ^ pad).collect::<Vec<u8>>();
    let inner = D::new()
        .chain_update(padded(0x36))
        .chain_update(message)
        .finalize();
    D::new()
        .chain_update(padded(0x5c))
        .chain_update(inner)
        .finalize()
        .to_vec()
}

/// The claims of a real token.
pub fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("a payload");
    serde_json::from_slice(&decode(payload)).expect("JSON")
}

/// A token of this header and these claims, signed by `alg` whatever the header says.
pub fn forge_as(alg: &str, header: &Value, claims: &Value, secret: &str) -> String {
    let signed = format!(
        "{}.{}",
        encode(header.to_string().as_bytes()),
        encode(claims.to_string().as_bytes())
    );
    let (secret, message) = (secret.as_bytes(), signed.as_bytes());
    let signature = match alg {
        "HS256" => hmac::<Sha256>(64, secret, message),
        "HS384" => hmac::<Sha384>(128, secret, message),
        "HS512" => hmac::<Sha512>(128, secret, message),
        _ => Vec::new(),
    };
    format!("{signed}.{}", encode(&signature))
}

/// As the service itself would sign these claims.
pub fn forge(claims: &Value) -> String {
    forge_as("HS256", &json!({"alg": "HS256", "typ": "JWT"}), claims, SECRET)
}

#[test]
fn a_token_made_by_hand_is_that_of_rfc_7515() {
    let header = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9";
    assert_eq!(encode(&decode(header)), header);
    // RFC 4231, test case 2.
    let mac = hmac::<Sha256>(64, b"Jefe", b"what do ya want for nothing?");
    assert_eq!(
        hex::encode(mac),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
}
