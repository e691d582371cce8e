//! `haithe keygen`

use super::{Outcome, Ran, say};
use haithe_evm::ServerKey;
use haithe_kernel::Random;
use secrecy::SecretString;

pub(super) fn keygen() -> Ran {
    let random = crate::service::system::OsRandom;
    let (server, address) = loop {
        let digits = hex::encode(random.bytes32());
        // All but a vanishing few of 32-byte numbers are private keys.
        if let Ok(key) = ServerKey::parse(&SecretString::from(digits.clone())) {
            break (digits, key.address());
        }
    };
    say(&format!("JWT_SECRET={}", hex::encode(random.bytes32())));
    say(&format!("API_KEY_SIGNING_KEY={}", hex::encode(random.bytes32())));
    say(&format!(
        "DATABASE_ENCRYPTION_KEY={}",
        hex::encode(random.bytes32())
    ));
    say(&format!(
        "# signs settlement; its address {address} needs native coin for gas"
    ));
    say(&format!("SERVER_PVT_KEY={server}"));
    Ok(Outcome::Good)
}
