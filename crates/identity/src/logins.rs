//! Use case: log in with a signed challenge.

mod error;
#[cfg(test)]
mod tests;

pub use error::{LoginError, Refusal};

use crate::{
    challenge::{MessageDigest, NonceHash},
    ports::{ChallengeStore, ContractWallets, SessionStore, WalletCheck},
    session::Session,
    sessions::session_id,
    signature::{WalletSignature, personal_digest},
    siwe::{SignIn, SignedMessage},
    token::{TOKEN_LIFE, Tokens},
};
use haithe_kernel::{ClientIp, Clock, Random, Timestamp, WalletAddress};
use std::sync::Arc;

/// Longest `User-Agent` kept.
const USER_AGENT_CHARS: usize = 256;

/// A login attempt, parsed.
#[derive(Debug, Clone)]
pub struct LoginRequest {
    /// Whose challenge: the address, or the signed text itself.
    pub claim: LoginClaim,
    /// The signature.
    pub signature: WalletSignature,
    /// The client's address.
    pub ip: Option<ClientIp>,
    /// The client.
    pub user_agent: Option<String>,
}

/// What a login names.
#[derive(Debug, Clone)]
pub enum LoginClaim {
    /// Any live challenge of this address, signed as it was given.
    Address(WalletAddress),
    /// The challenge whose nonce stands in this text, which may be the client's own.
    Message(Box<SignedMessage>),
}

impl LoginClaim {
    /// The wallet that wants to log in.
    pub const fn address(&self) -> WalletAddress {
        match self {
            Self::Address(address) => *address,
            Self::Message(message) => message.parts().address,
        }
    }
}

/// A fresh session.
#[derive(Debug, Clone)]
pub struct LoggedIn {
    /// The wallet.
    pub address: WalletAddress,
    /// Its token; shown once.
    pub token: String,
}

/// What a signature may cover, and the challenge that it uses up.
struct Candidate {
    signed: MessageDigest,
    challenge: MessageDigest,
}

/// Turns signed challenges into sessions.
pub struct Logins {
    challenges: Arc<dyn ChallengeStore>,
    sessions: Arc<dyn SessionStore>,
    wallets: Option<Arc<dyn ContractWallets>>,
    tokens: Arc<Tokens>,
    sign_in: Arc<SignIn>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Logins {
    /// Composes the use case; without `wallets` only plain wallets (EOA) can log in.
    pub fn new(
        challenges: Arc<dyn ChallengeStore>,
        sessions: Arc<dyn SessionStore>,
        wallets: Option<Arc<dyn ContractWallets>>,
        tokens: Arc<Tokens>,
        sign_in: Arc<SignIn>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            challenges,
            sessions,
            wallets,
            tokens,
            sign_in,
            clock,
            random,
        }
    }

    /// Checks the signature, uses the challenge up and opens a session.
    ///
    /// # Errors
    /// [`LoginError::Refused`] unless the signature covers a live challenge of the address, or a text
    /// that answers one; of concurrent attempts on one challenge, in whichever way, exactly one
    /// succeeds.
    pub async fn log_in(&self, request: LoginRequest) -> Result<LoggedIn, LoginError> {
        let now = self.clock.now();
        let address = request.claim.address();
        let candidates = self.candidates(&request.claim, now).await?;
        let signed = self.signed(address, candidates, &request).await?;
        if !self.challenges.take(address, signed.challenge, now).await? {
            return Err(Refusal::Used.into());
        }
        let jti = hex::encode(self.random.bytes16());
        let token = self.tokens.sign(address, &jti, now)?;
        self.sessions
            .open(Session {
                id: session_id(&jti),
                address,
                ip: request.ip,
                user_agent: request
                    .user_agent
                    .map(|agent| agent.chars().take(USER_AGENT_CHARS).collect()),
                created_at: now,
                last_seen_at: now,
                expires_at: now.plus(TOKEN_LIFE),
            })
            .await?;
        Ok(LoggedIn { address, token })
    }

    /// What the signature may cover: one at least.
    async fn candidates(&self, claim: &LoginClaim, now: Timestamp) -> Result<Vec<Candidate>, LoginError> {
        let candidates = match claim {
            LoginClaim::Address(address) => {
                let live = self.challenges.live(*address, now).await?;
                let as_given = |digest| Candidate {
                    signed: digest,
                    challenge: digest,
                };
                live.into_iter().map(as_given).collect()
            }
            LoginClaim::Message(message) => {
                let parts = message.parts();
                // Before the challenge is looked up: an expired one may be deleted already.
                let text = self.sign_in.check_text(parts, now);
                text.map_err(Refusal::Message)?;
                let nonce = NonceHash::of(&parts.nonce);
                let challenge = self.challenges.find(parts.address, nonce, now).await?;
                let challenge = challenge.ok_or(Refusal::NoChallenge)?;
                self.sign_in
                    .check(parts, &challenge, now)
                    .map_err(Refusal::Message)?;
                vec![Candidate {
                    signed: personal_digest(message.text().as_bytes()),
                    challenge: challenge.digest,
                }]
            }
        };
        if candidates.is_empty() {
            return Err(Refusal::NoChallenge.into());
        }
        Ok(candidates)
    }

    /// The first candidate that the wallet signed. Plain recovery first: it needs no chain.
    async fn signed(
        &self,
        address: WalletAddress,
        candidates: Vec<Candidate>,
        request: &LoginRequest,
    ) -> Result<Candidate, LoginError> {
        let signature = &request.signature;
        let plain = |candidate: &Candidate| signature.recover(candidate.signed) == Ok(address);
        let mut found = candidates.iter().position(plain);
        if let (None, Some(wallets)) = (found, &self.wallets) {
            let check = WalletCheck {
                client: request.ip.map(ClientIp::network),
                address,
                digests: candidates.iter().map(|candidate| candidate.signed).collect(),
                signature: signature.as_bytes().to_vec(),
            };
            let accepted = wallets.accepted(check).await?;
            found = candidates
                .iter()
                .position(|candidate| Some(candidate.signed) == accepted);
        }
        let chosen = found.and_then(|at| candidates.into_iter().nth(at));
        chosen.ok_or_else(|| Refusal::Signature.into())
    }
}
