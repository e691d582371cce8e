//! Signatures over a challenge as it was given, sent by address and by message.

use super::{Accepted, Expected, LOGIN_REFUSED, UNREADABLE, Vector, text};
use alloy::{
    primitives::{Address, B256, Bytes, U256, keccak256},
    signers::SignerSync,
    sol,
    sol_types::{SolStruct, SolValue, eip712_domain},
};
use haithe_tests::wallets::Wallet;
use serde_json::{Value, json};

sol! {
    /// What a phishing page might have signed instead.
    struct SignIn {
        string contents;
    }
}

/// Makes a signature, or what pretends to be one.
type Sign = fn(&Wallet, &str) -> Value;

fn hex_of(bytes: &[u8]) -> Value {
    json!(format!("0x{}", hex::encode(bytes)))
}

/// The 65 bytes of the right signature.
fn good(wallet: &Wallet, text: &str) -> [u8; 65] {
    let signature = wallet.signer.sign_message_sync(text.as_bytes()).unwrap();
    signature.as_bytes()
}

fn raw_hash(wallet: &Wallet, hash: B256) -> Value {
    hex_of(&wallet.signer.sign_hash_sync(&hash).unwrap().as_bytes())
}

fn with_v(wallet: &Wallet, text: &str, v: u8) -> Value {
    let mut bytes = good(wallet, text);
    bytes[64] = v;
    hex_of(&bytes)
}

/// `r` or `s` (the half) replaced.
fn with_half(wallet: &Wallet, text: &str, half: usize, value: [u8; 32]) -> Value {
    let mut bytes = good(wallet, text);
    bytes[32 * half..32 * (half + 1)].copy_from_slice(&value);
    hex_of(&bytes)
}

fn order() -> U256 {
    "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
        .parse()
        .unwrap()
}

/// What ERC-6492 puts around a signature.
fn wrapped(inner: &[u8]) -> Vec<u8> {
    let call = (
        Address::repeat_byte(7),
        Bytes::new(),
        Bytes::copy_from_slice(inner),
    );
    let mut bytes = call.abi_encode_params();
    bytes.extend([0x64, 0x92].repeat(16));
    bytes
}

