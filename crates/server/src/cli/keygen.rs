//! `haithe keygen`

use super::{Outcome, Ran, say};
use haithe_evm::ServerKey;
use haithe_kernel::Random;
use haithe_marketplace::sealing::EnclaveSecretKey;
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
    say("# opens what creators seal: whoever has it reads their content (docs/SEALING.md)");
    say(&format!("ENCLAVE_KEY={}", enclave_key(&random)));
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

fn enclave_key(random: &impl Random) -> String {
    loop {
        let bytes = random.bytes32();
        if EnclaveSecretKey::new(&bytes).is_ok() {
            return hex::encode(bytes);
        }
    }
}
