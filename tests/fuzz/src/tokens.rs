//! Session tokens: no text but a signed one is valid, and no claims but complete and timely ones.

use haithe_identity::Tokens;
use haithe_kernel::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::SecretString;
use serde_json::Value;
use std::sync::OnceLock;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// 2023-11-14T22:13:20Z, when the good seed was signed.
const NOW: i64 = 1_700_000_000;
const GOOD: &str = include_str!("../corpus/jwt/good");

/// A whole token; or, after a zero byte, claims that are signed as they are.
pub fn run(data: &[u8]) {
    static TOKENS: OnceLock<Tokens> = OnceLock::new();
    let tokens = TOKENS.get_or_init(|| Tokens::new(&SecretString::from(SECRET)).expect("a good secret"));
    let now = Timestamp::from_seconds(NOW);
    if let Some(claims) = data.strip_prefix(&[0]) {
        let Ok(claims) = serde_json::from_slice::<Value>(claims) else {
            return;
        };
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).expect("signable");
        if let Some(facts) = tokens.verify(&token, now) {
            assert_eq!(
                (&claims["iss"], &claims["aud"]),
                (&"haithe".into(), &"haithe-api".into())
            );
            assert!(claims["nbf"].as_i64() <= Some(NOW) && claims["iat"].as_i64() <= Some(NOW));
            assert_eq!(claims["exp"].as_i64(), Some(facts.expires_at.seconds()));
            assert!(facts.expires_at > now);
            assert_eq!(claims["jti"], facts.jti);
        }
    } else if let Ok(token) = std::str::from_utf8(data)
        && tokens.verify(token, now).is_some()
    {
        assert_eq!(token, GOOD.trim(), "a forged token");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_good_seed_is_valid() {
        let tokens = Tokens::new(&SecretString::from(SECRET)).unwrap();
        assert!(tokens.verify(GOOD.trim(), Timestamp::from_seconds(NOW)).is_some());
    }
}