const TABLE: &[(&str, Expected, Sign)] = &[
    // Spellings of the right one.
    ("as wallets give it", Accepted, |w, t| hex_of(&good(w, t))),
    ("without 0x", Accepted, |w, t| json!(hex::encode(good(w, t)))),
    ("digits in upper case", Accepted, |w, t| {
        json!(format!("0x{}", hex::encode_upper(good(w, t))))
    }),
    ("v 0 or 1", Accepted, |w, t| with_v(w, t, good(w, t)[64] - 27)),
    (
        "wrapped as ERC-6492 with a factory that does nothing",
        Accepted,
        |w, t| hex_of(&wrapped(&good(w, t))),
    ),
    // Forms that are none.
    ("0X in front", UNREADABLE, |w, t| {
        json!(format!("0X{}", hex::encode(good(w, t))))
    }),
    ("0x twice", UNREADABLE, |w, t| {
        json!(format!("0x0x{}", hex::encode(good(w, t))))
    }),
    ("a space before", UNREADABLE, |w, t| {
        json!(format!(" 0x{}", hex::encode(good(w, t))))
    }),
    ("a line break after", UNREADABLE, |w, t| {
        json!(format!("0x{}\n", hex::encode(good(w, t))))
    }),
    ("an odd number of digits", UNREADABLE, |w, t| {
        json!(format!("0x{}0", hex::encode(good(w, t))))
    }),
    ("a digit that is none", UNREADABLE, |w, t| {
        json!(format!(
            "0x{}",
            hex::encode(good(w, t)).replacen(['0', '1', '2', '3'], "g", 1)
        ))
    }),
    ("Base64", UNREADABLE, |_, _| {
        json!("q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=")
    }),
    ("empty", UNREADABLE, |_, _| json!("")),
    ("only 0x", UNREADABLE, |_, _| json!("0x")),
    ("null", UNREADABLE, |_, _| Value::Null),
    ("a list of bytes", UNREADABLE, |w, t| json!(good(w, t).to_vec())),
    (
        "an object of its parts",
        UNREADABLE,
        |_, _| json!({"r": "0x1", "s": "0x1", "v": 27}),
    ),
    ("longer than any", UNREADABLE, |_, _| hex_of(&[1; 16 * 1024 + 1])),
    // Lengths.
    ("1 byte", LOGIN_REFUSED, |_, _| hex_of(&[1])),
    ("32 bytes: r alone", LOGIN_REFUSED, |w, t| {
        hex_of(&good(w, t)[..32])
    }),
    ("63 bytes", LOGIN_REFUSED, |w, t| hex_of(&good(w, t)[..63])),
    ("64 bytes: without v", LOGIN_REFUSED, |w, t| {
        hex_of(&good(w, t)[..64])
    }),
    ("64 bytes: compact (EIP-2098)", LOGIN_REFUSED, |w, t| {
        let mut bytes = good(w, t);
        bytes[32] |= (bytes[64] - 27) << 7;
        hex_of(&bytes[..64])
    }),
    ("66 bytes: one after", LOGIN_REFUSED, |w, t| {
        hex_of(&[&good(w, t)[..], &[0]].concat())
    }),
    ("66 bytes: one before", LOGIN_REFUSED, |w, t| {
        hex_of(&[&[0], &good(w, t)[..]].concat())
    }),
    ("96 bytes: v as a word", LOGIN_REFUSED, |w, t| {
        let bytes = good(w, t);
        hex_of(&[&bytes[..64], &[0; 31], &bytes[64..]].concat())
    }),
    ("twice in a row", LOGIN_REFUSED, |w, t| {
        hex_of(&[good(w, t), good(w, t)].concat())
    }),
    ("the longest that is read", LOGIN_REFUSED, |_, _| {
        hex_of(&[1; 16 * 1024])
    }),
    // v.
    ("v of the other parity", LOGIN_REFUSED, |w, t| {
        with_v(w, t, 55 - good(w, t)[64])
    }),
    ("v 0 or 1 of the other parity", LOGIN_REFUSED, |w, t| {
        with_v(w, t, 28 - good(w, t)[64])
    }),
    ("v 2", LOGIN_REFUSED, |w, t| with_v(w, t, 2)),
    ("v 3", LOGIN_REFUSED, |w, t| with_v(w, t, 3)),
    ("v 26", LOGIN_REFUSED, |w, t| with_v(w, t, 26)),
    ("v 29", LOGIN_REFUSED, |w, t| with_v(w, t, 29)),
    ("v 30", LOGIN_REFUSED, |w, t| with_v(w, t, 30)),
    ("v 35: EIP-155", LOGIN_REFUSED, |w, t| with_v(w, t, 35)),
    ("v 36: EIP-155", LOGIN_REFUSED, |w, t| with_v(w, t, 36)),
    ("v 37: EIP-155 of chain 1", LOGIN_REFUSED, |w, t| with_v(w, t, 37)),
    ("v 38: EIP-155 of chain 1", LOGIN_REFUSED, |w, t| with_v(w, t, 38)),
    ("v 255", LOGIN_REFUSED, |w, t| with_v(w, t, 255)),
    // r and s.
    ("the twin with a high s (EIP-2)", LOGIN_REFUSED, |w, t| {
        json!(w.sign_high_s(t))
    }),
    ("r zero", LOGIN_REFUSED, |w, t| with_half(w, t, 0, [0; 32])),
    ("s zero", LOGIN_REFUSED, |w, t| with_half(w, t, 1, [0; 32])),
    ("zeros", LOGIN_REFUSED, |_, _| hex_of(&[0; 65])),
    ("zeros and v 27", LOGIN_REFUSED, |_, _| {
        let mut bytes = [0; 65];
        bytes[64] = 27;
        hex_of(&bytes)
    }),
    ("r the order", LOGIN_REFUSED, |w, t| {
        with_half(w, t, 0, order().to_be_bytes())
    }),
    ("s the order", LOGIN_REFUSED, |w, t| {
        with_half(w, t, 1, order().to_be_bytes())
    }),
    ("r one", LOGIN_REFUSED, |w, t| {
        with_half(w, t, 0, U256::from(1).to_be_bytes())
    }),
    ("s one", LOGIN_REFUSED, |w, t| {
        with_half(w, t, 1, U256::from(1).to_be_bytes())
    }),
    ("r the largest word", LOGIN_REFUSED, |w, t| {
        with_half(w, t, 0, [0xff; 32])
    }),
    ("s the largest word", LOGIN_REFUSED, |w, t| {
        with_half(w, t, 1, [0xff; 32])
    }),
    ("ones", LOGIN_REFUSED, |_, _| hex_of(&[0xff; 65])),
    ("r and s swapped", LOGIN_REFUSED, |w, t| {
        let bytes = good(w, t);
        hex_of(&[&bytes[32..64], &bytes[..32], &bytes[64..]].concat())
    }),
    ("the bytes reversed", LOGIN_REFUSED, |w, t| {
        let mut bytes = good(w, t);
        bytes.reverse();
        hex_of(&bytes)
    }),
    ("v in front", LOGIN_REFUSED, |w, t| {
        let bytes = good(w, t);
        hex_of(&[&bytes[64..], &bytes[..64]].concat())
    }),
    ("a bit of r flipped", LOGIN_REFUSED, |w, t| {
        let mut bytes = good(w, t);
        bytes[31] ^= 1;
        hex_of(&bytes)
    }),
    ("a bit of s flipped", LOGIN_REFUSED, |w, t| {
        let mut bytes = good(w, t);
        bytes[63] ^= 1;
        hex_of(&bytes)
    }),
    // Another key, or another thing that was signed.
    ("another wallet's", LOGIN_REFUSED, |_, t| {
        json!(Wallet::named("somebody else").sign(t))
    }),
    ("the raw text's hash (eth_sign)", LOGIN_REFUSED, |w, t| {
        raw_hash(w, keccak256(t))
    }),
    (
        "the personal hash, hashed as personal again",
        LOGIN_REFUSED,
        |w, t| {
            let once = alloy::primitives::eip191_hash_message(t);
            hex_of(&w.signer.sign_message_sync(once.as_slice()).unwrap().as_bytes())
        },
    ),
    (
        "typed data (EIP-712) with the text in it",
        LOGIN_REFUSED,
        |w, t| {
            let domain = eip712_domain! { name: "Haithe", version: "1", chain_id: 1, };
            let typed = SignIn {
                contents: t.to_owned(),
            };
            raw_hash(w, typed.eip712_signing_hash(&domain))
        },
    ),
    ("EIP-191 version 0x00", LOGIN_REFUSED, |w, t| {
        let bytes = [&[0x19, 0x00], w.address().as_slice(), t.as_bytes()].concat();
        raw_hash(w, keccak256(bytes))
    }),
    ("SHA-256 instead of keccak", LOGIN_REFUSED, |w, t| {
        use sha2::Digest;
        raw_hash(w, B256::from_slice(&sha2::Sha256::digest(t)))
    }),
    ("the text's hexadecimal form", LOGIN_REFUSED, |w, t| {
        json!(w.sign(&format!("0x{}", hex::encode(t))))
    }),
    ("a line break after the text", LOGIN_REFUSED, |w, t| {
        json!(w.sign(&format!("{t}\n")))
    }),
    ("a space before the text", LOGIN_REFUSED, |w, t| {
        json!(w.sign(&format!(" {t}")))
    }),
    ("line breaks of Windows", LOGIN_REFUSED, |w, t| {
        json!(w.sign(&t.replace('\n', "\r\n")))
    }),
    ("the text in lower case", LOGIN_REFUSED, |w, t| {
        json!(w.sign(&t.to_lowercase()))
    }),
    ("the last line alone", LOGIN_REFUSED, |w, t| {
        json!(w.sign(t.lines().last().unwrap()))
    }),
    ("an empty text", LOGIN_REFUSED, |w, _| json!(w.sign(""))),
    ("the text with another expiry", LOGIN_REFUSED, |w, t| {
        json!(w.sign(&t.replace("Expiration Time: 2", "Expiration Time: 3")))
    }),
];

pub fn vectors() -> Vec<Vector> {
    let by_address = TABLE.iter().map(|(name, expected, sign)| {
        Vector::new("signature by address", *name, *expected, async move |desk| {
            let wallet = desk.wallet();
            let challenge = desk.challenge(&wallet).await;
            let signature = sign(&wallet, text(&challenge));
            let address = wallet.address().to_string();
            desk.log_in(&json!({"address": address, "signature": signature}))
                .await
        })
    });
    let by_message = TABLE.iter().map(|(name, expected, sign)| {
        Vector::new("signature by message", *name, *expected, async move |desk| {
            let wallet = desk.wallet();
            let challenge = desk.challenge(&wallet).await;
            let signature = sign(&wallet, text(&challenge));
            desk.log_in(&json!({"message": text(&challenge), "signature": signature}))
                .await
        })
    });
    by_address.chain(by_message).collect()
}
