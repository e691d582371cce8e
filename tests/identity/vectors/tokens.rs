//! Session tokens: algorithms, claims and structure.

use super::{Accepted, Desk, Expected, INVALID_TOKEN as INVALID, Refused, Vector};
use crate::jwt::{SECRET, claims, encode, forge, forge_as};
use haithe_tests::app::User;
use serde_json::{Value, json};

const CLAIMS: [&str; 7] = ["sub", "jti", "iss", "aud", "iat", "nbf", "exp"];

type Spoil = fn(&mut Value, i64);

/// Claims otherwise than in a good token; the number is the time it was issued.
const SPOILT: &[(&str, Expected, Spoil)] = &[
    ("unchanged", Accepted, |_, _| ()),
    ("sub in the case of EIP-55", Accepted, |c, _| {
        let address: haithe_kernel::WalletAddress = c["sub"].as_str().unwrap().parse().unwrap();
        c["sub"] = json!(address.checksummed());
    }),
    ("another wallet", INVALID, |c, _| {
        c["sub"] = json!(format!("0x{}", "11".repeat(20)))
    }),
    ("no wallet", INVALID, |c, _| c["sub"] = json!("admin")),
    ("an empty sub", INVALID, |c, _| c["sub"] = json!("")),
    ("another session", INVALID, |c, _| {
        c["jti"] = json!("00".repeat(16))
    }),
    ("an empty jti", INVALID, |c, _| c["jti"] = json!("")),
    ("jti in upper case", INVALID, |c, _| {
        c["jti"] = json!(format!("{}X", c["jti"].as_str().unwrap().to_uppercase()));
    }),
    ("another issuer", INVALID, |c, _| c["iss"] = json!("evil")),
    ("the issuer in upper case", INVALID, |c, _| {
        c["iss"] = json!("HAITHE")
    }),
    ("another audience", INVALID, |c, _| c["aud"] = json!("haithe")),
    ("a list of audiences", INVALID, |c, _| {
        c["aud"] = json!(["haithe-api", "evil"])
    }),
    ("expired by a second", INVALID, |c, now| c["exp"] = json!(now - 1)),
    ("expired before it began", INVALID, |c, _| c["exp"] = json!(0)),
    ("expired in 1969", INVALID, |c, _| c["exp"] = json!(-1)),
    ("not valid yet", INVALID, |c, now| c["nbf"] = json!(now + 3_600)),
    ("issued in the future", INVALID, |c, now| {
        c["iat"] = json!(now + 3_600)
    }),
    ("a fractional expiry", INVALID, |c, now| {
        c["exp"] = json!(now as f64 + 1_000.5)
    }),
    ("an expiry beyond 64 bits", INVALID, |c, _| c["exp"] = json!(1e30)),
    ("a claim more", INVALID, |c, _| c["admin"] = json!(true)),
];

/// Headers over good claims: the algorithm that signs, and what the header says.
fn headers() -> Vec<(String, Expected, &'static str, Value)> {
    let mut all = vec![
        ("no typ".into(), Accepted, "HS256", json!({"alg": "HS256"})),
        (
            "HS384 throughout".into(),
            INVALID,
            "HS384",
            json!({"alg": "HS384", "typ": "JWT"}),
        ),
        (
            "HS512 throughout".into(),
            INVALID,
            "HS512",
            json!({"alg": "HS512", "typ": "JWT"}),
        ),
        (
            "HS512 under HS256's name".into(),
            INVALID,
            "HS512",
            json!({"alg": "HS256", "typ": "JWT"}),
        ),
        ("no alg".into(), INVALID, "HS256", json!({"typ": "JWT"})),
        ("alg null".into(), INVALID, "HS256", json!({"alg": null})),
        ("alg a number".into(), INVALID, "HS256", json!({"alg": 256})),
        ("alg a list".into(), INVALID, "HS256", json!(["HS256"])),
        (
            "alg in lower case".into(),
            INVALID,
            "HS256",
            json!({"alg": "hs256"}),
        ),
        ("a header that is a text".into(), INVALID, "HS256", json!("HS256")),
    ];
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = json!({"alg": alg, "typ": "JWT"});
        all.push((
            format!("alg {alg:?} without a signature"),
            INVALID,
            "",
            header.clone(),
        ));
        all.push((format!("alg {alg:?} with HS256's"), INVALID, "HS256", header));
    }
    for alg in [
        "HS384", "HS512", "RS256", "RS512", "PS256", "ES256", "ES256K", "EdDSA",
    ] {
        let header = json!({"alg": alg, "typ": "JWT"});
        all.push((format!("{alg} with HS256's signature"), INVALID, "HS256", header));
    }
    all
}

