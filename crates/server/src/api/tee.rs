//! `/api/v1/tee`: the key that content is sealed to, and what can be said for it.

use crate::http::{
    Answer, Success,
    extract::{Input, Parsed},
};
use axum::extract::State;
use haithe_marketplace::{
    enclave::{Attestation, Enclave, Nonce},
    sealing::EnclavePublicKey,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// An enclave's public key, and its name in wrapped keys.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EnclaveKey)]
pub struct KeyView {
    /// The point on secp256k1, uncompressed.
    #[schema(pattern = "^04[0-9a-f]{128}$")]
    tee_pubkey: String,
    #[schema(pattern = "^[0-9a-f]{16}$")]
    key_id: String,
}

impl KeyView {
    fn of(key: EnclavePublicKey) -> Self {
        Self {
            tee_pubkey: key.to_string(),
            key_id: key.id().to_string(),
        }
    }
}

/// The key to seal content to (`docs/SEALING.md`).
#[utoipa::path(get, path = "/api/v1/tee/pub-key", security(()), responses((status = 200, body = Success<KeyView>)))]
pub async fn public_key(State(enclave): State<Arc<dyn Enclave>>) -> Answer<KeyView> {
    let key = KeyView::of(enclave.public_key());
    Ok(Success::of("The enclave's public key", key))
}

/// What the report shall carry.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AttestQuery {
    /// 16 to 64 bytes in hexadecimal digits, your own and random: they show that the report is fresh.
    #[param(value_type = Option<String>, pattern = "^(0x)?([0-9a-fA-F]{2}){16,64}$")]
    nonce: Option<Parsed<Nonce>>,
}

/// A report about the enclave's key. `none` claims nothing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EnclaveAttestation)]
pub struct AttestationView {
    #[serde(flatten)]
    key: KeyView,
    kind: KindView,
    /// The report in hexadecimal digits; empty when there is none.
    attestation: String,
    /// The nonce that the report carries.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    nonce: Option<String>,
}

/// What the report is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = AttestationKind)]
enum KindView {
    /// The key lies in an ordinary process: there is no report.
    None,
    /// A Nitro attestation document: verify its signature, certificates and PCRs yourself.
    AwsNitro,
}

/// A report that binds the enclave's key to the caller's nonce.
#[utoipa::path(get, path = "/api/v1/tee/attest", security(()), params(AttestQuery),
    responses((status = 200, body = Success<AttestationView>)))]
pub async fn attest(
    State(enclave): State<Arc<dyn Enclave>>,
    Input(query): Input<AttestQuery>,
) -> Answer<AttestationView> {
    let nonce = query.nonce.map(|nonce| nonce.0);
    let carried = nonce.as_ref().map(Nonce::to_string);
    let key = KeyView::of(enclave.public_key());
    let view = match enclave.attest(nonce).await? {
        Attestation::None => AttestationView {
            key,
            kind: KindView::None,
            attestation: String::new(),
            nonce: None,
        },
        Attestation::AwsNitro(report) => AttestationView {
            key,
            kind: KindView::AwsNitro,
            attestation: hex::encode(report),
            nonce: carried,
        },
    };
    Ok(Success::of("Attestation", view))
}
