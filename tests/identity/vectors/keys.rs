//! API keys: a typing error at every position, and keys that only look like one.

use super::{Accepted, Desk, Expected, INVALID, Refused, Vector};
use alloy::signers::SignerSync;
use haithe_tests::{app::Tenant, app::User, wallets::Wallet};
use serde_json::{Value, json};

const MODELS: &str = "/v1beta/openai/models";

pub async fn vectors(desk: &Desk) -> Vec<Vector> {
    let owner = User::log_in(&desk.client, desk.wallet()).await;
    let token = owner.token.clone();
    let tenant = Tenant::found(&desk.app.chain, owner, "Vectors").await;
    let make = async |scope: Value| {
        let mut body = scope;
        body["project_id"] = json!(tenant.project_id);
        tenant.api_key(body).await
    };
    let id_of_newest = async || {
        let keys = tenant.owner.client.get("/v1/me/api-keys").data().await;
        keys[0]["id"].to_string()
    };
    let good = make(json!({})).await;
    let revoked = make(json!({})).await;
    let path = format!("/v1/me/api-keys/{}", id_of_newest().await);
    tenant.owner.client.delete(&path).data().await;
    let rotated = make(json!({})).await;
    let path = format!("/v1/me/api-keys/{}/rotate", id_of_newest().await);
    let fresh = tenant.owner.client.post(&path).data().await;
    let fresh = fresh["api_key"].as_str().unwrap().to_owned();
    let bound = make(json!({"routes": ["chat.completions"]})).await;
    let reader = make(json!({"routes": ["models"], "models": ["free"]})).await;

    let mut vectors = Vec::new();
    let mut add = |name: String, expected: Expected, key: String, path: &'static str| {
        vectors.push(Vector::new("key", name, expected, async move |desk| {
            desk.client.bearer(&key).get(path).send().await
        }));
    };
    let out_of_scope = Refused(403, "key_scope");
    add("a good one".into(), Accepted, good.clone(), MODELS);
    add("one with a new secret".into(), Accepted, fresh, MODELS);
    add("one bound to this route".into(), Accepted, reader, MODELS);
    add("one bound to another route".into(), out_of_scope, bound, MODELS);
    add("a revoked one".into(), INVALID, revoked, MODELS);
    add("the secret before a rotation".into(), INVALID, rotated, MODELS);
    let session = Refused(403, "session_required");
    for path in [
        "/v1/me",
        "/v1/me/api-keys",
        "/v1/me/sessions",
        "/v1/me/api-key/last-issued",
    ] {
        add(format!("a good one at {path}"), session, good.clone(), path);
    }
    for (name, key) in lookalikes(&good, &token) {
        add(name, INVALID, key, MODELS);
    }
    for at in 3..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = match bytes[at] {
            b'.' => b'0',
            b'-' => b'.',
            b'0' => b'1',
            _ => b'0',
        };
        let typo = String::from_utf8(bytes).unwrap();
        add(format!("a typing error at {at}"), INVALID, typo, MODELS);
    }
    vectors
}

/// What is not the key, and looks like it.
fn lookalikes(good: &str, token: &str) -> Vec<(String, String)> {
    let parts: Vec<&str> = good["sk-".len()..].split('.').collect();
    let [address, nonce, signature] = parts[..] else {
        panic!("a key")
    };
    let signed_by = |wallet: &Wallet, address: &str, nonce: &str, at: u64| {
        let message = format!("{at}.0x{address}.{nonce}");
        let signature = wallet.signer.sign_message_sync(message.as_bytes()).unwrap();
        format!("sk-{address}.{nonce}.{}", hex::encode(signature.as_bytes()))
    };
    let uuid: uuid::Uuid = nonce.parse().unwrap();
    let issued_at = uuid.get_timestamp().unwrap().to_unix().0;
    let ours = Wallet::named("api keys");
    let other_nonce = uuid::Uuid::from_u128(uuid.as_u128() ^ 1).to_string();
    let other_address = "11".repeat(20);
    let version_4 = "9b2c4a3e-6d58-4f10-8a7b-0c1d2e3f4a5b";
    let high_s = ours.sign_high_s(&format!("{issued_at}.0x{address}.{nonce}"));
    let other_v = if signature.ends_with("1b") { "00" } else { "01" };
    [
        ("the prefix alone", "sk-".to_owned()),
        ("the prefix and dots", "sk-..".into()),
        ("without its prefix", good["sk-".len()..].to_owned()),
        ("the prefix in upper case", good.replacen("sk-", "SK-", 1)),
        ("the prefix twice", format!("sk-{good}")),
        (
            "all in upper case but the prefix",
            format!("sk-{}", good[3..].to_uppercase()),
        ),
        (
            "the address in upper case",
            format!("sk-{}.{nonce}.{signature}", address.to_uppercase()),
        ),
        (
            "the nonce in upper case",
            format!("sk-{address}.{}.{signature}", nonce.to_uppercase()),
        ),
        (
            "the signature in upper case",
            format!("sk-{address}.{nonce}.{}", signature.to_uppercase()),
        ),
        (
            "the address with 0x",
            format!("sk-0x{address}.{nonce}.{signature}"),
        ),
        (
            "the signature with 0x",
            format!("sk-{address}.{nonce}.0x{signature}"),
        ),
        (
            "the nonce without dashes",
            format!("sk-{address}.{}.{signature}", uuid.simple()),
        ),
        (
            "the nonce in braces",
            format!("sk-{address}.{{{nonce}}}.{signature}"),
        ),
        ("a digit less", good[..good.len() - 1].to_owned()),
        ("a digit more", format!("{good}0")),
        ("without its v", good[..good.len() - 2].to_owned()),
        ("v as 0 or 1", format!("{}{other_v}", &good[..good.len() - 2])),
        (
            "the twin with a high s",
            format!("sk-{address}.{nonce}.{}", &high_s[2..]),
        ),
        (
            "a signature of zeros",
            format!("sk-{address}.{nonce}.{}", "0".repeat(130)),
        ),
        ("no signature", format!("sk-{address}.{nonce}.")),
        ("no nonce", format!("sk-{address}..{signature}")),
        ("no address", format!("sk-.{nonce}.{signature}")),
        ("two parts", format!("sk-{address}.{signature}")),
        ("four parts", format!("{good}.{signature}")),
        ("parts swapped", format!("sk-{nonce}.{address}.{signature}")),
        ("colons for dots", good.replace('.', ":")),
        ("dashes for dots", good.replace('.', "-")),
        (
            "another wallet's address",
            format!("sk-{other_address}.{nonce}.{signature}"),
        ),
        ("another nonce", format!("sk-{address}.{other_nonce}.{signature}")),
        (
            "signed by another key",
            signed_by(&Wallet::named("somebody else"), address, nonce, issued_at),
        ),
        (
            "signed by our key, never issued",
            signed_by(&ours, address, &other_nonce, issued_at),
        ),
        (
            "our key's, for another wallet",
            signed_by(&ours, &other_address, nonce, issued_at),
        ),
        (
            "our key's, of another time",
            signed_by(&ours, address, &other_nonce, issued_at + 1),
        ),
        (
            "our key's, over a random UUID",
            signed_by(&ours, address, version_4, 0),
        ),
        ("a session's token in its clothes", format!("sk-{token}")),
        (
            "an OpenAI key",
            "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789".into(),
        ),
        ("a very long one", format!("sk-{}", "a".repeat(8_000))),
    ]
    .map(|(name, key)| (name.to_owned(), key))
    .into()
}
