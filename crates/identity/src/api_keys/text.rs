//! The text of a key: `sk-{address}.{nonce}.{signature}`, written and read.

use crate::{
    api_key::KeyHash,
    signature::{MessageSigner, SignatureError, WalletSignature, personal_digest},
};
use haithe_kernel::{Timestamp, WalletAddress};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// `sk-` + 40 + `.` + 36 + `.` + 130.
const LENGTH: usize = 3 + 40 + 1 + 36 + 1 + 130;

/// A new key's text.
pub(super) struct KeyText {
    pub(super) nonce: Uuid,
    pub(super) message: String,
    pub(super) api_key: String,
}

impl KeyText {
    /// A key of this wallet and moment.
    pub(super) fn sign(
        address: WalletAddress,
        now: Timestamp,
        random: [u8; 16],
        signer: &MessageSigner,
    ) -> Result<Self, SignatureError> {
        let nonce = uuid_v7(now, random);
        let message = signed_message(address, nonce);
        let signature = signer.sign(message.as_bytes())?;
        let api_key = format!(
            "sk-{}.{nonce}.{}",
            hex::encode(address.as_bytes()),
            hex::encode(signature)
        );
        Ok(Self {
            nonce,
            message,
            api_key,
        })
    }
}

/// What names a key in the store.
pub(super) fn hash_of(api_key: &str) -> KeyHash {
    KeyHash(Sha256::digest(api_key.as_bytes()).into())
}

/// Whether the text is a key that `signer` signed; says nothing of whether it still opens anything.
pub fn is_ours(api_key: &str, signer: WalletAddress) -> bool {
    parse(api_key).is_some_and(|parsed| {
        let message = signed_message(parsed.address, parsed.nonce);
        parsed.signature.recover(personal_digest(message.as_bytes())) == Ok(signer)
    })
}

pub(super) struct ParsedKey {
    pub(super) address: WalletAddress,
    pub(super) nonce: Uuid,
    pub(super) signature: WalletSignature,
}

pub(super) fn parse(api_key: &str) -> Option<ParsedKey> {
    if api_key.len() != LENGTH {
        return None;
    }
    let mut parts = api_key.strip_prefix("sk-")?.split('.');
    let (address, nonce, signature) = (parts.next()?, parts.next()?, parts.next()?);
    if address.len() != 40 || nonce.len() != 36 || signature.len() != 130 || parts.next().is_some() {
        return None;
    }
    let nonce = Uuid::try_parse(nonce).ok()?;
    nonce.get_timestamp()?;
    Some(ParsedKey {
        address: address.parse().ok()?,
        nonce,
        signature: signature.parse().ok()?,
    })
}

/// `issued_at.0x{address}.{nonce}`, where `issued_at` is the nonce's own time in Unix seconds.
fn signed_message(address: WalletAddress, nonce: Uuid) -> String {
    let issued_at = nonce.get_timestamp().map_or(0, |at| at.to_unix().0);
    format!("{issued_at}.{address}.{nonce}")
}

/// A version 7 UUID (RFC 9562) of this moment.
fn uuid_v7(now: Timestamp, random: [u8; 16]) -> Uuid {
    let millis = u64::try_from(now.micros().div_euclid(1000)).unwrap_or(0);
    let mut tail = [0; 10];
    for (slot, byte) in tail.iter_mut().zip(random) {
        *slot = byte;
    }
    uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
}
