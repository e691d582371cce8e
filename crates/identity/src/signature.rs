//! Ethereum signatures over personal messages (EIP-191, version 0x45) on secp256k1.

use crate::challenge::MessageDigest;
use haithe_kernel::WalletAddress;
use k256::ecdsa::{RecoveryId, Signature, SigningKey, VerifyingKey};
use secrecy::{ExposeSecret, SecretString};
use sha3::{Digest, Keccak256};
use std::{fmt, str::FromStr};

/// Longest signature accepted: ERC-6492 wrappers carry a factory call.
const LONGEST: usize = 16 * 1024;

/// Why bytes are no signature of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not hex, empty, or too long.
    #[error("a signature is 0x followed by hexadecimal digits (65 bytes for a plain wallet)")]
    Form,
    /// `s` in the upper half of the curve's order: the same signature has a second, canonical form.
    #[error("the signature is not in canonical (low-s) form")]
    HighS,
    /// `r`, `s` or `v` out of range, or no key fits.
    #[error("the signature does not recover to any key")]
    Unrecoverable,
    /// A signing key that is not 32 bytes in range.
    #[error("a signing key is 32 bytes of hex in the range of secp256k1")]
    Key,
}

/// The EIP-191 hash of a personal message: keccak256("\x19Ethereum Signed Message:\n" ‖ len ‖ text).
pub fn personal_digest(message: &[u8]) -> MessageDigest {
    let mut hasher = Keccak256::new();
    hasher.update(b"\x19Ethereum Signed Message:\n");
    hasher.update(message.len().to_string().as_bytes());
    hasher.update(message);
    MessageDigest(hasher.finalize().into())
}

/// The bytes of a signature: 65 for a plain wallet, any number up to 16 KiB for a smart wallet.
#[derive(Clone, PartialEq, Eq)]
pub struct WalletSignature(Vec<u8>);

impl WalletSignature {
    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The wallet whose key made this 65-byte signature over `digest`.
    ///
    /// `v` may be 27, 28, 0 or 1; only low-s is accepted (EIP-2), so that a signature has one form.
    ///
    /// # Errors
    /// [`SignatureError`] when it is not 65 bytes, not canonical, or recovers to nothing.
    pub fn recover(&self, digest: MessageDigest) -> Result<WalletAddress, SignatureError> {
        let [rs @ .., v] = self.0.as_slice() else {
            return Err(SignatureError::Form);
        };
        let rs: &[u8; 64] = rs.try_into().map_err(|_| SignatureError::Form)?;
        let odd = match v {
            0 | 27 => false,
            1 | 28 => true,
            _ => return Err(SignatureError::Unrecoverable),
        };
        let signature = Signature::from_slice(rs).map_err(|_| SignatureError::Unrecoverable)?;
        if signature.normalize_s().is_some() {
            return Err(SignatureError::HighS);
        }
        let key = VerifyingKey::recover_from_prehash(&digest.0, &signature, RecoveryId::new(odd, false))
            .map_err(|_| SignatureError::Unrecoverable)?;
        Ok(address_of(&key))
    }
}

impl FromStr for WalletSignature {
    type Err = SignatureError;
    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        if digits.is_empty() || digits.len() > 2 * LONGEST {
            return Err(SignatureError::Form);
        }
        hex::decode(digits).map(Self).map_err(|_| SignatureError::Form)
    }
}

impl fmt::Debug for WalletSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WalletSignature({} bytes)", self.0.len())
    }
}

/// The address of a public key: the last 20 bytes of keccak256 of its uncompressed point.
fn address_of(key: &VerifyingKey) -> WalletAddress {
    let point = key.to_encoded_point(false);
    let digest = Keccak256::digest(point.as_bytes().get(1..).unwrap_or_default());
    let mut address = [0; 20];
    for (slot, byte) in address.iter_mut().zip(digest.iter().skip(12)) {
        *slot = *byte;
    }
    WalletAddress::new(address)
}

/// A key that signs personal messages; used for API keys and by tests, never for transactions.
#[derive(Clone)]
pub struct MessageSigner(SigningKey);

