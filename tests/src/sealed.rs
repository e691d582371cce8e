//! What a creator does before publishing: sealing content for an enclave.

use crate::wallets::Wallet;
use haithe_kernel::WalletAddress;
use haithe_marketplace::{
    hosting::ContentDigest,
    sealing::{ContentKey, EnclavePublicKey, EnclaveSecretKey, seal},
};

/// Sealed content, ready to be hosted and published.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// The sealed form.
    pub bytes: Vec<u8>,
    /// Its SHA-256.
    pub digest: ContentDigest,
    /// The content key, wrapped for the creator, as it goes on chain.
    pub wrapped_key: String,
    secret: [u8; 32],
}

impl Sealed {
    /// Seals content with keys of chance.
    pub fn for_creator(enclave: &EnclavePublicKey, creator: WalletAddress, content: &[u8]) -> Self {
        let secret = rand::random();
        let key = ContentKey::new(secret);
        let bytes = seal(content, &key, rand::random()).expect("content within bounds");
        // All but a vanishing few of 32-byte numbers are scalars.
        let wrapped = enclave.wrap(&key, creator, &rand::random()).expect("a scalar");
        Self {
            digest: ContentDigest::of(&bytes),
            bytes,
            wrapped_key: wrapped.to_string(),
            secret,
        }
    }

    /// The same for the enclave of every test service (`enclave.key`).
    pub fn for_fixture(creator: WalletAddress, content: &[u8]) -> Self {
        let secret = hex::decode(Wallet::named("enclave").key_hex()).expect("hexadecimal digits");
        let secret: [u8; 32] = secret.try_into().expect("32 bytes");
        let enclave = EnclaveSecretKey::new(&secret).expect("a scalar");
        Self::for_creator(&enclave.public_key(), creator, content)
    }

    /// Other content under the same key, as a creator publishes it with `setUri`: the wrapped key of a product
    /// never changes.
    pub fn resealed(&self, content: &[u8]) -> Self {
        let key = ContentKey::new(self.secret);
        let bytes = seal(content, &key, rand::random()).expect("content within bounds");
        Self {
            digest: ContentDigest::of(&bytes),
            bytes,
            ..self.clone()
        }
    }

    /// The address of this content where the service itself hosts it.
    pub fn hosted_uri(&self) -> String {
        format!("haithe:sha256:{}", self.digest)
    }

    /// Content that nobody will open.
    pub fn anything(length: usize) -> Vec<u8> {
        let key = ContentKey::new(rand::random());
        seal(&vec![0; length], &key, rand::random()).expect("content within bounds")
    }
}
