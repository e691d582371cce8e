//! The example of `docs/SEALING.md` in JavaScript, against ours: what one seals, the other opens.

use crate::{folder, node_packages, scripts};
use haithe_kernel::WalletAddress;
use haithe_marketplace::sealing::{ContentKey, EnclaveSecretKey, SealedContent, WrappedKey, seal};
use haithe_tests::packages::run;
use serde_json::{Value, json};
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn what_javascript_seals_rust_opens_and_the_other_way_round() {
    let here = scripts("sealing");
    let Some(folder) = node_packages(folder("sdk-sealing"), &here).await else {
        return;
    };
    for script in ["seal.mjs", "sealing.mjs"] {
        std::fs::copy(here.join(script), folder.join(script)).unwrap();
    }
    let secret = [0x42; 32];
    let enclave = EnclaveSecretKey::new(&secret).unwrap();
    let creator = WalletAddress::new(rand::random());
    let key = ContentKey::new(rand::random());
    let content = "sealed in Rust: ünïcödé 🌱";
    let wrapped = enclave.public_key().wrap(&key, creator, &[0x17; 32]).unwrap();
    let sealed = seal(content.as_bytes(), &key, rand::random()).unwrap();
    let ours = json!({
        "enclave_secret_key": hex::encode(secret),
        "enclave_public_key": enclave.public_key().to_string(),
        "creator": creator.to_string(),
        "wrapped_key": wrapped.to_string(),
        "sealed_content": hex::encode(sealed),
        "content": content,
    });
    let mut command = Command::new("node");
    command.arg(folder.join("seal.mjs")).envs([
        ("VECTORS", here.join("vectors.json").display().to_string()),
        ("SEALED_BY_RUST", ours.to_string()),
    ]);
    let said = run(&mut command)
        .await
        .unwrap_or_else(|trouble| panic!("{trouble}"));
    let theirs: Value = serde_json::from_str(&said).unwrap();
    let text = |name: &str| theirs[name].as_str().unwrap();
    let wrapped: WrappedKey = text("wrapped_key").parse().unwrap();
    let key = enclave.unwrap(&wrapped, creator).unwrap();
    let sealed = hex::decode(text("sealed_content")).unwrap();
    let opened = SealedContent::parse(&sealed).unwrap().open(&key).unwrap();
    assert_eq!(&*opened, text("content").as_bytes());
    let stranger = WalletAddress::new([1; 20]);
    assert!(enclave.unwrap(&wrapped, stranger).is_err());
}