impl MessageSigner {
    /// From 32 bytes of hex.
    ///
    /// # Errors
    /// [`SignatureError::Key`] when they are no secp256k1 key.
    pub fn from_hex(secret: &SecretString) -> Result<Self, SignatureError> {
        let text = secret.expose_secret();
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut bytes)
            .map_err(|_| SignatureError::Key)?;
        SigningKey::from_slice(&bytes)
            .map(Self)
            .map_err(|_| SignatureError::Key)
    }

    /// The address that its signatures recover to.
    pub fn address(&self) -> WalletAddress {
        address_of(self.0.verifying_key())
    }

    /// A canonical 65-byte signature (`v` 27 or 28) over the personal message.
    ///
    /// # Errors
    /// [`SignatureError::Unrecoverable`] never in practice: the nonce is deterministic (RFC 6979).
    pub fn sign(&self, message: &[u8]) -> Result<[u8; 65], SignatureError> {
        let digest = personal_digest(message);
        let (signature, recovery) = self
            .0
            .sign_prehash_recoverable(&digest.0)
            .map_err(|_| SignatureError::Unrecoverable)?;
        let (signature, odd) = match signature.normalize_s() {
            Some(low) => (low, !recovery.is_y_odd()),
            None => (signature, recovery.is_y_odd()),
        };
        let mut bytes = [0; 65];
        for (slot, byte) in bytes.iter_mut().zip(signature.to_bytes()) {
            *slot = byte;
        }
        if let Some(v) = bytes.last_mut() {
            *v = 27 + u8::from(odd);
        }
        Ok(bytes)
    }
}

impl fmt::Debug for MessageSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageSigner({})", self.address())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Key 1's address is a published constant.
    const ONE: &str = "0000000000000000000000000000000000000000000000000000000000000001";

    fn signer(hex: &str) -> MessageSigner {
        MessageSigner::from_hex(&SecretString::from(hex)).unwrap()
    }

    fn high_s(signature: [u8; 65]) -> WalletSignature {
        let low = Signature::from_slice(&signature[..64]).unwrap();
        let negated = Signature::from_scalars(low.r().to_bytes(), (-*low.s()).to_bytes()).unwrap();
        let flipped = if signature[64] == 27 { 28 } else { 27 };
        let mut bytes = negated.to_bytes().to_vec();
        bytes.push(flipped);
        WalletSignature(bytes)
    }

    #[test]
    fn the_address_of_key_one_is_the_published_one() {
        assert_eq!(
            signer(ONE).address().checksummed(),
            "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"
        );
    }

    #[test]
    fn the_digest_is_that_of_eip_191() {
        // keccak256 of "\x19Ethereum Signed Message:\n5hello", as ethers' hashMessage gives it.
        let expected = "50b2c43fd39106bafbba0da34fc430e1f91e3c96ea2acee2bc34119f92b37750";
        assert_eq!(hex::encode(personal_digest(b"hello").0), expected);
    }

    #[test]
    fn a_signature_recovers_with_each_spelling_of_v_and_no_other() {
        let bytes = signer(ONE).sign(b"hello").unwrap();
        let digest = personal_digest(b"hello");
        for v in 0..=255u8 {
            let mut bytes = bytes;
            let parity = bytes[64] - 27;
            bytes[64] = v;
            let recovered = WalletSignature(bytes.to_vec()).recover(digest);
            if v == parity || v == parity + 27 {
                assert_eq!(recovered, Ok(signer(ONE).address()));
            } else {
                assert_ne!(recovered, Ok(signer(ONE).address()), "v = {v}");
            }
        }
    }

    #[test]
    fn the_high_s_twin_is_refused() {
        let bytes = signer(ONE).sign(b"hello").unwrap();
        assert_eq!(
            high_s(bytes).recover(personal_digest(b"hello")),
            Err(SignatureError::HighS)
        );
    }

    #[test]
    fn malformed_signatures_are_refused() {
        for text in ["", "0x", "0xzz", "0x0", &"00".repeat(LONGEST + 1)] {
            assert_eq!(text.parse::<WalletSignature>(), Err(SignatureError::Form));
        }
        for length in [1, 64, 66] {
            let signature: WalletSignature = "00".repeat(length).parse().unwrap();
            assert!(signature.recover(personal_digest(b"")).is_err());
        }
        let zeros: WalletSignature = "00".repeat(65).parse().unwrap();
        assert_eq!(
            zeros.recover(personal_digest(b"")),
            Err(SignatureError::Unrecoverable)
        );
    }

    proptest! {
        #[test]
        fn whatever_is_signed_recovers_to_its_signer(key in "[1-9a-e][0-9a-f]{63}", message: Vec<u8>) {
            let signer = signer(&key);
            let signature = WalletSignature(signer.sign(&message).unwrap().to_vec());
            prop_assert_eq!(signature.recover(personal_digest(&message)), Ok(signer.address()));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), digest: [u8; 32]) {
            let _ = WalletSignature(bytes).recover(MessageDigest(digest));
        }
    }
}
