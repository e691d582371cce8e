//! What a creator does before publishing: sealing content for an enclave.

use haithe_kernel::WalletAddress;
use haithe_marketplace::{
    hosting::ContentDigest,
    sealing::{ContentKey, EnclavePublicKey, seal},
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
}

impl Sealed {
    /// Seals content with keys of chance.
    pub fn for_creator(enclave: &EnclavePublicKey, creator: WalletAddress, content: &[u8]) -> Self {
        let key = ContentKey::new(rand::random());
        let bytes = seal(content, &key, rand::random()).expect("content within bounds");
        // All but a vanishing few of 32-byte numbers are scalars.
        let wrapped = enclave.wrap(&key, creator, &rand::random()).expect("a scalar");
        Self {
            digest: ContentDigest::of(&bytes),
            bytes,
            wrapped_key: wrapped.to_string(),
        }
    }

    /// Content that nobody will open.
    pub fn anything(length: usize) -> Vec<u8> {
        let key = ContentKey::new(rand::random());
        seal(&vec![0; length], &key, rand::random()).expect("content within bounds")
    }
}
