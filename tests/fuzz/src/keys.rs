//! API keys: no text but the one that was signed is one of ours.

use haithe_identity::{MessageSigner, api_keys::is_ours};
use haithe_kernel::WalletAddress;
use secrecy::SecretString;
use std::sync::OnceLock;

/// Signed by the key below; the first of the seeds.
const GOOD: &str = include_str!("../corpus/api-key/good");
const SIGNER: &str = "4646464646464646464646464646464646464646464646464646464646464646";

/// The text of a key.
pub fn run(data: &[u8]) {
    static ADDRESS: OnceLock<WalletAddress> = OnceLock::new();
    let signer = ADDRESS.get_or_init(|| {
        let signer = MessageSigner::from_hex(&SecretString::from(SIGNER)).expect("a key");
        signer.address()
    });
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if is_ours(text, *signer) {
        // Digits may be of either case, and the parity has two spellings (27 and 0): the stored hash of
        // the whole text tells those apart.
        let (text, good) = (text.to_ascii_lowercase(), GOOD.trim());
        assert_eq!(
            text.get(..good.len() - 2),
            good.get(..good.len() - 2),
            "a forged key"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_good_seed_is_ours() {
        let signer = MessageSigner::from_hex(&SecretString::from(SIGNER)).unwrap();
        assert!(is_ours(GOOD.trim(), signer.address()));
    }
}
