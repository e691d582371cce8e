//! `GET /api/v1/config`: what a wallet or a page must know to talk to the chain. Public.

use crate::{
    config::Chain,
    http::{Answer, ApiError, Success, wire::AddressText},
};
use axum::extract::State;
use haithe_kernel::WalletAddress;
use serde::Serialize;
use serde_json::value::RawValue;
use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};
use utoipa::ToSchema;

/// Chain, token and contracts.
#[derive(Debug)]
pub struct PublicConfig {
    chain_id: u64,
    rpc_url: Option<String>,
    token_decimals: u8,
    orchestrator: WalletAddress,
    token: Arc<OnceLock<WalletAddress>>,
    faucet: bool,
    abis: Vec<(&'static str, &'static str)>,
}

/// The name of the payment token's contract in the ABIs.
const TOKEN: &str = "tUSDT";
/// The name of the orchestrator's contract in the ABIs.
const ORCHESTRATOR: &str = "HaitheOrchestrator";

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PublicConfig)]
#[expect(missing_docs, reason = "wire names")]
pub struct ConfigView {
    pub chain_id: u64,
    /// An RPC endpoint for wallets, where one is configured.
    #[schema(required = true)]
    pub rpc_url: Option<String>,
    pub token_decimals: u8,
    /// Whether `/api/v1/me/faucet` gives test tokens.
    pub faucet: bool,
    pub contracts: BTreeMap<&'static str, ContractView>,
}

/// A contract. Those that exist many times, or that the chain has not named yet, have no address.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Contract)]
pub struct ContractView {
    #[schema(value_type = Option<AddressText>, required = true)]
    address: Option<WalletAddress>,
    #[schema(value_type = Vec<Object>)]
    abi: Box<RawValue>,
}

impl PublicConfig {
    /// What is public of the configuration; `token` is the payment token, once the chain has said;
    /// `abis` are JSON arrays by the contracts' names.
    pub fn new(
        chain: &Chain,
        token: Arc<OnceLock<WalletAddress>>,
        abis: Vec<(&'static str, &'static str)>,
    ) -> Self {
        Self {
            chain_id: chain.id,
            rpc_url: chain.public_rpc_url.as_ref().map(ToString::to_string),
            token_decimals: chain.decimals.into(),
            orchestrator: chain.orchestrator,
            token,
            faucet: chain.faucet,
            abis,
        }
    }

    fn contract(&self, name: &str, abi: &str) -> Result<ContractView, ApiError> {
        Ok(ContractView {
            address: match name {
                ORCHESTRATOR => Some(self.orchestrator),
                TOKEN => self.token.get().copied(),
                _ => None,
            },
            abi: RawValue::from_string(abi.to_owned()).map_err(ApiError::internal)?,
        })
    }
}

/// Chain, token and contracts, for wallets and pages.
#[utoipa::path(get, path = "/api/v1/config", security(()), responses((status = 200, body = Success<ConfigView>)))]
pub async fn show(State(config): State<Arc<PublicConfig>>) -> Answer<ConfigView> {
    let contracts: Result<_, ApiError> = config
        .abis
        .iter()
        .map(|(name, abi)| Ok((*name, config.contract(name, abi)?)))
        .collect();
    let view = ConfigView {
        chain_id: config.chain_id,
        rpc_url: config.rpc_url.clone(),
        token_decimals: config.token_decimals,
        faucet: config.faucet,
        contracts: contracts?,
    };
    Ok(Success::of("Configuration", view))
}
