//! Reports from the attestation agent of Marlin's Oyster.
//!
//! The agent (`oyster-attestation-server-custom`) listens inside the enclave and answers
//! `GET /attestation/raw?public_key=…&user_data=…`, both in hexadecimal digits, with the document that
//! the Nitro Secure Module makes for them.

use crate::{
    Keyring,
    document::{self, Stated},
};
use async_trait::async_trait;
use haithe_kernel::WalletAddress;
use haithe_marketplace::{
    enclave::{Attestation, Enclave, EnclaveError, Nonce},
    sealing::{ContentKey, EnclavePublicKey, WrappedKey},
};
use reqwest::{Client, StatusCode, redirect};
use std::time::Duration;
use tokio::sync::Semaphore;
use url::Url;

/// Longest time for a report.
const WITHIN: Duration = Duration::from_secs(5);
/// Reports made at the same time: the module makes one after another.
const AT_ONCE: usize = 4;
/// Most bytes of a report; real ones have about 4,500.
const MOST_BYTES: usize = 64 << 10;

/// The agent's client could not be built.
#[derive(Debug, thiserror::Error)]
#[error("the attestation agent cannot be asked: {0}")]
pub struct SetupError(Box<dyn std::error::Error + Send + Sync>);

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
enum AgentError {
    #[error("the agent cannot be reached")]
    Unreachable(#[from] reqwest::Error),
    #[error("the agent answered {0}")]
    Status(StatusCode),
    #[error("the agent's report is larger than {MOST_BYTES} bytes")]
    TooLarge,
    #[error(transparent)]
    Document(#[from] document::DocumentError),
    #[error("the client is gone")]
    Closed,
}

/// Keys in a process that an agent attests.
pub struct OysterEnclave {
    keys: Keyring,
    agent: Url,
    client: Client,
    turns: Semaphore,
}

impl OysterEnclave {
    /// Holds these keys, vouched for by the agent at this address.
    ///
    /// # Errors
    /// [`SetupError`] when the address is none that can be asked.
    pub fn new(keys: Keyring, agent: &Url) -> Result<Self, SetupError> {
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .timeout(WITHIN)
            .build()
            .map_err(|error| SetupError(Box::new(error)))?;
        let mut agent = agent.clone();
        agent.set_query(None);
        agent
            .path_segments_mut()
            .map_err(|()| SetupError("the address has no path".into()))?
            .pop_if_empty()
            .extend(["attestation", "raw"]);
        Ok(Self {
            keys,
            agent,
            client,
            turns: Semaphore::new(AT_ONCE),
        })
    }

    async fn report(&self, nonce: Option<&Nonce>) -> Result<Vec<u8>, AgentError> {
        let mut url = self.agent.clone();
        url.query_pairs_mut()
            .append_pair("public_key", &self.keys.public_key().to_string());
        if let Some(nonce) = nonce {
            url.query_pairs_mut().append_pair("user_data", &nonce.to_string());
        }
        let _turn = self.turns.acquire().await.map_err(|_| AgentError::Closed)?;
        let mut answer = self.client.get(url).send().await?;
        if answer.status() != StatusCode::OK {
            return Err(AgentError::Status(answer.status()));
        }
        let mut report = Vec::new();
        while let Some(piece) = answer.chunk().await? {
            if report.len() + piece.len() > MOST_BYTES {
                return Err(AgentError::TooLarge);
            }
            report.extend(piece);
        }
        Ok(report)
    }
}

#[async_trait]
impl Enclave for OysterEnclave {
    fn public_key(&self) -> EnclavePublicKey {
        self.keys.public_key()
    }

    async fn unwrap(&self, wrapped: &WrappedKey, creator: WalletAddress) -> Result<ContentKey, EnclaveError> {
        Ok(self.keys.unwrap(wrapped, creator)?)
    }

    async fn attest(&self, nonce: Option<Nonce>) -> Result<Attestation, EnclaveError> {
        let failed = |error: AgentError| EnclaveError::Attestation(Box::new(error));
        let report = self.report(nonce.as_ref()).await.map_err(failed)?;
        let stated = Stated::of(&report).map_err(|error| failed(error.into()))?;
        let key = self.keys.public_key().uncompressed();
        let bound = stated.public_key.as_deref() == Some(&*key)
            && stated.user_data.as_deref() == nonce.as_ref().map(Nonce::as_bytes);
        if bound {
            Ok(Attestation::AwsNitro(report))
        } else {
            Err(EnclaveError::Unbound)
        }
    }
}