pub async fn vectors(desk: &Desk) -> Vec<Vector> {
    let user = User::log_in(&desk.client, desk.wallet()).await;
    let ended = User::log_in(&desk.client, desk.wallet()).await;
    ended.client.post("/v1/auth/logout").data().await;
    let good = claims(&user.token);
    let now = good["iat"].as_i64().unwrap();

    let mut vectors = Vec::new();
    let mut add = |name: String, expected, token: String| {
        vectors.push(Vector::new("token", name, expected, async move |desk| {
            desk.client.bearer(&token).get("/v1/me").send().await
        }));
    };
    add("of a session that was ended".into(), INVALID, ended.token.clone());
    add(
        "forged for a session that was ended".into(),
        INVALID,
        forge(&claims(&ended.token)),
    );
    for (name, expected, spoil) in SPOILT {
        let mut claims = good.clone();
        spoil(&mut claims, now);
        add((*name).into(), *expected, forge(&claims));
    }
    for claim in CLAIMS {
        let mut without = good.clone();
        without.as_object_mut().unwrap().remove(claim);
        add(format!("without {claim}"), INVALID, forge(&without));
        for value in [json!(null), json!(true), json!([]), json!({}), json!({"$gt": ""})] {
            let mut wrong = good.clone();
            wrong[claim] = value.clone();
            add(format!("{claim} {value}"), INVALID, forge(&wrong));
        }
        let mut wrong = good.clone();
        wrong[claim] = if good[claim].is_i64() {
            json!(good[claim].to_string())
        } else {
            json!(7)
        };
        add(format!("{claim} of the other type"), INVALID, forge(&wrong));
    }
    for (name, expected, alg, header) in headers() {
        add(name, expected, forge_as(alg, &header, &good, SECRET));
    }
    for secret in ["", "secret", "another secret that is long enough"] {
        let header = json!({"alg": "HS256", "typ": "JWT"});
        add(
            format!("under the secret {secret:?}"),
            INVALID,
            forge_as("HS256", &header, &good, secret),
        );
    }
    for (name, token) in structures(&user.token, &good) {
        add(name, INVALID, token);
    }
    vectors.extend(headers_of_requests(&user.token));
    vectors
}

/// A good token in pieces.
fn structures(token: &str, good: &Value) -> Vec<(String, String)> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        panic!("a JWT")
    };
    let mut other = good.clone();
    other["sub"] = json!(format!("0x{}", "11".repeat(20)));
    let other = encode(other.to_string().as_bytes());
    let mut all: Vec<(String, String)> = [
        (
            "another payload under the signature",
            format!("{header}.{other}.{signature}"),
        ),
        ("no signature", format!("{header}.{payload}.")),
        ("two parts", format!("{header}.{payload}")),
        ("one part", header.to_owned()),
        ("four parts", format!("{token}.{signature}")),
        ("an empty header", format!(".{payload}.{signature}")),
        ("an empty payload", format!("{header}..{signature}")),
        ("dots alone", "..".into()),
        ("padding after", format!("{token}=")),
        (
            "header and payload swapped",
            format!("{payload}.{header}.{signature}"),
        ),
        ("the payload twice", format!("{payload}.{payload}.{signature}")),
        ("the signature cut", token[..token.len() - 1].to_owned()),
        ("the signature longer", format!("{token}A")),
        ("a quotation mark around", format!("\"{token}\"")),
        ("null", "null".into()),
        ("undefined", "undefined".into()),
        ("a very long one", "x".repeat(8_000)),
    ]
    .map(|(name, token)| (name.to_owned(), token))
    .into();
    let begins = token.len() - signature.len();
    for at in (begins..token.len()).step_by(3).chain([token.len() - 1]) {
        let mut bytes = token.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let typo = String::from_utf8(bytes).unwrap();
        all.push((
            format!("a typing error in the signature, at {}", at - begins),
            typo,
        ));
    }
    all
}

/// The `Authorization` header around a good token.
fn headers_of_requests(token: &str) -> Vec<Vector> {
    let table = [
        ("Bearer", Accepted, format!("Bearer {token}")),
        ("bearer", Accepted, format!("bearer {token}")),
        ("BEARER", Accepted, format!("BEARER {token}")),
        ("two spaces", Accepted, format!("Bearer  {token}")),
        ("no scheme", INVALID, token.to_owned()),
        ("no space", INVALID, format!("Bearer{token}")),
        ("Basic", INVALID, format!("Basic {token}")),
        ("Token", INVALID, format!("Token {token}")),
        (
            "a comma and another",
            INVALID,
            format!("Bearer {token}, Bearer {token}"),
        ),
        ("the scheme alone", INVALID, "Bearer".into()),
        ("empty", INVALID, String::new()),
    ];
    let token = token.to_owned();
    let mut vectors: Vec<Vector> = table
        .into_iter()
        .map(|(name, expected, header)| {
            Vector::new("authorization", name, expected, async move |desk| {
                desk.client
                    .with("authorization", header)
                    .get("/v1/me")
                    .send()
                    .await
            })
        })
        .collect();
    vectors.push(Vector::new(
        "authorization",
        "none",
        Refused(401, "authentication_required"),
        async |desk| desk.client.get("/v1/me").send().await,
    ));
    vectors.push(Vector::new(
        "authorization",
        "twice",
        INVALID,
        async move |desk| {
            let once = desk.client.bearer(&token);
            once.bearer(&token).get("/v1/me").send().await
        },
    ));
    vectors
}
