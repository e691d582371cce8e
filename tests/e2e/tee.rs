//! The enclave's key and what is said for it.

use haithe_marketplace::sealing::EnclavePublicKey;
use haithe_tests::{
    agent::{Agent, Conduct},
    app::{App, Setup},
    wallets::Wallet,
};

#[tokio::test]
async fn a_key_in_an_ordinary_process_is_shown_and_nothing_is_claimed_for_it() {
    let app = App::start().await;
    let shown = app.anonymous().get("/v1/tee/pub-key").data().await;
    let key: EnclavePublicKey = shown["tee_pubkey"].as_str().unwrap().parse().unwrap();
    assert_eq!(shown["key_id"], key.id().to_string());
    assert!(shown["tee_pubkey"].as_str().unwrap().starts_with("04"));
    let nonce = "ab".repeat(32);
    let query = [("nonce", nonce.as_str())];
    let attested = app.anonymous().get("/v1/tee/attest").query(&query).data().await;
    assert_eq!(attested["kind"], "none");
    assert_eq!(attested["attestation"], "");
    assert_eq!(attested["tee_pubkey"], shown["tee_pubkey"]);
    for bad in ["ab", "zz", &"ab".repeat(65)] {
        let ask = app.anonymous().get("/v1/tee/attest").query(&[("nonce", bad)]);
        ask.refused(400, "invalid_parameter").await;
    }
}

#[tokio::test]
async fn an_attested_key_comes_with_a_report_that_carries_the_nonce() {
    let agent = Agent::start().await;
    let former = vec![Wallet::named("a former enclave").key_hex()];
    let setup = Setup::default()
        .set("enclave.attestation_agent", agent.url().as_str())
        .set("enclave.former_keys", former);
    let app = App::with(setup).await;
    let nonce = "5e".repeat(20);
    let ask = |nonce: &str| app.anonymous().get("/v1/tee/attest").query(&[("nonce", nonce)]);
    let attested = ask(&nonce).data().await;
    let report = attested["attestation"].as_str().unwrap();
    assert_eq!(attested["kind"], "aws-nitro");
    assert_eq!(attested["nonce"], nonce.as_str());
    assert!(report.contains(&nonce) && report.contains(attested["tee_pubkey"].as_str().unwrap()));
    let without = app.anonymous().get("/v1/tee/attest").data().await;
    assert_eq!(without.get("nonce"), None);

    agent.conduct(Conduct::OtherNonce);
    ask(&nonce).refused(503, "attestation_unbound").await;
    drop(agent);
    ask(&nonce).refused(503, "attestation_unavailable").await;
}
