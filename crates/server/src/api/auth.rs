//! `/api/v1/auth`: a wallet proves itself and gets a session.

use crate::http::{
    Answer, ApiError, Success,
    envelope::Nothing,
    extract::{AuthUser, Client, Params},
};
use axum::extract::State;
use haithe_identity::{
    Challenges, IssuedChallenge, LoginClaim, LoginRequest, Logins, Sessions, WalletSignature,
};
use haithe_kernel::WalletAddress;
use serde::Serialize;
use std::sync::Arc;

/// What to sign: `nonce` is the whole text. `siwe` has its parts (EIP-4361).
#[derive(Debug, Serialize)]
pub struct ChallengeView {
    nonce: String,
    siwe: SiweView,
}

#[derive(Debug, Serialize)]
struct SiweView {
    domain: String,
    address: String,
    statement: &'static str,
    uri: String,
    version: &'static str,
    chain_id: u64,
    nonce: String,
    issued_at: String,
    expiration_time: String,
}

impl From<IssuedChallenge> for ChallengeView {
    fn from(IssuedChallenge { text, siwe }: IssuedChallenge) -> Self {
        Self {
            nonce: text,
            siwe: SiweView {
                address: siwe.address.checksummed(),
                domain: siwe.domain,
                statement: siwe.statement,
                uri: siwe.uri,
                version: siwe.version,
                chain_id: siwe.chain_id,
                nonce: siwe.nonce,
                issued_at: siwe.issued_at.rfc3339(),
                expiration_time: siwe.expiration_time.rfc3339(),
            },
        }
    }
}

/// A fresh session.
#[derive(Debug, Serialize)]
pub struct LoginView {
    address: WalletAddress,
    token: String,
}

/// `GET /nonce?address=`
pub async fn nonce(
    State(challenges): State<Arc<Challenges>>,
    client: Client,
    params: Params,
) -> Answer<ChallengeView> {
    let address = params.required("address")?;
    let issued = challenges
        .issue(address, client.origin.as_deref(), client.ip)
        .await?;
    Ok(Success::of("Sign the nonce exactly as it is", issued.into()))
}

/// `POST /login` with `address` or `message`, and `signature`
pub async fn login(State(logins): State<Arc<Logins>>, client: Client, params: Params) -> Answer<LoginView> {
    let message: Option<String> = params.optional("message")?;
    let address: Option<WalletAddress> = params.optional("address")?;
    let signature: WalletSignature = params.required("signature")?;
    let claim = claim(address, message, &params)?;
    let request = LoginRequest {
        claim,
        signature,
        ip: client.ip,
        user_agent: client.user_agent,
    };
    let ip = request.ip;
    match logins.log_in(request).await {
        Ok(logged_in) => {
            tracing::info!(target: "haithe::security", wallet = %logged_in.address, ?ip, "wallet logged in");
            Ok(Success::of(
                "Logged in",
                LoginView {
                    address: logged_in.address,
                    token: logged_in.token,
                },
            ))
        }
        Err(error) => {
            tracing::info!(target: "haithe::security", ?ip, "login refused");
            Err(error.into())
        }
    }
}

fn claim(
    address: Option<WalletAddress>,
    message: Option<String>,
    params: &Params,
) -> Result<LoginClaim, ApiError> {
    let Some(message) = message else {
        return params.required("address").map(LoginClaim::Address);
    };
    let claim = LoginClaim::from_message(message)
        .ok_or_else(|| ApiError::parameter("message", "must be the text that was signed, as it was given"))?;
    let named = match &claim {
        LoginClaim::Address(named) | LoginClaim::Message { address: named, .. } => *named,
    };
    if address.is_some_and(|address| address != named) {
        return Err(ApiError::parameter("address", "is not the address in `message`"));
    }
    Ok(claim)
}

/// `POST /logout`
pub async fn logout(State(sessions): State<Arc<Sessions>>, user: AuthUser) -> Answer<Nothing> {
    sessions.revoke(user.address, user.session).await?;
    tracing::info!(target: "haithe::security", wallet = %user.address, "wallet logged out");
    Ok(Success::nothing("Logged out"))
}
