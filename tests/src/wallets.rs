//! People with keys.

use alloy::{
    primitives::{Address, B256, keccak256},
    signers::{SignerSync, local::PrivateKeySigner},
};
use haithe_kernel::WalletAddress;

/// A wallet: a key that signs what it is given.
#[derive(Debug, Clone)]
pub struct Wallet {
    /// The key.
    pub signer: PrivateKeySigner,
}

impl Wallet {
    /// The wallet of this name, the same in every run.
    pub fn named(name: &str) -> Self {
        let key = keccak256(format!("haithe test wallet {name}"));
        let signer = PrivateKeySigner::from_bytes(&key).expect("a hash is a key, but for one in 2^128");
        Self { signer }
    }

    /// Wallet number `number`.
    pub fn number(number: u32) -> Self {
        Self::named(&number.to_string())
    }

    /// Its address, for alloy.
    pub fn address(&self) -> Address {
        self.signer.address()
    }

    /// Its address, in the kernel's type.
    pub fn wallet_address(&self) -> WalletAddress {
        WalletAddress::new(self.address().into_array())
    }

    /// Its private key, 64 hexadecimal digits.
    pub fn key_hex(&self) -> String {
        hex::encode(self.signer.to_bytes())
    }

    /// What `personal_sign` gives for this text (EIP-191): `0x` and 65 bytes.
    pub fn sign(&self, text: &str) -> String {
        let signature = self
            .signer
            .sign_message_sync(text.as_bytes())
            .expect("a local key signs");
        format!("0x{}", hex::encode(signature.as_bytes()))
    }

    /// The other valid signature over the same text: s replaced by n − s (what EIP-2 forbids).
    pub fn sign_high_s(&self, text: &str) -> String {
        let signature = self
            .signer
            .sign_message_sync(text.as_bytes())
            .expect("a local key signs");
        let order: B256 = "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
            .parse()
            .expect("the order of secp256k1");
        let order = alloy::primitives::U256::from_be_bytes(order.0);
        let mut bytes = signature.as_bytes();
        let high: [u8; 32] = (order - signature.s()).to_be_bytes();
        bytes[32..64].copy_from_slice(&high);
        bytes[64] = if bytes[64] == 27 { 28 } else { 27 };
        format!("0x{}", hex::encode(bytes))
    }
}
