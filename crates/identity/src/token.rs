//! Session tokens: JWT (RFC 7519), HS256, three days.

use haithe_kernel::{Timestamp, WalletAddress};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// How long a token is valid.
pub const TOKEN_LIFE: Duration = Duration::from_secs(3 * 24 * 60 * 60);
const LIFE_SECONDS: i64 = TOKEN_LIFE.as_secs().cast_signed();

const ISSUER: &str = "haithe";
const AUDIENCE: &str = "haithe-api";
const SHORTEST_SECRET: usize = 32;

/// Why no tokens can be issued with a secret.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The secret is too short for HS256 (RFC 7518 §3.2).
    #[error("JWT_SECRET must be at least 32 bytes")]
    ShortSecret,
    /// The cryptography library refused a self-test.
    #[error("a session token could not be signed and verified")]
    Library(#[source] jsonwebtoken::errors::Error),
}

/// The claims of a token. Every one is required, with its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    sub: WalletAddress,
    jti: String,
    iss: String,
    aud: String,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// What a valid token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFacts {
    /// The wallet.
    pub address: WalletAddress,
    /// The token's id; its hash names the session.
    pub jti: String,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// Signs and verifies session tokens.
pub struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

impl Tokens {
    /// Tokens under this secret, proven by signing and verifying one.
    ///
    /// # Errors
    /// [`TokenError`] when the secret is too short or the self-test fails.
    pub fn new(secret: &SecretString) -> Result<Self, TokenError> {
        let bytes = secret.expose_secret().as_bytes();
        if bytes.len() < SHORTEST_SECRET {
            return Err(TokenError::ShortSecret);
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "nbf", "sub", "iss", "aud"]);
        // Times are compared with our own clock, to the second, without leeway.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.leeway = 0;
        let tokens = Self {
            encoding: EncodingKey::from_secret(bytes),
            decoding: DecodingKey::from_secret(bytes),
            validation,
        };
        let probe = tokens.sign(
            WalletAddress::new([0; 20]),
            "self-test",
            Timestamp::from_seconds(0),
        )?;
        tokens.decode(&probe).map_err(TokenError::Library)?;
        Ok(tokens)
    }

    /// A token for the wallet, valid from `now`.
    ///
    /// # Errors
    /// [`TokenError::Library`] when signing fails.
    pub fn sign(&self, address: WalletAddress, jti: &str, now: Timestamp) -> Result<String, TokenError> {
        let claims = Claims {
            sub: address,
            jti: jti.to_owned(),
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            iat: now.seconds(),
            nbf: now.seconds(),
            exp: now.plus(TOKEN_LIFE).seconds(),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .map_err(TokenError::Library)
    }

    /// What the token says, if it is ours and valid at `now`.
    pub fn verify(&self, token: &str, now: Timestamp) -> Option<TokenFacts> {
        let claims = self.decode(token).ok()?;
        let timely = claims.nbf <= now.seconds() && now.seconds() < claims.exp && claims.iat <= now.seconds();
        // Longer than any that was signed here; also keeps `exp` within what a `Timestamp` holds.
        let ours = claims.exp.saturating_sub(claims.iat) <= LIFE_SECONDS;
        (timely && ours).then(|| TokenFacts {
            address: claims.sub,
            jti: claims.jti,
            expires_at: Timestamp::from_seconds(claims.exp),
        })
    }

    fn decode(&self, token: &str) -> Result<Claims, jsonwebtoken::errors::Error> {
        jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation).map(|data| data.claims)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn tokens() -> Tokens {
        Tokens::new(&SecretString::from(SECRET)).unwrap()
    }

    fn now() -> Timestamp {
        Timestamp::from_seconds(1_700_000_000)
    }

    fn forged(header: Header, claims: &Value, secret: &str) -> String {
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    }

    fn good_claims() -> Value {
        json!({
            "sub": "0x0101010101010101010101010101010101010101", "jti": "a", "iss": ISSUER, "aud": AUDIENCE,
            "iat": 1_700_000_000, "nbf": 1_700_000_000, "exp": 1_700_000_100,
        })
    }

    #[test]
    fn a_token_is_valid_for_three_days_and_not_a_second_longer() {
        let token = tokens().sign(WalletAddress::new([1; 20]), "a", now()).unwrap();
        let life = TOKEN_LIFE.as_secs() as i64;
        let at = |seconds| tokens().verify(&token, Timestamp::from_seconds(now().seconds() + seconds));
        assert!(at(0).is_some() && at(life - 1).is_some());
        assert!(at(life).is_none() && at(-1).is_none());
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert!(matches!(
            Tokens::new(&SecretString::from("x".repeat(31))),
            Err(TokenError::ShortSecret)
        ));
    }

    #[test]
    fn a_well_formed_claim_set_passes_so_that_the_refusals_below_mean_something() {
        let token = forged(Header::new(Algorithm::HS256), &good_claims(), SECRET);
        assert!(tokens().verify(&token, now()).is_some());
    }

    #[test]
    fn other_algorithms_secrets_and_claims_are_refused() {
        let hs256 = || Header::new(Algorithm::HS256);
        let mut refused = vec![
            forged(Header::new(Algorithm::HS512), &good_claims(), SECRET),
            forged(hs256(), &good_claims(), "another secret of sufficient length!"),
            "eyJhbGciOiJub25lIn0.e30.".into(),
            String::new(),
            "a.b.c".into(),
        ];
        for (name, value) in [
            ("sub", json!("nobody")),
            ("sub", json!(1)),
            ("jti", json!(7)),
            ("iss", json!("other")),
            ("aud", json!("other")),
            ("exp", json!("1700000100")),
            ("exp", json!(1.5)),
            ("nbf", json!(null)),
            ("iat", json!(1_700_000_001)),
            ("exp", json!(1_700_000_000 + 259_201)),
            ("exp", json!(170_025_920_259_200_i64)),
            ("exp", json!(i64::MAX)),
            ("iat", json!(i64::MIN)),
            ("admin", json!(true)),
        ] {
            let mut claims = good_claims();
            claims[name] = value;
            refused.push(forged(hs256(), &claims, SECRET));
        }
        for name in ["sub", "jti", "iss", "aud", "iat", "nbf", "exp"] {
            let mut claims = good_claims();
            claims.as_object_mut().unwrap().remove(name);
            refused.push(forged(hs256(), &claims, SECRET));
        }
        let none = {
            let good = forged(hs256(), &good_claims(), SECRET);
            let payload = good.split('.').nth(1).unwrap();
            format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}.")
        };
        refused.push(none);
        for token in refused {
            assert_eq!(tokens().verify(&token, now()), None, "{token}");
        }
    }
}
