//! `/api/v1/auth`: a wallet proves itself and gets a session.

use crate::http::{
    Answer, ApiError, Success,
    dialect::RestFailure,
    envelope::Nothing,
    extract::{AuthUser, Client, Input, Parsed},
    security::Event,
    wire::AddressText,
};
use axum::extract::State;
use haithe_identity::{
    Challenges, IssuedChallenge, LoginClaim, LoginError, LoginRequest, Logins, Sessions, SignedMessage,
    WalletSignature, siwe::VERSION,
};
use haithe_kernel::WalletAddress;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// What to sign: `nonce` is the whole text. `siwe` has its parts (EIP-4361).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Challenge)]
pub struct ChallengeView {
    nonce: String,
    siwe: SiweView,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SignInParts)]
struct SiweView {
    domain: String,
    address: String,
    statement: String,
    uri: String,
    version: &'static str,
    chain_id: u64,
    nonce: String,
    issued_at: String,
    expiration_time: String,
}

impl From<IssuedChallenge> for ChallengeView {
    fn from(issued: IssuedChallenge) -> Self {
        let siwe = issued.siwe;
        Self {
            nonce: issued.text,
            siwe: SiweView {
                address: siwe.address.checksummed(),
                domain: siwe.domain,
                statement: siwe.statement.unwrap_or_default(),
                uri: siwe.uri,
                version: VERSION,
                chain_id: siwe.chain_id,
                nonce: siwe.nonce,
                issued_at: siwe.issued_at.rfc3339(),
                expiration_time: issued.expires_at.rfc3339(),
            },
        }
    }
}

/// A fresh session.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LoggedIn)]
pub struct LoginView {
    #[schema(value_type = AddressText)]
    address: WalletAddress,
    token: String,
}

/// Who wants to log in.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct NonceInput {
    /// The wallet.
    #[param(value_type = AddressText)]
    address: WalletAddress,
}

/// A text to sign for logging in.
///
/// `nonce` is the whole text (EIP-4361) and works once, for five minutes, at the site of the
/// request's `Origin`. A client may compose its own text from the parts in `siwe`, with its own
/// statement, request id and resources; it logs in with `message` then.
#[utoipa::path(get, path = "/api/v1/auth/nonce", security(()), params(NonceInput),
    responses((status = 200, body = Success<ChallengeView>)))]
pub async fn nonce(
    State(challenges): State<Arc<Challenges>>,
    client: Client,
    Input(NonceInput { address }): Input<NonceInput>,
) -> Answer<ChallengeView> {
    let issued = challenges
        .issue(address, client.origin.as_deref(), client.ip)
        .await?;
    if issued.evicted > 0 {
        client
            .did(Event::ChallengeExcess)
            .wallet(address)
            .count(issued.evicted)
            .log();
    }
    Ok(Success::of("Sign the nonce exactly as it is", issued.into()))
}

/// A signed challenge: by the wallet's address, or by the whole text.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct LoginInput {
    /// The wallet; needed unless `message` is given.
    #[param(value_type = Option<AddressText>)]
    #[schema(value_type = Option<AddressText>)]
    address: Option<WalletAddress>,
    /// The text that was signed: the challenge as it was given, or one composed from its parts (EIP-4361).
    #[param(value_type = Option<String>)]
    #[schema(value_type = Option<String>)]
    message: Option<Parsed<SignedMessage>>,
    /// `0x` and the signature's bytes in hex: 65 for a plain wallet (EIP-191), more for a smart one (ERC-1271, ERC-6492).
    #[param(value_type = String)]
    #[schema(value_type = String)]
    signature: Parsed<WalletSignature>,
}

/// Log in with a signed challenge.
///
/// Give `address` and `signature`, or `message` and `signature`; in the query or in the body.
#[utoipa::path(post, path = "/api/v1/auth/login", security(()), params(LoginInput),
    request_body = LoginInput, responses((status = 200, body = Success<LoginView>),
    (status = 401, description = "The signature fits no live challenge", body = RestFailure)))]
pub async fn login(
    State(logins): State<Arc<Logins>>,
    client: Client,
    Input(input): Input<LoginInput>,
) -> Answer<LoginView> {
    let claim = claim(input.address, input.message)?;
    let wallet = claim.address();
    let request = LoginRequest {
        claim,
        signature: input.signature.0,
        ip: client.ip,
        user_agent: client.user_agent.clone(),
    };
    let logged_in = logins.log_in(request).await.inspect_err(|error| {
        let line = client.did(Event::LoginRefused).wallet(wallet);
        match error {
            LoginError::Refused(refusal) => line.because(refusal).log(),
            _ => line.because(error).log(),
        }
    })?;
    client.did(Event::LoginOk).wallet(wallet).log();
    Ok(Success::of(
        "Logged in",
        LoginView {
            address: logged_in.address,
            token: logged_in.token,
        },
    ))
}

fn claim(
    address: Option<WalletAddress>,
    message: Option<Parsed<SignedMessage>>,
) -> Result<LoginClaim, ApiError> {
    let claim = match (address, message) {
        (_, Some(Parsed(message))) => LoginClaim::Message(Box::new(message)),
        (Some(address), None) => LoginClaim::Address(address),
        (None, None) => return Err(ApiError::missing_parameter("address")),
    };
    if address.is_some_and(|address| address != claim.address()) {
        return Err(ApiError::parameter("address", "is not the address in `message`"));
    }
    Ok(claim)
}

/// End the session that asks.
#[utoipa::path(post, path = "/api/v1/auth/logout", responses((status = 200, body = Success<Nothing>)))]
pub async fn logout(
    State(sessions): State<Arc<Sessions>>,
    client: Client,
    user: AuthUser,
) -> Answer<Nothing> {
    sessions.revoke(user.address, user.session).await?;
    client
        .did(Event::Logout)
        .wallet(user.address)
        .session(user.session)
        .log();
    Ok(Success::nothing("Logged out"))
}
