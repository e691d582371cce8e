//! The caller, once established.

use crate::{api_key::ApiKey, session::SessionId};
use haithe_kernel::WalletAddress;
use std::sync::Arc;

/// An authenticated caller.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The wallet on whose behalf the call is made.
    pub address: WalletAddress,
    /// How it was established.
    pub credential: Credential,
}

/// How a caller was established.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A session token: the wallet's full authority.
    Session(SessionId),
    /// An API key: the authority of its row, under `/v1beta` only.
    ApiKey(Arc<ApiKey>),
}
